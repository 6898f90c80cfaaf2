"""Objects as plain JSON: read, list, create, patch, delete, and the dry runs of the last two."""

from __future__ import annotations

from typing import Any

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.cluster.failures import Ask, Expired, NotFound
from runbooks_lib.errors import OutcomeUnknown, UsageError
from runbooks_lib.results import Json

#: Objects in one page of a list; what `kubectl` asks for.
PAGE = 500
#: How often a list is begun again because the server no longer has its next page.
RESTARTS = 3


def path_of(resource: Resource, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """Where an object or a collection is served; the namespace of a cluster-scoped kind is left out."""
    place = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    parts = [resource.root + place, resource.plural, name, subresource]
    return "/".join(part for part in parts if part)


def ask_about(resource: Resource, verb: str, namespace: str | None, name: str = "", **more: Any) -> Ask:
    """A request about one object or, without a name, a collection."""
    return Ask(
        verb,
        path_of(resource, namespace, name),
        resource=resource.plural,
        name=name,
        namespace=namespace or "" if resource.namespaced else "",
        **more,
    )


def get(connection: Connection, resource: Resource, name: str, namespace: str | None) -> Json | None:
    """One object, or ``None`` where there is none."""
    try:
        return connection.json(ask_about(resource, "get", _placed(resource, name, namespace), name))
    except NotFound:
        return None


def list_all(
    connection: Connection, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = ""
) -> tuple[list[Json], str]:
    """Every object of a collection and the version of the list, which a watch can start from.

    Raises:
        OutcomeUnknown: The list could not be read to its end; no part of it is handed out.
    """
    selectors = {key: text for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}
    for _ in range(RESTARTS + 1):
        try:
            return _pages(connection, resource, namespace, selectors)
        except Expired:
            # The next page is gone: what was read so far is of another time than what would follow.
            continue
    raise OutcomeUnknown(
        f"The list of {resource.plural} could not be read to its end: the cluster forgot it {RESTARTS + 1} times.",
        next_step="Try again; if it stays so, the cluster's etcd is compacted too often.",
    )


def _pages(
    connection: Connection, resource: Resource, namespace: str | None, selectors: dict[str, str]
) -> tuple[list[Json], str]:
    found: list[Json] = []
    token = ""
    while True:
        query = {**selectors, "limit": str(PAGE), **({"continue": token} if token else {})}
        ask = ask_about(resource, "list", namespace, query=query)
        answer = connection.json(ask)
        items = answer.get("items")
        meta = answer.get("metadata")
        if not isinstance(items, list | None) or not isinstance(meta, dict):
            raise failures.malformed(connection.server, ask)
        # The items of a list of a built-in kind don't say what they are.
        found += ({"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items or ())
        token = meta.get("continue") or ""
        if not token:
            return found, str(meta.get("resourceVersion") or "")


def create(
    connection: Connection, resource: Resource, obj: Json, namespace: str | None, *, dry_run: bool
) -> Json:
    """Create an object; sent once.

    Raises:
        Conflict: It exists already.
        Invalid: The cluster finds it wrong.
        OutcomeUnknown: The answer was lost.
    """
    meta = obj.get("metadata") or {}
    place = _placed(resource, str(meta.get("name", "")), namespace or meta.get("namespace"))
    ask = Ask(
        "create",
        path_of(resource, place),
        resource=resource.plural,
        name=str(meta.get("name") or ""),
        namespace=place or "",
        query={"dryRun": "All"} if dry_run else {},
        body=obj,
        method="POST",
        safe=dry_run,
    )
    return connection.json(ask)


def patch(
    connection: Connection,
    resource: Resource,
    name: str,
    body: Json,
    namespace: str | None,
    *,
    dry_run: bool,
) -> Json:
    """Merge a patch into an object (RFC 7386: ``None`` removes a key); sent once.

    Raises:
        NotFound: There is no such object.
        Conflict: The patch names a resourceVersion that has passed.
        Invalid: The cluster finds the result wrong.
        OutcomeUnknown: The answer was lost.
    """
    ask = ask_about(
        resource,
        "patch",
        _placed(resource, name, namespace),
        name,
        query={"dryRun": "All"} if dry_run else {},
        body=body,
        method="PATCH",
        content_type="application/merge-patch+json",
        safe=dry_run,
    )
    return connection.json(ask)


def delete(connection: Connection, resource: Resource, name: str, namespace: str | None) -> bool:
    """Delete an object, its dependents in the background; whether there was one.

    Raises:
        OutcomeUnknown: The answer was lost.
    """
    place = _placed(resource, name, namespace)
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    try:
        connection.json(ask_about(resource, "delete", place, name, body=body, method="DELETE", safe=False))
    except NotFound:
        return False
    return True


def dry_run_apply(
    connection: Connection, resource: Resource, obj: Json, namespace: str | None, *, field_manager: str
) -> Json:
    """What would become of an object if it were applied; nothing is changed.

    Fields that another manager owns are taken over: the question is whether the cluster accepts the object, not
    whose it is.

    Raises:
        Invalid: The cluster's schema or an admission check refuses it.
        NotFound: Its namespace does not exist.
    """
    meta = obj.get("metadata") or {}
    name = str(meta.get("name") or "")
    ask = ask_about(
        resource,
        "patch",
        _placed(resource, name, namespace or meta.get("namespace")),
        name,
        query={"dryRun": "All", "fieldManager": field_manager, "force": "true"},
        body=obj,
        method="PATCH",
        # JSON is YAML, and 1.33 knows this name only.
        content_type="application/apply-patch+yaml",
    )
    return connection.json(ask)


def logs(
    connection: Connection, namespace: str, pod: str, container: str, *, previous: bool, tail: int
) -> str:
    """The last lines of a container's log.

    Raises:
        NotFound: There is no such pod.
        Invalid: The container has not started, or has no previous log.
    """
    query = {"container": container, "tailLines": str(tail)}
    if previous:
        query["previous"] = "true"
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    return connection.text(
        Ask(
            "get",
            path,
            resource="pods/log",
            name=pod,
            namespace=namespace,
            query=query,
            accept="text/plain, */*",
        )
    )


def moment(event: Json) -> str:
    """When an event was last seen, as the cluster writes times; events fill in different fields."""
    series = event.get("series") or {}
    meta = event.get("metadata") or {}
    seen = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((each for each in (*seen, meta.get("creationTimestamp")) if each), ""))


def _placed(resource: Resource, name: str, namespace: str | None) -> str | None:
    if not resource.namespaced:
        return None
    if not namespace:
        raise UsageError(
            f"The {resource.kind} {name} needs a namespace.", next_step="Name the namespace it belongs to."
        )
    return namespace
