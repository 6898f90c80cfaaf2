"""Do the services answer as what they are, asked as themselves and as each of their clients would ask them?

What there is to ask comes from the rendered chart: the images of its containers, their ports and their variables.
"""

from collections.abc import Callable
from functools import partial

from runbooks_lib import probes
from runbooks_lib.checks import prerequisites
from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.release import Subject
from runbooks_lib.checks.units import Unit, access, behind, pages_of, ports_of, units
from runbooks_lib.cluster import Forbidden
from runbooks_lib.cluster.environment import Missing
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.parameters.components import PORTS, Access
from runbooks_lib.probes.asking import Answered, NotFromHere, name_of
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.pods import is_ready, trouble_of
from runbooks_lib.release.rendered import selects
from runbooks_lib.results import Json, Status
from runbooks_lib.threads import at_once

#: What a service of a kind is called; and those that have users, how they are asked.
PRODUCTS = {"postgresql": "PostgreSQL", "redis": "Redis", "mongodb": "MongoDB", "http": "HTTP server"}
#: Each with an address, credentials, a name to write under, and who knows whether a run is over: what a killed one has
#: left goes by itself in PostgreSQL, with its transaction, and in Redis, with its key's time.
ASKS: dict[str, Callable[[tuple[str, int], Access, str, Callable[[str], bool]], Answered]] = {
    "postgresql": lambda address, given, write, _: probes.postgresql.ask(address, given, write),
    "redis": lambda address, given, write, _: probes.redis_server.ask(address, given, write),
    "mongodb": probes.mongodb.ask,
}
#: What to do where a container is given what is not there, or what makes no sense.
_LOST = "Put it back: 04_upgrade makes again what the chart renders; a Secret whose password a volume keeps comes from a backup."
_FROM_A_POD = (
    "Correct host and port in the parameters. If only pods can reach it, ask from one: kubectl -n {namespace} run ask --rm -i "
    "--restart=Never --image=busybox -- nc -zv -w 5 {host} {port}; and where that succeeds, accept this by a waiver."
)
_ELSEWHERE = "04_upgrade puts the Service back as the chart has it; its selector was changed by hand."
_NONSENSE = "Correct the value or the parameter that this variable is made of, and run 04_upgrade."


def _told(subject: Subject, clients: list[Unit], unit: Unit, write: str) -> Answer | None:
    """What is to be said about a unit; nothing where a client names no service."""
    where = unit.name
    try:
        given = access(subject, unit, clients)
        if unit.client and not given.host:
            return None
        found = behind(subject, given) if unit.client else _through(subject, unit)
        if unit.client:
            outside = f"{given.host}:{given.port}, outside of this release"
            where = f"{unit.name} at {key_of(found[0]) if found else outside}"
        if found is None:
            return _outside(subject, where, unit, given, write)
        workload, port = found
        pods = _pods_of(subject, workload)
        pod = next((pod["metadata"]["name"] for pod in pods if is_ready(pod)), "")
        if not pod:
            return _not_ready(subject, unit, workload, pods)
        with subject.boundaries.cluster.forward(subject.boundaries.namespace, pod, port) as address:
            return Answer("pass", f"{where}: {_asked(subject, address, unit, given, write)}")
    except (Missing, ValueError) as error:
        step = _LOST if isinstance(error, Missing) else _NONSENSE
        return Answer("fail", f"{unit.name} can't start: {error}", step, symptom=False)
    except RunbookError as error:
        # A right that this account lacks says nothing of the service.
        failed = isinstance(error, CheckFailed) and not isinstance(error, Forbidden)
        status: Status = "fail" if failed else "unknown"
        return Answer(status, f"{where}: {error.summary}".removesuffix("."), error.next_step)


def from_a_pod(boundaries: Boundaries, access: Access) -> str:
    """How to ask a store from where its clients are."""
    return _FROM_A_POD.format(namespace=boundaries.namespace, host=access.host, port=access.port)


def _outside(subject: Subject, where: str, unit: Unit, given: Access, write: str) -> Answer:
    """What a store that is not of this release says to its client."""
    try:
        found = ASKS[unit.login.protocol]((given.host, given.port), given, write, subject.boundaries.ended)
    except NotFromHere as error:
        says = f"{where}: {error.summary} (asked from here, not from a node)"
        return Answer("unknown", says, from_a_pod(subject.boundaries, given))
    return Answer("fail" if found.lacks else "pass", f"{where}: {found.says}")


