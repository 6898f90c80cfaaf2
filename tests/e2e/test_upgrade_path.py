"""The way from 1.16.1 to 2.2.1 with rows in the database, and two versions that are broken on purpose.

The hook's SQL is run for real: what it copies is there, what it empties is gone, and how it ends is how the upgrade ends.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from releases import Live, change
from runs import Open

from runbooks_lib import headless
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import ChangeFailed, CheckFailed
from runbooks_lib.release.backup import Backup, programs
from runbooks_lib.results import RunSummary
from runbooks_lib.stages import install, recover, uninstall, upgrade, verify

pytestmark = pytest.mark.xdist_group("upgrade-path")

DATABASE = "csghub_dataflow"
#: A pod counts as available as soon as it is ready: there are many steps here.
AT_ONCE: dict[str, Any] = {"values__global__minReadySeconds": 0}
ROWS = (
    "INSERT INTO job (job_name) VALUES ('one'), ('two'), ('three')",
    "INSERT INTO datasources (name) VALUES ('store')",
    "INSERT INTO collection_tasks (task_uid, datasource_id) SELECT 'task', max(id) FROM datasources",
)
FILLED = {"job": 3, "datasources": 1, "collection_tasks": 1}
EMPTIED = dict.fromkeys(FILLED, 0)
COPIES = [f"{table}_20260608" for table in FILLED]


class Database:
    """The application's database: rows in, and how many there are."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def fill(self, *more: str) -> None:
        with self._live.postgresql(DATABASE) as connection:
            for statement in (*ROWS, *more):
                connection.execute(statement.encode())

    def count(self, *tables: str) -> dict[str, int | None]:
        """Rows by table; None where there is no such table."""
        with self._live.postgresql(DATABASE) as connection:

            def rows(table: str) -> int | None:
                if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
                    return None
                (found,) = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
                return int(found[0])

            return {table: rows(table) for table in tables or FILLED}


@pytest.fixture
def live(cluster: Cluster, target: dict[str, str]) -> Live:
    return Live(cluster, target)


@pytest.fixture
def database(live: Live) -> Database:
    return Database(live)


def upgraded(opened: Open, version: str, **overrides: Any) -> None:
    """Upgraded, and looked at as 03 does."""
    run = opened("upgrade", chart__version=version, **AT_ONCE, **overrides)
    change(run, upgrade)
    assert not upgrade.confirm(run).with_status("fail", "unknown")


def lossy(folder: Path) -> str:
    """PostgreSQL's programs, of which pg_dump leaves out the rows of one table."""
    real = programs("", 16).folder
    folder.mkdir()
    for name in ("pg_restore", "initdb", "postgres"):
        (folder / name).symlink_to(real / name)
    (folder / "pg_dump").write_text(f'#!/bin/sh\nexec {real}/pg_dump "$@" --exclude-table-data=notes\n')
    (folder / "pg_dump").chmod(0o755)
    return str(folder)


def replicas(live: Live, *names: str) -> dict[str, int]:
    """How many pods each of these StatefulSets and Deployments is to have."""
    kinds = ("StatefulSet", "Deployment")
    found = (each for kind in kinds for each in live.cluster.list("apps/v1", kind, live.namespace))
    listed = {each["metadata"]["name"].removeprefix(f"{live.release}-"): each["spec"]["replicas"] for each in found}
    return {name: listed[name] for name in names}


def restored(opened: Open, version: str, folder: Path) -> None:
    """A backup put back, and looked at as 07 does."""
    run = opened("recover", chart__version=version, recover__restore=str(folder), **AT_ONCE)
    assert recover.look(run).verdict == "pass"
    plan = recover.plan(run)
    run.approve(plan.digest)
    recover.apply(run, plan, run.approval(plan))
    assert not recover.confirm(run, plan).with_status("fail", "unknown")


def foreseen(opened: Open, live: Live, version: str, **overrides: Any) -> list[str]:
    """What a plan says of an upgrade, but for images, days and what a hook always makes."""
    plan = upgrade.plan(opened("upgrade", chart__version=version, **AT_ONCE, **overrides))
    lines = (line.replace(live.release, "R") for line in plan.impact[1:])
    left_out = ("Image: ", "Hooks make these anew", "Accepted until")
    return [re.sub(r"made [-\d]+", "made D", line) for line in lines if not line.startswith(left_out)]


