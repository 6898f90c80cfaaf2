"""The containers of a release that are services of ours, or clients of such, read off the rendered chart."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from runbooks_lib.checks.release import Subject
from runbooks_lib.cluster import commands
from runbooks_lib.cluster.environment import Missing
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.parameters.components import Access, Component, Login, Page, component_of
from runbooks_lib.release.access import access_of, command_of
from runbooks_lib.release.manifest import WORKLOAD_KINDS, key_of
from runbooks_lib.release.rendered import selects, target_of
from runbooks_lib.release.stores import service_names
from runbooks_lib.results import Json


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


def units(subject: Subject, protocol: str) -> Iterator[Unit]:
    """Each container that serves the protocol, and each that is a client of such."""
    found = units_in(subject.workloads, protocol)
    return (unit for unit in found if unit.client or ports_of(subject, unit))


def units_in(objects: Iterable[Json], protocol: str) -> Iterator[Unit]:
    """The same of rendered objects, also those that could serve it and have no port for it."""
    for workload in (obj for obj in objects if obj["kind"] in WORKLOAD_KINDS):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            if component := component_of(str(container.get("image", ""))):
                logins = (each for each in (component.itself, *component.uses) if each.protocol == protocol)
                yield from (Unit(workload, container, component, login) for login in logins)


def ports_of(subject: Subject, unit: Unit) -> list[int]:
    """The ports that the container names, and those that a Service sends on to its pods."""
    services = (
        service for service in subject.rendered("Service") if selects(service, unit.workload["spec"]["template"])
    )
    targets = (port.get("targetPort") or port["port"] for service in services for port in service["spec"]["ports"])
    named = [int(port["containerPort"]) for port in unit.container.get("ports") or ()]
    return named + [int(target) for target in targets if str(target).isdigit()]


def access(subject: Subject, unit: Unit, clients: Iterable[Unit] = ()) -> Access:
    """What a unit is given; a service whose own password is nowhere to be seen is asked with that of a client of it.

    Raises Missing or ValueError: See :func:`runbooks_lib.release.access.access_of`.
    """
    found = _given(subject, unit)
    if unit.client or found.password:
        return found
    for client in clients:
        with suppress(Missing, ValueError, RunbookError):
            theirs = _given(subject, client)
            led = behind(subject, theirs) if theirs.host and theirs.password else None
            if led and led[0] is unit.workload and found.user in {"", theirs.user}:
                return theirs.model_copy(update={"host": "", "port": found.port})
    return found


def _given(subject: Subject, unit: Unit) -> Access:
    template = unit.workload["spec"]["template"]
    return access_of(subject.boundaries, unit.container, template, unit.component, unit.login)


def behind(subject: Subject, access: Access) -> tuple[Json, int] | None:
    """The workload that a host and port lead to, and which port that is there; None: it is not in this release."""
    names = service_names(access.host, subject.boundaries.namespace)
    name = next((each for each in subject.live_services if each in names), None)
    service = subject.live_services[name] if name else None
    if name and service is None:
        raise CheckFailed(f"Service {name} is not in the cluster.")
    if service is None or not service["spec"].get("selector"):
        return None
    workload = next((obj for obj in subject.workloads if selects(service, obj["spec"]["template"])), None)
    if workload is None:
        raise CheckFailed(f"{key_of(service)} has no workload of this release behind it.")
    port = target_of(service, workload["spec"]["template"]["spec"]["containers"], access.port)
    if port is None:
        raise CheckFailed(f"{key_of(service)} has no port {access.port}.")
    return workload, port


def pages_of(subject: Subject, unit: Unit) -> Iterator[Page]:
    """The pages that a web server should have, as full as the release can make them."""
    running = [
        container
        for workload in subject.workloads
        if workload["spec"].get("replicas") != 0
        for container in workload["spec"]["template"]["spec"]["containers"]
        if component_of(str(container.get("image", ""))) is unit.component
    ]
    words = [word for container in running for word in commands.words(command_of(container), {})]
    for page in unit.component.pages:
        filled = any(page.filled_by in word for word in words) or not page.filled_by
        yield page if filled else page.model_copy(update={"empty": True})
