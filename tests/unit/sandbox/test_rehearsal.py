"""What a rehearsal shows, and which name it takes."""

from __future__ import annotations

import json
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.results import RunSummary
from sandbox import rehearsal
from sandbox.state import folder_of


def summary(stage: str, exit_code: int = 0) -> RunSummary:
    return RunSummary(
        run_id="1",
        stage=stage,
        target="rehearsal",
        outcome="failed" if exit_code else "done",
        exit_code=exit_code,
        started="2026-11-22T12:00:00Z",
        seconds=1.25,
        folder=f"/records/rehearsal/x-{stage}-1",
    )


def test_seven_runs_from_prerequisites_to_an_empty_cluster() -> None:
    assert [act.stage for act in rehearsal.ACTS] == [
        "prerequisites",
        "install",
        "verify",
        "upgrade",
        "verify",
        "uninstall",
        "verify",
    ]
    assert rehearsal.ACTS[-1].overrides == {"verify.expect": "absent"}


def test_the_table_also_names_the_runs_that_were_not_reached() -> None:
    rows = rehearsal.rows((summary("prerequisites"), summary("install", 5)))
    assert [row["outcome"] for row in rows] == ["done", "failed"] + ["not run"] * 5
    assert rows[1]["record"] == "x-install-1"


def test_the_last_lines_count_what_passed_and_name_the_records() -> None:
    lines = rehearsal.closing((summary("prerequisites"), summary("install", 5)), 0.0)
    assert lines[0].startswith("1 of 7 runs passed in ")
    assert lines[1:] == ["Records: /records/rehearsal"]


def test_a_name_in_use_is_left_to_its_user(tmp_path: Path) -> None:
    assert rehearsal._claim("rehearsal", tmp_path) == "rehearsal"
    assert rehearsal._claim("rehearsal", tmp_path) == "rehearsal-2"


def test_what_a_killed_rehearsal_left_is_cleared_away(tmp_path: Path) -> None:
    folder = folder_of("rehearsal", tmp_path)
    folder.mkdir(parents=True)
    me = process.identify()
    dead = {"pid": me.pid, "start_time": me.start_time - 60}
    (folder / "owner.json").write_text(json.dumps(dead))
    (folder / "rubbish").touch()
    assert rehearsal._claim("rehearsal", tmp_path) == "rehearsal"
    assert not (folder / "rubbish").exists()


def test_a_sandbox_that_was_kept_is_nobodys_to_clear_away(tmp_path: Path) -> None:
    folder_of("rehearsal", tmp_path).mkdir(parents=True)
    assert rehearsal._claim("rehearsal", tmp_path) == "rehearsal-2"
