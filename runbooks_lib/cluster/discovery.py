"""Which kinds a cluster serves: two requests, to an API server that aggregates, as every one does since 1.30."""

from collections.abc import Iterator
from typing import Any

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.results import Value

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
    def holds_objects(self) -> bool:
        """Whether it has objects that somebody has made: not subresources, nor what is only shown (componentstatuses)."""
        return {"list", "create"} <= {*self.verbs} and "/" not in self.plural

    def ask(self, verb: str, namespace: str | None, name: str = "", **more: Any) -> Ask:
        """A request about one object, which may need a namespace, or, to list or watch, a collection."""
        place = namespace or "" if self.namespaced else ""
        if self.namespaced and not place and verb not in {"list", "watch"}:
            raise failures.told("no namespace", kind=self.kind, name=name)
        root = "/apis" if self.group else "/api"
        middle = f"/namespaces/{place}" if place else ""
        end = f"/{name}" if name and verb != "create" else ""
        path = f"{root}/{self.api_version}{middle}/{self.plural}{end}"
        return Ask(verb, path, self.plural, name, place, **more)


def discover(connection: Connection) -> Iterator[Resource]:
    """Every kind in every version, preferred versions first; CheckFailed where the server is too old to tell."""
    for path in ("/api", "/apis"):
        answer = connection.json(Ask("get", path, accept=AGGREGATED))
        if answer.get("kind") != "APIGroupDiscoveryList":
            raise failures.told("too old", server=connection.server)
        for group in answer.get("items") or ():
            for version in group.get("versions") or ():
                for served in version.get("resources") or ():
                    # A resource that has subresources only is listed with an empty kind.
                    if kind := (served.get("responseKind") or {}).get("kind"):
                        yield Resource(
                            group=(group.get("metadata") or {}).get("name", ""),
                            version=version["version"],
                            kind=kind,
                            plural=served["resource"],
                            namespaced=served.get("scope") == "Namespaced",
                            verbs=tuple(served.get("verbs") or ()),
                        )
