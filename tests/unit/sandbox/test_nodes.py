"""kwok's configuration, as it is written for it."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
import yaml

from runbooks_lib.parameters.components import component_of
from sandbox import nodes

IMAGES = [
    "postgres",
    "registry.example.com:5000/team/postgresql:16",
    "redis@sha256:" + "0" * 64,
    "docker.io/library/mongo:7.0@sha256:" + "0" * 64,
    "opencsg/dataflow:v1.16.0",
    "label-studio:latest",
    "busybox:1.36",
    "opencsg/dataflow-init:v1",
    "postgres-exporter",
    "postgres/exporter:1",
    "redis.example.com/tool:1",
]


@functools.cache
def stages() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all(nodes.configuration())
    return {document["metadata"]["name"]: document["spec"] for document in documents}


def condition(spec: dict[str, Any]) -> str:
    (expression,) = spec["selector"]["matchExpressions"]
    return str(expression["key"])


def pods() -> dict[str, dict[str, Any]]:
    found = stages()
    return {name: spec for name, spec in found.items() if spec["resourceRef"]["kind"] == "Pod"}


def test_pods_have_stages_and_nodes_keep_the_defaults() -> None:
    kinds = {spec["resourceRef"]["kind"] for spec in stages().values()}
    assert kinds == {"GatewayClass", "Gateway", "HTTPRoute", "Service", "Pod"}


def test_every_step_that_is_decided_on_has_a_stage_and_the_other_way_round() -> None:
    decided = set(re.findall(r'(?:then|else)\s+"([a-z-]+)"', condition(pods()["pod-run"])))
    assert {f"pod-{step}" for step in decided - {"0s", "False", "True"}} == set(pods())


def test_each_stage_waits_for_its_own_step() -> None:
    asked = [condition(spec).splitlines()[-1] for spec in pods().values()]
    assert asked == [f'step == "{name.removeprefix("pod-")}"' for name in pods()]


def test_every_moment_that_a_stage_waits_for_is_known() -> None:
    for spec in pods().values():
        program = spec.get("delay", {}).get("durationFrom", {}).get("expressionFrom", "").splitlines()
        assert not program or any(line.startswith(f"def {program[-1]}:") for line in program)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_waited_for_exactly_where_the_table_of_components_knows_it(image: str) -> None:
    found = re.search(r'test\("(.+)"\)', condition(pods()["pod-run"]))
    assert found
    assert bool(re.search(found[1], image)) == (component_of(image) is not None)
    template = pods()["pod-run"]["next"]["patches"][0]["template"]
    assert f'regexMatch "{found[1]}"' in template


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not re.search(r"%[A-Z]+%", nodes.configuration())


def test_another_content_has_another_file_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = nodes.file_name()
    assert nodes.file_name() == before
    monkeypatch.setattr(nodes, "PREFIX", "other.example.com/")
    assert nodes.file_name() != before
