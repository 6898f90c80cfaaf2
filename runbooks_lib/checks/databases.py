"""Will each database be made that a client asks a data store of the release itself for?"""

from collections.abc import Iterator
from contextlib import suppress

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.external import reader
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.units import Unit, units_in
from runbooks_lib.cluster.environment import Missing, Read, environment
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.postgresql import MAINTENANCE
from runbooks_lib.release.access import access_of
from runbooks_lib.release.manifest import claim_names
from runbooks_lib.release.rendered import mounted, selects
from runbooks_lib.release.stores import service_names
from runbooks_lib.results import Json


def created(subject: Subject) -> Answer:
    """Whether each client's database is among those that its server makes at its first start."""
    answers = list(_answers(subject))
    return together(answers or [Answer("skip", "no client asks a server of the release for a database")])


def _answers(subject: Subject) -> Iterator[Answer]:
    read, units = reader(subject.boundaries, subject.objects), list(units_in(subject.objects, "postgresql"))
    services = {obj["metadata"]["name"]: obj for obj in subject.objects if obj["kind"] == "Service"}
    for client in (unit for unit in units if unit.client):
        # What can't be read is told where the stores outside are asked.
        with suppress(Missing, ValueError):
            access = _access(subject, client, read)
            names = service_names(access.host.rstrip("."), subject.boundaries.namespace)
            service = next((services[name] for name in names if name in services), {})
            server = next(
                (unit for unit in units if not unit.client and selects(service, unit.workload["spec"]["template"])),
                None,
            )
            if server and access.database:
                yield _judged(subject, client, access.database, server, read)


def _judged(subject: Subject, client: Unit, database: str, server: Unit, read: Read) -> Answer:
    variables = environment(server.container, server.workload["spec"]["template"], read)
    given = _access(subject, server, read)
    user = given.user or MAINTENANCE
    listed = variables.get(server.component.creates, "").replace(",", " ").split()
    makes = list(dict.fromkeys([*listed, given.database or user, user, MAINTENANCE]))
    if database in makes:
        return Answer("pass", f"{client.name}: {server.name} makes its database {database}")
    told = f"{client.name} asks for the database {database}, and {server.name} makes only {', '.join(makes)}"
    claims = [*claim_names(server.workload), *mounted(server.workload["spec"]["template"]["spec"])]
    there = [name for name in claims if _claim(subject, name)]
    if there:
        return Answer("warn", f"{told} at its first start; whether it is on the claim {there[0]} by now is not known")
    return Answer("fail", f"{told}: its pods would wait for it for ever")


def _access(subject: Subject, unit: Unit, read: Read) -> Access:
    template = unit.workload["spec"]["template"]
    return access_of(subject.boundaries, unit.container, template, unit.component, unit.login, read)


def _claim(subject: Subject, name: str) -> Json | None:
    return subject.boundaries.cluster.get("v1", "PersistentVolumeClaim", name, subject.boundaries.namespace)
