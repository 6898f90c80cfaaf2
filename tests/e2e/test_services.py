"""Real data services behind the pods: they keep data by claim, lock out who should be, and come back when they die."""

from __future__ import annotations

import os
import secrets
import signal
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pymongo
import pytest
import redis
from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config
from kubernetes.stream import stream
from releases import Live, change, ready
from runs import Open

from runbooks_lib.cluster import Cluster, Conflict
from runbooks_lib.release.pods import trouble_of
from runbooks_lib.results import Json
from runbooks_lib.stages import install, uninstall, verify
from sandbox import lifecycle
from sandbox.services import unit

pytestmark = pytest.mark.xdist_group("services")


def pid_of(pod: Json, state: Any, container: str) -> int:
    known = unit.saved(state.services / "pods" / pod["metadata"]["uid"] / container)
    assert known is not None
    return known.started.pid


@pytest.mark.faults
def test_data_outlives_an_uninstall_and_a_lost_secret_locks_it_in(
    opened: Open, cluster: Cluster, target: dict[str, str], tmp_path: Path
) -> None:
    live = Live(cluster, target)
    change(opened("install"), install)
    with live.postgresql() as connection:
        names = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        assert {"csghub_dataflow", "csghub_label_studio"} <= names
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('still here')")
    with live.postgresql("csghub_dataflow") as connection:
        assert connection.execute("SELECT count(*) > 0 FROM operator_info").fetchone() == (True,)
    # The password is in the log of the application, as with the published one.
    password = live.secret("postgresql")["POSTGRES_PASSWORD"]
    assert password in cluster.logs(live.namespace, f"{live.release}-dataflow-0", "dataflow")

    change(opened("uninstall"), uninstall)
    change(opened("install"), install)
    with live.postgresql() as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("still here",)

    change(opened("uninstall"), uninstall)
    cluster.delete("v1", "Secret", f"{live.release}-postgresql", live.namespace)
    report = install.look(opened("install"))
    assert [finding.observed for finding in report.findings if finding.id == "claims.secrets"] == [
        f"claim data-{live.release}-postgresql-0 is there, Secret {live.release}-postgresql is not"
    ]
    with pytest.raises(Exception, match="Not rolled out") as caught:
        change(opened("install", policy__rollout_seconds=12), install)
    assert "wait-for-postgresql has not ended" in str(caught.value)
    (told,) = tmp_path.glob(f"**/evidence/logs/{live.release}-dataflow-0.wait-for-postgresql.log")
    assert "password authentication failed" in told.read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"), live.postgresql():
        pass


def test_a_database_that_is_killed_is_started_again_and_one_whose_claim_is_deleted_is_empty(
    opened: Open, cluster: Cluster, target: dict[str, str], sandbox: Any
) -> None:
    live, state = Live(cluster, target), lifecycle.load(sandbox.name)
    assert state is not None
    change(opened("install"), install)
    with live.postgresql() as connection:
        connection.execute("CREATE TABLE kept (word text)")
    before = live.pod("postgresql-0")
    os.kill(pid_of(before, state, "postgresql"), signal.SIGKILL)
    restarted = live.until(
        "postgresql-0", lambda pod: ready(pod) and pod["status"]["containerStatuses"][0]["restartCount"] == 1
    )
    assert restarted["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    with live.postgresql() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    assert "database system" in cluster.logs(
        live.namespace, f"{live.release}-postgresql-0", "postgresql", previous=True
    )

    claim = f"data-{live.release}-postgresql-0"
    # To none while it is ready and not yet available, its controller does nothing until somebody wakes it.
    live.until("postgresql", lambda found: found["status"].get("availableReplicas") == 1, kind="StatefulSet")
    live.scale("postgresql", 0)
    live.gone("Pod", f"{live.release}-postgresql-0")
    assert verify.look(opened("verify")).verdict == "fail"
    cluster.delete("v1", "PersistentVolumeClaim", claim, live.namespace)
    # It is protected for a moment more, and a pod that came meanwhile would take it over with its data.
    live.gone("PersistentVolumeClaim", claim)
    live.scale("postgresql", 1)
    live.until("postgresql-0", ready)
    with live.postgresql() as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


