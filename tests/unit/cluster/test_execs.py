from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_api import ScriptedApi, status

from runbooks_lib.cluster import Cluster, Forbidden
from runbooks_lib.cluster.execs import PROGRAMS, _ending

EXEC = "/api/v1/namespaces/ns/pods/a/exec"


@pytest.mark.parametrize("program", ["sh", "bash", "/bin/sh", "cat", "env", ""])
def test_only_the_listed_programs_are_ever_sent(api: ScriptedApi, cluster: Cluster, program: str) -> None:
    with pytest.raises(ValueError, match="is not a program to be started in a pod"):
        cluster.execute("ns", "a", "main", program, "-c", "id")
    assert api.requests(EXEC) == []
    assert not {"sh", "bash"} & PROGRAMS


def test_who_may_not_is_told_so(api: ScriptedApi, cluster: Cluster) -> None:
    denied = 'pods "a" is forbidden: User "jane" cannot create resource "pods/exec" in API group ""'
    api.script("GET", EXEC, status(403, denied))
    with pytest.raises(Forbidden) as caught:
        cluster.execute("ns", "a", "main", "python3", "-c", "1")
    assert caught.value.summary == "jane may not create pods/a/exec in the namespace ns."


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        ({"status": "Success"}, 0, ""),
        ({"message": "it failed", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}, 3, "it failed"),
        ({"message": "command terminated with exit code 7"}, 7, "command terminated with exit code 7"),
        ({"message": "internal: exit status 9"}, 9, "internal: exit status 9"),
        ({"message": "not found in $PATH"}, None, "not found in $PATH"),
        ({"details": None}, None, "how it ended was not told"),
        ({}, None, "how it ended was not told"),
    ],
)
def test_how_it_ended(said: dict[str, Any], code: int | None, why: str) -> None:
    assert _ending(json.dumps(said)) == (code, why)


def test_nonsense_about_the_end_is_no_success() -> None:
    assert [_ending(text) for text in ("", "[]", "x")] == [(None, "how it ended was not told")] * 1 + [
        (None, "how it ended can't be read")
    ] * 2
