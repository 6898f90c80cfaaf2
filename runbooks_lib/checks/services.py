"""Do the services answer as what they are, asked as themselves and as each of their clients would ask them?

What there is to ask comes from the rendered chart: the images of its containers, their ports and their variables.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from runbooks_lib import probes
from runbooks_lib.checks import prerequisites
from runbooks_lib.checks.catalogue import Answer, Check, catalogue
from runbooks_lib.checks.release import Subject, conditions
from runbooks_lib.cluster.environment import Missing, environment
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.parameters.components import PORTS, Access, Component, Login, component_of
from runbooks_lib.probes.asking import PREFIX
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.passwords import learn_secret
from runbooks_lib.release.rollout import trouble_of
from runbooks_lib.results import SEVERITY, Json, Status, worst

#: What a service of a kind is called; and those that have users, how they are asked.
PRODUCTS = {"postgresql": "PostgreSQL", "redis": "Redis", "mongodb": "MongoDB", "http": "HTTP server"}
ASKS = {"postgresql": probes.postgresql.ask, "redis": probes.redis_server.ask, "mongodb": probes.mongodb.ask}


class Unit(NamedTuple):
    """A container of ours in a rendered workload, as a service or, by its ``login``, as a client of one."""

    workload: Json
    container: Json
    component: Component
    login: Login

    @property
    def name(self) -> str:
        """Its workload, for people."""
        return str(key_of(self.workload))

    @property
    def client(self) -> bool:
        """Whether it is looked at as a client."""
        return self.login is not self.component.itself


def _units(subject: Subject, protocol: str) -> Iterator[Unit]:
    """Each container that serves the protocol, and each that is a client of such."""
    for workload in subject.workloads:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            if component := component_of(str(container.get("image", ""))):
                logins = (each for each in (component.itself, *component.uses) if each.protocol == protocol)
                units = (Unit(workload, container, component, login) for login in logins)
                yield from (unit for unit in units if unit.client or _ports(subject, unit))


def _ports(subject: Subject, unit: Unit) -> list[int]:
    """The ports that the container names, and those that a Service sends on to its pods."""
    services = (service for service in subject.rendered("Service") if _selects(service, unit.workload))
    targets = (port.get("targetPort") or port["port"] for service in services for port in service["spec"]["ports"])
    named = [int(port["containerPort"]) for port in unit.container.get("ports") or ()]
    return named + [int(target) for target in targets if str(target).isdigit()]


def _selects(service: Json, workload: Json) -> bool:
    selector = (service.get("spec") or {}).get("selector") or {}
    labels = (workload["spec"]["template"].get("metadata") or {}).get("labels") or {}
    return bool(selector) and selector.items() <= labels.items()


def _told(subject: Subject, unit: Unit, write: str) -> tuple[Status, str] | None:
    """One line about a service, seen by itself or by a client; nothing where the client names none."""
    try:
        access = _access(subject, unit)
        if unit.client and not access.host:
            return None
        found = _behind(subject, access) if unit.client else (unit.workload, _own_port(subject, unit))
        if found is None:
            return "skip", f"{unit.name} uses {access.host}:{access.port}, no Service of this release: not asked"
        workload, port = found
        pod, why = _ready_pod(subject, workload)
        if not pod:
            product = PRODUCTS[unit.login.protocol]
            return "fail", f"{key_of(workload)} has no ready pod, so its {product} can't be asked{why}"
        where = f"{unit.name} at {key_of(workload)}" if unit.client else unit.name
        with subject.boundaries.cluster.forward(subject.boundaries.namespace, pod, port) as address:
            return "pass", f"{where}: {_asked(address, unit, access, write)}"
    except (Missing, ValueError) as error:
        return "fail", f"{unit.name} can't start: {error}"
    except RunbookError as error:
        status: Status = "fail" if isinstance(error, CheckFailed) else "unknown"
        return status, f"{unit.name}: {error.summary}".removesuffix(".")


def _all_told(subject: Subject, units: list[Unit], names: list[str]) -> list[tuple[Status, str]]:
    """The lines about some services, asked side by side; each writes under its name, or, without one, nothing."""
    with ThreadPoolExecutor(8) as pool:
        return list(filter(None, pool.map(partial(_told, subject), units, names)))


def _own_port(subject: Subject, unit: Unit) -> int:
    """The usual port of its protocol where it has that, since others may be for metrics; else its first."""
    ports, usual = _ports(subject, unit), PORTS[unit.login.protocol]
    return usual if usual in ports else ports[0]


def _access(subject: Subject, unit: Unit) -> Access:
    """What the container is given; the redactor knows every secret in it before this returns."""
    boundaries = subject.boundaries

    def read(kind: str, name: str) -> Json | None:
        found = boundaries.cluster.get("v1", kind, name, boundaries.namespace)
        if found is not None and kind == "Secret":
            learn_secret(boundaries.redactor, found)
        return found

    access = unit.login.read(environment(unit.container, unit.workload["spec"]["template"], read))
    boundaries.redactor.register(access.password, f"{unit.name}#{unit.login.password or unit.login.url}")
    return access


def service_names(host: str, namespace: str) -> list[str]:
    """What a Service of the namespace is called that a host may mean: itself, or one pod behind it."""
    parts = host.split(".")
    return [rest[0] for rest in (parts, parts[1:]) if rest and rest[1:2] in ([], [namespace])]


def _behind(subject: Subject, access: Access) -> tuple[Json, int] | None:
    """The workload that a host and port lead to, and which port that is there; None: it is not in this release."""
    names = service_names(access.host, subject.boundaries.namespace)
    service = next((each for each in subject.rendered("Service") if each["metadata"]["name"] in names), None)
    if service is None or not service["spec"].get("selector"):
        return None
    workload = next((obj for obj in subject.workloads if _selects(service, obj)), None)
    if workload is None:
        raise CheckFailed(f"{key_of(service)} has no workload of this release behind it.")
    if service["spec"].get("clusterIP") == "None":
        # Without an address of its own it leads to the pods themselves.
        return workload, access.port
    targets = {port["port"]: port.get("targetPort") or port["port"] for port in service["spec"]["ports"]}
    containers = workload["spec"]["template"]["spec"]["containers"]
    named = {port.get("name"): port["containerPort"] for each in containers for port in each.get("ports") or ()}
    target = str(named.get(targets.get(access.port), targets.get(access.port)))
    if not target.isdigit():
        raise CheckFailed(f"{key_of(service)} has no port {access.port}.")
    return workload, int(target)


def _ready_pod(subject: Subject, workload: Json) -> tuple[str, str]:
    """The name of a ready pod of a workload; or none, and why, where that is known."""
    wanted = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    pods = [pod for pod in subject.pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items()]
    for pod in pods:
        ready = conditions((pod.get("status") or {}).get("conditions")).get("Ready") == "True"
        if ready and not pod["metadata"].get("deletionTimestamp"):
            return pod["metadata"]["name"], ""
    return "", next((f" ({pod['metadata']['name']}: {why})" for pod in pods if (why := trouble_of(pod))), "")


def _asked(address: tuple[str, int], unit: Unit, access: Access, write: str) -> str:
    """What the service says, as one clause."""
    if ask := ASKS.get(unit.login.protocol):
        return ask(address, access, write).says
    pages = {page.path: probes.http.ask(address, page) for page in unit.component.pages}
    return f"as it should: {', '.join(path for path, found in pages.items() if found.status == 200)}"


def _check(protocol: str) -> Callable[[Subject], Answer]:
    def ask(subject: Subject) -> Answer:
        units = list(_units(subject, protocol))
        # A name for each, since they are asked side by side.
        mark = re.sub(r"\W", "_", subject.boundaries.note.removeprefix("run "))
        writes = subject.boundaries.parameters.probes == "write"
        names = [f"{PREFIX}{mark}_{number}" if writes else "" for number in range(len(units))]
        told = _all_told(subject, units, names)
        if not told:
            return Answer("skip", f"the release has no {PRODUCTS[protocol]}")
        told.sort(key=lambda line: -SEVERITY.index(line[0]))
        return Answer(worst(status for status, _ in told), "\n".join(dict.fromkeys(says for _, says in told)))

    return ask


def _own_passwords(wanted: prerequisites.Subject) -> Answer:
    """Whether the release's databases let their own users in, before an upgrade hands those passwords to every client."""
    subject = Subject(wanted.boundaries)
    found = [unit for protocol in ASKS for unit in _units(subject, protocol)] if subject.stored else []
    units = [unit for unit in found if not unit.client]
    ready = [unit for unit in units if _ready_pod(subject, unit.workload)[0]]
    if not ready:
        return Answer("skip", "no database of this release can be asked now")
    told = _all_told(subject, ready, [""] * len(ready))
    # Whatever else is wrong with one, an upgrade may mend it.
    refused = [says for _, says in told if "refuses the password" in says]
    return Answer("fail" if refused else "pass", "\n".join(refused) or f"{len(ready)} of {len(units)} asked")


#: What an upgrade asks besides.
PASSWORDS: tuple[Check[prerequisites.Subject], ...] = catalogue({"databases.passwords": _own_passwords})
CHECKS: tuple[Check[Subject], ...] = catalogue({f"services.{protocol}": _check(protocol) for protocol in PRODUCTS})
