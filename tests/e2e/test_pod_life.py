"""What a pod shows: its processes' life as it is told by annotations, and the faults that its template asks for."""

from __future__ import annotations

import json
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib.cluster import Cluster
from runbooks_lib.release.rollout import trouble_of
from runbooks_lib.results import Json
from sandbox import lifecycle
from sandbox.nodes import PREFIX
from sandbox.state import State
from sandbox.toolchain import Toolchain

PLAIN = "registry.example.com/team/web:1"
DATABASE = "docker.io/library/postgres:16.4@sha256:" + "0" * 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tools: Toolchain) -> Iterator[State]:
    """A sandbox whose pods wait for their processes, and nobody but the test to speak for them."""
    del tools
    root = tmp_path_factory.mktemp("project")
    name = f"pods-{os.getpid()}"
    try:
        yield lifecycle.up(name, services=True, root=root)
    finally:
        lifecycle.down(name, root=root)


@pytest.fixture
def cluster(made: State) -> Iterator[Cluster]:
    with Cluster.connect(made.kubeconfig, "sandbox") as connected:
        yield connected


@pytest.fixture
def space(cluster: Cluster) -> Iterator[str]:
    name = f"life-{uuid.uuid4().hex[:8]}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    accounts = cluster.watch("v1", "ServiceAccount", name, timeout=30)
    assert any(obj["metadata"]["name"] == "default" for _, obj in accounts)
    yield name
    cluster.delete("v1", "Namespace", name)


def pod_of(image: str, inits: int = 0, *, policy: str = "Always", **notes: str) -> Json:
    """A pod's metadata and spec; an underscore in a note stands for a hyphen."""
    waiting = [{"name": f"wait-{number}", "image": "busybox"} for number in range(inits)]
    spec = {"containers": [{"name": "main", "image": image}], "initContainers": waiting, "restartPolicy": policy}
    return {"metadata": {"annotations": annotations(**notes)}, "spec": spec}


def annotations(**notes: str | None) -> dict[str, str | None]:
    return {PREFIX + key.replace("_", "-"): value for key, value in notes.items()}


def create(cluster: Cluster, space: str, template: Json, name: str = "one") -> None:
    metadata = template["metadata"] | {"name": name}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, space)


def tell(cluster: Cluster, space: str, name: str = "one", **notes: str | None) -> None:
    cluster.patch("v1", "Pod", name, {"metadata": {"annotations": annotations(**notes)}}, space)


def shown(pod: Json | None) -> str:
    """A pod as ``kubectl get pods`` prints it: containers ready, status, restarts."""
    if pod is None:
        return "gone"
    status = pod["status"]
    containers = status.get("containerStatuses") or []
    word = status.get("phase", "")
    for one in containers:
        (kind, detail), *_ = one["state"].items()
        word = detail.get("reason") or ("Running" if kind == "running" else word)
    inits = status.get("initContainerStatuses") or []
    behind = [number for number, one in enumerate(inits) if "terminated" not in one["state"]]
    if behind:
        word = f"Init:{behind[0]}/{len(inits)}"
    ready = sum(one["ready"] for one in containers)
    return f"{ready}/{len(pod['spec']['containers'])} {word} {sum(one['restartCount'] for one in containers)}"


def becomes(cluster: Cluster, space: str, wanted: str, name: str = "one", seconds: float = 20) -> Json:
    """The pod as soon as it shows this; the test fails with what it showed instead."""
    deadline = time.monotonic() + seconds
    seen = [""]
    while time.monotonic() < deadline:
        pod = cluster.get("v1", "Pod", name, space)
        if (now := shown(pod)) == wanted:
            return pod or {}
        if now != seen[-1]:
            seen.append(now)
    pytest.fail(f"never {wanted}: {' → '.join(seen[1:])}")


