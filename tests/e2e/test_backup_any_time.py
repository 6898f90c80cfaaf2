"""`runbooks backup` on a release with its Redis: proved copies, a record, and 07 that puts them back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from releases import Live, change
from runs import Open

from runbooks_lib import process
from runbooks_lib.cluster import Cluster
from runbooks_lib.process import Completed
from runbooks_lib.release.backup import Backup
from runbooks_lib.stages import install, recover

DATABASE = "csghub_dataflow"


@pytest.fixture
def live(cluster: Cluster, target: dict[str, str]) -> Live:
    return Live(cluster, target)


@pytest.fixture
def backup(sandbox: Any, target: dict[str, str], tmp_path: Path) -> Any:
    """The command, as a pipeline calls it."""

    def run(**sets: str) -> Completed:
        given = {**target, "backup.folder": str(tmp_path / "backups"), **sets}
        argv = ["backup", "-p", sandbox.parameters_file, "--output-directory", str(tmp_path), "--json"]
        argv += [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
        return process.run([sys.executable, "-m", "runbooks_lib", *argv], timeout=120)

    return run


def test_all_that_was_copied_comes_back_and_what_was_there_is_kept(
    opened: Open, live: Live, backup: Any, tmp_path: Path
) -> None:
    change(opened("install", chart__version="1.16.1", values__global__minReadySeconds=0), install)
    with live.postgresql(DATABASE) as connection:
        connection.execute("INSERT INTO job (job_name) VALUES ('one'), ('two')")
    with live.redis() as client:
        client.rpush("waiting", "first", "second")
    with live.mongodb() as documents:
        documents.jobs.log.insert_one({"_id": 1, "line": "kept"})

    refused = backup(**{"target.release": "nobody"})
    assert refused.returncode == 3, refused.stderr
    told = json.loads(refused.stdout)
    assert (told["stage"], told["outcome"]) == ("backup", "failed")
    assert "There is no release nobody" in told["summary"]
    assert "02_install" in told["next_step"]
    assert not [*tmp_path.glob("backups/*/*")]

    done = backup(**{"backup.mongodb": "beside"})
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["stage"], told["outcome"]) == ("backup", "done")
    assert (Path(told["folder"]) / "proof.json").exists(), "sealed as every other record"
    (manifest,) = tmp_path.glob("backups/*/*/backup.json")
    assert f"are in {manifest.parent}, and proved" in told["summary"]
    claims = [f"volume claim data-{live.release}-{name}-0" for name in ("dataflow", "label-studio")]
    assert told["summary"].endswith(f"Not copied: {', '.join(claims)}.")
    assert "what is written after 20" in told["summary"]
    assert json.loads((Path(told["folder"]) / "evidence/backup.json").read_text()) == json.loads(manifest.read_text())
    copies = {each.database or each.protocol: each for each in Backup.model_validate_json(manifest.read_text()).copies}
    assert set(copies) == {DATABASE, "csghub_label_studio", "redis", "mongodb"}
    assert {each.name: each.rows for each in copies["redis"].contents}["list keys of database 0"] >= 1
    assert all(each.proved[0].isdigit() for each in copies.values())
    # Who may read the folder reads all data.
    assert {path.stat().st_mode & 0o77 for path in manifest.parent.iterdir() if path != manifest} == {0}

    with live.postgresql(DATABASE) as connection:
        connection.execute("DELETE FROM job")
    with live.redis() as client:
        client.delete("waiting")
        client.set("later", "x")
    with live.mongodb() as documents:
        documents.jobs.log.replace_one({"_id": 1}, {"line": "other"})

    run = opened(
        "recover",
        chart__version="1.16.1",
        recover__restore=str(manifest.parent),
        backup__mongodb="beside",
        values__global__minReadySeconds=0,
    )
    run.require(recover.look(run))
    plan = recover.plan(run)
    assert any("redis: " in line and " kinds, " in line for line in plan.impact)
    run.approve(plan.digest)
    recover.apply(run, plan, run.approval(plan))
    run.require(recover.confirm(run, plan))
    with live.postgresql(DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM job").fetchone() == (2,)
    with live.redis() as client:
        assert client.lrange("waiting", 0, -1) == ["first", "second"]
        assert client.get("later") is None
    with live.mongodb() as documents:
        assert [*documents.jobs.log.find()] == [{"_id": 1, "line": "kept"}]
    (other,) = (each for each in tmp_path.glob("backups/*/*/backup.json") if each != manifest)
    kept = Backup.model_validate_json(other.read_text())
    assert {each.protocol for each in kept.copies} == {"redis", "mongodb"}


def test_what_is_to_be_left_out_is_told_and_not_copied(opened: Open, live: Live, backup: Any, tmp_path: Path) -> None:
    change(opened("install", chart__version="1.17.2", values__global__minReadySeconds=0), install)
    done = backup(**{"backup.leave_out": '["redis"]', "chart.version": "1.17.2"})
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)["summary"]
    assert f"Not copied: redis at {live.release}-redis:6379 (backup.leave_out), volume claim data-" in said
    (manifest,) = tmp_path.glob("backups/*/*/backup.json")
    assert {each.protocol for each in Backup.model_validate_json(manifest.read_text()).copies} == {"postgresql"}
