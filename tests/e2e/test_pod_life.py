"""What a pod shows: its processes' life as it is told by annotations, and the faults that its template asks for."""

from __future__ import annotations

import json
import os
import statistics
import time
import uuid
from collections.abc import Iterator

import pytest
from pod_states import DATABASE, PLAIN, becomes, conditions, create, pod_of, shown, stays, tell, uid_of, until

from runbooks_lib import process
from runbooks_lib.cluster import Cluster
from runbooks_lib.release.pods import trouble_of
from sandbox import lifecycle
from sandbox.state import State
from sandbox.toolchain import Toolchain

BOTH = pytest.mark.parametrize("image", [PLAIN, DATABASE], ids=["plain", "database"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tools: Toolchain) -> Iterator[State]:
    """A sandbox whose pods wait for their processes, and nobody but the test to speak for them."""
    del tools
    root = tmp_path_factory.mktemp("project")
    name = f"pods-{os.getpid()}"
    try:
        state = lifecycle.up(name, root=root)
        process.stop(state.parts["services"].started)
        yield state
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


# ---- pods without processes


def test_a_pod_of_which_nothing_is_told_is_being_created_and_goes_at_once(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(PLAIN, init_done=""))
    pod = becomes(cluster, space, "0/1 ContainerCreating 0")
    assert pod["status"]["phase"] == "Pending"
    assert "podIP" not in pod["status"]
    assert conditions(pod)["Initialized"] == "True"
    assert conditions(pod)["PodReadyToStartContainers"] == "False"
    cluster.delete("v1", "Pod", "one", space)
    becomes(cluster, space, "gone", seconds=5)


@BOTH
def test_a_container_that_cannot_be_made_keeps_its_pod_pending(cluster: Cluster, space: str, image: str) -> None:
    create(cluster, space, pod_of(image, fail="CreateContainerConfigError", fail_message='secret "x" not found'))
    pod = becomes(cluster, space, "0/1 CreateContainerConfigError 0")
    assert pod["status"]["phase"] == "Pending"
    assert trouble_of(pod) == 'main: CreateContainerConfigError secret "x" not found'
    tell(cluster, space, fail=None, ready="true")
    becomes(cluster, space, "1/1 Running 0")


@BOTH
def test_an_init_container_that_cannot_be_made(cluster: Cluster, space: str, image: str) -> None:
    create(cluster, space, pod_of(image, inits=2))
    tell(cluster, space, init_running="1", fail="CreateContainerConfigError", fail_message='secret "x" not found')
    pod = becomes(cluster, space, "0/1 Init:1/2 0")
    assert trouble_of(pod) == 'wait-1: CreateContainerConfigError secret "x" not found'
    tell(cluster, space, fail=None)
    assert until(lambda: "has not ended" in trouble_of(cluster.get("v1", "Pod", "one", space) or {}))
    tell(cluster, space, init_done="true", ready="true")
    becomes(cluster, space, "1/1 Running 0")


def test_a_pod_of_an_unknown_image_is_ready_when_it_is_told_so(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(PLAIN, inits=2, init_done="true", ready="true"))
    pod = becomes(cluster, space, "1/1 Running 0")
    assert set(conditions(pod).values()) == {"True"}
    assert pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert trouble_of(pod) == ""
    cluster.delete("v1", "Pod", "one", space)
    tell(cluster, space, stopped="true")
    becomes(cluster, space, "gone", seconds=5)


def test_a_job_of_an_unknown_image_completes_and_its_pod_goes_with_it(cluster: Cluster, space: str) -> None:
    spec = {"template": pod_of(PLAIN, policy="Never", exit_code="0")}
    cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec}, space)
    assert until(lambda: (cluster.get("batch/v1", "Job", "work", space) or {})["status"].get("succeeded") == 1)
    (pod,) = cluster.list("v1", "Pod", space)
    assert shown(pod) == "0/1 Completed 0"
    assert conditions(pod)["Ready"] == "False PodCompleted"
    cluster.delete("batch/v1", "Job", "work", space)
    assert until(lambda: cluster.list("v1", "Pod", space) == [])


# ---- pods whose processes are told of


def test_a_database_waits_starts_answers_and_goes_when_its_processes_have_ended(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(DATABASE, inits=2, init_running="0"))
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
    tell(
        cluster, space, ready="false", fail="CrashLoopBackOff", fail_message="back-off 10s", restarts="1", last_exit="3"
    )
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