def stays(cluster: Cluster, space: str, wanted: str, seconds: float = 1.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if shown(cluster.get("v1", "Pod", "one", space)) != wanted:
            return False
    return True


def conditions(pod: Json) -> dict[str, str]:
    return {one["type"]: f"{one['status']} {one.get('reason', '')}".strip() for one in pod["status"]["conditions"]}


# ---- pods without processes


def test_a_pod_of_an_unknown_image_is_ready_at_once_and_goes_at_once(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(PLAIN, inits=2))
    pod = becomes(cluster, space, "1/1 Running 0")
    assert set(conditions(pod).values()) == {"True"}
    assert pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert trouble_of(pod) == ""
    cluster.delete("v1", "Pod", "one", space)
    becomes(cluster, space, "gone", seconds=5)


def test_a_job_of_an_unknown_image_completes_and_its_pod_goes_with_it(cluster: Cluster, space: str) -> None:
    spec = {"template": pod_of(PLAIN, policy="Never")}
    cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec}, space)
    assert until(lambda: (cluster.get("batch/v1", "Job", "work", space) or {})["status"].get("succeeded") == 1)
    (pod,) = cluster.list("v1", "Pod", space)
    assert shown(pod) == "0/1 Completed 0"
    assert conditions(pod)["Ready"] == "False PodCompleted"
    cluster.delete("batch/v1", "Job", "work", space)
    assert until(lambda: cluster.list("v1", "Pod", space) == [])


def until(question: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
    return False


# ---- pods whose processes are told of


def test_a_database_waits_starts_answers_and_goes_when_its_processes_have_ended(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(DATABASE, inits=2))
    pod = becomes(cluster, space, "0/1 Init:0/2 0")
    assert pod["status"]["phase"] == "Pending"
    assert conditions(pod)["Initialized"] == "False ContainersNotInitialized"
    assert trouble_of(pod) == "init container wait-0 has not ended: what it waits for does not answer"
    tell(cluster, space, init_running="1")
    becomes(cluster, space, "0/1 Init:1/2 0")
    tell(cluster, space, init_done="true")
    pod = becomes(cluster, space, "0/1 Running 0")
    assert conditions(pod)["Initialized"] == "True"
    assert conditions(pod)["Ready"] == conditions(pod)["ContainersReady"] == "False ContainersNotReady"
    begun = pod["status"]["containerStatuses"][0]["state"]["running"]
    tell(cluster, space, ready="true")
    pod = becomes(cluster, space, "1/1 Running 0")
    assert set(conditions(pod).values()) == {"True"}
    assert pod["status"]["containerStatuses"][0]["state"]["running"] == begun
    tell(cluster, space, ready="false")
    becomes(cluster, space, "0/1 Running 0")
    cluster.delete("v1", "Pod", "one", space)
    assert stays(cluster, space, "0/1 Running 0")
    tell(cluster, space, stopped="true")
    becomes(cluster, space, "gone", seconds=5)


def test_a_program_that_exits_is_started_again_and_its_end_is_kept(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(DATABASE, ready="true"))
    first = becomes(cluster, space, "1/1 Running 0")["status"]["containerStatuses"][0]
    tell(cluster, space, ready="false", fail="CrashLoopBackOff", fail_message="back-off 10s", restarts="1", last_exit="3")
    pod = becomes(cluster, space, "0/1 CrashLoopBackOff 1")
    assert trouble_of(pod) == "main: CrashLoopBackOff back-off 10s"
    ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert ended["startedAt"] == first["state"]["running"]["startedAt"]
    tell(cluster, space, fail=None, fail_message=None, ready="true")
    second = becomes(cluster, space, "1/1 Running 1")["status"]["containerStatuses"][0]
    assert second["lastState"]["terminated"] == ended
    assert second["containerID"] != first["containerID"]


@pytest.mark.parametrize(("code", "word", "phase"), [("0", "Completed", "Succeeded"), ("7", "Error", "Failed")])
def test_a_job_ends_with_the_exit_code_of_its_program(
    cluster: Cluster, space: str, code: str, word: str, phase: str
) -> None:
    spec = {"backoffLimit": 0, "template": pod_of(DATABASE, policy="Never")}
    cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec}, space)
    assert until(lambda: len(cluster.list("v1", "Pod", space)) == 1)
    name = cluster.list("v1", "Pod", space)[0]["metadata"]["name"]
    becomes(cluster, space, "0/1 Running 0", name)
    tell(cluster, space, name, exit_code=code)
    pod = becomes(cluster, space, f"0/1 {word} 0", name)
    assert pod["status"]["phase"] == phase
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == int(code)
    counted = "succeeded" if code == "0" else "failed"
    assert until(lambda: (cluster.get("batch/v1", "Job", "work", space) or {})["status"].get(counted) == 1)


