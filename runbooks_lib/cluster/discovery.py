"""Which kinds a cluster serves.

Two requests where the API server aggregates (1.30 and later, by default), one for each group and version
where it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.failures import Ask, Rejected
from runbooks_lib.errors import OutcomeUnknown, Unreachable
from runbooks_lib.results import Json, Value

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class Resource(Value):
    """One kind in one version, and how requests and permissions name it.

    Attributes:
        group: Empty for the core group.
        plural: What permissions and paths call it, for example ``deployments``.
        verbs: What can be asked of it, for example get, list, watch, create.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """As objects spell it: ``apps/v1``, ``v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path under which it is served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True)
class Discovered:
    """What a cluster serves.

    Attributes:
        resources: In the server's order, which puts preferred versions first.
        undiscovered: Groups with versions (``metrics.k8s.io/v1beta1``) whose server did not answer: what they
            serve is not known.
    """

    resources: tuple[Resource, ...]
    undiscovered: tuple[str, ...]


def discover(connection: Connection) -> Discovered:
    """Ask the cluster what it serves.

    Raises:
        Unreachable: The API server itself does not answer; a group that does not is noted instead.
    """
    resources: list[Resource] = []
    undiscovered: list[str] = []
    for path in ("/api", "/apis"):
        answer = connection.json(Ask("get", path, accept=AGGREGATED))
        if answer.get("kind") == "APIGroupDiscoveryList":
            resources += _aggregated(answer)
            undiscovered += _stale(answer)
        else:
            for root, api_version in _versions(path, answer):
                found = _plain(connection, root, api_version)
                if found is None:
                    undiscovered.append(api_version)
                else:
                    resources += found
    return Discovered(tuple(resources), tuple(undiscovered))


def _aggregated(answer: Json) -> Iterator[Resource]:
    for group in answer.get("items") or ():
        for version in group.get("versions") or ():
            for item in version.get("resources") or ():
                # A resource that has subresources only is listed with an empty kind.
                kind = (item.get("responseKind") or {}).get("kind")
                if kind:
                    yield Resource(
                        group=(group.get("metadata") or {}).get("name", ""),
                        version=version["version"],
                        kind=kind,
                        plural=item["resource"],
                        namespaced=item.get("scope") == "Namespaced",
                        verbs=tuple(item.get("verbs") or ()),
                    )


def _stale(answer: Json) -> Iterator[str]:
    """Group versions whose own server is down: what is listed for them may be old, or missing."""
    for group in answer.get("items") or ():
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                yield f"{group['metadata']['name']}/{version['version']}"


def _versions(path: str, answer: Json) -> Iterator[tuple[str, str]]:
    """Paths and names of the versions to ask one by one, preferred ones first."""
    if path == "/api":
        yield from ((f"/api/{version}", version) for version in answer.get("versions") or ())
        return
    for group in answer.get("groups") or ():
        preferred = (group.get("preferredVersion") or {}).get("groupVersion")
        every = [version["groupVersion"] for version in group.get("versions") or ()]
        for api_version in sorted(every, key=lambda each: each != preferred):
            yield f"/apis/{api_version}", api_version


def _plain(connection: Connection, root: str, api_version: str) -> list[Resource] | None:
    try:
        answer = connection.json(Ask("get", root))
    except Unreachable:
        raise
    except (OutcomeUnknown, Rejected):
        return None
    group, _, version = api_version.rpartition("/")
    return [
        Resource(
            group=item.get("group") or group,
            version=item.get("version") or version,
            kind=item["kind"],
            plural=item["name"],
            namespaced=bool(item.get("namespaced")),
            verbs=tuple(item.get("verbs") or ()),
        )
        for item in answer.get("resources") or ()
        if "/" not in item["name"]
    ]


def find(resources: Iterable[Resource], api_version: str, kind: str) -> Resource | None:
    """The resource of an object's ``apiVersion`` and ``kind``; with an empty version the first of that kind."""
    for resource in resources:
        if resource.kind == kind and api_version in {"", resource.api_version}:
            return resource
    return None
