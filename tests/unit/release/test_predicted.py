"""A second opinion on a plan: how an object is sent to be tried, what of the server's answer is told, and what is bound by it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from runbooks_lib.cluster import Invalid
from runbooks_lib.cluster.failures import Unpermitted
from runbooks_lib.errors import Unreachable
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.release.plan import plan_install, plan_upgrade
from runbooks_lib.release.predicted import changing, merging
from runbooks_lib.results import Json, Plan

HERE: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}}
API = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "any/api:1"}]}
"""
ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: way}
spec: {hostnames: [HOST]}
"""


def manifest(replicas: int = 1, host: str = "a.b") -> str:
    return (API + ROUTE).replace("REPLICAS", str(replicas)).replace("HOST", host)


@pytest.fixture
def upgrade(world: Any) -> Any:
    """A release of which an upgrade would change the number of pods."""
    world.cluster.add(HERE)
    world.stored(manifest())
    world.lives(manifest())
    world.renders(manifest(3))
    return world


def told(plan: Plan) -> list[str]:
    return [line for line in plan.impact if "server" in line]


def made(**changed: Any) -> Json:
    """The Deployment as the server would make it: what it fills in is no news."""
    found = copy.deepcopy(objects_of(manifest(3))[0])
    found["metadata"] |= {
        "namespace": "csghub",
        "uid": "u",
        "resourceVersion": "7",
        "managedFields": [{"manager": "x"}],
    }
    found["spec"]["template"]["spec"] |= {"restartPolicy": "Always"}
    found["spec"] |= {"revisionHistoryLimit": 10} | changed
    return found


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": None}),
        ({"args": [1, 2]}, {"args": [1]}, {"args": [1]}),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "$patch": "delete"}]},
        ),
        (
            {"containers": [{"name": "c", "ports": [{"containerPort": 1}, {"containerPort": 2}]}]},
            {"containers": [{"name": "c", "ports": [{"containerPort": 2}]}]},
            {"containers": [{"name": "c", "ports": [{"containerPort": 2}, {"containerPort": 1, "$patch": "delete"}]}]},
        ),
        (
            {"ports": [{"port": 80}]},
            {"ports": [{"port": 81}]},
            {"ports": [{"port": 81}, {"port": 80, "$patch": "delete"}]},
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumes": [{"name": "v", "configMap": {"name": "m"}}]},
            {
                "volumes": [
                    {"name": "v", "emptyDir": None, "configMap": {"name": "m"}, "$retainKeys": ["name", "configMap"]}
                ]
            },
        ),
        (
            {"strategy": {"type": "RollingUpdate"}},
            {"strategy": {"type": "Recreate"}},
            {"strategy": {"type": "Recreate", "$retainKeys": ["type"]}},
        ),
        ({"strategy": {"type": "Recreate"}}, {"strategy": {"type": "Recreate"}}, {"strategy": {"type": "Recreate"}}),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        (None, {"a": [{"name": "x"}]}, {"a": [{"name": "x"}]}),
    ],
)
def test_what_only_the_manifest_before_has_goes_by_the_patch_that_helm_3_sends(
    old: Json | None, new: Json, patch: Json
) -> None:
    assert merging(old, new) == patch


def test_of_a_kind_that_helm_does_not_know_only_what_differs_is_sent(upgrade: Any) -> None:
    assert changing({"a": {"b": 1, "c": 2, "d": [1]}}, {"a": {"b": 1, "d": [2]}}) == {"a": {"c": None, "d": [2]}}
    # As it is where the chart's version stands in a label.
    labelled = manifest(host="c.d").replace("{name: way}", "{name: way, labels: {version: next}}")
    upgrade.renders(labelled)
    plan_upgrade(upgrade.boundaries)
    (sent,) = upgrade.cluster.tried
    assert sent == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "way", "labels": {"version": "next"}},
        "spec": {"hostnames": ["c.d"]},
    }


def test_only_what_changes_is_asked_and_where_the_server_agrees_nothing_is_said(upgrade: Any) -> None:
    upgrade.cluster.makes["api"] = made()
    plan = plan_upgrade(upgrade.boundaries)
    assert [obj["kind"] for obj in upgrade.cluster.tried] == ["Deployment"]
    assert (told(plan), plan.notes) == ([], ())


def test_where_the_server_makes_something_else_the_plan_says_so_and_its_digest_has_the_place_alone(
    upgrade: Any,
) -> None:
    digests = set()
    for number in (5, 6):
        side = [{"name": "api", "image": "any/api:1"}, {"name": "side", "image": f"any/side:{number}"}]
        upgrade.cluster.makes["api"] = made(replicas=number, template={"metadata": {}, "spec": {"containers": side}})
        plan = plan_upgrade(upgrade.boundaries)
        digests.add(plan.digest)
        assert told(plan) == [
            "Other than the chart says: the server makes something else of Deployment api: spec.replicas, "
            "spec.template.metadata.labels, spec.template.spec.containers[side]."
        ]
        assert f"The server on Deployment api: spec.replicas is {number}, and the chart says 3." in plan.notes
    assert len(digests) == 1


def test_what_somebody_has_added_already_is_not_told_as_the_servers(upgrade: Any) -> None:
    side = {"name": "side", "image": "any/side:1"}
    live = next(obj for obj in upgrade.cluster.objects if obj["kind"] == "Deployment")
    live["spec"]["template"]["spec"]["containers"].append(side)
    answer = made()
    answer["spec"]["template"]["spec"]["containers"].append(side)
    upgrade.cluster.makes["api"] = answer
    assert told(plan_upgrade(upgrade.boundaries)) == []


def test_where_the_server_sees_no_change_the_plan_says_so(upgrade: Any) -> None:
    live = next(obj for obj in upgrade.cluster.objects if obj["kind"] == "Deployment")
    upgrade.cluster.makes["api"] = live | {"metadata": live["metadata"] | {"resourceVersion": "9"}, "status": {"x": 1}}
    live["metadata"]["resourceVersion"] = "8"
    (line,) = told(plan_upgrade(upgrade.boundaries))
    assert line == "No change after all, says the server: to it both manifests of Deployment api are the same."


def test_what_the_server_refuses_is_bound_and_why_is_only_shown(upgrade: Any) -> None:
    plans = []
    for why in ("spec.selector is immutable.", "spec.selector is immutable, at 10:31."):
        upgrade.cluster.rejected["api"] = Invalid(why, next_step="Correct it.")
        plans.append(plan_upgrade(upgrade.boundaries))
        assert told(plans[-1]) == ["REFUSED by the server, so that Helm would fail there: Deployment api."]
        assert plans[-1].notes == (f"The server refuses Deployment api: {why}",)
    assert plans[0].digest == plans[1].digest
    upgrade.cluster.rejected.clear()
    assert plan_upgrade(upgrade.boundaries).digest != plans[0].digest


def test_a_server_that_does_not_say_changes_no_digest(upgrade: Any) -> None:
    upgrade.cluster.makes["api"] = made()
    before = plan_upgrade(upgrade.boundaries)
    for error in (Unreachable, Unpermitted):
        upgrade.cluster.rejected["api"] = error("It did not answer.", next_step="Look.")
        plan = plan_upgrade(upgrade.boundaries)
        assert plan.notes == ("What the server makes of Deployment api is not known: It did not answer.",)
        assert plan.digest == before.digest


@pytest.mark.parametrize("there", [True, False])
def test_an_install_is_tried_too_in_another_namespace_while_its_own_is_to_be_made(world: Any, there: bool) -> None:
    world.cluster.add(*([HERE] if there else []))
    world.renders(manifest())
    world.cluster.rejected["api"] = Invalid("spec.x is null.", next_step="Correct it.")
    plan = plan_install(world.boundaries)
    tried = {obj["kind"]: obj["metadata"] for obj in world.cluster.tried}
    assert [tried["Deployment"].get("namespace"), tried["HTTPRoute"].get("namespace")] == [
        None if there else "default"
    ] * 2
    assert tried["Deployment"]["name"].startswith("api")
    assert (tried["Deployment"]["name"] == "api") is there
    assert bool(told(plan)) is there
