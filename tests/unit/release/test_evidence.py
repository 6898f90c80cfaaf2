"""Evidence is whole as far as it can be had, says what is missing, and holds no secret."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from runbooks_lib.errors import RunbookError
from runbooks_lib.release.evidence import collect, last_words


def pod(restarts: int = 0) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api-1", "namespace": "csghub"},
        "spec": {"containers": [{"name": "api", "env": [{"name": "P", "value": "hunter2-hunter2"}]}]},
        "status": {
            "initContainerStatuses": [{"name": "wait", "restartCount": 0}],
            "containerStatuses": [{"name": "api", "restartCount": restarts}],
        },
    }


def secret() -> dict[str, Any]:
    data = {"PASSWORD": base64.b64encode(b"hunter2-hunter2").decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "csghub"}, "data": data}


@pytest.fixture
def files() -> dict[str, str]:
    return {}


def saved(world: Any, files: dict[str, str]) -> tuple[str, ...]:
    def save(name: str, text: str) -> None:
        files[name] = world.redactor.redact(text)

    return collect(world.boundaries, save)


def test_objects_events_and_logs_of_the_namespace_are_saved(world: Any, files: dict[str, str]) -> None:
    world.cluster.add(pod())
    world.cluster.texts[("api-1/api", False)] = "log of api"
    world.cluster.texts[("api-1/wait", False)] = "log of wait"
    names = saved(world, files)
    assert (
        set(names)
        == set(files)
        == {
            *(f"evidence/{kind}s.json" for kind in ("pod", "service", "persistentvolumeclaim", "event")),
            *(f"evidence/{kind}s.json" for kind in ("deployment", "statefulset", "replicaset", "job")),
            *(f"evidence/{kind}s.json" for kind in ("gateway", "httproute")),
            "evidence/logs/api-1.api.log",
            "evidence/logs/api-1.wait.log",
        }
    )
    assert files["evidence/logs/api-1.api.log"] == "log of api"
    assert json.loads(files["evidence/pods.json"])[0]["metadata"]["name"] == "api-1"
    assert world.told[-1].kind == "evidence.saved"
    assert world.told[-1].data["files"] == list(names)


def test_the_log_of_the_previous_container_is_saved_too(world: Any, files: dict[str, str]) -> None:
    world.cluster.add(pod(restarts=2))
    world.cluster.texts[("api-1/api", True)] = "why it crashed"
    saved(world, files)
    assert files["evidence/logs/api-1.api.previous.log"] == "why it crashed"
    assert "evidence/logs/api-1.wait.previous.log" not in files


def test_a_password_in_a_log_that_nobody_handed_over_is_redacted(world: Any, files: dict[str, str]) -> None:
    world.cluster.add(pod(), secret())
    world.cluster.texts[("api-1/api", False)] = "connecting with hunter2-hunter2"
    saved(world, files)
    assert files["evidence/logs/api-1.api.log"] == "connecting with «redacted:s#PASSWORD»"
    assert "hunter2" not in "".join(files.values())


def test_secrets_themselves_are_never_saved(world: Any, files: dict[str, str]) -> None:
    world.cluster.add(secret())
    assert not any("secret" in name for name in saved(world, files))


def test_without_the_secrets_no_log_is_saved(world: Any, files: dict[str, str]) -> None:
    world.cluster.add(pod())
    world.cluster.lists["Secret"] = RunbookError("You may not list secrets.")
    saved(world, files)
    assert not any("logs" in name for name in files)
    assert json.loads(files["evidence/missing.json"]) == {"Secrets, and so all logs": "You may not list secrets."}


def test_what_can_not_be_read_is_told_and_stops_nothing(world: Any, files: dict[str, str]) -> None:
    world.cluster.add(pod())
    world.cluster.lists["Gateway"] = RunbookError("The cluster does not serve Gateway.")
    world.cluster.texts[("api-1/api", False)] = RunbookError("The container has not started.")
    world.cluster.texts[("api-1/wait", False)] = "log of wait"
    saved(world, files)
    assert json.loads(files["evidence/missing.json"]) == {
        "Gateway": "The cluster does not serve Gateway.",
        "logs/api-1.api.log": "The container has not started.",
    }
    assert files["evidence/logs/api-1.wait.log"] == "log of wait"
    assert "evidence/httproutes.json" in files


def test_the_last_words_are_those_of_who_is_not_ready_and_hold_no_secret(world: Any) -> None:
    world.cluster.add(secret())
    down = pod()
    down["status"] = {
        "initContainerStatuses": [
            {"name": "done", "state": {"terminated": {"exitCode": 0}}},
            {"name": "wait", "state": {"running": {}}},
        ],
        "containerStatuses": [{"name": "well", "ready": True}, {"name": "api", "ready": False}, {"name": "mute"}],
    }
    for name in ("done", "wait", "well", "api"):
        world.cluster.texts[f"api-1/{name}", False] = f"first\n{name} has hunter2-hunter2\n"
    world.cluster.texts["api-1/api", False] = "connect to app:not-known-to-anybody@db:5432/x\n"
    world.cluster.texts["api-1/mute", False] = RunbookError("It has no log.")
    assert list(last_words(world.boundaries, down)) == [
        "wait said last: wait has «redacted:s#PASSWORD»",
        "api said last: connect to app:…@db:5432/x",
    ]


def test_no_last_words_are_told_where_the_secrets_can_not_be_known(world: Any) -> None:
    world.cluster.texts["api-1/api", False] = "hunter2-hunter2"
    world.cluster.lists["Secret"] = RunbookError("Not allowed.")
    assert list(last_words(world.boundaries, pod())) == []
