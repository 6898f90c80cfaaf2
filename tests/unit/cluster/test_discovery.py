from __future__ import annotations

import pytest
from scripted_api import Answer, ScriptedApi

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import CheckFailed
from runbooks_lib.threads import at_once


def test_two_requests_tell_everything(api: ScriptedApi, cluster: Cluster) -> None:
    found = cluster.resource("apps/v1", "Deployment")
    assert found is not None
    assert (found.group, found.version, found.plural, found.namespaced) == ("apps", "v1", "deployments", True)
    assert "list" in found.verbs
    assert cluster.resource("v1", "Namespace") in cluster.resources()
    assert [asked.path for asked in api.asked] == ["/api", "/apis"]
    assert "as=APIGroupDiscoveryList" in api.asked[0].headers["accept"]


def test_many_who_ask_at_the_same_moment_share_one_answer(api: ScriptedApi, cluster: Cluster) -> None:
    found = at_once(lambda _: cluster.resource("apps/v1", "Deployment"), range(8))
    assert len(found) == 8
    assert [asked.path for asked in api.asked] == ["/api", "/apis"]


def test_a_cluster_too_old_to_list_its_kinds_at_once_still_tells_its_version(
    api: ScriptedApi, cluster: Cluster
) -> None:
    api.script("GET", "/version", Answer(body={"gitVersion": "v1.25.0"}))
    api.script("GET", "/api", Answer(body={"kind": "APIVersions", "versions": ["v1"]}))
    assert cluster.version() == "v1.25.0"
    with pytest.raises(CheckFailed) as caught:
        cluster.resources()
    assert caught.value.summary == f"The cluster at {api.url} is too old: it can't list its kinds all at once."
    assert "01_prerequisites" in caught.value.next_step


def test_a_kind_that_came_later_is_found(api: ScriptedApi, cluster: Cluster) -> None:
    assert cluster.resource("example.org/v1", "Thing") is None
    served = {"resource": "things", "responseKind": {"kind": "Thing"}, "scope": "Cluster", "verbs": ["get"]}
    group = {"metadata": {"name": "example.org"}, "versions": [{"version": "v1", "resources": [served]}]}
    api.script("GET", "/apis", Answer(body={"kind": "APIGroupDiscoveryList", "items": [group]}))
    found = cluster.resource("example.org/v1", "Thing")
    assert found is not None
    assert found.plural == "things"
