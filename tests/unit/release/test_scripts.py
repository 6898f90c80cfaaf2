"""Who would run what, and where it stands: commands, init containers, hooks, and the files that are mounted into them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from runbooks_lib.release.scripts import carried, only_in_image, runners
from runbooks_lib.results import Json

HOOK = """
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-upgrade,post-install"}}
spec:
  template:
    spec:
      containers:
        - name: sql
          image: any/db:1
          command: [psql, -f, /sql/1.sql]
          volumeMounts: [{name: sql, mountPath: /sql}]
        - {name: app, image: any/app:1}
      volumes:
        - {name: sql, configMap: {name: statements}}
        - {name: unused, secret: {secretName: more}}
"""
FILES = """
apiVersion: v1
kind: ConfigMap
metadata: {name: statements}
data: {1.sql: "CREATE TABLE b AS SELECT * FROM a; TRUNCATE a CASCADE;", note: "nothing"}
"""


def parsed(text: str) -> Json:
    return dict(yaml.safe_load(text))


def told(objects: list[Json], hooks: list[Json], verb: str) -> list[tuple[str, str, str, str]]:
    return [
        (each.runner.name, each.place, each.does, each.what)
        for runner in runners(objects, hooks, verb)
        for each in carried(runner, [*objects, *hooks])
    ]


@pytest.mark.parametrize(("verb", "when"), [("upgrade", "pre-upgrade"), ("install", "post-install"), ("delete", "")])
def test_a_hooks_sql_is_read_where_it_is_mounted_and_when_it_runs(verb: str, when: str) -> None:
    expected = [(f"Job migrate, a hook ({when})", "ConfigMap statements, 1.sql", "TRUNCATE … CASCADE", "a")]
    assert told([parsed(FILES)], [parsed(HOOK)], verb) == (expected if when else [])


def test_what_only_an_image_knows_is_told_apart() -> None:
    found = {each.container["name"]: only_in_image(each) for each in runners([], [parsed(HOOK)], "upgrade")}
    assert found == {"sql": False, "app": True}


@pytest.mark.parametrize(
    ("container", "found"),
    [
        ({"command": ["sh", "-c", "rm -rf /data/*"]}, [("its command", "rm -r", "/data/*")]),
        ({"command": ["/bin/bash", "-c"], "args": ["psql -c 'DROP TABLE a'"]}, [("its command", "DROP TABLE", "a")]),
        ({"command": ["psql"], "args": ["--command=DELETE FROM a"]}, [("its command", "DELETE", "a")]),
        ({"args": ["redis-cli", "FLUSHDB"]}, [("its command", "redis", "FLUSHDB")]),
        ({"command": ["sh", "/s/run"], "volumeMounts": [{"name": "s"}]}, [("Secret s, run", "rm -r", "/x")]),
        ({"command": ["app"], "volumeMounts": [{"name": "p"}]}, [("Secret s, run", "rm -r", "/x")]),
        ({"command": ["sh", "-c", "until pg_isready; do sleep 1; done"]}, []),
        ({}, []),
    ],
)
def test_init_containers_are_read_with_what_is_mounted_into_them(container: Json, found: list[Any]) -> None:
    run = base64.b64encode(b"#!/bin/sh\nrm -rf /x\n").decode()
    volumes = [
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "s"}}]}},
    ]
    spec = {"initContainers": [{"name": "i", **container}], "volumes": volumes, "containers": [{"name": "c"}]}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": spec}},
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"run": run}}
    assert [each[1:] for each in told([workload, secret], [], "upgrade")] == found
