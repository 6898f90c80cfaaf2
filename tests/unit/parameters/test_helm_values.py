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

MAINLAND = "opencsg-registry.cn-beijing.cr.aliyuncs.com"
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
        (["dataflow.postgresql.database=d"], "dataflow.postgresql.database", "d"),
        (["label_studio.postgresql.database=l"], "labelStudio.postgresql.database", "l"),
        (["edition=ce"], "global.edition", "ce"),
        (["mirror=mainland-china"], "global.image.registry", MAINLAND),
        (["mirror=mainland-china"], "global.imageRegistry", f"{MAINLAND}/opencsghq"),
        (["mirror=mainland-china", "images.registry=r.example"], "global.image.registry", "r.example"),
        (["images={tag: v2, pull_policy: Always, pull_secrets: [a, b]}"],
         "global.image", {"tag": "v2", "pullPolicy": "Always", "pullSecrets": ["a", "b"]}),
        (["persistence={size: 20Gi, access_modes: [ReadWriteMany], storage_class: nfs}"],
         "global.persistence", {"size": "20Gi", "accessModes": ["ReadWriteMany"], "storageClass": "nfs"}),
        (["gateway.node_ports.https=30444"], "global.gateway.service.nodePorts", {"https": 30444}),
        (["label_studio.security_context.run_as_user=0"], "labelStudio.securityContext.runAsUser", 0),
        (["dataflow.image={repository: x/y, tag: t}"], "dataflow.image", {"repository": "x/y", "tag": "t"}),
        (["postgresql.databases=[a, b]"], "postgresql.databases", ["a", "b"]),
        (["mongo.persistence.size=1Gi"], "mongo.persistence", {"size": "1Gi"}),
        (["redis.external={host: r, port: 6380}"], "global.redis",
         {"enabled": False, "external": {"host": "r", "port": 6380}}),
        (['postgresql.external={host: p, user: u, sslmode: require, password: {from: "env:P"}}'], "global.postgresql",
         {"enabled": False, "external": {"host": "p", "user": "u", "sslmode": "require", "password": {"from": "env:P"}}}),
        (['dataflow.mongo={host: m, password: {from: "env:M"}}'], "dataflow.mongo",
         {"host": "m", "password": {"from": "env:M"}}),
        (["images.registry=r.example"], "global.image.registry", "r.example"),
        (["images.envoy_registry=r.example/x"], "global.imageRegistry", "r.example/x"),
        (["gateway.service_type=NodePort"], "global.gateway.service.type", "NodePort"),
        (["gateway.tls={enabled: true, secret_name: t}"], "global.gateway.tls", {"enabled": True, "secretName": "t"}),
        (["values.externalUrl=https://last"], "externalUrl", "https://last"),
    ],
)  # fmt: skip
def test_each_key_becomes_its_value_of_the_chart(write: Write, overrides: list[str], path: str, value: Any) -> None:
    assert at(parameters.chart_values(parameters.load(write(), overrides)), path) == value


@pytest.mark.parametrize("key", [row[0] for row in FLAGS])
def test_every_row_of_the_table_names_a_key_that_there_is(key: str) -> None:
    *above, last = key.split(".")
    sections = {path[:-1] for path in FIELDS}
    assert (*above, last) in FIELDS or (last == "built_in" and (*above,) in sections)


def test_every_key_is_a_value_of_the_chart_or_for_the_stages_alone() -> None:
    ours = {"target", "helm", "chart", "policy", "verify", "probes", "waivers", "values", "values_files", "mirror"}
    ours |= {"backup", "records", "recover", "uninstall"}
    besides = {("csghub", "release"), ("csghub", "namespace")}
    rows = [tuple(row[0].split(".")) for row in FLAGS]
    leaves = {path for path in FIELDS if not any(other[: len(path)] == path != other for other in FIELDS)}
    left = {leaf for leaf in leaves if leaf[0] not in ours and not any(leaf[: len(row)] == row for row in rows)}
    assert left == besides


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
