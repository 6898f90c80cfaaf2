"""The values that Helm is given: references become values, and the redactor knows them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runbooks_lib.errors import UsageError
from runbooks_lib.release.values import given


def test_a_reference_is_resolved_and_its_value_known(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2-hunter2")
    world.settings["values"] = {"a": [{"password": {"from": "env:DB_PASSWORD"}}], "b": {"c": 1}}
    values = given(world.boundaries)
    assert (values["a"], values["b"]) == ([{"password": "hunter2-hunter2"}], {"c": 1})
    assert "hunter2" not in world.redactor.redact("it is hunter2-hunter2")


def test_a_reference_to_a_secret_reads_the_cluster(world: Any) -> None:
    data = {"password": base64.b64encode(b"hunter2-hunter2").decode()}
    world.cluster.add({"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": data})
    world.settings["values"] = {"a": {"from": "k8s:n/s#password"}}
    assert given(world.boundaries)["a"] == "hunter2-hunter2"


def test_a_secret_that_is_not_there_is_named(world: Any) -> None:
    world.settings["values"] = {"a": {"from": "k8s:n/s#password"}}
    with pytest.raises(UsageError, match=r"^values\.a: The secret k8s:n/s#password is missing or empty"):
        given(world.boundaries)


def test_a_missing_secret_is_told_with_every_key_that_refers_to_it(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PW", raising=False)
    external = {"host": "db.example.com", "user": "u", "password": {"from": "env:PW"}}
    world.settings |= {"postgresql": {"external": external}, "values": {"extra": [{"password": {"from": "env:PW"}}]}}
    with pytest.raises(UsageError) as caught:
        given(world.boundaries)
    assert caught.value.summary == (
        "postgresql.external.password (global.postgresql.external.password), values.extra[0].password: "
        "The secret env:PW is missing or empty."
    )
    assert caught.value.next_step.startswith("export PW=…")


def test_the_parameters_own_keys_are_in_the_values(world: Any) -> None:
    assert "example.com" in str(given(world.boundaries))
