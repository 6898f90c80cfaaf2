"""The cluster as the rest of the package sees it: objects, watches, permissions, logs and port-forwards."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from runbooks_lib.cluster import access, discovery, failures, forwards, objects, watches
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.discovery import Discovered, Resource
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.errors import OutcomeUnknown
from runbooks_lib.results import Json, Observe, unobserved


class Cluster:
    """One Kubernetes cluster, seen with the credentials of one context of a kubeconfig.

    Objects are plain JSON as the API server sends them. Writes are sent once and told to the observer as
    ``request.made``; reads are asked again a few times after a passing fault. Threads may share a cluster.

    Every method raises, besides what it names: :class:`~runbooks_lib.errors.Unreachable` when no answer comes,
    :class:`~runbooks_lib.errors.OutcomeUnknown` when the server fails or a write's answer is lost, and a
    :class:`~runbooks_lib.cluster.Rejected` when the server will not.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._discovered: Discovered | None = None
        self._discovering = threading.Lock()

    @classmethod
    def connect(
        cls, kubeconfig: Path | None, context: str, *, observe: Observe = unobserved, timeout: float = 10
    ) -> Cluster:
        """Read the kubeconfig; the first request is sent by the first question.

        Args:
            kubeconfig: A file; None for the user's own, and in a pod without one for its service account.
            context: A context of it; empty for its current one.
            timeout: Seconds for one answer.

        Raises:
            UsageError: The kubeconfig is missing or malformed, or has no such context.
        """
        return cls(Connection.open(kubeconfig, context, observe=observe, timeout=timeout))

    def close(self) -> None:
        """Close open sockets; a later question opens new ones."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @property
    def server(self) -> str:
        """The API server's address, without credentials."""
        return self._connection.server

    def version(self) -> str:
        """The API server's version, for example ``v1.33.13``."""
        ask = Ask("get", "/version")
        version = self._connection.json(ask).get("gitVersion")
        if not isinstance(version, str):
            raise failures.malformed(self.server, ask)
        return str(version)

    def uid(self) -> str:
        """The UID of the namespace ``kube-system``: what a target is pinned by."""
        ask = Ask("get", "/api/v1/namespaces/kube-system", resource="namespaces", name="kube-system")
        uid = (self._connection.json(ask).get("metadata") or {}).get("uid")
        if not isinstance(uid, str):
            raise failures.malformed(self.server, ask)
        return str(uid)

    def who(self) -> Json:
        """The user as the API server sees them; see :func:`runbooks_lib.cluster.access.who`."""
        return access.who(self._connection)

    def can_i(self, verb: str, group: str, plural: str, namespace: str | None = None, name: str = "") -> bool:
        """Whether we may do something; see :func:`runbooks_lib.cluster.access.can_i`."""
        return access.can_i(self._connection, verb, group, plural, namespace, name)

    def resources(self) -> tuple[Resource, ...]:
        """Every kind in every version that the cluster serves, preferred versions first."""
        return self._discover().resources

    @property
    def undiscovered(self) -> tuple[str, ...]:
        """Groups with versions whose own server did not answer: what they serve is not known."""
        return self._discover().undiscovered

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind, or None where the cluster has none; it is asked again before it says no."""
        found = discovery.find(self._discover().resources, api_version, kind)
        if found is None:
            found = discovery.find(self._discover(afresh=True).resources, api_version, kind)
        return found

    def plural(self, kind: str, api_version: str = "") -> str:
        """What permissions and paths call a kind; without a version the first kind of that name.

        Raises:
            NotServed: The cluster has no such kind.
        """
        return self._served(api_version, kind).plural

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Json | None:
        """One object, or None where there is none, also where the cluster has no such kind."""
        resource = self._resource_or_unknown(api_version, kind)
        return objects.get(self._connection, resource, name, namespace) if resource else None

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Json]:
        """Every object of a kind, in one namespace or in all; complete, or an error.

        Args:
            labels: A label selector, for example ``app.kubernetes.io/instance=dataflow``.
            fields: A field selector, for example ``status.phase=Running``.

        Raises:
            NotServed: The cluster has no such kind.
        """
        resource = self._served(api_version, kind)
        return objects.list_all(self._connection, resource, namespace, labels=labels, fields=fields)[0]

    def create(self, obj: Json, namespace: str | None = None, *, dry_run: bool = False) -> Json:
        """Create an object; see :func:`runbooks_lib.cluster.objects.create`."""
        resource = self._served(obj["apiVersion"], obj["kind"])
        return objects.create(self._connection, resource, obj, namespace, dry_run=dry_run)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        body: Json,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Json:
        """Merge a patch into an object; see :func:`runbooks_lib.cluster.objects.patch`."""
        resource = self._served(api_version, kind)
        return objects.patch(self._connection, resource, name, body, namespace, dry_run=dry_run)

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete an object; False where there was none. See :func:`runbooks_lib.cluster.objects.delete`."""
        resource = self._resource_or_unknown(api_version, kind)
        return objects.delete(self._connection, resource, name, namespace) if resource else False

    def dry_run_apply(
        self, obj: Json, namespace: str | None = None, *, field_manager: str = "dataflow-runbooks"
    ) -> Json:
        """What an object would become if it were applied; see :func:`runbooks_lib.cluster.objects.dry_run_apply`."""
        resource = self._served(obj["apiVersion"], obj["kind"])
        return objects.dry_run_apply(self._connection, resource, obj, namespace, field_manager=field_manager)

    def watch(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", timeout: float
    ) -> Iterator[tuple[str, Json]]:
        """Every object as ADDED, then each change; see :func:`runbooks_lib.cluster.watches.watch`."""
        resource = self._served(api_version, kind)
        return watches.watch(self._connection, resource, namespace, labels=labels, timeout=timeout)

    def logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail: int = 500
    ) -> str:
        """The last lines of a container's log; see :func:`runbooks_lib.cluster.objects.logs`."""
        return objects.logs(self._connection, namespace, pod, container, previous=previous, tail=tail)

    def events(self, namespace: str) -> builtins.list[Json]:
        """The events of a namespace, oldest first."""
        return sorted(self.list("v1", "Event", namespace), key=objects.moment)

    def forward(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """A loopback address that leads to a port of a pod; see :func:`runbooks_lib.cluster.forwards.forward`."""
        return forwards.forward(self._connection, namespace, pod, port)

    def _discover(self, *, afresh: bool = False) -> Discovered:
        with self._discovering:
            if self._discovered is None or afresh:
                self._discovered = discovery.discover(self._connection)
            return self._discovered

    def _resource_or_unknown(self, api_version: str, kind: str) -> Resource | None:
        """As :meth:`resource`, but an error where the answer is not known."""
        found = self.resource(api_version, kind)
        if found is None and api_version in self.undiscovered:
            raise OutcomeUnknown(
                f"It is not known whether the cluster serves {kind}: the server of {api_version} did not answer.",
                next_step="Look at the APIService of that group: its own server is down.",
            )
        return found

    def _served(self, api_version: str, kind: str) -> Resource:
        found = self._resource_or_unknown(api_version, kind)
        if found is None:
            raise failures.not_served(api_version, kind)
        return found