@pytest.mark.faults
def test_a_controller_that_is_killed_is_told_and_mended_and_takes_over_what_runs(
    opened: Open, cluster: Cluster, target: dict[str, str], sandbox: Any
) -> None:
    live, state = Live(cluster, target), lifecycle.load(sandbox.name)
    assert state is not None
    change(opened("install"), install)
    pod = live.pod("redis-0")
    pid = pid_of(pod, state, "redis")
    os.kill(state.parts["services"].pid, signal.SIGKILL)
    for _ in range(100):
        if lifecycle.status(sandbox.name).dead:
            break
        time.sleep(0.1)
    assert lifecycle.status(sandbox.name).dead == ("services",)
    lifecycle.up(sandbox.name, say=lambda _: None)
    assert lifecycle.status(sandbox.name).ready
    time.sleep(1)
    assert pid_of(live.pod("redis-0"), state, "redis") == pid
    os.kill(pid, signal.SIGKILL)
    live.until("redis-0", lambda pod: ready(pod) and pod["status"]["containerStatuses"][0]["restartCount"] == 1)
    cluster.delete("v1", "Pod", f"{live.release}-redis-0", live.namespace)
    again = live.until("redis-0", lambda found: found["metadata"]["uid"] != pod["metadata"]["uid"] and ready(found))
    assert trouble_of(again) == ""


def test_a_pod_of_several_databases_has_the_ports_logs_and_commands_of_each(
    cluster: Cluster, target: dict[str, str], sandbox: Any
) -> None:
    namespace, name = target["target.namespace"], "both"
    password, owners = secrets.token_urlsafe(12), ("MONGO_INITDB_ROOT", "POSTGRES")
    images = {"cache": ("redis:7.2.5", 6379), "documents": ("mongo:8.0.12", 27017), "rows": ("postgres:15.10", 5432)}
    given = [
        {"name": "MONGO_INITDB_ROOT_USERNAME", "value": "root"},
        {"name": "POSTGRES_USER", "value": "csghub"},
        *({"name": f"{owner}_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}} for owner in owners),
    ]
    containers = [
        {"name": each, "image": image, "ports": [{"containerPort": port}], "env": given}
        for each, (image, port) in images.items()
    ]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": password}}, namespace
    )
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    with suppress(Conflict):
        cluster.create(account, namespace)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}
    cluster.create(pod, namespace)
    for _, seen in cluster.watch("v1", "Pod", namespace, timeout=60):
        if ready(seen):
            break
    with cluster.forward(namespace, name, 6379) as (host, port), redis.Redis(host, port) as client:
        assert client.ping()
    mongo = "mongodb://root:{}@{}:{}/?directConnection=true"
    with (
        cluster.forward(namespace, name, 27017) as (host, port),
        pymongo.MongoClient(mongo.format(password, host, port)) as found,
    ):
        assert found.admin.command("ping")["ok"] == 1
    assert "Ready to accept connections" in cluster.logs(namespace, name, "cache")
    assert "Waiting for connections" in cluster.logs(namespace, name, "documents")
    commands = {each: ["sh", "-c", "echo $MONGO_INITDB_ROOT_USERNAME:$POSTGRES_PASSWORD"] for each in images}
    with closing(new_client_from_config(str(sandbox.kubeconfig), sandbox.context)) as client:

        def said(container: str, command: list[str]) -> str:
            run = CoreV1Api(client).connect_get_namespaced_pod_exec
            how = {"container": container, "command": command, "stdout": True, "stderr": True}
            shell = stream(run, name, namespace, **how, _preload_content=False)
            # The client leaves its socket open when the other side has closed first.
            with closing(shell.sock.sock):
                shell.run_forever(timeout=20)
                return str(shell.read_stdout())

        assert {each: said(each, command) for each, command in commands.items()} == dict.fromkeys(images, "root:\n")
        # Found and reached as in the container itself.
        assert said("cache", ["redis-cli", "ping"]) == "PONG\n"
        assert said("rows", ["psql", "-U", "csghub", "-Atc", "SELECT current_user", "postgres"]) == "csghub\n"

    def behind() -> dict[str, str]:
        rows = lifecycle.status(sandbox.name).programs
        return {row["container"]: row["state"] for row in rows if row["pod"] == f"{namespace}/{name}"}

    # Its table is written twice a second.
    deadline = time.monotonic() + 10
    while behind() != dict.fromkeys(images, "ready") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert behind() == dict.fromkeys(images, "ready")
    made = cluster.get("kwok.x-k8s.io/v1alpha1", "Exec", name, namespace)
    assert password not in str(made)
