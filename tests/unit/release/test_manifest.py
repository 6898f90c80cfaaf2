"""Rendered YAML becomes objects, as Helm reads it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.helm import Release
from runbooks_lib.release.manifest import (
    ObjectKey,
    annotation,
    claim_names,
    hook_objects,
    images,
    kept,
    key_of,
    objects_of,
    secret_values,
    workloads,
)
from runbooks_lib.results import digest_of

MANIFEST = """
---
# Source: dataflow/templates/secret.yaml
apiVersion: v1
kind: Secret
metadata: {name: s}
---
# Source: dataflow/templates/empty.yaml
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: other}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
"""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_objects_come_in_helms_order_and_empty_documents_are_none() -> None:
    assert [obj["kind"] for obj in objects_of(MANIFEST)] == ["Secret", "Deployment", "StatefulSet", "DaemonSet"]
    assert objects_of("") == []
    assert objects_of("just text\n---\n- a\n- list\n---\nname: nothing\n") == []


def test_workloads_are_what_rolls_out() -> None:
    assert [obj["kind"] for obj in workloads(MANIFEST)] == ["Deployment", "StatefulSet", "DaemonSet"]


def test_a_list_is_the_objects_in_it() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n"
    assert [key_of(obj).name for obj in objects_of(text)] == ["a"]
    assert objects_of("apiVersion: v1\nkind: ConfigMapList\nitems: []\n") == []


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("2026-11-22", "2026-11-22"),
        ("2026-11-22T16:00:00Z", "2026-11-22T16:00:00Z"),
        ("=", "="),
        ("12:30:45", "12:30:45"),
        ("n", False),
        ("Y", True),
        ("no", False),
        ("nn", "nn"),
        ("true", True),
        ("17", 17),
    ],
)
def test_scalars_are_read_as_helm_reads_them(scalar: str, value: Any) -> None:
    (obj,) = objects_of(f"kind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  key: {scalar}\n")
    assert obj["data"]["key"] == value
    assert digest_of(obj).startswith("sha256:")


@pytest.mark.parametrize(
    ("obj", "key"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, ("", "Secret", "csghub", "s")),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}},
            ("apps", "Deployment", "n", "d"),
        ),
        (
            {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}},
            ("gateway.networking.k8s.io", "Gateway", "csghub", "g"),
        ),
        (
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "job-"}},
            ("batch", "Job", "csghub", "job-"),
        ),
    ],
)
def test_a_key_is_group_kind_namespace_and_name(obj: dict[str, Any], key: tuple[str, ...]) -> None:
    assert key_of(obj, "csghub") == ObjectKey(*key)
    assert str(key_of(obj)) == f"{key[1]} {key[3]}"


def test_an_object_keeps_its_key_when_its_api_ages() -> None:
    meta = {"kind": "HTTPRoute", "metadata": {"name": "r"}}
    group = "gateway.networking.k8s.io"
    assert key_of(meta | {"apiVersion": f"{group}/v1beta1"}) == key_of(meta | {"apiVersion": f"{group}/v1"})


@pytest.mark.parametrize(
    ("value", "stays"), [("keep", True), ("Keep ", True), ("delete", False), ("", False), (None, False)]
)
def test_what_helm_keeps_is_known_by_its_policy(value: str | None, stays: bool) -> None:
    annotations = None if value is None else {"helm.sh/resource-policy": value}
    assert kept({"kind": "Secret", "metadata": {"name": "s", "annotations": annotations}}) is stays


def test_an_annotation_that_is_not_there_is_empty() -> None:
    assert annotation({"kind": "Secret", "metadata": {"name": "s"}}, "a") == ""
    assert annotation({"kind": "Secret"}, "a") == ""
    assert annotation({"metadata": {"annotations": {"a": 1}}}, "a") == "1"


def test_hooks_have_objects_of_their_own() -> None:
    hook = "kind: Job\nmetadata: {name: m}\n"
    release = Release(name="r", namespace="n", revision=1, status="deployed", hooks=(hook,))
    assert [key_of(obj).name for obj in hook_objects(release)] == ["m"]


def test_images_are_those_of_all_containers_init_containers_first() -> None:
    spec = {
        "initContainers": [{"name": "wait", "image": "busybox:1"}],
        "containers": [{"name": "api", "image": "dataflow:2"}, {"name": "bare"}],
    }
    obj = {"kind": "Deployment", "spec": {"template": {"spec": spec}}}
    assert images(obj) == {"wait": "busybox:1", "api": "dataflow:2", "bare": ""}
    assert images({"kind": "Service", "spec": {"ports": []}}) == {}
    assert images({"kind": "ConfigMap"}) == {}


# ---- Secrets


@given(st.dictionaries(st.text(max_size=9), st.text(st.characters(exclude_categories=["Cs"]), max_size=30)))
def test_values_of_a_secret_come_out_as_they_went_in(entries: dict[str, str]) -> None:
    data = {key: encoded(value) for key, value in entries.items()}
    assert dict(secret_values({"kind": "Secret", "data": data})) == entries
    assert dict(secret_values({"kind": "Secret", "stringData": entries})) == entries


def test_string_data_wins_as_it_does_in_the_cluster() -> None:
    secret = {"kind": "Secret", "data": {"a": encoded("old"), "b": encoded("kept")}, "stringData": {"a": "new"}}
    assert dict(secret_values(secret)) == {"a": "new", "b": "kept"}


@pytest.mark.parametrize("value", [base64.b64encode(b"\xff\xfe\x00").decode(), "é", "a", "====a"])
def test_what_is_no_text_is_left_out(value: str) -> None:
    assert dict(secret_values({"kind": "Secret", "data": {"bad": value, "good": encoded("x")}})) == {"good": "x"}


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_an_entry_without_a_value_is_empty_and_not_the_word_none(field: str) -> None:
    assert dict(secret_values({"kind": "Secret", field: {"a": None}})) == {"a": ""}
    assert dict(secret_values({"kind": "Secret", field: None})) == {}


# ---- claims


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}, ["data-db-0"]),
        ({"volumeClaimTemplates": [{"metadata": {"name": "data"}}], "replicas": 0}, []),
        (
            {"volumeClaimTemplates": [{"metadata": {"name": "data"}}, {"metadata": {"name": "log"}}], "replicas": 2},
            ["data-db-0", "data-db-1", "log-db-0", "log-db-1"],
        ),
        ({"replicas": 3}, []),
        ({}, []),
    ],
)
def test_claims_of_a_stateful_set_are_named_after_it(spec: dict[str, Any], names: list[str]) -> None:
    assert claim_names({"kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}) == names
