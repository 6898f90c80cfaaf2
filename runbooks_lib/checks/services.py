"""Do the services answer as what they are, asked as themselves and as each of their clients would ask them?

What there is to ask comes from the rendered chart: the images of its containers, their ports and their variables.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from runbooks_lib import probes
from runbooks_lib.checks import prerequisites
from runbooks_lib.checks.catalogue import Answer, Check, catalogue
from runbooks_lib.checks.release import Subject, is_ready
from runbooks_lib.checks.units import Unit, access, behind, pages_of, ports_of, units
from runbooks_lib.cluster.environment import Missing
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.parameters.components import PORTS, Access
from runbooks_lib.probes.asking import Answered, name_of
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.rollout import trouble_of
from runbooks_lib.results import SEVERITY, Json, Status, worst

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
_NONSENSE = "Correct the value or the parameter that this variable is made of, and run 04_upgrade."


class Line(NamedTuple):
    """One line about a service, seen by itself or by a client.

    Attributes:
        step: What to do, where something fits just that.
        symptom: Whether it is a symptom or a cause, where the line knows better than the check.
    """

    status: Status
    says: str
    step: str = ""
    symptom: bool | None = None
    evidence: str = ""


def _told(subject: Subject, clients: list[Unit], unit: Unit, write: str) -> Line | None:
    """What is to be said about a unit; nothing where a client names no service."""
    try:
        given = access(subject, unit, clients)
        if unit.client and not given.host:
            return None
        found = behind(subject, given) if unit.client else (unit.workload, _own_port(subject, unit))
        if found is None:
            return Line("skip", f"{unit.name} uses {given.host}:{given.port}, no Service of this release: not asked")
        workload, port = found
        pods = _pods_of(subject, workload)
        pod = next((pod["metadata"]["name"] for pod in pods if is_ready(pod)), "")
        if not pod:
            return _not_ready(subject, unit, workload, pods)
        where = f"{unit.name} at {key_of(workload)}" if unit.client else unit.name
        with subject.boundaries.cluster.forward(subject.boundaries.namespace, pod, port) as address:
            return Line("pass", f"{where}: {_asked(subject, address, unit, given, write)}")
    except (Missing, ValueError) as error:
        step = _LOST if isinstance(error, Missing) else _NONSENSE
        return Line("fail", f"{unit.name} can't start: {error}", step, symptom=False)
    except RunbookError as error:
        status: Status = "fail" if isinstance(error, CheckFailed) else "unknown"
        return Line(status, f"{unit.name}: {error.summary}".removesuffix("."), error.next_step)


def _all_told(subject: Subject, listed: list[Unit], names: list[str]) -> list[Line]:
    """The lines about some services, asked side by side; each writes under its name, or, without one, nothing."""
    clients = [unit for unit in listed if unit.client]
    with ThreadPoolExecutor(8) as pool:
        return list(filter(None, pool.map(partial(_told, subject, clients), listed, names)))


def _own_port(subject: Subject, unit: Unit) -> int:
    """The usual port of its protocol where it has that, since others may be for metrics; else its first."""
    ports, usual = ports_of(subject, unit), PORTS[unit.login.protocol]
    return usual if usual in ports else ports[0]


def _pods_of(subject: Subject, workload: Json) -> list[Json]:
    wanted = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    return [pod for pod in subject.pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items()]


def _not_ready(subject: Subject, unit: Unit, workload: Json, pods: list[Json]) -> Line:
    """Why nobody can be asked, where that is known; *Workloads* knows what to do about it."""
    why = next((f" ({pod['metadata']['name']}: {why})" for pod in pods if (why := trouble_of(pod))), "")
    says = f"{key_of(workload)} has no ready pod, so its {PRODUCTS[unit.login.protocol]} can't be asked{why}"
    return Line("fail", says, symptom=True, evidence=subject.troubles(pods))


def _asked(subject: Subject, address: tuple[str, int], unit: Unit, given: Access, write: str) -> str:
    """What the service says, as one clause."""
    if ask := ASKS.get(unit.login.protocol):
        return ask(address, given, write, subject.boundaries.ended).says
    pages = {page.path: probes.http.ask(address, page) for page in pages_of(subject, unit)}
    return f"as it should: {', '.join(path for path, found in pages.items() if found.status == 200)}"


def _check(protocol: str) -> Callable[[Subject], Answer]:
    def ask(subject: Subject) -> Answer:
        listed = list(units(subject, protocol))
        # A name for each, since they are asked side by side.
        run = subject.boundaries.note.removeprefix("run ")
        writes = subject.boundaries.parameters.probes == "write"
        names = [name_of(run, number) if writes else "" for number in range(len(listed))]
        told = _all_told(subject, listed, names)
        if not told:
            return Answer("skip", f"the release has no {PRODUCTS[protocol]}")
        told.sort(key=lambda line: -SEVERITY.index(line.status))
        bad = [line for line in told if line.status in {"fail", "unknown"}]
        marks = {line.symptom for line in bad}
        return Answer(
            worst(line.status for line in told),
            "\n".join(dict.fromkeys(line.says for line in told)),
            remedy=_joined(line.step for line in bad),
            evidence=_joined(line.evidence for line in bad),
            symptom=False if False in marks else True if marks == {True} else None,
        )

    return ask


def _joined(texts: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(filter(None, texts)))


def _own_passwords(wanted: prerequisites.Subject) -> Answer:
    """Whether the release's databases let their own users in, before an upgrade hands those passwords to every client."""
    subject = Subject(wanted.boundaries)
    found = [unit for protocol in ASKS for unit in units(subject, protocol)] if subject.stored else []
    own = [unit for unit in found if not unit.client]
    ready = [unit for unit in own if any(map(is_ready, _pods_of(subject, unit.workload)))]
    if not ready:
        return Answer("skip", "no database of this release can be asked now")
    told = _all_told(subject, ready, [""] * len(ready))
    # Whatever else is wrong with one, an upgrade may mend it.
    refused = [line.says for line in told if "refuses the password" in line.says]
    return Answer("fail" if refused else "pass", "\n".join(refused) or f"{len(ready)} of {len(own)} asked")


#: What an upgrade asks besides.
PASSWORDS: tuple[Check[prerequisites.Subject], ...] = catalogue({"databases.passwords": _own_passwords})
CHECKS: tuple[Check[Subject], ...] = catalogue({f"services.{protocol}": _check(protocol) for protocol in PRODUCTS})
