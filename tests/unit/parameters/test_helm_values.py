"""Parameters mean the values that the deployment guide sets by flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbooks_lib import parameters
from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters.helm_values import FLAGS
from runbooks_lib.parameters.model import FIELDS

Write = Callable[..., str]

GUIDE = {
    "global": {"gateway": {"external": {"domain": "example.com"}}},
    "externalUrl": "https://csghub.example.com",
    "dataflow": {"postgresql": {"database": "csghub_dataflow"}},
    "labelStudio": {"postgresql": {"database": "csghub_label_studio"}},
}


def at(data: Any, path: str) -> Any:
    for step in path.split("."):
        data = data[step]
    return data


def test_defaults_are_the_four_flags_of_the_guide_and_nothing_else(write: Write) -> None:
    assert parameters.chart_values(parameters.load(write())) == GUIDE


@pytest.mark.parametrize(
    ("overrides", "path", "value"),
    [
        (["gateway.domain=company.com"], "global.gateway.external.domain", "company.com"),
        (["csghub.external_url=http://h:8080/x"], "externalUrl", "http://h:8080/x"),
        (["databases.dataflow=d"], "dataflow.postgresql.database", "d"),
        (["databases.label_studio=l"], "labelStudio.postgresql.database", "l"),
        (["images.registry=r.example"], "global.image.registry", "r.example"),
        (["images.envoy_registry=r.example/x"], "global.imageRegistry", "r.example/x"),
        (["gateway.service_type=NodePort"], "global.gateway.service.type", "NodePort"),
        (["gateway.tls={enabled: true, secret_name: t}"], "global.gateway.tls", {"enabled": True, "secretName": "t"}),
        (["values.externalUrl=https://last"], "externalUrl", "https://last"),
    ],
)
def test_each_key_becomes_its_value_of_the_chart(write: Write, overrides: list[str], path: str, value: Any) -> None:
    assert at(parameters.chart_values(parameters.load(write(), overrides)), path) == value


@pytest.mark.parametrize("key", [row[0] for row in FLAGS])
def test_every_row_of_the_table_names_a_key_that_there_is(key: str) -> None:
    assert tuple(key.split(".")) in FIELDS


def test_values_files_are_merged_in_their_order_before_values(write: Write, minimal: str) -> None:
    write("externalUrl: one\na: {x: 1, y: 1, z: 1}\nlist: [1]\n", "one.yaml")
    write("a: {y: 2, z: 2}\nlist: [2]\n", "two.yaml")
    name = write(minimal + "values_files: [one.yaml, two.yaml]\nvalues: {a: {z: 3}}\n")
    found = parameters.chart_values(parameters.load(name))
    assert (found["a"], found["list"], found["externalUrl"]) == ({"x": 1, "y": 2, "z": 3}, [2], "one")


def test_references_stay_references_and_are_listed_in_their_order(write: Write, minimal: str) -> None:
    write('redis: {password: {from: "file:~/redis"}}\nmongo: {password: {from: "env:OLD"}}\n', "one.yaml")
    name = write(
        f"{minimal}values_files: [one.yaml]\nvalues:\n"
        '  mongo: {password: {from: "k8s:csghub/mongo#key"}}\n  list: [{from: "env:ITEM"}]\n'
    )
    chosen = parameters.load(name)
    found = [reference.text for reference in parameters.references(chosen)]
    assert found == ["file:~/redis", "k8s:csghub/mongo#key", "env:ITEM"]
    assert parameters.chart_values(chosen)["redis"] == {"password": {"from": "file:~/redis"}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "one.yaml does not exist"),
        ("", "one.yaml is empty."),
        ("- a\n", "one.yaml must be a mapping (key: value) at its top level."),
        (
            "a: {b: [1}\n",
            "one.yaml:1:10: not well-formed YAML: while parsing a flow sequence, expected ',' or ']', but got '}'.",
        ),
        ("a: 1\na: 2\n", "one.yaml:2:1: not well-formed YAML: a is there already."),
        ("redis:\n  password: hunter22\n", "one.yaml:2: redis.password must not hold a secret in clear"),
    ],
)
def test_a_values_file_that_cannot_be_used_is_told_when_the_parameters_are_read(
    write: Write, minimal: str, content: str | None, sentence: str
) -> None:
    if content is not None:
        write(content, "one.yaml")
    with pytest.raises(ParametersError) as caught:
        parameters.load(write(minimal + "values_files: [one.yaml]\n"))
    assert sentence in caught.value.summary
    assert "hunter22" not in str(caught.value)


def test_a_values_file_that_changes_after_that_is_read_as_it_is(write: Write, minimal: str) -> None:
    """So that an approved plan and what would be applied differ, which the digest shows."""
    write("a: 1\n", "one.yaml")
    chosen = parameters.load(write(minimal + "values_files: [one.yaml]\n"))
    write("a: 2\n", "one.yaml")
    assert parameters.chart_values(chosen)["a"] == 2
