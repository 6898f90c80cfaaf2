"""Real data services behind the pods: they keep data by claim, lock out who should be, and come back when they die."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from runs import Open

from runbooks_lib.cluster import Cluster
from runbooks_lib.release.rollout import trouble_of
from runbooks_lib.results import Json
from runbooks_lib.run import Run
from runbooks_lib.stages import install, uninstall, verify
from sandbox import lifecycle
from sandbox.services import unit

pytestmark = pytest.mark.xdist_group("services")


class Live:
    """One installed release, and the ways to its data."""

    def __init__(self, cluster: Cluster, target: dict[str, str]) -> None:
        self.cluster = cluster
        self.namespace, self.release = target["target.namespace"], target["target.release"]

    def pod(self, name: str) -> Json:
        found = self.cluster.get("v1", "Pod", f"{self.release}-{name}", self.namespace)
        assert found is not None
        return found

    def until(self, name: str, wanted: Callable[[Json], bool], seconds: float = 60) -> Json:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.cluster.get("v1", "Pod", f"{self.release}-{name}", self.namespace)
            if found is not None and wanted(found):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{name}: {self.cluster.get('v1', 'Pod', f'{self.release}-{name}', self.namespace)}")

    def gone(self, kind: str, name: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while self.cluster.get("v1", kind, name, self.namespace) is not None:
            assert time.monotonic() < deadline, f"{kind} {name} is still there"
            time.sleep(0.1)

    @contextmanager
    def postgresql(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        secret = self.cluster.get("v1", "Secret", f"{self.release}-postgresql", self.namespace)
        assert secret is not None
        known = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        with (
            self.cluster.forward(self.namespace, f"{self.release}-postgresql-0", 5432) as (host, port),
            psycopg.connect(
                host=host,
                port=port,
                user=known["POSTGRES_USER"],
                password=known["POSTGRES_PASSWORD"],
                dbname=database,
                autocommit=True,
            ) as connection,
        ):
            yield connection


def ready(pod: Json) -> bool:
    return all(status["ready"] for status in pod["status"].get("containerStatuses") or [{"ready": False}])


def change(run: Run, stage: Any) -> None:
    plan = stage.plan(run)
    run.approve(plan.digest)
    stage.apply(run, plan, run.approval(plan))


def pid_of(pod: Json, state: Any, container: str) -> int:
    known = unit.saved(state.services / "pods" / pod["metadata"]["uid"] / container)
    assert known is not None
    return known.started.pid


def test_data_outlives_an_uninstall_and_a_lost_secret_locks_it_in(
    opened: Open, cluster: Cluster, target: dict[str, str]
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
    secret = cluster.get("v1", "Secret", f"{live.release}-postgresql", live.namespace)
    assert secret is not None
    password = base64.b64decode(secret["data"]["POSTGRES_PASSWORD"]).decode()
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
    cluster.patch("apps/v1", "StatefulSet", f"{live.release}-postgresql", {"spec": {"replicas": 0}}, live.namespace)
    live.gone("Pod", f"{live.release}-postgresql-0")
    assert verify.look(opened("verify")).verdict == "fail"
    cluster.delete("v1", "PersistentVolumeClaim", claim, live.namespace)
    # It is protected for a moment more, and a pod that came meanwhile would take it over with its data.
    live.gone("PersistentVolumeClaim", claim)
    cluster.patch("apps/v1", "StatefulSet", f"{live.release}-postgresql", {"spec": {"replicas": 1}}, live.namespace)
    live.until("postgresql-0", ready)
    with live.postgresql() as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


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