#: Where one StatefulSet's only pod is.
AWAY = "away until its new pod is ready"
AS_EVER = "new pods first, then the old ones go"
STAYS = "stays, with its data, and nothing uses it any more."
TO_1_17_2 = [
    "Removed: StatefulSet R-mongo, with its pods.",
    f"Restarted: Deployment R-celery-worker, {AS_EVER}.",
    "No longer in Deployment R-celery-worker: container wait-for-mongo.",
    f"Restarted: StatefulSet R-dataflow, {AWAY}.",
    "No longer in StatefulSet R-dataflow: container wait-for-mongo.",
    f"Restarted: StatefulSet R-label-studio, {AWAY}.",
    "No longer in ConfigMap R-dataflow: MONG_HOST_URL.",
    f"ORPHANED: volume claim data-R-mongo-0 (10Gi, made D) {STAYS}",
    "Gone: Service R-mongo; whoever calls it is refused.",
    "Rollback safe: unknown; applications may change their data when they start.",
]
TO_2_2_1 = [
    "REPLACED: StatefulSet R-dataflow goes, and Deployment R-dataflow takes its place; nobody answers in between.",
    "No longer in Deployment R-dataflow: container wait-for-redis.",
    "Removed: Deployment R-celery-worker, with its pods.",
    "Removed: StatefulSet R-redis, with its pods.",
    f"Restarted: StatefulSet R-label-studio, {AWAY}.",
    "No longer in ConfigMap R-dataflow: REDIS_HOST_URL.",
    f"ORPHANED: volume claim data-R-dataflow-0 (100Gi, made D) {STAYS}",
    f"ORPHANED: volume claim data-R-redis-0 (10Gi, made D) {STAYS}",
    "Volume claim R-dataflow is made, empty (50Gi, the default class).",
    "Gone: Service R-redis; whoever calls it is refused.",
    "DESTROYS DATA: Job R-dataflow-migrations, a hook (pre-upgrade) runs TRUNCATE … CASCADE on job, datasources, "
    "collection_tasks, data_format_tasks, operator_document, operator_permission (ConfigMap R-dataflow-migrations, "
    "20260608.sql, by its words: when and whether it does so was not understood).",
    "Rollback safe: no; what was destroyed does not come back.",
]
LOSE = (
    "Lose their rows in csghub_dataflow at R-postgresql:5432: public.collection_tasks, public.data_format_tasks, public.datasources, "
    "public.job, public.operator_document, public.operator_permission; taken along, since they refer to these: public.notes."
)


def names(live: Live, kind: str) -> set[str]:
    group = "v1" if kind == "PersistentVolumeClaim" else "apps/v1"
    found = (each["metadata"]["name"] for each in live.cluster.list(group, kind, live.namespace))
    return {name.replace(live.release, "R") for name in found}


def log_of_the_hook(live: Live) -> str:
    (pod,) = (
        pod["metadata"]["name"]
        for pod in live.cluster.list("v1", "Pod", live.namespace)
        if pod["metadata"]["name"].startswith(f"{live.release}-dataflow-migrations-")
    )
    return live.cluster.logs(live.namespace, pod, "migrations")


@pytest.fixture
def headlessly(sandbox: Any, target: dict[str, str], tmp_path: Path) -> Any:
    """A stage in a kernel of its own, as a pipeline runs it, with the approval of the plan that it would make."""

    def run(stage: str, **sets: Any) -> RunSummary:
        given = {**target, "backup.folder": str(tmp_path / "backups"), "values.global.minReadySeconds": 0, **sets}
        digest = headless.preview(stage, sandbox.parameters_file, overrides=given).digest
        where = {"approve": digest, "output_directory": str(tmp_path)}
        return headless.run_stage(stage, sandbox.parameters_file, overrides=given, **where)

    return run