def test_beside_a_database_another_container_simply_runs(cluster: Cluster, space: str) -> None:
    pod = pod_of(DATABASE)
    pod["spec"]["containers"].append({"name": "exporter", "image": PLAIN})
    pod["spec"]["initContainers"] = [{"name": "proxy", "image": PLAIN, "restartPolicy": "Always"}]
    create(cluster, space, pod)
    assert until(lambda: shown(cluster.get("v1", "Pod", "one", space)).startswith("1/2"))
    found = (cluster.get("v1", "Pod", "one", space) or {})["status"]
    assert [one["ready"] for one in found["containerStatuses"]] == [False, True]
    assert found["initContainerStatuses"][0]["state"]["running"]


def test_a_stateful_sets_pod_comes_back_only_when_the_old_one_has_gone(cluster: Cluster, space: str) -> None:
    labels = {"app": "db"}
    template = pod_of(DATABASE)
    template["metadata"]["labels"] = labels
    spec = {"serviceName": "db", "replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    cluster.create({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}, space)
    becomes(cluster, space, "0/1 Running 0", "db-0")
    tell(cluster, space, "db-0", ready="true")
    first = becomes(cluster, space, "1/1 Running 0", "db-0")["metadata"]["uid"]
    assert until(lambda: (cluster.get("apps/v1", "StatefulSet", "db", space) or {})["status"].get("readyReplicas") == 1)
    cluster.delete("v1", "Pod", "db-0", space)
    tell(cluster, space, "db-0", stopped="true")
    # Its annotations are the template's: the new pod waits to be told of anew.
    assert until(lambda: uid_of(cluster.get("v1", "Pod", "db-0", space)) not in {"", first})
    becomes(cluster, space, "0/1 Running 0", "db-0")


def uid_of(pod: Json | None) -> str:
    return str(pod["metadata"]["uid"]) if pod else ""


def test_a_pod_that_nobody_stops_goes_ten_seconds_after_its_time(cluster: Cluster, space: str) -> None:
    pod = pod_of(DATABASE, ready="true")
    pod["spec"]["terminationGracePeriodSeconds"] = 1
    create(cluster, space, pod)
    becomes(cluster, space, "1/1 Running 0")
    began = time.monotonic()
    cluster.delete("v1", "Pod", "one", space)
    # What happens to the pod meanwhile gives it no more time.
    time.sleep(3)
    tell(cluster, space, ready="false")
    becomes(cluster, space, "gone", seconds=30)
    assert 9 < time.monotonic() - began < 16


def test_a_pod_whose_processes_never_started_goes_at_once(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(DATABASE, inits=1))
    becomes(cluster, space, "0/1 Init:0/1 0")
    cluster.delete("v1", "Pod", "one", space)
    becomes(cluster, space, "gone", seconds=5)


def test_what_is_told_is_shown_within_a_moment(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(DATABASE))
    becomes(cluster, space, "0/1 Running 0")
    taken = []
    for number in range(20):
        ready = number % 2 == 0
        began = time.monotonic()
        tell(cluster, space, ready=json.dumps(ready))
        becomes(cluster, space, f"{int(ready)}/1 Running 0")
        taken.append(time.monotonic() - began)
    print(f"annotation → status: median {statistics.median(taken) * 1000:.0f} ms, at most {max(taken) * 1000:.0f} ms")
    assert statistics.median(taken) < 0.5
