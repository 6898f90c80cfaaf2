from __future__ import annotations

import pytest
from scripted_api import Answer, ScriptedApi, status

from runbooks_lib.cluster import Cluster, NotServed
from runbooks_lib.errors import OutcomeUnknown


def _plain(api: ScriptedApi) -> None:
    """An API server that does not aggregate: one answer for each group and version."""
    api.script("GET", "/api", Answer(body={"kind": "APIVersions", "versions": ["v1"]}))
    versions = [{"groupVersion": "apps/v1beta1"}, {"groupVersion": "apps/v1"}]
    groups = [
        {"name": "apps", "versions": versions, "preferredVersion": {"groupVersion": "apps/v1"}},
        {"name": "metrics.k8s.io", "versions": [{"groupVersion": "metrics.k8s.io/v1"}]},
    ]
    api.script("GET", "/apis", Answer(body={"kind": "APIGroupList", "groups": groups}))
    pods = [
        {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list"]},
        {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
    ]
    deployments = [{"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get"]}]
    api.script("GET", "/api/v1", Answer(body={"resources": pods}))
    api.script("GET", "/apis/apps/v1", Answer(body={"resources": deployments}))
    api.script("GET", "/apis/apps/v1beta1", Answer(body={"resources": deployments}))
    api.script("GET", "/apis/metrics.k8s.io/v1", status(503, "service unavailable"))


def test_two_requests_tell_everything(api: ScriptedApi, cluster: Cluster) -> None:
    found = cluster.resource("apps/v1", "Deployment")
    assert found is not None
    assert (found.group, found.version, found.plural, found.namespaced) == ("apps", "v1", "deployments", True)
    assert "list" in found.verbs
    assert cluster.plural("Namespace") == "namespaces"
    assert [asked.path for asked in api.asked] == ["/api", "/apis"]
    assert "as=APIGroupDiscoveryList" in api.asked[0].headers["accept"]


def test_a_server_that_does_not_aggregate_is_asked_group_by_group(api: ScriptedApi, cluster: Cluster) -> None:
    _plain(api)
    assert [(each.api_version, each.plural) for each in cluster.resources()] == [
        ("v1", "pods"),
        ("apps/v1", "deployments"),
        ("apps/v1beta1", "deployments"),
    ]
    assert cluster.undiscovered == ("metrics.k8s.io/v1",)


@pytest.mark.parametrize("plain", [False, True])
def test_a_group_whose_server_is_down_makes_its_kinds_unknown_not_absent(
    api: ScriptedApi, cluster: Cluster, plain: bool
) -> None:
    if plain:
        _plain(api)
    assert cluster.undiscovered == ("metrics.k8s.io/v1",)
    with pytest.raises(OutcomeUnknown, match=r"not known whether the cluster serves PodMetrics"):
        cluster.get("metrics.k8s.io/v1", "PodMetrics", "a", "ns")


def test_a_kind_that_came_later_is_found(api: ScriptedApi, cluster: Cluster) -> None:
    assert cluster.resource("example.org/v1", "Thing") is None
    served = {"resource": "things", "responseKind": {"kind": "Thing"}, "scope": "Cluster", "verbs": ["get"]}
    group = {"metadata": {"name": "example.org"}, "versions": [{"version": "v1", "resources": [served]}]}
    api.script("GET", "/apis", Answer(body={"kind": "APIGroupDiscoveryList", "items": [group]}))
    assert cluster.plural("Thing", "example.org/v1") == "things"


def test_the_plural_of_an_unknown_kind_is_a_sentence(cluster: Cluster) -> None:
    with pytest.raises(NotServed, match="does not serve the kind Thing"):
        cluster.plural("Thing")
