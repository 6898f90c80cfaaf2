"""Overrides change single keys of a parameters file, typed as they were meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks_lib import parameters
from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters.helm_values import merge, nested
from runbooks_lib.parameters.loading import parse


def data_of(overrides: Any) -> dict[str, Any]:
    return reduce(merge, (nested(*pair) for pair in parse(overrides)), {})


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
        ("values.color=#fff", {"values": {"color": "#fff"}}),
        ("values.none=", {"values": {"none": ""}}),
        ("values.list=[]", {"values": {"list": []}}),
        ('values.a.password={from: "env:A"}', {"values": {"a": {"password": {"from": "env:A"}}}}),
    ],
)
def test_a_text_is_typed_by_its_field_or_as_yaml_without_losing_what_was_typed(text: str, data: dict[str, Any]) -> None:
    assert data_of(text) == data


@pytest.mark.parametrize("nothing", ["", [], (), {}, [""]])
def test_no_overrides_change_nothing(nothing: Any) -> None:
    assert data_of(nothing) == {}


@pytest.mark.parametrize(
    "overrides",
    [
        ["probes=read", "gateway.tls.enabled=true", "gateway.tls.secret_name=tls", "probes=write"],
        {"gateway.tls.enabled": True, "gateway": {"tls": {"secret_name": "tls"}}, "probes": "write"},
    ],
)
def test_several_are_merged_and_the_last_wins(overrides: Any) -> None:
    assert data_of(overrides) == {"gateway": {"tls": {"enabled": True, "secret_name": "tls"}}, "probes": "write"}


def test_a_key_inside_of_a_nested_mapping_keeps_its_dots() -> None:
    found = data_of({"values": {"annotations": {"example.com/x": "y"}}})
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
        ("values.hunter22 x", "An override has no '='"),
        ("values.redis.password:hunter22", "An override has no '='"),
        ("eyJhbGciOi.hunter22.abc", "An override has no '='"),
        ("target", "An override has no '='"),
        ("chart.version", "The override 'chart.version' has no '=' between its key and its value."),
        ("values.redis.node-port", "The override 'values.redis.node-port' has no '=' between its key and its value."),
        ("=x", "The override '' is no key"),
        ("a..b=x", "The override 'a..b' is no key: names with dots between."),
        ("values.a[0].b=x", "The override 'values.a[0].b' is no key"),
        ("values.password=[hunter22", "override values.password: the value is not well-formed YAML."),
        ('values.password="hunter22', "override values.password: the value is not well-formed YAML."),
        ("values.a={b: hunter22, b: 2}", "override values.a: the value is not well-formed YAML."),
        ([1], "An override has no '='"),
    ],
)
def test_an_override_that_cannot_be_read_is_told_without_its_value(override: Any, sentence: str) -> None:
    with pytest.raises(ParametersError) as caught:
        data_of(override)
    assert sentence in caught.value.summary
    assert "hunter22" not in str(caught.value)
    assert caught.value.next_step


@_patient
@given(st.text())
def test_any_value_of_a_field_of_text_stays_as_typed(text: str) -> None:
    assert data_of(f"target.context={text}") == {"target": {"context": text}}


@_patient
@given(st.text())
def test_any_text_is_typed_or_refused_in_a_sentence(text: str) -> None:
    try:
        value = data_of(f"values.key={text}")["values"]["key"]
    except ParametersError:
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert str(value) == text


def test_what_is_wrong_in_overrides_alone_does_not_send_anybody_to_the_file(
    write: Callable[..., str], minimal: str
) -> None:
    with pytest.raises(ParametersError) as alone:
        parameters.load(write(minimal), ["probes=maybe"])
    assert alone.value.next_step.startswith("Correct what overrides the file.")
    with pytest.raises(ParametersError) as both:
        parameters.load(write(minimal + "unknown: 1\n"), ["probes=maybe"])
    assert both.value.next_step.startswith("Mend it, and try `runbooks parameters check FILE`.")
