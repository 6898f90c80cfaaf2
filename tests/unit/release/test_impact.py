"""One difference for install, upgrade and uninstall: nothing hidden, no secret shown."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.release.impact import counts, difference, value_changes
from runbooks_lib.results import Json, ObjectChange


def plain(text: str) -> str:
    return text


def obj(kind: str = "ConfigMap", name: str = "c", *, namespace: str = "", **fields: Any) -> Json:
    meta: Json = {"name": name} | ({"namespace": namespace} if namespace else {}) | fields.pop("metadata", {})
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


def secret(**fields: Any) -> Json:
    return obj("Secret", "s", **fields)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def details(old: Json, new: Json) -> tuple[str, ...]:
    changes = difference([old], [new], namespace="csghub", shown=plain)
    return changes[0].detail if changes else ()


def test_an_install_adds_and_an_uninstall_removes() -> None:
    objects = [obj("Service", "b"), obj("ConfigMap", "a")]
    added = difference([], objects, namespace="csghub", shown=plain)
    removed = difference(objects, [], namespace="csghub", shown=plain)
    assert [(change.action, change.name) for change in added] == [("add", "ConfigMap a"), ("add", "Service b")]
    assert [(change.action, change.name) for change in removed] == [("remove", "ConfigMap a"), ("remove", "Service b")]


def test_what_helm_is_told_to_keep_stays_when_the_chart_has_it_no_more() -> None:
    kept = obj("Secret", "s", metadata={"annotations": {"helm.sh/resource-policy": "keep"}})
    (change,) = difference([kept], [], namespace="csghub", shown=plain)
    assert (change.action, change.name) == ("keep", "Secret s")


def test_a_new_workload_names_its_images() -> None:
    spec = {"template": {"spec": {"containers": [{"name": "api", "image": "dataflow:2"}]}}}
    (change,) = difference([], [obj("Deployment", "api", spec=spec)], namespace="n", shown=plain)
    assert change.detail == ("image api: dataflow:2",)


def test_the_same_objects_in_another_order_are_no_change() -> None:
    objects = [obj(name="a"), obj(name="b")]
    assert difference(objects, objects[::-1], namespace="n", shown=plain) == ()


def test_an_object_that_names_the_targets_namespace_is_the_same_as_one_that_names_none() -> None:
    assert difference([obj()], [obj(namespace="csghub")], namespace="csghub", shown=plain) == (
        ObjectChange(action="change", name="ConfigMap c", detail=("metadata.namespace: (none) → csghub",)),
    )


def test_two_objects_of_one_name_in_two_namespaces_are_told_apart() -> None:
    changes = difference([], [obj(), obj(namespace="other")], namespace="csghub", shown=plain)
    assert [change.name for change in changes] == ["ConfigMap c", "ConfigMap c in namespace other"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"data": {"a": "1"}}, {"data": {"a": "2"}}, ("data.a: 1 → 2",)),
        ({"data": {"a": "1"}}, {"data": {}}, ("data: (none) → {}", "data.a: 1 → (none)")),
        ({"data": {"a": "1"}}, {}, ("data.a: 1 → (none)",)),
        ({}, {"data": {"a": "1"}}, ("data.a: (none) → 1",)),
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}, ("spec.replicas: 1 → 3",)),
        ({"spec": {"n": 1}}, {"spec": {"n": "1"}}, ("spec.n: 1 → 1",)),
        (
            {"spec": {"containers": [{"name": "api", "image": "a:1"}]}},
            {"spec": {"containers": [{"name": "wait", "image": "w:1"}, {"name": "api", "image": "a:2"}]}},
            (
                "spec.containers[api].image: a:1 → a:2",
                "spec.containers[wait].image: (none) → w:1",
                "spec.containers[wait].name: (none) → wait",
            ),
        ),
        ({"spec": {"args": ["a", "b"]}}, {"spec": {"args": ["a", "c"]}}, ("spec.args[1]: b → c",)),
        (
            {"spec": {"mounts": [{"name": "d", "path": "/a"}, {"name": "d", "path": "/b"}]}},
            {"spec": {"mounts": [{"name": "d", "path": "/x"}, {"name": "d", "path": "/b"}]}},
            ("spec.mounts[d 0].path: /a → /x",),
        ),
    ],
)
def test_a_change_names_each_field_with_its_old_and_new_value(old: Json, new: Json, told: tuple[str, ...]) -> None:
    assert details(obj(**old), obj(**new)) == told


@pytest.mark.parametrize("label", ["helm.sh/chart", "app.kubernetes.io/version"])
def test_labels_that_name_the_charts_version_are_no_change(label: str) -> None:
    old, new = ({"metadata": {"labels": {label: version}}} for version in ("1", "2"))
    assert difference([obj(**old)], [obj(**new)], namespace="n", shown=plain) == ()


def test_long_values_are_cut_after_they_were_redacted() -> None:
    secret_text = "x" * 115 + "hunter2-hunter2"
    (change,) = difference(
        [obj(data={"a": "1"})],
        [obj(data={"a": secret_text})],
        namespace="n",
        shown=lambda text: text.replace("hunter2-hunter2", "«»"),
    )
    assert "hunter2"[:3] not in change.detail[0]
    assert len(change.detail[0]) < 140


# ---- Secrets


SECRETS = [
    ({"data": {"a": encoded("one")}}, {"data": {"a": encoded("two")}}, ("data.a: changed",)),
    ({"data": {"a": encoded("one")}}, {"data": {"b": encoded("one")}}, ("data.a: removed", "data.b: added")),
    ({"stringData": {"a": "one"}}, {"stringData": {"a": "two"}}, ("stringData.a: changed",)),
    ({"data": {"a": encoded("one")}}, {"data": {"a": encoded("one")}}, ()),
    ({"type": "Opaque"}, {"type": "kubernetes.io/tls"}, ("type: Opaque → kubernetes.io/tls",)),
    (
        {"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}},
        {},
        ("metadata.annotations.helm.sh/resource-policy: keep → (none)",),
    ),
]


@pytest.mark.parametrize(("old", "new", "told"), SECRETS)
def test_of_a_secret_only_the_names_of_entries_are_told_and_nothing_else_is_hidden(
    old: Json, new: Json, told: tuple[str, ...]
) -> None:
    assert details(secret(**old), secret(**new)) == told


TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=20).map(
    "pw-{}".format
)  # in no field's name


@given(TEXTS, TEXTS, st.sampled_from(["data", "stringData"]))
def test_a_secret_never_shows_a_value(one: str, other: str, field: str) -> None:
    def made(text: str) -> Json:
        return secret(**{field: {"k": encoded(text) if field == "data" else text}})

    for old, new in (([made(one)], [made(other)]), ([], [made(one)]), ([made(one)], [])):
        told = "".join(change.model_dump_json() for change in difference(old, new, namespace="n", shown=plain))
        assert not any(text in told for text in (one, other, encoded(one), encoded(other)))


# ---- sums and values


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        ([], "no object changes"),
        (["add"], "1 added"),
        (["keep", "remove", "add", "change", "add"], "2 added, 1 changed, 1 removed, 1 kept"),
    ],
)
def test_the_first_sentence_counts(actions: list[Any], sentence: str) -> None:
    assert counts(ObjectChange(action=action, name="x") for action in actions) == sentence


@pytest.mark.parametrize(
    ("old", "new", "dropped"),
    [
        ({"global": {"databases": {"a": "x"}}}, {"global": {}}, ("global.databases.a",)),
        (
            {"global": {"databases": {"a": "x", "b": "y"}}},
            {"global": {"databases": {"a": "z"}}},
            ("global.databases.b",),
        ),
        ({"a": 1, "b": 2}, {}, ("a", "b")),
        ({"a": {"b": 1}}, {"a": 5}, ("a.b",)),
        ({"a": [1, 2]}, {"a": []}, ("a[0]", "a[1]")),
        ({"a": {}}, {}, ()),
        ({"a": None}, {}, ("a",)),
        ({}, {"a": 1}, ()),
    ],
)
def test_keys_that_helm_would_forget_are_named(old: Json, new: Json, dropped: tuple[str, ...]) -> None:
    assert dropped_values(old, new) == dropped


def dropped_values(old: Json, new: Json) -> tuple[str, ...]:
    told = value_changes(old, new, plain)
    return tuple(line.split(" ")[2] for line in told if line.startswith("DROPPED VALUE: "))


def test_changed_and_new_values_are_shown_as_they_may_be() -> None:
    told = value_changes({"a": {"b": 1}, "same": [1]}, {"a": {"b": 2, "c": "x"}, "same": [1]}, lambda text: f"‹{text}›")
    assert list(told) == ["Changed value: ‹a.b: 1› → ‹a.b: 2›.", "New value: ‹a.c: x›."]


KEYS = st.text("abc", min_size=1, max_size=2)
TREES = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=8
)
VALUES = st.dictionaries(KEYS, TREES, max_size=3)


def has(values: Any, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


@given(VALUES, VALUES)
def test_a_dropped_key_is_in_the_old_values_and_not_in_the_new(old: Json, new: Json) -> None:
    for path in dropped_values(old, new):
        assert has(old, path)
        assert not has(new, path) or isinstance(at(new, path), dict), "a mapping in its place is no such value"


@given(VALUES)
def test_the_same_values_drop_nothing_and_no_values_drop_all(values: Json) -> None:
    assert list(value_changes(values, values, plain)) == []
    assert {path.split(".")[0] for path in dropped_values(values, {})} == set(values)
