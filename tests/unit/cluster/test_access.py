from __future__ import annotations

from typing import Any

import pytest
from scripted_api import Answer, ScriptedApi, thing

from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Event

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.mark.parametrize(
    ("question", "attributes"),
    [
        (("list", "", "pods", "ns"), {"verb": "list", "group": "", "resource": "pods", "namespace": "ns"}),
        (
            ("create", "apps", "deployments"),
            {"verb": "create", "group": "apps", "resource": "deployments", "namespace": ""},
        ),
    ],
)
@pytest.mark.parametrize("allowed", [True, False])
def test_a_permission_is_asked_of_the_server(
    api: ScriptedApi, cluster: Cluster, question: Any, attributes: dict[str, str], allowed: bool
) -> None:
    api.script("POST", REVIEWS, Answer(201, {"status": {"allowed": allowed}}))
    assert cluster.can_i(*question) is allowed
    assert api.asked[-1].body["spec"]["resourceAttributes"] == attributes


def test_asking_who_we_are_changes_nothing(api: ScriptedApi, cluster: Cluster, told: list[Event]) -> None:
    api.script("POST", WHO, Answer(201, {"status": {"userInfo": {"username": "jane", "groups": ["dev"]}}}))
    assert cluster.who() == {"username": "jane", "groups": ["dev"]}
    assert told == []


def test_a_cluster_too_old_to_tell_who_we_are_says_nothing(cluster: Cluster) -> None:
    assert cluster.who() == {}


def test_version_and_uid_are_the_servers(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", "/version", Answer(body={"gitVersion": "v1.33.13"}))
    api.script("GET", "/api/v1/namespaces/kube-system", Answer(body=thing("kube-system", uid="the-pin")))
    assert (cluster.version(), cluster.uid()) == ("v1.33.13", "the-pin")


def test_credentials_in_the_address_are_not_shown(connect: Any) -> None:
    assert connect("https://user:hunter2@127.0.0.1:6443/base/").server == "https://127.0.0.1:6443/base"
