"""Overrides change single keys of a parameters file, typed as they were meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks_lib import parameters
from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters import Parameters, documents
from runbooks_lib.parameters.overrides import parse, paths

_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("verify.expect=absent", {"verify": {"expect": "absent"}}),
        ("chart.version=1.30", {"chart": {"version": "1.30"}}),
        ("chart.version=true", {"chart": {"version": "true"}}),
        ("target.cluster_uid=12e4567", {"target": {"cluster_uid": "12e4567"}}),
        ("target.context=", {"target": {"context": ""}}),
        ("target.context=a=b", {"target": {"context": "a=b"}}),
        ("policy.rollout_seconds=60", {"policy": {"rollout_seconds": 60}}),
        ("gateway.tls.enabled=true", {"gateway": {"tls": {"enabled": True}}}),
        ("gateway={domain: a.example}", {"gateway": {"domain": "a.example"}}),
        ("values_files=[a.yaml, b.yaml]", {"values_files": ["a.yaml", "b.yaml"]}),
        ("values.replicas=2", {"values": {"replicas": 2}}),
        ("values.ratio=1.5", {"values": {"ratio": 1.5}}),
        ("values.image.tag=1.30", {"values": {"image": {"tag": "1.30"}}}),
        ("values.image.tag=007", {"values": {"image": {"tag": "007"}}}),
        ("values.image.tag=1_000", {"values": {"image": {"tag": "1_000"}}}),
        ("values.when=2026-11-22", {"values": {"when": "2026-11-22"}}),
        ('values.port="5432"', {"values": {"port": "5432"}}),
        ("values.removed=null", {"values": {"removed": None}}),
        ("values.note=a: b # c", {"values": {"note": "a: b # c"}}),
        ("values.list=[]", {"values": {"list": []}}),
        (r"values.annotations.example\.com/x=y", {"values": {"annotations": {"example.com/x": "y"}}}),
        ('values.a.password={from: "env:A"}', {"values": {"a": {"password": {"from": "env:A"}}}}),
    ],
)
def test_a_text_is_typed_by_its_field_or_as_yaml_without_losing_what_was_typed(
    text: str, data: dict[str, Any]
) -> None:
    assert parse(text, Parameters) == data


@pytest.mark.parametrize("nothing", ["", [], (), {}, [""]])
def test_no_overrides_change_nothing(nothing: Any) -> None:
    assert parse(nothing, Parameters) == {}


@pytest.mark.parametrize(
    "overrides",
    [
        ["probes=read", "gateway.tls.enabled=true", "gateway.tls.secret_name=tls", "probes=write"],
        {"gateway.tls.enabled": True, "gateway": {"tls": {"secret_name": "tls"}}, "probes": "write"},
    ],
)
def test_several_are_merged_and_the_last_wins(overrides: Any) -> None:
    assert parse(overrides, Parameters) == {
        "gateway": {"tls": {"enabled": True, "secret_name": "tls"}},
        "probes": "write",
    }


def test_a_key_inside_of_a_nested_mapping_keeps_its_dots() -> None:
    found = parse({"values": {"annotations": {"example.com/x": "y"}}}, Parameters)
    assert found == {"values": {"annotations": {"example.com/x": "y"}}}


def test_overrides_win_over_the_file(write: Callable[..., str], minimal: str) -> None:
    name = write(minimal + "values: {a: {b: 1, c: [1, 2]}}\n")
    chosen = parameters.load(name, ["values.a.c=[3]", "chart.version=1.16.1"])
    assert chosen.values == {"a": {"b": 1, "c": [3]}}
    assert chosen.chart.version == "1.16.1"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("hunter22", "An override has no '=' between its key and its value."),
        ("=x", "The override '' has an empty key."),
        ("a..b=x", "The override 'a..b' has an empty key."),
        ("values.a[0].b=x", "The override 'values.a[0].b' names an item of a list"),
        ("values.password=[hunter22", "override values.password: the value is not well-formed YAML."),
        ('values.password="hunter22', "override values.password: the value is not well-formed YAML."),
        ("values.a={b: hunter22, b: 2}", "override values.a: the value is not well-formed YAML."),
        ([1], "An override must be text, not int."),
    ],
)
def test_an_override_that_cannot_be_read_is_told_without_its_value(override: Any, sentence: str) -> None:
    with pytest.raises(ParametersError) as caught:
        parse(override, Parameters)
    assert sentence in caught.value.summary
    assert "hunter22" not in str(caught.value)
    assert caught.value.next_step


def test_the_paths_of_what_was_overridden_are_those_of_the_leaves() -> None:
    assert paths({"a": {"b": 1, "c": {}}, "d": [1]}) == [("a", "b"), ("a", "c"), ("d",)]


@_patient
@given(st.text())
def test_any_value_of_a_field_of_text_stays_as_typed(text: str) -> None:
    assert parse(f"target.context={text}", Parameters) == {"target": {"context": text}}


@_patient
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="[{\"'")))
def test_any_plain_scalar_can_be_typed(text: str) -> None:
    value = documents.scalar(text)
    assert value is None or isinstance(value, str | int | float | bool)
    if isinstance(value, str):
        assert value == text