def test_rows_live_until_2_2_1_which_copies_and_empties_them_once(
    opened: Open, live: Live, database: Database, headlessly: Any, tmp_path: Path
) -> None:
    change(opened("install", chart__version="1.16.1", **AT_ONCE), install)
    # What the operator's own people have added refers to what will be emptied.
    database.fill("CREATE TABLE notes (job bigint REFERENCES job)", "INSERT INTO notes SELECT id FROM job")
    assert foreseen(opened, live, "1.17.2") == TO_1_17_2
    told = [
        line.replace(live.release, "R")
        for line in upgrade.plan(opened("upgrade", chart__version="2.2.1", **AT_ONCE)).notes
    ]
    (way,) = (line for line in told if line.startswith("The way: "))
    assert way.startswith(
        "The way: 1.16.1 → 1.17.2 → 2.2.1. This plan takes it in one jump; begin with chart.version 1.17.2"
    )
    known = [line.partition(":")[0] for line in told if line.startswith("Known of ")]
    assert known == ["Known of 1.17.2", "Known of 2.2.1"]
    for version, lines in (("1.17.2", TO_1_17_2), ("2.2.1", TO_2_2_1)):
        hop = [
            re.sub(r"made [-\d]+", "made D", line.removeprefix(f"To {version}: "))
            for line in told
            if line.startswith(f"To {version}: ")
        ]
        assert hop == lines
    upgraded(opened, "1.17.2")
    assert database.count() == FILLED
    assert not {name for name in names(live, "StatefulSet") if "mongo" in name}
    assert "data-R-mongo-0" in names(live, "PersistentVolumeClaim")

    assert foreseen(opened, live, "2.2.1") == [*TO_2_2_1, LOSE]
    planned = upgrade.plan(opened("upgrade", chart__version="2.2.1", **AT_ONCE))
    assert "Now: table public.job of csghub_dataflow has 3 rows." in planned.notes
    assert "Now: table public.notes of csghub_dataflow has 3 rows." in planned.notes

    writers = ("dataflow", "celery-worker", "label-studio")
    failed = headlessly("upgrade", **{"chart.version": "2.2.1", "backup.programs": lossy(tmp_path / "lossy")})
    assert failed.exit_code == 3
    assert "public.notes had 3 rows, and 0 came out" in failed.summary
    assert "What was stopped for it is started again. Nothing was changed." in failed.summary
    assert replicas(live, *writers) == dict.fromkeys(writers, 1)
    assert not [*tmp_path.glob("backups/*/*")]
    assert database.count() == FILLED

    done = headlessly("upgrade", **{"chart.version": "2.2.1"})
    assert (done.exit_code, done.outcome) == (0, "done"), done.summary
    (manifest,) = tmp_path.glob("backups/*/*/backup.json")
    kept = {copy.database: copy for copy in Backup.model_validate_json(manifest.read_text()).copies}
    assert set(kept) == {"csghub_dataflow", "csghub_label_studio"}
    copied = {each.name: each.rows for each in kept["csghub_dataflow"].contents}
    assert {table: copied[f"public.{table}"] for table in FILLED} == FILLED
    assert database.count() == EMPTIED
    assert list(database.count(*COPIES).values()) == list(FILLED.values())
    assert names(live, "StatefulSet") == {"R-label-studio", "R-postgresql"}
    assert "R-dataflow" in names(live, "Deployment")
    assert {"R-dataflow", "data-R-dataflow-0"} <= names(live, "PersistentVolumeClaim")

    restored(opened, "2.2.1", manifest.parent)
    assert database.count(*FILLED, "notes") == {**FILLED, "notes": 3}
    # What was there is kept aside, and was emptied.
    with live.postgresql() as connection:
        found = [
            row[0] for row in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE '%_before_%'")
        ]
    assert sorted(name.partition("_before_")[0] for name in found) == ["csghub_dataflow", "csghub_label_studio"]
    aside = next(name for name in found if name.startswith("csghub_dataflow"))
    with live.postgresql(aside) as connection:
        assert connection.execute("SELECT count(*) FROM job").fetchone() == (0,)
    assert replicas(live, "dataflow", "label-studio") == {"dataflow": 1, "label-studio": 1}

    # The restored one knows of no migration: the next upgrade would empty it again, and says so.
    assert [line for line in foreseen(opened, live, "2.2.1", gateway__domain="other.example.com") if "DESTROYS" in line]
    upgraded(opened, "2.2.1", gateway__domain="other.example.com")
    assert database.count() == EMPTIED
    database.fill()
    upgraded(opened, "2.2.1", gateway__domain="another.example.com")
    assert database.count() == FILLED
    assert "20260608 was applied before" in log_of_the_hook(live)

    # The claim of the Deployment is the release's own: Helm takes it along.
    with pytest.raises(
        CheckFailed, match=rf"Helm removes them with it: PersistentVolumeClaim {live.release}-dataflow \(50Gi"
    ):
        uninstall.plan(opened("uninstall", chart__version="2.2.1", **AT_ONCE))
    run = opened("uninstall", uninstall__policy="remove-data", uninstall__confirm=live.release, **AT_ONCE)
    plan = uninstall.plan(run)
    going = {line.split()[3] for line in plan.impact if line.startswith("REMOVES DATA: PersistentVolumeClaim")}
    names_of = (
        "dataflow",
        *(f"data-{name}-0" for name in ("dataflow", "label-studio", "mongo", "postgresql", "redis")),
    )
    assert {name.replace(f"{live.release}-", "") for name in going} == set(names_of)
    run.approve(plan.digest)
    uninstall.apply(run, plan, run.approval(plan))
    run.require(uninstall.confirm(run, plan))
    assert names(live, "PersistentVolumeClaim") == set()