def _all_told(subject: Subject, listed: list[Unit], names: list[str]) -> list[Answer]:
    """The lines about some services, asked side by side; each writes under its name, or, without one, nothing."""
    clients = [unit for unit in listed if unit.client]
    return list(filter(None, at_once(partial(_told, subject, clients), listed, names)))


def _through(subject: Subject, unit: Unit) -> tuple[Json, int]:
    """Where a service is asked: a web server by way of its own Service, as the gateway goes; others, as they are."""
    own = (unit.workload, _own_port(subject, unit))
    leads = [each for each in subject.rendered("Service") if selects(each, unit.workload["spec"]["template"])]
    if unit.login.protocol != "http" or not leads:
        return own
    name = leads[0]["metadata"]["name"]
    ways = [behind(subject, Access(host=name, port=port["port"])) for port in leads[0]["spec"]["ports"]]
    way = next((each for each in ways if each and each[0] is unit.workload), None)
    if way is None:
        raise CheckFailed(f"Service {name} does not lead to it.", next_step=_ELSEWHERE)
    return own if own in ways else way


def _own_port(subject: Subject, unit: Unit) -> int:
    """The usual port of its protocol where it has that, since others may be for metrics; else its first."""
    ports, usual = ports_of(subject, unit), PORTS[unit.login.protocol]
    return usual if usual in ports else ports[0]


def _pods_of(subject: Subject, workload: Json) -> list[Json]:
    wanted = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    return [pod for pod in subject.pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items()]


def _not_ready(subject: Subject, unit: Unit, workload: Json, pods: list[Json]) -> Answer:
    """Why nobody can be asked, where that is known; *Workloads* knows what to do about it."""
    why = next((f" ({pod['metadata']['name']}: {why})" for pod in pods if (why := trouble_of(pod))), "")
    says = f"{key_of(workload)} has no ready pod, so its {PRODUCTS[unit.login.protocol]} can't be asked{why}"
    return Answer("fail", says, symptom=True, evidence=subject.troubles(pods))


def _asked(subject: Subject, address: tuple[str, int], unit: Unit, given: Access, write: str) -> str:
    """What the service says, as one clause."""
    if ask := ASKS.get(unit.login.protocol):
        return ask(address, given, write, subject.boundaries.ended).says
    pages = {page.path: probes.http.ask(address, page) for page in pages_of(subject, unit)}
    return f"as it should: {', '.join(path for path, found in pages.items() if found.status == 200)}"


def answering(protocol: str) -> Callable[[Subject], Answer]:
    """The check of all services and clients that speak a protocol."""

    def ask(subject: Subject) -> Answer:
        # What a service says to its own user counts before what it says to others.
        listed = sorted(units(subject, protocol), key=lambda unit: unit.client)
        # A name for each, since they are asked side by side.
        run = subject.boundaries.note.removeprefix("run ")
        writes = subject.boundaries.parameters.probes == "write"
        names = [name_of(run, number) if writes else "" for number in range(len(listed))]
        told = _all_told(subject, listed, names)
        if not told:
            return Answer("skip", f"the release has no {PRODUCTS[protocol]}")
        return together(told)

    return ask


def own_passwords(wanted: prerequisites.Subject) -> Answer:
    """Whether the release's databases let their own users in, before an upgrade hands those passwords to every client."""
    subject = wanted.installed
    found = [unit for protocol in ASKS for unit in units(subject, protocol)] if subject.stored else []
    own = [unit for unit in found if not unit.client]
    ready = [unit for unit in own if any(map(is_ready, _pods_of(subject, unit.workload)))]
    if not ready:
        return Answer("skip", "no database of this release can be asked now")
    told = _all_told(subject, ready, [""] * len(ready))
    # Whatever else is wrong with one, an upgrade may mend it.
    refused = [line.observed for line in told if "refuses the password" in line.observed]
    return Answer("fail" if refused else "pass", "\n".join(refused) or f"{len(ready)} of {len(own)} asked")


postgresql, redis, mongodb, http = map(answering, PRODUCTS)
