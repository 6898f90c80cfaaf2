"""What a pod needs before it runs: its volumes, its variables, the hosts that it waits for; as a kubelet has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from pod_states import PLAIN, annotations, becomes, new_space, shown, tell, until
from releases import ready

from runbooks_lib.cluster import Cluster
from runbooks_lib.release.pods import trouble_of
from runbooks_lib.results import Json
from sandbox import lifecycle
from sandbox.nodes import PREFIX
from sandbox.services import unit

pytestmark = pytest.mark.xdist_group("services")

Make = Callable[..., None]
BOTH = pytest.mark.parametrize("image", [PLAIN, "q/redis:7"], ids=["unknown", "redis"])


@pytest.fixture
def space(cluster: Cluster, target: dict[str, str]) -> str:
    return new_space(cluster, target["target.namespace"])


@pytest.fixture
def make(cluster: Cluster, space: str) -> Make:
    """Makes the pod ``one`` with a container ``main``."""

    def made(image: str, *, inits: tuple[Json, ...] = (), volumes: tuple[Json, ...] = (), **container: Any) -> None:
        notes, policy = container.pop("notes", {}), container.pop("policy", "Always")
        spec = {"containers": [{"name": "main", "image": image, **container}], "initContainers": list(inits)}
        spec |= {"volumes": list(volumes), "restartPolicy": policy, "terminationGracePeriodSeconds": 1}
        metadata = {"name": "one", "annotations": annotations(**notes)}
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, space)

    return made


def store(cluster: Cluster, space: str, kind: str, **data: str) -> None:
    key = "stringData" if kind == "Secret" else "data"
    cluster.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": "late"}, key: data}, space)


def told(cluster: Cluster, space: str) -> set[str]:
    """The events of pods, each as its reason and message."""
    return {f"{event['reason']} {event['message']}" for event in cluster.list("v1", "Event", space)}


def trouble(cluster: Cluster, space: str) -> str:
    return trouble_of(cluster.get("v1", "Pod", "one", space) or {})


def from_secret(name: str = "late") -> Json:
    return {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "word"}}}


@BOTH
@pytest.mark.parametrize(
    ("volume", "kind"),
    [
        ({"secret": {"secretName": "late"}}, "Secret"),
        ({"configMap": {"name": "late"}}, "ConfigMap"),
        ({"projected": {"sources": [{"secret": {"name": "late"}}]}}, "Secret"),
    ],
    ids=["secret", "config", "projected"],
)
def test_a_volume_that_is_not_there_holds_its_pod_up_until_it_is(
    cluster: Cluster, space: str, make: Make, image: str, volume: Json, kind: str
) -> None:
    make(image, volumes=({"name": "v", **volume},), volumeMounts=[{"name": "v", "mountPath": "/v"}])
    becomes(cluster, space, "0/1 ContainerCreating 0")
    why = f'FailedMount MountVolume.SetUp failed for volume "v" : {kind.lower()} "late" not found'
    assert until(lambda: why in told(cluster, space))
    store(cluster, space, kind, word="x")
    becomes(cluster, space, "1/1 Running 0")


@BOTH
def test_a_variable_from_a_secret_that_is_not_there(cluster: Cluster, space: str, make: Make, image: str) -> None:
    make(image, env=[from_secret()])
    pod = becomes(cluster, space, "0/1 CreateContainerConfigError 0")
    assert pod["status"]["phase"] == "Pending"
    assert trouble_of(pod) == 'main: CreateContainerConfigError secret "late" not found'
    assert until(lambda: 'Failed Error: secret "late" not found' in told(cluster, space))
    store(cluster, space, "Secret", word="x")
    becomes(cluster, space, "1/1 Running 0")


def test_an_init_container_with_such_a_variable(cluster: Cluster, space: str, make: Make) -> None:
    make(PLAIN, inits=({"name": "before", "image": "busybox"}, {"name": "wait", "image": "b", "env": [from_secret()]}))
    assert until(lambda: trouble(cluster, space) == 'wait: CreateContainerConfigError secret "late" not found')
    assert shown(cluster.get("v1", "Pod", "one", space)) == "0/1 Init:1/2 0"
    store(cluster, space, "Secret", word="x")
    becomes(cluster, space, "1/1 Running 0")


def test_an_init_container_of_any_pod_waits_and_its_log_says_why(cluster: Cluster, space: str, make: Make) -> None:
    line = "until redis-cli -h $WHO ping | grep -q PONG; do sleep 1; done"
    env = [{"name": "WHO", "value": "nothere.invalid"}]
    make(PLAIN, inits=({"name": "wait", "image": "busybox", "command": ["sh", "-c", line], "env": env},))
    becomes(cluster, space, "0/1 Init:0/1 0")
    assert until(lambda: cluster.logs(space, "one", "wait").startswith("nothere.invalid:6379: "))
    assert cluster.logs(space, "one", "main") == ""


def test_a_service_whose_pods_have_no_program_is_not_waited_for_once_they_are_ready(
    cluster: Cluster, space: str, make: Make
) -> None:
    make(PLAIN, inits=({"name": "wait", "image": "busybox", "command": ["nc", "-z", "queue", "9092"]},))
    becomes(cluster, space, "0/1 Init:0/1 0")
    spec = {"selector": {"app": "queue"}, "ports": [{"port": 9092}]}
    cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "queue"}, "spec": spec}, space)
    assert until(lambda: "queue:9092: " in cluster.logs(space, "one", "wait"))
    queue = {"containers": [{"name": "main", "image": "team/kafka:3"}]}
    metadata = {"name": "queue", "labels": {"app": "queue"}}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": queue}, space)
    becomes(cluster, space, "1/1 Running 0")


def test_what_a_job_without_a_program_would_have_made_is_not_waited_for_and_told(
    cluster: Cluster, space: str, make: Make, sandbox: Any
) -> None:
    make(PLAIN, volumes=({"name": "v", "secret": {"secretName": "late"}},), env=[from_secret()])
    becomes(cluster, space, "0/1 ContainerCreating 0")
    job = {"restartPolicy": "Never", "containers": [{"name": "certgen", "image": PLAIN}]}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "job"}, "spec": job}, space)
    becomes(cluster, space, "1/1 Running 0")
    assert until(lambda: {f"{space}/one main", f"{space}/job certgen"} <= set(lifecycle.status(sandbox.name).unknown))


def test_postgresql_takes_its_password_from_a_mounted_secret(cluster: Cluster, space: str, make: Make) -> None:
    store(cluster, space, "Secret", pg="kept apart")
    make(
        "team/postgres:16",
        env=[{"name": "POSTGRES_USER", "value": "diver"}, {"name": "POSTGRES_PASSWORD_FILE", "value": "/run/keys/pg"}],
        ports=[{"containerPort": 5432}],
        volumes=({"name": "k", "secret": {"secretName": "late"}},),
        volumeMounts=[{"name": "k", "mountPath": "/run/keys", "readOnly": True}],
    )
    becomes(cluster, space, "1/1 Running 0", seconds=60)
    with (
        cluster.forward(space, "one", 5432) as (host, port),
        psycopg.connect(host=host, port=port, user="diver", password="kept apart", gssencmode="disable") as found,
    ):
        assert found.execute("SELECT current_user").fetchone() == ("diver",)


def test_redis_reads_its_mounted_file(cluster: Cluster, space: str, make: Make) -> None:
    store(cluster, space, "ConfigMap", **{"redis.conf": "# ours\nrequirepass 'a b'\nmaxmemory 50mb\n"})
    make(
        "team/redis:7",
        command=["redis-server", "/etc/redis/redis.conf"],
        ports=[{"containerPort": 6379}],
        volumes=({"name": "c", "configMap": {"name": "late"}},),
        volumeMounts=[{"name": "c", "mountPath": "/etc/redis"}],
    )
    becomes(cluster, space, "1/1 Running 0")
    with cluster.forward(space, "one", 6379) as (host, port):
        with redis.Redis(host, port) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with redis.Redis(host, port, password="a b") as client:
            assert client.info()["maxmemory"] == 50 * 2**20


def test_the_first_end_is_followed_by_a_start_at_once_and_the_next_by_a_pause(
    cluster: Cluster, space: str, make: Make, sandbox: Any
) -> None:
    make("q/redis:7")
    uid = becomes(cluster, space, "1/1 Running 0")["metadata"]["uid"]
    state = lifecycle.load(sandbox.name)
    assert state is not None
    folder = state.services / "pods" / uid / "main"
    seen = set()
    for restarts in (1, 2):
        known = unit.saved(folder)
        assert known is not None
        os.kill(known.started.pid, signal.SIGKILL)

        def again(wanted: int = restarts) -> bool:
            pod = cluster.get("v1", "Pod", "one", space) or {}
            seen.add(trouble_of(pod))
            return ready(pod) and bool(pod["status"]["containerStatuses"][0]["restartCount"] == wanted)

        assert until(again)
        if restarts == 1:
            assert seen == {""}
    assert seen == {"", f"main: CrashLoopBackOff back-off 1s restarting failed container=main pod=one_{space}({uid})"}


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ({"slow_start": "abc"}, "slow-start: 'abc' is no number of seconds"),
        ({"fault": "typo"}, "fault: 'typo' is no fault of a pod; there are "),
    ],
)
def test_an_annotation_that_cannot_be_done_is_named(
    cluster: Cluster, space: str, make: Make, note: dict[str, str], why: str
) -> None:
    make("q/redis:7", notes=note)
    wanted = f"main: CreateContainerConfigError annotation {PREFIX}{why}"
    assert until(lambda: trouble(cluster, space).startswith(wanted))
    tell(cluster, space, **dict.fromkeys(note))
    becomes(cluster, space, "1/1 Running 0")


def test_an_image_that_cannot_be_pulled_has_the_events_of_a_kubelet(cluster: Cluster, space: str, make: Make) -> None:
    make(PLAIN, notes={"fault": "image-not-found"})
    wanted = {f'Pulling Pulling image "{PLAIN}"', f'BackOff Back-off pulling image "{PLAIN}"'}
    wanted |= {"Failed Error: ErrImagePull", "Failed Error: ImagePullBackOff"}
    assert until(lambda: wanted <= told(cluster, space))
    failed = f'Failed Failed to pull image "{PLAIN}": rpc error: code = NotFound'
    assert [each for each in told(cluster, space) if each.startswith(failed)]


@pytest.mark.parametrize(
    ("image", "command", "code"),
    [(PLAIN, [], None), ("q/postgres:16", ["psql", "--version-of-nothing"], 1)],
    ids=["unknown", "psql"],
)
def test_how_a_job_ended_is_told_also_by_a_later_controller(
    cluster: Cluster, space: str, make: Make, sandbox: Any, image: str, command: list[str], code: int | None
) -> None:
    make(image, command=command, policy="Never")
    becomes(cluster, space, "0/1 Completed 0" if code is None else "0/1 Error 0")

    def as_wanted() -> bool:
        found = lifecycle.status(sandbox.name)
        rows = [row["state"] for row in found.programs if row["pod"] == f"{space}/one"]
        return rows == ([] if code is None else [f"ended with {code}"]) and (f"{space}/one main" in found.unknown) == (
            code is None
        )

    assert until(as_wanted)
    state = lifecycle.load(sandbox.name)
    assert state is not None
    os.kill(state.parts["services"].pid, signal.SIGKILL)
    assert until(lambda: not state.parts["services"].started.alive)
    lifecycle.up(sandbox.name, say=lambda _: None)
    assert until(as_wanted)


@pytest.mark.parametrize(
    ("probe", "state"),
    [
        ({"readinessProbe": {"tcpSocket": {"port": "door"}}}, "1/1 Running 0"),
        ({"readinessProbe": {"tcpSocket": {"port": 6380}}}, "0/1 Running 0"),
        ({"livenessProbe": {"httpGet": {"port": 8080, "path": "/"}}}, "0/1 Running 0"),
        ({"readinessProbe": {"exec": {"command": ["redis-cli", "ping"]}}}, "1/1 Running 0"),
    ],
)
def test_a_probe_of_a_port_where_nobody_listens_keeps_a_pod_from_being_ready(
    cluster: Cluster, space: str, make: Make, probe: Json, state: str
) -> None:
    make("q/redis:7", ports=[{"containerPort": 6379, "name": "door"}], **probe)
    becomes(cluster, space, state)
    unhealthy = [line for line in told(cluster, space) if line.startswith("Unhealthy ")]
    assert bool(unhealthy) == state.startswith("0/1")
    if unhealthy:
        assert "probe failed: dial tcp :" in unhealthy[0]
        assert trouble(cluster, space) == ""