@pytest.mark.faults
def test_the_first_upgrade_after_a_fresh_install_of_2_2_1_empties_live_tables_even_where_it_fails(
    opened: Open, live: Live, database: Database, tmp_path: Path
) -> None:
    change(opened("install", chart__version="2.2.1", **AT_ONCE), install)
    assert database.count("_migrations") == {"_migrations": None}
    database.fill("INSERT INTO job_subtasks (job_id) SELECT id FROM job")

    with pytest.raises(ChangeFailed, match=f"job {live.release}-dataflow-migrations failed: BackoffLimitExceeded"):
        change(opened("upgrade", chart__version="2.2.2", **AT_ONCE), upgrade)
    # Told as it came, and kept besides.
    (heard,) = tmp_path.glob(f"**/evidence/hooks/{live.release}-dataflow-migrations-*.migrations.log")
    assert 'relation "no_such_table" does not exist' in heard.read_text()
    (told,) = tmp_path.glob(f"**/evidence/logs/{live.release}-dataflow-migrations-*.migrations.log")
    assert 'psql:/migrations/20260615.sql: ERROR:  relation "no_such_table" does not exist' in told.read_text()
    assert database.count() == EMPTIED
    # Nobody copied these: they only refer to what was emptied.
    assert database.count("job_subtasks", "job_subtasks_20260608") == {"job_subtasks": 0, "job_subtasks_20260608": None}

    with pytest.raises(ChangeFailed, match=r"ImagePullBackOff.*dataflow:v2\.2\.3: not found"):
        change(opened("upgrade", chart__version="2.2.3", policy__rollout_seconds=5, **AT_ONCE), upgrade)


@pytest.mark.faults
def test_an_upgrade_that_can_not_get_better_ends_early_and_is_rolled_back_where_the_policy_says_so_and_it_is_safe(
    opened: Open, live: Live
) -> None:
    careful = {"values__dataflow__migrations__enabled": False, "policy__on_failure": "rollback", **AT_ONCE}
    change(opened("install", chart__version="2.2.1", **careful), install)
    unsafe = upgrade.plan(opened("upgrade", chart__version="2.2.3", policy__on_failure="rollback", **AT_ONCE))
    assert (
        "If it fails once Helm has begun, it stays as it is, since a rollback would not be safe; evidence is saved first."
        in unsafe.impact
    )

    run = opened("upgrade", chart__version="2.2.3", policy__rollout_seconds=600, **careful)
    begun = time.monotonic()
    with pytest.raises(ChangeFailed, match=r"v2\.2\.3: not found.* It was rolled back to revision 1"):
        change(run, upgrade)
    assert time.monotonic() - begun < 200
    stored = run.boundaries.helm.status(live.release)
    assert stored is not None
    assert (stored.revision, stored.status) == (3, "deployed")
    there = opened("verify", chart__version="2.2.1", **careful)
    assert not verify.there(there).with_status("fail", "unknown")
