"""Commands that are stopped half-way, or run twice at once, as a person and a pipeline do it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox import lifecycle, state
from sandbox.toolchain import BUILD_VARIABLE, FOLDER_VARIABLE, Toolchain

PROJECT = Path(__file__).parents[2]
NAMES = ("stopped", "shared", "killed")


@pytest.fixture
def root(tmp_path: Path, tools: Toolchain) -> Iterator[Path]:
    yield tmp_path
    for name in NAMES:
        lifecycle.down(name, root=tmp_path, say=lambda _: None)


def command(root: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own, its lines read as they come."""
    return subprocess.Popen(
        [sys.executable, "-m", "runbooks_lib", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RUNBOOKS_HOME": str(root), **environment},
    )


def await_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"it ended without saying {text!r}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def running_in(root: Path) -> list[str]:
    """The command lines of processes that work in a folder below this one."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = " ".join(one.info["cmdline"] or [])
        if str(root) in words:
            found.append(words)
    return found


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["etcd started", "CRDs, storage class and nodes are there"])
def test_up_stopped_half_way_ends_what_it_started(root: Path, number: int, exit_code: int, moment: str) -> None:
    process = command(root, "sandbox", "up", "--name", "stopped")
    await_line(process, moment)
    process.send_signal(number)
    code, _, said = ended(process)
    assert code == exit_code
    assert "what had been started was ended" in said
    assert "Next: Run `runbooks sandbox up --name stopped`" in said
    assert running_in(root) == []
    assert not state.folder_of("stopped", root).exists()


def test_two_commands_at_once_share_one_sandbox(root: Path) -> None:
    both = [command(root, "sandbox", "up", "--name", "shared") for _ in range(2)]
    ends = [ended(process) for process in both]
    assert [code for code, _, _ in ends] == [0, 0]
    said = [out for _, out, _ in ends]
    assert sum("sandbox shared is ready" in out for out in said) == 1
    assert sum("The sandbox shared is already running" in out for out in said) == 1


def test_an_up_that_was_killed_leaves_nothing_that_down_does_not_find(root: Path) -> None:
    process = command(root, "sandbox", "up", "--name", "killed")
    await_line(process, "kube-scheduler started")
    process.kill()
    ended(process)
    assert running_in(root) != []
    code, said, _ = ended(command(root, "sandbox", "down", "--name", "killed"))
    assert (code, said.startswith("The sandbox killed is down after ")) == (0, True)
    assert running_in(root) == []


@pytest.mark.faults
@pytest.mark.parametrize(
    ("moment", "exit_codes", "too_late"),
    [
        ("etcd started", {130}, "[1/7]"),
        ("] prerequisites", {130}, "passed after"),
        ("approved by the rehearsal", {130}, "step: "),
        ("step: Install", {5, 6}, "done after"),
    ],
)
def test_a_stopped_rehearsal_stops_at_once_takes_its_sandbox_down_and_closes_its_records(
    root: Path, moment: str, exit_codes: set[int], too_late: str
) -> None:
    (root / "notebooks").symlink_to(PROJECT / "notebooks")
    process = command(root, "rehearse", "--name", "stopped")
    await_line(process, moment)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code in exit_codes
    assert too_late not in out
    assert ("The sandbox stopped is down" in out) == (moment != "etcd started")
    # Nothing is said of a sandbox that is gone.
    assert [line for line in (out + err).splitlines() if "no sandbox" in line or "03_verify" in line] == []
    assert running_in(root) == []
    assert not state.folder_of("stopped", root).exists()
    begun = {path.parent for path in (root / "records").rglob("events.jsonl")}
    assert begun == {path.parent for path in (root / "records").rglob("manifest.json")}


@pytest.mark.faults
def test_a_build_that_is_cut_off_leaves_no_compiler_and_nothing_half(root: Path) -> None:
    if BUILD_VARIABLE in os.environ or FOLDER_VARIABLE in os.environ:
        pytest.skip("Builds are not wanted here.")
    cache = root / "cache"
    process = command(root, "sandbox", "toolchain", XDG_CACHE_HOME=str(cache), GOCACHE=str(cache / "go"))
    await_line(process, "etcd: begun")
    process.send_signal(signal.SIGINT)
    code, _, said = ended(process)
    assert code == 130
    assert said.startswith("runbooks: Stopped")
    assert running_in(root) == []
    (built,) = cache.glob("dataflow-runbooks/toolchain/*/bin")
    assert list(built.iterdir()) == []
    assert [path.name for path in built.parent.glob("crds/*")] == ["gateway-api"]


@pytest.mark.parametrize("word", ["status", "reset", "kubeconfig"])
def test_a_sandbox_that_is_not_there_is_a_sentence(root: Path, word: str) -> None:
    code, _, said = ended(command(root, "sandbox", word, "--name", "none"))
    assert code == 2
    assert said == (
        "runbooks: There is no sandbox called none.\nNext: Start one with `runbooks sandbox up --name none`.\n"
    )


def test_status_of_a_sandbox_that_lost_a_part_exits_with_3(root: Path) -> None:
    made = lifecycle.up("shared", root=root, say=lambda _: None)
    psutil.Process(made.parts["kube-scheduler"].pid).kill()
    code, table, said = ended(command(root, "sandbox", "status", "--name", "shared"))
    assert code == 3
    assert "not running" in table
    assert said == (
        "runbooks: The sandbox shared is not well: kube-scheduler not running.\n"
        "Next: Run `runbooks sandbox up --name shared`.\n"
    )
