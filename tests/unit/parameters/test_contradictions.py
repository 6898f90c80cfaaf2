"""Values that win over another key of the parameters: which ones are told, and which are no contradiction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib import parameters
from runbooks_lib.parameters import Parameters, chart_values
from runbooks_lib.parameters.helm_values import contradictions, named_as

Write = Callable[..., str]

MINIMAL = {
    "target": {},
    "chart": {"version": "1.16.0"},
    "csghub": {"external_url": "https://a"},
    "gateway": {"domain": "example.com"},
}
GATEWAY = {"domain": "example.com", "service_type": "LoadBalancer", "tls": {"enabled": False}}
EXTERNAL = {"postgresql": {"external": {"host": "h", "password": {"from": "env:P"}}}}


def told(sets: dict[str, Any]) -> list[tuple[str, Any, str, Any]]:
    return [tuple(each) for each in contradictions(Parameters.model_validate(MINIMAL | sets))]


def within(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.split(".")):
        value = {step: value}
    return {"values": value}


@pytest.mark.parametrize(
    ("sets", "path", "value", "key", "said"),
    [
        ({}, "externalUrl", "https://b", "csghub.external_url", "https://a"),
        ({}, "global.gateway.external.domain", "b.com", "gateway.domain", "example.com"),
        (EXTERNAL, "global.postgresql.enabled", True, "postgresql.built_in", False),
        (EXTERNAL, "global.postgresql.external.host", "other", "postgresql.external.host", "h"),
        (
            EXTERNAL,
            "global.postgresql.external.password",
            {"from": "env:Q"},
            "postgresql.external.password",
            {"from": "env:P"},
        ),
        ({"edition": "ce"}, "global.edition", "ee", "edition", "ce"),
        ({"edition": "ce"}, "global.edition", None, "edition", "ce"),
        # Named, though it is the default.
        ({"gateway": GATEWAY}, "global.gateway.service.type", "NodePort", "gateway.service_type", "LoadBalancer"),
        ({"gateway": GATEWAY}, "global.gateway.tls.enabled", True, "gateway.tls.enabled", False),
        ({"label_studio": {"image": {"tag": "a"}}}, "labelStudio.image.tag", "b", "label_studio.image.tag", "a"),
        (
            {"label_studio": {"security_context": {"run_as_user": 5}}},
            "labelStudio.securityContext.runAsUser",
            6,
            "label_studio.security_context.run_as_user",
            5,
        ),
        ({"postgresql": {"databases": ["a"]}}, "postgresql.databases", ["a", "b"], "postgresql.databases", ["a"]),
        (
            {"mirror": "mainland-china", "images": {"envoy_registry": "r.example"}},
            "global.imageRegistry",
            "s.example",
            "images.envoy_registry",
            "r.example",
        ),
    ],
)
def test_a_value_that_wins_over_a_key_is_told_with_both_places(
    sets: dict[str, Any], path: str, value: Any, key: str, said: Any
) -> None:
    assert told(sets | within(path, value)) == [(f"values.{path}", value, key, said)]


@pytest.mark.parametrize(
    ("sets", "path", "value"),
    [
        ({}, "externalUrl", "https://a"),
        # Nobody has named the key: its default is no word of anybody's.
        ({}, "global.postgresql.enabled", False),
        ({}, "dataflow.postgresql.database", "mine"),
        ({}, "global.gateway.service.type", "NodePort"),
        # Empty: left to the chart.
        ({"edition": ""}, "global.edition", "ce"),
        ({"postgresql": {"external": None}}, "global.postgresql.enabled", False),
        (EXTERNAL, "global.postgresql.enabled", False),
        (EXTERNAL, "global.postgresql.external.port", 6432),
        (EXTERNAL, "global.redis.enabled", False),
        ({"postgresql": {"databases": ["a"]}}, "postgresql.databases", ["a"]),
    ],
)
def test_what_agrees_or_stands_alone_is_no_contradiction(sets: dict[str, Any], path: str, value: Any) -> None:
    assert told(sets | within(path, value)) == []


def test_what_stands_in_the_way_of_a_value_contradicts_all_below_it() -> None:
    said = told(EXTERNAL | within("global.postgresql", None))
    assert {key for _, _, key, _ in said} == {
        "postgresql.built_in",
        "postgresql.external.host",
        "postgresql.external.password",
    }


def test_files_and_values_are_told_by_the_one_that_wins(write: Write) -> None:
    write(b"externalUrl: https://b\nglobal: {gateway: {external: {domain: b.com}}}\n", "one.yaml")
    write(b"externalUrl: https://c\n", "two.yaml")
    chosen = {"values_files": ["one.yaml", "two.yaml"], "values.global.gateway.external.domain": "d.com"}
    loaded = parameters.load(write(), chosen)
    assert [str(each) for each in contradictions(loaded)] == [
        'values.global.gateway.external.domain is "d.com", though gateway.domain is "example.com": the former wins',
        'two.yaml: externalUrl is "https://c", though csghub.external_url is "https://csghub.example.com": the former wins',
    ]


def test_a_file_that_values_put_right_again_is_no_contradiction(write: Write) -> None:
    write(b"externalUrl: https://b\n", "one.yaml")
    chosen = {"values_files": ["one.yaml"], "values.externalUrl": "https://csghub.example.com"}
    assert list(contradictions(parameters.load(write(), chosen))) == []


def test_a_value_is_named_by_the_place_that_sets_it(write: Write) -> None:
    write(b"dataflow: {replicas: 2}\nexternalUrl: https://b\n", "one.yaml")
    loaded = parameters.load(write(), {"values_files": ["one.yaml"], "values.dataflow.extra": 1})
    assert named_as(loaded, ("dataflow", "replicas")) == "one.yaml: dataflow.replicas"
    assert named_as(loaded, ("dataflow", "extra")) == "values.dataflow.extra"
    assert named_as(loaded, ("externalUrl",)) == "one.yaml: externalUrl"
    assert named_as(parameters.load(write()), ("externalUrl",)) == "csghub.external_url (externalUrl)"


TEXT = st.sampled_from(["a", "b"])


@given(
    typed=st.fixed_dictionaries({}, optional={"host": TEXT, "user": TEXT}),
    edition=st.sampled_from(["", "ce", "ee"]),
    values=st.fixed_dictionaries(
        {}, optional={"host": TEXT, "user": TEXT, "enabled": st.booleans(), "edition": st.sampled_from(["ce", "ee"])}
    ),
)
def test_exactly_the_named_keys_that_helm_is_not_given_are_told(
    typed: dict[str, str], edition: str, values: dict[str, Any]
) -> None:
    inner = {key: values[key] for key in ("host", "user") if key in values}
    chosen = {"global": {"mongo": {"external": inner} if inner else {}}}
    chosen["global"]["mongo"] |= {"enabled": values["enabled"]} if "enabled" in values else {}
    chosen["global"] |= {"edition": values["edition"]} if "edition" in values else {}
    sets: dict[str, Any] = {"edition": edition, "values": chosen}
    sets |= {"mongo": {"external": {"host": "a", **typed}}} if typed else {}
    made = Parameters.model_validate(MINIMAL | sets)
    final = chart_values(made)["global"]
    wanted = {f"mongo.external.{key}": value for key, value in ({"host": "a", **typed} if typed else {}).items()}
    given = {f"mongo.external.{key}": value for key, value in final["mongo"].get("external", {}).items()}
    wanted |= {"mongo.built_in": False} if typed else {}
    wanted |= {"edition": edition} if edition else {}
    given |= {"mongo.built_in": final["mongo"].get("enabled"), "edition": final.get("edition")}
    differing = {key for key, value in wanted.items() if given[key] != value}
    assert {each.key for each in contradictions(made)} == differing
