"""The databases that a release works with, who its clients are, and the way there."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from runbooks_lib.cluster.environment import Missing
from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access, Login, component_of
from runbooks_lib.release.access import access_of
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import WORKLOAD_KINDS, ObjectKey, key_of, labelled
from runbooks_lib.release.pods import is_ready
from runbooks_lib.release.rendered import Pods, pods_of, selects, target_of
from runbooks_lib.results import Json

#: Protocols of stores; in all but the first a client that names no database means the whole server.
PROTOCOLS = ("postgresql", "redis", "mongodb")
_WHOLE = PROTOCOLS[1:]
#: A server's own user where its container names none.
_OWNERS = {"postgresql": "postgres"}
#: What PostgreSQL's own programs read, in whatever image.
_LIBPQ = Login(
    protocol="postgresql",
    host="PGHOST",
    port="PGPORT",
    user="PGUSER",
    password="PGPASSWORD",  # noqa: S106 - a variable's name
    database="PGDATABASE",
    sslmode="PGSSLMODE",
)


class Store(NamedTuple):
    """A database, and who uses it.

    Attributes:
        protocol: What it speaks.
        access: As whom it is read: the server's own user where the release has the server, else a client's.
        clients: The workloads that write to it.
        pods: Labels of the server's pods where the release has the server; None: it is elsewhere.
    """

    protocol: str
    access: Access
    clients: tuple[ObjectKey, ...]
    pods: Json | None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.access.database or self.protocol} at {self.access.host}:{self.access.port}"


def service_names(host: str, namespace: str) -> list[str]:
    """What a Service of the namespace is called that a host may mean: itself, or one pod behind it."""
    parts = host.split(".")
    return [rest[0] for rest in (parts, parts[1:]) if rest and rest[1:2] in ([], [namespace])]


def stores(boundaries: Boundaries, objects: Iterable[Json], protocols: Sequence[str] = PROTOCOLS) -> list[Store]:
    """The databases whose address, user and name stand in the variables of these rendered objects' containers.

    What a container is given that can't be read (a Secret that is still to be made) is left out.
    """
    listed = pods_of(objects)
    found: dict[tuple[str, str, int, str], tuple[Access, list[ObjectKey]]] = {}
    for pods in listed:
        for protocol, access in accesses(boundaries, pods):
            client = [key_of(pods.owner, boundaries.namespace)] if pods.owner["kind"] in WORKLOAD_KINDS else []
            place = (protocol, access.host, access.port, access.database)
            found.setdefault(place, (access, []))[1].extend(client)
    return [
        Store(protocol, own or access, tuple(dict.fromkeys(clients)), labels)
        for (protocol, *_), (access, clients) in found.items()
        if protocol in protocols
        for own, labels in [_server(boundaries, protocol, access, listed)]
    ]


def accesses(boundaries: Boundaries, pods: Pods) -> Iterator[tuple[str, Access]]:
    """How the containers of some pods reach the databases that their variables name, each with its protocol."""
    for container in pods.spec["containers"]:
        component = component_of(str(container.get("image", "")))
        uses = component.uses if component else ()
        for login in (*(each for each in uses if each.protocol in PROTOCOLS), _LIBPQ):
            with suppress(Missing, ValueError):
                access = access_of(boundaries, container, pods.template, component, login)
                if access.host and (access.database or login.protocol in _WHOLE):
                    yield login.protocol, access


def _server(
    boundaries: Boundaries, protocol: str, access: Access, listed: Iterable[Pods]
) -> tuple[Access | None, Json | None]:
    """The access of a server's own user, and the labels of its pods, where the release has the server."""
    service = _service(boundaries, access) or {}
    selector = (service.get("spec") or {}).get("selector")
    if not selector:
        return None, None
    for pods in listed:
        for container in pods.spec["containers"] if selects(service, pods.template) else ():
            component = component_of(str(container.get("image", "")))
            if component and component.itself.protocol == protocol:
                with suppress(Missing, ValueError):
                    own = access_of(boundaries, container, pods.template, component, component.itself)
                    user = {"user": own.user or _OWNERS.get(protocol, ""), "password": own.password}
                    # There it is the database that knows the user, which of the server's own is another.
                    user |= {"database": ""} if protocol == "mongodb" else {}
                    return (access.model_copy(update=user) if own.password else None), selector
    return None, selector


def _service(boundaries: Boundaries, access: Access) -> Json | None:
    names = service_names(access.host, boundaries.namespace)
    found = (boundaries.cluster.get("v1", "Service", name, boundaries.namespace) for name in names)
    return next(filter(None, found), None)


@contextmanager
def reached(boundaries: Boundaries, store: Store) -> Iterator[tuple[str, int]]:
    """Yield host and port under which the database answers here.

    Raises CheckFailed: No pod of the server is ready.
    """
    access = store.access
    if store.pods is None:
        yield access.host, access.port
        return
    listed = boundaries.cluster.list("v1", "Pod", boundaries.namespace)
    wanted = [pod for pod in listed if labelled(pod, store.pods)]
    ready = next((pod for pod in wanted if is_ready(pod)), None)
    if ready is None:
        raise CheckFailed(f"No pod of {store.name} is ready.", next_step="06_diagnose says why.")
    service = _service(boundaries, access) or {}
    # Its Service may lead from another port to this one.
    port = target_of(service, ready["spec"]["containers"], access.port) or access.port
    with boundaries.cluster.forward(boundaries.namespace, ready["metadata"]["name"], port) as address:
        yield address
