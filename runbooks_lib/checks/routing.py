"""Do requests from outside find their way into the release?"""

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.release import Subject, not_true
from runbooks_lib.release.manifest import key_of


def gateways(subject: Subject) -> Answer:
    """Whether its Gateways are programmed."""
    wanted = subject.rendered("Gateway")
    if not wanted:
        return Answer("skip", "the release has no Gateway")
    told = []
    for obj in wanted:
        live = subject.live[key_of(obj, subject.boundaries.namespace)]
        status = (live or {}).get("status") or {}
        generation = live["metadata"].get("generation", 0) if live else 0
        amiss = not_true(status.get("conditions"), "Programmed", besides="Accepted", generation=generation)
        addresses = [str(item.get("value", "")) for item in status.get("addresses") or ()]
        if amiss or not addresses:
            state = f"{amiss or 'Programmed=True'}, addresses {addresses}" if live else "not there"
            return Answer("fail", f"{key_of(obj)}: {state}")
        told.append(f"{key_of(obj)} at {', '.join(addresses)}")
    return Answer("pass", "; ".join(told))


def routes(subject: Subject) -> Answer:
    """Whether its routes are accepted."""
    wanted = subject.rendered("HTTPRoute")
    if not wanted:
        return Answer("skip", "the release has no HTTPRoute")
    bad: list[str] = []
    hosts: list[str] = []
    for obj in wanted:
        live = subject.live[key_of(obj, subject.boundaries.namespace)] or {"metadata": {}}
        parents = (live.get("status") or {}).get("parents") or ()
        hosts += (live.get("spec") or {}).get("hostnames") or []
        generation = live["metadata"].get("generation", 0)
        for parent in parents:
            if amiss := not_true(parent.get("conditions"), "Accepted", "ResolvedRefs", generation=generation):
                at = parent.get("parentRef") or {}
                bad.append(f"{key_of(obj)} at {at.get('kind', 'Gateway')} {at.get('name', 'without a name')}: {amiss}")
        bad += [] if parents else [f"{key_of(obj)}: no parent has taken it"]
    return Answer("fail", "; ".join(bad)) if bad else Answer("pass", f"accepted for {', '.join(hosts)}")