def test_a_pod_that_nobody_stops_goes_ten_seconds_after_its_time(cluster: Cluster, space: str) -> None:
    pod = pod_of(DATABASE, ready="true")
    pod["spec"]["terminationGracePeriodSeconds"] = 1
    create(cluster, space, pod)
    becomes(cluster, space, "1/1 Running 0")
    began = time.monotonic()
    cluster.delete("v1", "Pod", "one", space)
    assert stays(cluster, space, "1/1 Running 0", 3)
    # What happens to the pod meanwhile gives it no more time.
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


# ---- faults


@BOTH
@pytest.mark.parametrize(
    ("fault", "why"), [("image-not-found", ": not found"), ("image-unauthorized", "authorization failed: no basic")]
)
def test_an_image_that_cannot_be_pulled(cluster: Cluster, space: str, image: str, fault: str, why: str) -> None:
    create(cluster, space, pod_of(image, inits=1, fault=fault))
    first = becomes(cluster, space, "0/1 ErrImagePull 0")
    assert trouble_of(first).startswith("main: ErrImagePull rpc error: code = ")
    pod = becomes(cluster, space, "0/1 ImagePullBackOff 0")
    assert pod["status"]["phase"] == "Pending"
    assert trouble_of(pod).startswith(f'main: ImagePullBackOff Back-off pulling image "{image}": ErrImagePull: rpc')
    assert why in trouble_of(pod)
    cluster.delete("v1", "Pod", "one", space)
    becomes(cluster, space, "gone", seconds=5)


@BOTH
def test_an_init_container_that_never_ends(cluster: Cluster, space: str, image: str) -> None:
    create(cluster, space, pod_of(image, inits=1, fault="stuck-init", init_done="true", ready="true"))
    pod = becomes(cluster, space, "0/1 Init:0/1 0")
    assert "init container wait-0 has not ended" in trouble_of(pod)
    assert stays(cluster, space, "0/1 Init:0/1 0")


@BOTH
def test_a_crash_loop_lasts_until_its_reason_is_gone(cluster: Cluster, space: str, image: str) -> None:
    create(cluster, space, pod_of(image, fault="crash-loop", ready="true", restarts="1"))
    becomes(cluster, space, "0/1 Error 0")
    pod = becomes(cluster, space, "0/1 CrashLoopBackOff 1")
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    tell(cluster, space, fault=None)
    becomes(cluster, space, "1/1 Running 1")


def test_each_crash_is_followed_by_a_longer_wait(cluster: Cluster, space: str) -> None:
    create(cluster, space, pod_of(PLAIN, fault="crash-loop"))
    for restarts, pause in ((1, "10s"), (2, "20s")):
        pod = becomes(cluster, space, f"0/1 CrashLoopBackOff {restarts}")
        whom = f"container=main pod=one_{space}({uid_of(pod)})"
        assert trouble_of(pod) == f"main: CrashLoopBackOff back-off {pause} restarting failed {whom}"


def test_a_job_that_crashes_fails_pod_after_pod(cluster: Cluster, space: str) -> None:
    spec = {"backoffLimit": 0, "template": pod_of(PLAIN, policy="Never", fault="crash-loop")}
    cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec}, space)
    assert until(lambda: (cluster.get("batch/v1", "Job", "work", space) or {})["status"].get("failed") == 1)
    (pod,) = cluster.list("v1", "Pod", space)
    assert shown(pod) == "0/1 Error 0"


@BOTH
def test_a_slow_start_delays_readiness_alone(cluster: Cluster, space: str, image: str) -> None:
    create(cluster, space, pod_of(image, slow_start="4", ready="true"))
    becomes(cluster, space, "0/1 Running 0")
    assert stays(cluster, space, "0/1 Running 0", 2)
    becomes(cluster, space, "1/1 Running 0", seconds=10)


def test_a_note_that_is_no_number_holds_nothing_up(cluster: Cluster, space: str) -> None:
    odd = {"slow_start": "soon", "init_running": "x", "restarts": "many", "fault": "typo"}
    create(cluster, space, pod_of(PLAIN, inits=1, init_done="true", ready="true", **odd))
    becomes(cluster, space, "1/1 Running 0")


def test_a_claim_of_the_unbound_class_keeps_its_pod_from_being_scheduled(cluster: Cluster, space: str) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "unbound",
    }
    metadata = {"name": "data"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    cluster.create(claim, space)
    pod = pod_of(PLAIN)
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    create(cluster, space, pod)
    told = "not scheduled: 0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    assert until(lambda: trouble_of(cluster.get("v1", "Pod", "one", space) or {}).startswith(told))
    assert (cluster.get("v1", "PersistentVolumeClaim", "data", space) or {})["status"]["phase"] == "Pending"
