"""Can the cluster's nodes get the images: from where they should, for their platforms, with which login?"""

from typing import Any

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.containers import Use, few, uses_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import RunbookError
from runbooks_lib.probes.registry import Image, Seen
from runbooks_lib.tables import table

#: What is told of an image, by what was seen.
_TELLING: dict[str, dict[str, Any]] = table(__package__, "images.yaml")


def found(subject: Subject) -> Answer:
    """Whether each image is there, for the nodes' platforms."""
    wanted: dict[Image, list[Use]] = {}
    lines: list[Answer] = []
    uses = uses_of(subject)
    for use in uses:
        if use.image:
            wanted.setdefault(use.image, []).append(use)
        else:
            lines.append(_line("nonsense", image=repr(use.text), where=use))
    if not uses:
        return Answer("skip", "the chart runs no image")
    platforms, unknown = _platforms(subject)
    for image, seen in subject.seen.items():
        lacks = platforms - set(seen.platforms)
        told = {"image": image.name, "host": image.host, "where": few(wanted[image]), "says": seen.says}
        told |= {"has": ", ".join(seen.platforms), "lacks": ", ".join(sorted(lacks))}
        told["count"] = str(sum(other.host == image.host for other in wanted))
        case = _case(seen, lacks, platforms)
        lines += [_line(case, namespace=subject.boundaries.namespace, **told)] if case else []
    if unknown:
        lines.append(_line("nodes", says=unknown))
    hosts = ", ".join(sorted({image.registry for image in wanted}))
    all_well = f"{len(wanted)} images at {hosts}, all of them for {', '.join(sorted(platforms))}"
    return together(lines or [Answer("pass", all_well)])


def _case(seen: Seen, lacks: set[str], platforms: set[str]) -> str:
    """Which row of the table; none where all is well."""
    if seen.state != "found":
        return seen.state
    if not seen.platforms:
        return "nameless"
    return "" if not lacks else "elsewhere" if lacks == platforms else "partly"


def _platforms(subject: Subject) -> tuple[set[str], str]:
    """What the nodes are, such as ``linux/amd64``; or why that is not known."""
    try:
        nodes = [node["status"]["nodeInfo"] for node in subject.nodes]
    except RunbookError as error:
        return set(), error.summary
    found = {f"{node['operatingSystem']}/{node['architecture']}" for node in nodes}
    return found, "" if found else "the cluster has no nodes"


def _line(case: str, **filling: object) -> Answer:
    row = _TELLING[case]
    return Answer(row["status"], row["says"].format(**filling), row["remedy"].format(**filling))
