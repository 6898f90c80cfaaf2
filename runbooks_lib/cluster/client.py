"""The cluster as the rest of the package sees it: objects, watches, permissions, logs and port-forwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from runbooks_lib.cluster import execs, failures, forwards, watches
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.discovery import Resource, discover
from runbooks_lib.cluster.failures import Ask, NotFound
from runbooks_lib.cluster.kubeconfig import load
from runbooks_lib.redaction import is_masked
from runbooks_lib.results import Json, Observe, unobserved


class Cluster(AbstractContextManager["Cluster"]):
    """One Kubernetes cluster, seen with the credentials of one context of a kubeconfig.

    Objects are plain JSON as the API server sends them. Writes are sent once and told to the observer as
    ``request.made``; reads are asked again a few times after a passing fault. Threads may share a cluster.

    Every method raises, besides what it names: ``Unreachable`` when no answer comes, ``OutcomeUnknown`` when the
    server fails or a write's answer is lost, and a class of :mod:`runbooks_lib.cluster.failures` when it will not.

    Attributes:
        server: The API server's address, without credentials.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._resources: tuple[Resource, ...] = ()
        self._asking = Lock()
        self.server = connection.server

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | None,
        context: str,
        *,
        observe: Observe = unobserved,
        timeout: float = 10,
        pause: float = 0.3,
    ) -> Cluster:
        """Read a kubeconfig (None: the user's own) for one of its contexts (empty: the current one).

        ``timeout`` is the seconds for one answer, ``pause`` those before a question is asked again, longer each time.
        """
        return cls(Connection(load(kubeconfig, context), observe=observe, timeout=timeout, pause=pause))

    def close(self) -> None:
        """Close open sockets; a later question opens new ones."""
        self._connection.close()

    def __exit__(self, *failure: object) -> None:
        self.close()

    def version(self) -> str:
        """The API server's version, for example ``v1.33.13``."""
        ask = Ask("get", "/version")
        with failures.readable(self.server, ask):
            return str(self._connection.json(ask)["gitVersion"])

    def clock(self) -> tuple[datetime, datetime]:
        """The API server's time, to the second, and this machine's at that moment: in the middle of the round trip."""
        return self._connection.clock(Ask("get", "/version"))

    def uid(self) -> str:
        """The UID of the namespace ``kube-system``: what a target is pinned by."""
        ask = Ask("get", "/api/v1/namespaces/kube-system", "namespaces", "kube-system")
        with failures.readable(self.server, ask):
            return str(self._connection.json(ask)["metadata"]["uid"])

    def who(self) -> Json:
        """The user as the API server sees them (``username``, ``groups``, …); empty before Kubernetes 1.28."""
        try:
            return dict(self._review("authentication.k8s.io", "SelfSubjectReview", {}).get("userInfo") or {})
        except NotFound:
            return {}

    def can_i(self, verb: str, group: str, plural: str, namespace: str | None = None, *, name: str = "") -> bool:
        """Whether we may do something to a resource (``pods``, ``pods/log``), or to one object by its name.

        None as namespace: in all of them, or to a cluster-scoped resource.
        """
        resource, _, sub = plural.partition("/")
        asked = {"verb": verb, "group": group, "resource": resource, "namespace": namespace or ""}
        asked |= ({"subresource": sub} if sub else {}) | ({"name": name} if name else {})
        spec = {"resourceAttributes": asked}
        return bool(self._review("authorization.k8s.io", "SelfSubjectAccessReview", spec).get("allowed"))

    def resources(self) -> tuple[Resource, ...]:
        """Every kind in every version that the cluster serves, preferred versions first."""
        with self._asking:
            if not self._resources:
                self._resources = tuple(discover(self._connection))
                self._by_kind = {(each.api_version, each.kind): each for each in reversed(self._resources)}
            return self._resources

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind, or None where the cluster has none; it is asked again before it says no."""
        self.resources()
        if (api_version, kind) not in self._by_kind:
            self._resources = ()
            self.resources()
        return self._by_kind.get((api_version, kind))

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Json | None:
        """One object, or None where there is none, also where the cluster has no such kind."""
        try:
            return self._ask("get", api_version, kind, name, namespace)
        except NotFound:
            return None

    def definition(self, resource: Resource) -> Json | None:
        """The definition of a custom kind; None of one that is the server's own."""
        name = f"{resource.plural}.{resource.group}"
        return self.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)

    def list(self, api_version: str, kind: str, namespace: str | None = None) -> list[Json]:
        """Every object of a kind, in one namespace or in all; complete, or an error (no such kind: NotFound)."""
        return watches.list_all(self._connection, self._served(api_version, kind), namespace)[0]

    def create(self, obj: Json, namespace: str | None = None) -> Json:
        """Create an object in the namespace given or else its own; raises Conflict where it exists already."""
        return self._send("create", obj, namespace, safe=False)

    def patch(self, api_version: str, kind: str, name: str, body: Json, namespace: str | None = None) -> Json:
        """Merge a patch into an object (RFC 7386: ``None`` removes a key)."""
        how = {"content_type": "application/merge-patch+json", "safe": False}
        return self._ask("patch", api_version, kind, name, namespace, body=body, **how)

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete an object, its dependents in the background; False where there was none."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self._ask("delete", api_version, kind, name, namespace, body=body, safe=False)
        except NotFound:
            return False
        return True

    def dry_run(self, how: str, obj: Json, namespace: str | None = None) -> Json:
        """What the API server would make of an object, admission included; nothing is changed.

        Args:
            how: ``create``; ``apply`` it, whoever owns its fields; or ``merge`` it into the one that is there, lists by
                their keys where the server knows them, ``replace`` lists where it does not (custom resources).
        """
        # JSON is YAML, and 1.33 knows the first of these by this name only.
        types = {"apply": "apply-patch+yaml", "merge": "strategic-merge-patch+json", "replace": "merge-patch+json"}
        if how == "create":
            return self._send(how, obj, namespace, query={"dryRun": "All"})
        # In Helm's name: what it alone has set and sets no more, the server then takes away.
        query = {"dryRun": "All", "fieldManager": "helm"} | ({"force": "true"} if how == "apply" else {})
        return self._send("patch", obj, namespace, query=query, content_type=f"application/{types[how]}")

    def watch(
        self, api_version: str, kind: str, namespace: str | None, *, timeout: float
    ) -> Iterator[tuple[str, Json]]:
        """Every object as ADDED, then each change; see :func:`runbooks_lib.cluster.watches.watch`."""
        return watches.watch(self._connection, self._served(api_version, kind), namespace, timeout)

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool = False, tail: int = 500) -> str:
        """The last lines of a container's log; raises NotFound, or Invalid where it has none."""
        query = {"container": container, "tailLines": str(tail)} | ({"previous": "true"} if previous else {})
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        ask = Ask("get", path, "pods/log", pod, namespace, query)
        return self._connection.content(ask).decode("utf-8", errors="replace")

    def kubelet_stats(self, node: str) -> Json:
        """What a kubelet says of its pods' volumes and use; raises NotFound where it says nothing."""
        path = f"/api/v1/nodes/{node}/proxy/stats/summary"
        return self._connection.json(Ask("get", path, "nodes/proxy", node))

    def forward(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """A loopback address that leads to a port of a pod; see :func:`runbooks_lib.cluster.forwards.forward`."""
        return forwards.forward(self._connection, namespace, pod, port)

    def execute(self, namespace: str, pod: str, container: str, *command: str, seconds: float = 20) -> execs.Ended:
        """Run a program of :data:`runbooks_lib.cluster.execs.PROGRAMS` in a container, and wait so long for its end.

        Told to the observer as ``exec.made``. Raises ``OutcomeUnknown`` where it does not end in time.
        """
        return execs.execute(self._connection, namespace, pod, container, command, seconds)

    def _review(self, group: str, kind: str, spec: Json) -> Json:
        """Ask the server about ourselves; the answer's status."""
        plural = kind.lower() + "s"
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        ask = Ask("create", f"/apis/{group}/v1/{plural}", plural, body=body)
        return dict(self._connection.json(ask).get("status") or {})

    def _served(self, api_version: str, kind: str) -> Resource:
        found = self.resource(api_version, kind)
        if found is None:
            raise failures.told("not served", kind=kind, api_version=api_version)
        return found

    def _ask(self, verb: str, api_version: str, kind: str, name: str, namespace: str | None, **more: Any) -> Json:
        """The answer to a request about one object; raises CheckFailed: it would write the mask of a secret."""
        if not more.get("safe", True) and is_masked(json.dumps(more.get("body"), ensure_ascii=False)):
            raise failures.told("masked", kind=kind, name=name)
        return self._connection.json(self._served(api_version, kind).ask(verb, namespace, name, **more))

    def _send(self, verb: str, obj: Json, namespace: str | None, **more: Any) -> Json:
        """The answer to a request that carries an object."""
        meta = obj.get("metadata") or {}
        name, place = str(meta.get("name") or ""), namespace or meta.get("namespace")
        return self._ask(verb, obj["apiVersion"], obj["kind"], name, place, body=obj, **more)
