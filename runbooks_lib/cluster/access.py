"""Who we are to the cluster, and what we may do there."""

from __future__ import annotations

from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.failures import Ask, NotFound
from runbooks_lib.results import Json


def who(connection: Connection) -> Json:
    """The user as the API server sees them: ``username``, ``groups``, ``uid``, ``extra``; each may be missing.

    Empty on a cluster that can't tell (before Kubernetes 1.28).
    """
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    try:
        answer = connection.json(Ask("create", path, resource="selfsubjectreviews", body=body, method="POST"))
    except NotFound:
        return {}
    return dict((answer.get("status") or {}).get("userInfo") or {})


def can_i(
    connection: Connection, verb: str, group: str, plural: str, namespace: str | None, name: str
) -> bool:
    """Whether we may do something.

    Args:
        verb: As permissions name it: get, list, create, patch, ….
        group: The API group, empty for the core group.
        plural: The resource, ``pods``, or with a subresource, ``pods/portforward``.
        namespace: None asks about all namespaces, or about a cluster-scoped resource.
        name: One object; empty for any.
    """
    resource, _, subresource = plural.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace or "",
        "name": name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: text for key, text in attributes.items() if text}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    ask = Ask("create", path, resource="selfsubjectaccessreviews", body=body, method="POST")
    return bool((connection.json(ask).get("status") or {}).get("allowed"))
