"""What of a live object is other than Helm stored it, and what the server only wrote in its own way."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runbooks_lib.release.drift import Drift, drift_of
from runbooks_lib.results import Json

HELM = {"f:annotations": {"f:meta.helm.sh/release-name": {}}}
BY_HAND = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-01T10:00:00Z"}


def obj(kind: str = "Deployment", fields: Json | None = None, **parts: Any) -> Json:
    """An object, of which somebody by hand is known to have written these fields."""
    made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **parts}
    if fields is not None:
        managed = [{"manager": "helm", "time": "2026-10-01T10:00:00Z", "fieldsV1": {"f:metadata": HELM}}]
        made["metadata"]["managedFields"] = [*managed, {**BY_HAND, "fieldsV1": fields}]
    return made


def pod(**container: Any) -> Json:
    return {"template": {"spec": {"containers": [{"name": "web", **container}]}}}


SAME: dict[str, tuple[Json, Json]] = {
    "an amount": (pod(resources={"limits": {"memory": "1024Mi"}}), pod(resources={"limits": {"memory": "1Gi"}})),
    "a core": (pod(resources={"requests": {"cpu": 1}}), pod(resources={"requests": {"cpu": "1000m"}})),
    "a port": ({"ports": [{"port": "80"}]}, {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}),
    "null": ({"a": None}, {"a": {"filled": "in"}}),
    "an empty map": ({"volumes": [{"name": "a", "emptyDir": {}}]}, {"volumes": [{"name": "a", "emptyDir": {}}]}),
    "an empty map that is filled in": ({"securityContext": {}}, {"securityContext": {"a": 1}}),
    "an empty map that is left out": ({"nodeSelector": {}, "args": [], "name": "", "stdin": False}, {}),
    "an empty text that is filled in": ({"clusterIP": ""}, {"clusterIP": "10.0.0.1"}),
    "what the manifest never set": ({}, {"clusterIP": "10.0.0.1", "more": {"a": [1]}}),
    "another order": (
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
    ),
    "a volume that is mounted twice": (
        pod(volumeMounts=[{"name": "a", "mountPath": "/x"}, {"name": "a", "mountPath": "/y"}]),
        pod(volumeMounts=[{"name": "a", "mountPath": "/y"}, {"name": "a", "mountPath": "/x"}]),
    ),
    "whole floats": ({"weight": 1.0}, {"weight": 1}),
    "an env of a reloader": (pod(env=[]), pod(env=[{"name": "STAKATER_X_CONFIGMAP", "value": "1"}])),
}


@pytest.mark.parametrize("case", SAME)
def test_what_the_server_writes_in_its_own_way_is_no_drift(case: str) -> None:
    stored, live = SAME[case]
    assert drift_of(obj(spec=stored), obj(spec=live, status={"a": 1})) == []


@pytest.mark.parametrize(
    ("stored", "live", "path", "was", "now"),
    [
        (pod(image="r/a:1"), pod(image="evil/a:1"), "containers[web].image", "r/a:1", "evil/a:1"),
        (
            pod(env=[{"name": "A", "value": "1"}]),
            pod(env=[{"name": "A", "value": "2"}]),
            "[web].env[A].value",
            "1",
            "2",
        ),
        (pod(env=[{"name": "A", "value": "1"}]), pod(), "[web].env", '[{"name": "A", "value": "1"}]', "not there"),
        ({"selector": {"a": "b"}}, {"selector": {"a": "c"}}, "spec.selector.a", "b", "c"),
        ({"hostnames": ["a.b"]}, {"hostnames": ["c.d", "a.b"]}, "spec.hostnames", "a.b", "c.d, a.b"),
        ({"replicas": 1}, {"replicas": 3}, "spec.replicas", "1", "3"),
        ({"rules": [{"a": 1}]}, {"rules": [{"a": 2}]}, "spec.rules[0].a", "1", "2"),
        (
            pod(resources={"limits": {"memory": "1Gi"}}),
            pod(resources={"limits": {"memory": "2Gi"}}),
            "memory",
            "1Gi",
            "2Gi",
        ),
    ],
)
def test_a_field_that_the_manifest_sets_and_that_is_another_is_drift(
    stored: Json, live: Json, path: str, was: str, now: str
) -> None:
    (found,) = drift_of(obj(spec=stored), obj(spec=live))
    assert found.path.endswith(path)
    assert (found.stored, found.live, found.added) == (was, now, False)


def test_who_wrote_it_and_since_when_is_told_also_of_an_entry_of_a_list_and_of_a_whole_map() -> None:
    entry = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}}}}
    for fields, stored, live in (
        (entry, pod(image="a"), pod(image="b")),
        ({"f:spec": {"f:selector": {}}}, {"selector": {"a": "b"}}, {"selector": {"a": "c"}}),
    ):
        (found,) = drift_of(obj(spec=stored), obj(fields=fields, spec=live))
        assert (found.manager, found.time) == ("kubectl-edit", "2026-11-01T10:00:00Z")
        assert found.says(str).endswith(", by kubectl-edit since 2026-11-01T10:00:00Z")


def test_what_helms_own_hand_wrote_is_what_the_server_made_of_it() -> None:
    live = obj(spec={"a": "in its own words"})
    fields = {"f:metadata": HELM, "f:spec": {"f:a": {}}}
    live["metadata"]["managedFields"] = [{"manager": "flux", "time": "2026-10-01T10:00:00Z", "fieldsV1": fields}]
    assert drift_of(obj(spec={"a": "said"}), live) == []


def test_what_an_autoscaler_sets_is_no_drift() -> None:
    live = obj(spec={"replicas": 4})
    scaled = {"manager": "kube-controller-manager", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    live["metadata"]["managedFields"] = [scaled]
    assert drift_of(obj(spec={"replicas": 1}), live) == []


def test_a_variable_that_was_added_is_told_though_the_manifest_has_no_list_of_them() -> None:
    (found,) = drift_of(obj(spec=pod()), obj(spec=pod(env=[{"name": "FOO", "value": "bar"}])))
    assert (found.path, found.added) == ("spec.template.spec.containers[web].env[FOO]", True)
    assert found.says(str) == "spec.template.spec.containers[web].env[FOO] was added"


@pytest.mark.parametrize(
    ("stored", "live", "path"),
    [
        (
            {"selector": {"a": "b"}},
            {"selector": {"a": "b", "app.kubernetes.io/x": "y"}},
            "selector.app.kubernetes.io/x",
        ),
        (
            {"template": {"spec": {"nodeSelector": {"a": "b"}}}},
            {"template": {"spec": {"nodeSelector": {"a": "b", "kubernetes.io/hostname": "n"}}}},
            "nodeSelector.kubernetes.io/hostname",
        ),
        (
            pod(resources={"limits": {"cpu": "1"}}),
            pod(resources={"limits": {"cpu": "1", "nvidia.com/gpu": "1"}}),
            "resources.limits.nvidia.com/gpu",
        ),
        (
            {"template": {"metadata": {"labels": {"a": "b"}}}},
            {"template": {"metadata": {"labels": {"a": "b", "app.kubernetes.io/x": "hand"}}}},
            "template.metadata.labels.app.kubernetes.io/x",
        ),
        (
            {"jobTemplate": {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}},
            {"jobTemplate": {"spec": {"template": {"metadata": {"labels": {"a": "b", "x": "hand"}}}}}},
            "jobTemplate.spec.template.metadata.labels.x",
        ),
    ],
)
def test_what_was_added_under_a_key_with_points_is_told(stored: Json, live: Json, path: str) -> None:
    (found,) = drift_of(obj(spec=stored), obj(fields={"f:spec": {}}, spec=live))
    assert found.path.endswith(path)
    assert found.added


def test_a_restart_that_somebody_asked_for_is_no_drift() -> None:
    stored = {"template": {"metadata": {"labels": {"a": "b"}}}}
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-11-01T10:00:00Z"}
    live = {"template": {"metadata": {"labels": {"a": "b"}, "annotations": annotations}}}
    assert drift_of(obj(spec=stored), obj(fields={"f:spec": {}}, spec=live)) == []


def test_of_a_secret_only_the_key_is_told() -> None:
    kept = {"A": base64.b64encode(b"one").decode(), "B": base64.b64encode(b"two").decode()}
    assert drift_of(obj("Secret", stringData={"A": "one"}, data={"B": kept["B"]}), obj("Secret", data=kept)) == []
    found = drift_of(obj("Secret", stringData={"A": "other"}, data={"C": "b25l"}), obj("Secret", data=kept))
    assert found == [Drift("data.C", "", "", "", ""), Drift("data.A", "", "", "", "")]
    assert found[0].says(str) == "data.C is not as it was stored"
    assert drift_of(obj("Secret", data=kept), obj("Secret")) == [Drift(f"data.{key}", "", "", "", "") for key in kept]


def test_a_long_value_is_cut_and_secrets_go_out_of_it_before() -> None:
    (found,) = drift_of(obj("ConfigMap", data={"a": "hunter2" * 90}), obj("ConfigMap", data={"a": "x"}))
    assert found.was(lambda text: text.replace("hunter2", "«»")) == "«»" * 60 + "…"


def test_a_password_that_somebody_typed_into_a_config_map_is_not_shown() -> None:
    (found,) = drift_of(obj("ConfigMap", data={"DB_PASSWORD": "a"}), obj("ConfigMap", data={"DB_PASSWORD": "typed"}))
    assert found.says(str) == "data.DB_PASSWORD is not as it was stored"
    (found,) = drift_of(obj(spec=pod(args=["--a"])), obj(spec=pod(args=["--requirepass", "typed"])))
    assert (found.stored, found.live) == ("", "")
