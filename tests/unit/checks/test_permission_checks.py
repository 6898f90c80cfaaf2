"""May this account do all that is needed; and if not, what would let it?"""

from __future__ import annotations

from typing import Any

import yaml

from runbooks_lib.cluster import Forbidden

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
ENVOY = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: e}\n"


def test_every_kind_and_verb_is_asked(world: Any, ask: Any) -> None:
    world.renders(f"{SECRET}---\n{DEPLOYMENT}")
    answer = ask("permissions")
    assert answer.status == "pass"
    assert answer.observed == "26 kinds, all allowed"
    assert {"secrets", "deployments", "namespaces", "pods/log", "endpointslices"} <= {
        kind for _, kind in world.cluster.asked
    }
    assert {verb for verb, _ in world.cluster.asked} == {"*"}


def test_an_account_without_every_verb_is_asked_verb_by_verb(world: Any, ask: Any) -> None:
    world.renders(f"{SECRET}---\n{DEPLOYMENT}")
    world.cluster.refused = {("escalate", "deployments"), ("delete", "pods")}
    assert ask("permissions").status == "pass"
    asked = {verb for verb, kind in world.cluster.asked if kind == "deployments"}
    assert asked == {"*", "get", "list", "create", "update", "patch", "delete", "watch"}
    assert {verb for verb, kind in world.cluster.asked if kind == "pods"} == {"*", "get", "list", "create"}


def test_a_refused_permission_is_named(world: Any, ask: Any) -> None:
    world.renders(f"{SECRET}---\n{DEPLOYMENT}")
    world.cluster.refused = {("patch", "deployments"), ("delete", "secrets")}
    answer = ask("permissions")
    assert (answer.status, answer.observed) == ("fail", "not allowed: patch deployments.apps, delete secrets")
    role, cluster_role, policy, advice, advice_of_all = yaml.safe_load_all(answer.evidence)
    assert (role["kind"], role["metadata"]) == ("Role", {"name": "runbooks-dataflow", "namespace": "csghub"})
    verbs = ["get", "list", "create", "update", "patch", "delete"]
    assert {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs} in role["rules"]
    assert {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]} in role["rules"]
    assert {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": [*verbs, "watch"]} in role["rules"]
    assert (cluster_role["kind"], cluster_role["metadata"]) == ("ClusterRole", {"name": "runbooks-dataflow"})
    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create"]} in cluster_role["rules"]
    assert {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["list"]} in cluster_role[
        "rules"
    ]
    assert (policy["kind"], policy["metadata"]) == ("Role", {"name": "runbooks-dataflow", "namespace": "kube-system"})
    only = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["runbooks-approval"]}
    assert policy["rules"] == [only]
    assert (advice["kind"], advice["metadata"]["name"]) == ("Role", "runbooks-dataflow-advice")
    assert (advice_of_all["kind"], advice_of_all["metadata"]["name"]) == ("ClusterRole", "runbooks-dataflow-advice")
    listed = {"apiGroups": [""], "resources": ["nodes", "pods", "services"], "verbs": ["list"]}
    assert listed in advice_of_all["rules"]


def test_a_kind_of_the_whole_cluster_is_asked_about_too(world: Any, ask: Any) -> None:
    world.renders("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: c}\n")
    world.cluster.refused = {("create", "clusterroles")}
    assert "create clusterroles.rbac.authorization.k8s.io" in ask("permissions").observed


def test_a_kind_that_is_not_served_is_told(world: Any, ask: Any) -> None:
    world.renders(ENVOY)
    assert "not known to this cluster yet: EnvoyProxy" in ask("permissions").observed


def test_an_account_without_rights_learns_which_it_lacks_though_the_chart_could_not_be_rendered(
    world: Any, ask: Any
) -> None:
    world.renders(SECRET)
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: secrets is forbidden\n")
    world.program.answer("template", stdout=DEPLOYMENT)
    world.cluster.refused = {("list", "secrets"), ("create", "namespaces"), ("patch", "deployments")}
    answer = ask("permissions")
    assert (answer.status, answer.observed) == (
        "fail",
        "not allowed: patch deployments.apps, create namespaces, list secrets",
    )


def test_a_namespace_that_is_there_need_not_be_made(world: Any, ask: Any) -> None:
    world.renders(SECRET)
    world.cluster.refused = {("create", "namespaces")}
    assert ask("permissions").observed == "not allowed: create namespaces"
    world.cluster.add({"kind": "Namespace", "metadata": {"name": "csghub"}})
    assert ask("permissions").status == "pass"


def test_what_is_read_for_advice_only_stops_nobody_and_is_told(world: Any, ask: Any) -> None:
    world.renders(SECRET)
    world.cluster.refused = {("list", "nodes"), ("get", "nodes/proxy")}
    answer = ask("permissions")
    assert answer.status == "warn"
    assert answer.observed.endswith("are warnings without: list nodes, get nodes/proxy")
    assert "runbooks-dataflow-advice" in answer.evidence


def test_csghubs_namespace_is_asked_about_where_its_release_is_read(world: Any, ask: Any) -> None:
    world.renders(SECRET)
    world.settings["csghub"] |= {"release": "hub", "namespace": "hub-system"}
    world.cluster.refused = {("get", "secrets")}
    places = [document["metadata"].get("namespace") for document in yaml.safe_load_all(ask("permissions").evidence)]
    assert "hub-system" in places


ROLES = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: c}\nrules: []\n"


def test_who_makes_a_role_must_have_the_rights_in_it_or_may_escalate(world: Any, ask: Any) -> None:
    world.renders(ROLES)
    world.cluster.refused = {("escalate", "clusterroles"), ("bind", "clusterroles")}
    assert ask("permissions").status == "pass"
    world.cluster.rejected["c-dry-run"] = Forbidden(
        "dev may not: attempting to grant RBAC permissions not currently held"
    )
    answer = ask("permissions")
    name = "clusterroles.rbac.authorization.k8s.io"
    assert (
        answer.observed.partition("\n")[0]
        == f"not allowed: escalate/bind {name} (who makes a role must have every right in it, or these)"
    )
    (rule,) = [
        rule
        for document in yaml.safe_load_all(answer.evidence)
        for rule in document["rules"]
        if rule["resources"] == ["clusterroles"]
    ]
    assert rule["verbs"][-2:] == ["escalate", "bind"]
