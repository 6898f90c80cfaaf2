"""When is a workload really there, and why is a pod not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runbooks_lib.errors import Unreachable
from runbooks_lib.release import rollout
from runbooks_lib.release.pods import trouble_of
from runbooks_lib.release.rollout import await_absence, await_rollout, progress_of
from runbooks_lib.results import Json


def workload(kind: str, status: Json, *, replicas: int | None = 2, generation: int = 3) -> Json:
    spec = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "api", "namespace": "csghub", "generation": generation},
        "spec": spec,
        "status": status,
    }


def scaled(seen: int, total: int, updated: int, available: int) -> Json:
    """The status of a Deployment or a StatefulSet; ready pods do not count, only available ones."""
    return {
        "observedGeneration": seen,
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": total,
        "availableReplicas": available,
    }


ROWS = [
    ("all updated and available", scaled(3, 2, 2, 2), True, "2 of 2 available, 2 updated"),
    ("spec not seen yet", scaled(2, 2, 2, 2), False, "its controller has not seen the newest spec yet"),
    ("an old pod is left", scaled(3, 3, 2, 2), False, "2 of 2 available, 2 updated, 1 old still there"),
    ("ready, not yet available", scaled(3, 2, 2, 0), False, "0 of 2 available, 2 updated"),
    ("one not updated", scaled(3, 2, 1, 2), False, "2 of 2 available, 1 updated, 1 old still there"),
    ("nothing there", {}, False, "its controller has not seen the newest spec yet"),
    ("scaled up, not all made", scaled(3, 1, 1, 1), False, "1 of 2 available, 1 updated"),
    ("no replicas yet", {"observedGeneration": 3}, False, "0 of 2 available, 0 updated"),
]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(("status", "done", "says"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_workload_is_rolled_out_when_all_replicas_are_updated_and_available(
    kind: str, status: Json, done: bool, says: str
) -> None:
    assert progress_of(workload(kind, status)) == (f"{kind} api", done, says)


@pytest.mark.parametrize(
    ("status", "done"),
    [
        (
            {
                "desiredNumberScheduled": 3,
                "currentNumberScheduled": 3,
                "updatedNumberScheduled": 3,
                "numberAvailable": 3,
            },
            True,
        ),
        (
            {
                "desiredNumberScheduled": 3,
                "currentNumberScheduled": 3,
                "updatedNumberScheduled": 2,
                "numberAvailable": 3,
            },
            False,
        ),
        (
            {"desiredNumberScheduled": 3, "currentNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3},
            False,
        ),
        (
            {
                "desiredNumberScheduled": 3,
                "currentNumberScheduled": 2,
                "updatedNumberScheduled": 2,
                "numberAvailable": 2,
            },
            False,
        ),
        ({"desiredNumberScheduled": 0, "currentNumberScheduled": 0}, True),
    ],
)
def test_a_daemon_set_counts_nodes(status: Json, done: bool) -> None:
    assert progress_of(workload("DaemonSet", status | {"observedGeneration": 3}, replicas=None)).done is done
    assert not progress_of(workload("DaemonSet", status | {"observedGeneration": 2}, replicas=None)).done


def test_without_a_number_of_replicas_one_is_wanted() -> None:
    assert progress_of(workload("Deployment", scaled(3, 1, 1, 1), replicas=None)).done


def test_of_no_replicas_all_are_there() -> None:
    assert progress_of(workload("Deployment", {"observedGeneration": 3}, replicas=0)).done
    assert not progress_of(workload("Deployment", scaled(3, 1, 0, 0), replicas=0)).done


# ---- why a pod does not get on


def state(name: str, **of: Any) -> Json:
    return {"name": name, "state": of}


def waiting(name: str, reason: str, message: str = "") -> Json:
    return state(name, waiting={"reason": reason} | ({"message": message} if message else {}))


DONE = {"terminated": {"exitCode": 0}}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no claim"}

PODS: list[tuple[str, Json, str]] = [
    ("healthy", {"containerStatuses": [state("api", running={})]}, ""),
    ("just made", {}, ""),
    ("being created", {"containerStatuses": [waiting("api", "ContainerCreating")]}, ""),
    (
        "no image",
        {"containerStatuses": [waiting("api", "ImagePullBackOff", "Back-off pulling")]},
        "api: ImagePullBackOff Back-off pulling",
    ),
    ("crash loop", {"containerStatuses": [waiting("api", "CrashLoopBackOff")]}, "api: CrashLoopBackOff"),
    (
        "second container",
        {"containerStatuses": [state("api", running={}), waiting("side", "CreateContainerConfigError", "no secret")]},
        "side: CreateContainerConfigError no secret",
    ),
    (
        "init container waits for somebody",
        {
            "initContainerStatuses": [
                state("first", **DONE),
                state("wait", running={}),
                waiting("last", "PodInitializing"),
            ],
            "containerStatuses": [waiting("api", "PodInitializing")],
        },
        "init container wait has not ended: what it waits for does not answer",
    ),
    (
        "init container is still being made",
        {
            "initContainerStatuses": [waiting("wait", "PodInitializing")],
            "containerStatuses": [waiting("api", "PodInitializing")],
        },
        "",
    ),
    (
        "init container crashes",
        {"initContainerStatuses": [waiting("wait", "CrashLoopBackOff")]},
        "wait: CrashLoopBackOff",
    ),
    (
        "init done, container crashes",
        {"initContainerStatuses": [state("wait", **DONE)], "containerStatuses": [waiting("api", "CrashLoopBackOff")]},
        "api: CrashLoopBackOff",
    ),
    ("not scheduled", {"conditions": [UNSCHEDULED]}, "not scheduled: 0/3 nodes: no claim"),
    (
        "not scheduled, no message",
        {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
        "not scheduled: Unschedulable",
    ),
    ("scheduled", {"conditions": [{"type": "PodScheduled", "status": "True"}]}, ""),
]


@pytest.mark.parametrize(("status", "trouble"), [row[1:] for row in PODS], ids=[row[0] for row in PODS])
def test_the_trouble_of_a_pod_is_one_clause(status: Json, trouble: str) -> None:
    assert trouble_of({"metadata": {"name": "p"}, "status": status}) == trouble


def test_a_sidecar_that_runs_for_ever_is_no_trouble() -> None:
    pod = {
        "metadata": {"name": "p"},
        "spec": {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "wait"}]},
        "status": {"initContainerStatuses": [state("proxy", running={}), state("wait", **DONE)]},
    }
    assert trouble_of(pod) == ""


# ---- waiting


def named(kind: str = "Deployment") -> Json:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "api"}}


def test_the_watch_ends_when_all_are_there_and_tells_each_step(world: Any) -> None:
    world.cluster.add(workload("Deployment", scaled(3, 2, 0, 0)), workload("StatefulSet", scaled(3, 2, 2, 2)))
    middle, end = (workload("Deployment", scaled(3, 2, 2, ready)) for ready in (1, 2))
    # The watch's objects don't say what they are.
    bare = {key: value for key, value in end.items() if key not in {"apiVersion", "kind"}}
    world.cluster.news["Deployment"] = [("MODIFIED", middle), ("MODIFIED", middle), ("MODIFIED", bare)]
    reached = await_rollout(world.boundaries, [named(), named("StatefulSet")], seconds=30)
    assert [(item.name, item.done) for item in reached] == [("Deployment api", True), ("StatefulSet api", True)]
    told = [event.data for event in world.told if event.data["workload"] == "Deployment api"]
    assert {event.kind for event in world.told} == {"change.progress"}
    assert [(data["done"], data["says"][:6]) for data in told] == [
        (False, "0 of 2"),
        (False, "1 of 2"),
        (True, "2 of 2"),
    ]


def test_what_is_late_is_told_with_where_it_stands(world: Any) -> None:
    world.cluster.add(workload("Deployment", scaled(3, 2, 2, 0)))
    late = await_rollout(world.boundaries, [named(), named("StatefulSet")], seconds=0.05)
    assert [(item.name, item.done, item.says) for item in late] == [
        ("Deployment api", False, "0 of 2 available, 2 updated"),
        ("StatefulSet api", False, "not there yet"),
    ]


NOT_FOUND = "Back-off pulling image: docker.io/x:1: not found"


@pytest.mark.parametrize(
    ("reason", "message", "old", "early"),
    [
        ("ImagePullBackOff", NOT_FOUND, [], True),
        ("ImagePullBackOff", NOT_FOUND, ["1"], False),
        ("ImagePullBackOff", "dial tcp: i/o timeout", [], False),
        ("InvalidImageName", "", [], True),
        ("ContainerCreating", "", [], False),
    ],
)
def test_the_watch_ends_before_its_time_where_a_new_pod_says_what_no_waiting_mends(
    world: Any, monkeypatch: pytest.MonkeyPatch, reason: str, message: str, old: list[str], early: bool
) -> None:
    monkeypatch.setattr(rollout, "_LOOK_SECONDS", 0.02)
    rows = [row | {"seconds": row["seconds"] / 100} for row in rollout._HOPELESS]
    monkeypatch.setattr(rollout, "_HOPELESS", rows)
    spec = {"selector": {"matchLabels": {"app": "api"}}}
    late = workload("Deployment", scaled(3, 1, 1, 0), replicas=1)
    metadata = {"name": "api-1", "namespace": "csghub", "uid": "1", "labels": {"app": "api"}}
    status = {"containerStatuses": [state("api", waiting={"reason": reason, "message": message})]}
    world.cluster.add(late, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})
    begun = time.monotonic()
    wanted = [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": spec}]
    (found,) = await_rollout(world.boundaries, wanted, seconds=1.5, old=frozenset(old))
    assert not found.done
    assert (time.monotonic() - begun < 1.4) == early


def test_a_deleted_workload_is_not_taken_for_news(world: Any) -> None:
    world.cluster.news["Deployment"] = [("DELETED", workload("Deployment", scaled(3, 2, 2, 2)))]
    assert not await_rollout(world.boundaries, [named()], seconds=0.05)[0].done


def test_a_workload_of_another_release_is_not_waited_for(world: Any) -> None:
    other = workload("Deployment", scaled(3, 2, 2, 2))
    other["metadata"]["name"] = "other"
    world.cluster.add(other)
    assert [item.name for item in await_rollout(world.boundaries, [named()], seconds=0.05)] == ["Deployment api"]


def test_nothing_to_wait_for_is_done_at_once(world: Any) -> None:
    assert await_rollout(world.boundaries, [], seconds=30) == []


@pytest.mark.parametrize("error", [Unreachable("The cluster does not answer."), KeyError("status")])
def test_a_watch_that_breaks_ends_the_waiting(world: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(world.cluster, "watch", broken)
    with pytest.raises(type(error)):
        await_rollout(world.boundaries, [named()], seconds=30)


def test_absence_names_what_is_still_there(world: Any) -> None:
    world.cluster.add(workload("Deployment", {}))
    assert await_absence(world.boundaries, [named(), named("StatefulSet")], seconds=0) == ["Deployment api"]
    world.cluster.objects.clear()
    assert await_absence(world.boundaries, [named()], seconds=0) == []
