"""What a killed service controller leaves: it is told, ended with its pod, and never stands in a later pod's way."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from pod_states import new_space, until
from releases import ready

from runbooks_lib.cluster import Cluster
from runbooks_lib.process import Started
from runbooks_lib.results import Json
from sandbox import lifecycle
from sandbox.services import unit
from sandbox.state import State

pytestmark = pytest.mark.xdist_group("services")

OWNER = {"POSTGRES_USER": "csghub", "POSTGRES_PASSWORD": "of a test"}


@pytest.fixture
def state(sandbox: Any) -> State:
    found = lifecycle.load(sandbox.name)
    assert found is not None
    return found


@pytest.fixture
def space(cluster: Cluster, target: dict[str, str]) -> str:
    name = new_space(cluster, target["target.namespace"])
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "rows"}
    cluster.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}, name)
    return name


def started(cluster: Cluster, state: State, space: str, name: str, image: str) -> Started:
    """Make a pod on the claim, and wait for its program."""
    container: Json = {"name": "main", "image": image, "env": [{"name": k, "value": v} for k, v in OWNER.items()]}
    container["volumeMounts"] = [{"name": "data", "mountPath": "/var/lib/postgresql/data"}]
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "rows"}}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}, space)
    assert until(lambda: ready(cluster.get("v1", "Pod", name, space) or {"status": {}}), 30), cluster.get(
        "v1", "Pod", name, space
    )
    uid = (cluster.get("v1", "Pod", name, space) or {})["metadata"]["uid"]
    known = unit.saved(state.services / "pods" / uid / "main")
    assert known is not None
    return known.started


def kill_controller(state: State) -> None:
    os.kill(state.parts["services"].pid, signal.SIGKILL)
    assert until(lambda: not state.parts["services"].started.alive)


def test_what_a_pod_leaves_that_went_without_a_controller_is_ended_before_a_new_one_has_its_claim(
    cluster: Cluster, state: State, space: str, sandbox: Any
) -> None:
    program = started(cluster, state, space, "one", "q/postgres:16")
    kill_controller(state)
    cluster.delete("v1", "Pod", "one", space)
    assert until(lambda: cluster.get("v1", "Pod", "one", space) is None, 30)
    assert program.alive
    lifecycle.up(sandbox.name, say=lambda _: None)
    assert not program.alive
    again = started(cluster, state, space, "one", "q/postgres:16")
    assert again.alive
    assert (cluster.get("v1", "Pod", "one", space) or {})["status"]["containerStatuses"][0]["restartCount"] == 0


def test_the_program_of_a_pod_that_is_first_seen_while_it_goes_is_ended(
    cluster: Cluster, state: State, space: str, sandbox: Any
) -> None:
    program = started(cluster, state, space, "one", "q/redis:7")
    kill_controller(state)
    cluster.delete("v1", "Pod", "one", space)
    lifecycle.up(sandbox.name, say=lambda _: None)
    assert until(lambda: cluster.get("v1", "Pod", "one", space) is None)
    assert until(lambda: not program.alive)


def test_a_program_and_a_controller_that_do_not_run_are_not_told_as_ready(
    cluster: Cluster, state: State, space: str, sandbox: Any
) -> None:
    program = started(cluster, state, space, "one", "q/redis:7")

    def told() -> list[tuple[str, str]]:
        rows = lifecycle.status(sandbox.name).programs
        return [(row["state"], row["pid"]) for row in rows if row["pod"] == f"{space}/one"]

    assert until(lambda: told() == [("ready", str(program.pid))])
    controller = state.parts["services"]
    try:
        os.kill(controller.pid, signal.SIGSTOP)
        os.kill(program.pid, signal.SIGKILL)
        assert until(lambda: told() == [("not running", "")])
        assert until(lambda: not lifecycle.status(sandbox.name).ready, 30)
        assert lifecycle.status(sandbox.name).trouble == "services runs and does not tell of its programs"
    finally:
        os.kill(controller.pid, signal.SIGCONT)
    assert until(lambda: lifecycle.status(sandbox.name).ready)
