"""No file can grow any more (``RLIMIT_FSIZE``: what a full disk does to a writer) while a stage runs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from runbooks_lib import headless, records

FULL = "The record could not be written: "


def begun(stage: str, sandbox: Any, target: dict[str, str], where: Path) -> subprocess.Popen[str]:
    """The stage's command, in a process of its own, with the plan of this moment approved."""
    overrides = [f"{key}={value}" for key, value in target.items()]
    plan = headless.preview(stage, sandbox.parameters_file, overrides=overrides)
    words = ["run", stage, "-p", sandbox.parameters_file, "--approve", plan.digest, "--output-directory", str(where)]
    sets = [word for each in overrides for word in ("--set", each)]
    argv = [sys.executable, "-m", "runbooks_lib", *words, *sets]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def filled_when(kind: str, command: subprocess.Popen[str], where: Path) -> Path:
    """From this event on neither the command nor its kernel can make a file longer than the journal is."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for journal in where.glob("*/*/events.jsonl"):
            if any(event["kind"] == kind for event in records.read_events(journal.parent)):
                size = journal.stat().st_size
                for process in (psutil.Process(command.pid), *psutil.Process(command.pid).children()):
                    process.rlimit(psutil.RLIMIT_FSIZE, (size, size))
                return journal.parent
        time.sleep(0.005)
    pytest.fail(f"there was no {kind}: {command.communicate()}")


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="Only Linux limits another process.")
def test_a_change_is_not_begun_on_a_full_disk_and_one_under_way_is_told_to_its_end(
    sandbox: Any, target: dict[str, str], tmp_path: Path
) -> None:
    command = begun("install", sandbox, target, tmp_path / "install")
    folder = filled_when("change.started", command, tmp_path / "install")
    out, err = command.communicate(timeout=120)
    assert command.returncode == 8, (out, err)
    assert "The change was made: " in err
    assert "rolled out. " in err
    assert FULL in err
    assert "Next: " in err
    assert records.read_events(folder)[-1]["kind"] != "run.ended"

    command = begun("uninstall", sandbox, target, tmp_path / "uninstall")
    folder = filled_when("plan.made", command, tmp_path / "uninstall")
    out, err = command.communicate(timeout=120)
    assert command.returncode == 8, (out, err)
    assert FULL in err
    assert "The change was made" not in err
    assert "Nothing was changed." in err
    assert err.count("Free some space") == 1
    assert "change.started" not in {event["kind"] for event in records.read_events(folder)}
    assert "Traceback" not in out + err

    # There is room again: the next command closes both.
    verified = headless.run_stage(
        "verify", sandbox.parameters_file, overrides=target, output_directory=str(tmp_path / "install")
    )
    assert verified.exit_code == 0, verified.summary
    first = min(records.listing(tmp_path / "install"), key=lambda summary: summary.started)
    assert (first.stage, first.exit_code) == ("install", 6)
    assert first.summary.startswith("The journal stops in the middle: the run was killed, or could not write any more.")

    command = begun("uninstall", sandbox, target, tmp_path / "later")
    filled_when("change.ended", command, tmp_path / "later")
    out, err = command.communicate(timeout=120)
    assert command.returncode == 8, (out, err)
    assert "The change was made" in err
