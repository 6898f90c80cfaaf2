"""Other programs are run to their end, and nothing of them is left. Everything here runs a real one."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from runbooks_lib import process
from runbooks_lib.errors import UsageError
from runbooks_lib.process import Started, identify, programs, run, start, stop

MEGABYTES = 10_000_000


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def ended(pid: int) -> bool:
    return not identify(pid).alive


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.3)


@pytest.mark.parametrize(
    ("script", "returncode", "ok"), [("exit 0", 0, True), ("exit 7", 7, False), ("kill -9 $$", -9, False)]
)
def test_the_way_a_program_ended_is_told(script: str, returncode: int, ok: bool) -> None:
    completed = run(shell(script), timeout=20)
    assert (completed.returncode, completed.ok, completed.timed_out) == (returncode, ok, False)


def test_both_outputs_are_kept_apart_as_text() -> None:
    completed = run(shell("echo Grüße; echo nein >&2; printf '\\377'"), timeout=20)
    assert (completed.stdout, completed.stderr) == ("Grüße\n�", "nein\n")


def test_ten_megabytes_on_both_pipes_do_not_stop_a_program() -> None:
    code = f"import sys; sys.stderr.write('e' * {MEGABYTES}); sys.stdout.write('o' * {MEGABYTES})"
    completed = run(python(code), timeout=60)
    assert completed.ok
    assert (len(completed.stdout), len(completed.stderr)) == (MEGABYTES, MEGABYTES)


def test_ten_megabytes_of_input_pass_while_output_flows() -> None:
    completed = run(["cat"], timeout=60, stdin="i" * MEGABYTES)
    assert len(completed.stdout) == MEGABYTES


def test_input_that_nobody_reads_is_no_error() -> None:
    assert run(["true"], timeout=20, stdin="i" * MEGABYTES).ok


def test_without_input_a_program_reads_an_empty_one_and_not_the_terminal() -> None:
    assert run(["cat"], timeout=20).stdout == ""


def test_environment_and_folder_are_those_given(tmp_path: Path) -> None:
    completed = run(["/bin/sh", "-c", "echo $WORD; pwd"], timeout=20, env={"WORD": "given"}, cwd=tmp_path)
    assert completed.stdout == f"given\n{tmp_path.resolve()}\n"


def test_when_the_time_is_up_a_program_is_asked_to_end_and_may_say_something() -> None:
    script = "trap 'echo asked; exit 3' TERM; while :; do sleep 0.02; done"
    completed = run(shell(script), timeout=0.5)
    assert (completed.timed_out, completed.ok, completed.stdout) == (True, False, "asked\n")
    assert completed.seconds < process.GRACE_SECONDS


def test_when_the_time_is_up_its_children_are_ended_too() -> None:
    completed = run(shell("sleep 60 & echo $!; wait"), timeout=0.5)
    assert completed.timed_out
    assert ended(int(completed.stdout))


@pytest.mark.usefixtures("little_patience")
def test_a_group_that_does_not_listen_is_killed() -> None:
    completed = run(shell("trap '' TERM; sleep 60 & echo $!; wait"), timeout=0.3)
    assert (completed.timed_out, completed.returncode) == (True, -9)
    assert ended(int(completed.stdout))


def test_a_child_left_behind_ends_with_its_program() -> None:
    completed = run(shell("sleep 60 & echo $!"), timeout=20)
    assert completed.ok
    assert completed.seconds < process.GRACE_SECONDS
    assert ended(int(completed.stdout))


def test_a_daemon_that_left_the_group_and_holds_the_pipes_is_not_waited_for() -> None:
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid(); print(os.getpid(), flush=True); time.sleep(60)\n"
        "os.wait3(os.WNOHANG)\ntime.sleep(0.5)"
    )
    completed = run(python(code), timeout=20)
    daemon = identify(int(completed.stdout))
    try:
        assert completed.ok
        assert completed.seconds < 0.5 + 10 * programs.SILENCE_SECONDS
        assert daemon.alive
    finally:
        stop(daemon)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_zombies_that_nobody_collects_do_not_delay_the_end() -> None:
    """As under a front end that adopts its kernel's orphans, or with a PID 1 that collects none."""
    code = (
        "import ctypes\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
        "from runbooks_lib import process\n"
        "print(process.run(['sh', '-c', 'sleep 60 &'], timeout=20).seconds)"
    )
    assert float(run(python(code), timeout=60).stdout) < process.GRACE_SECONDS / 2


def test_each_line_of_standard_error_is_told_as_it_comes(tmp_path: Path) -> None:
    gate = tmp_path / "told"
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        gate.touch()

    completed = run(
        shell(f"echo first >&2; while ! [ -e '{gate}' ]; do sleep 0.02; done; echo last >&2"),
        timeout=20,
        on_line=on_line,
    )
    assert completed.ok
    assert lines == ["first", "last"]


def test_an_observer_that_fails_is_told_of_only_after_the_program_has_ended(tmp_path: Path) -> None:
    done = tmp_path / "done"

    def on_line(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="one"):
        run(shell(f"echo one >&2; echo two >&2; touch '{done}'"), timeout=20, on_line=on_line)
    assert done.exists()


def test_an_interrupt_ends_the_whole_group() -> None:
    pids: list[int] = []

    def on_line(line: str) -> None:
        pids.extend(int(pid) for pid in line.split())
        _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        run(shell("sleep 60 & echo $$ $! >&2; wait"), timeout=60, on_line=on_line)
    assert len(pids) == 2
    assert all(ended(pid) for pid in pids)


def test_an_interrupt_before_the_caller_knows_its_child_ends_it_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Slow(programs.ThreadPoolExecutor):
        """Leaves its caller waiting inside of ``submit``, as a busy machine does."""

        def submit(self, *asked: Any, **more: Any) -> Any:
            made = super().submit(*asked, **more)
            if asked[0] is not int:
                while not (tmp_path / "pid").exists():
                    time.sleep(0.01)
                raise KeyboardInterrupt
            return made

    monkeypatch.setattr(programs, "ThreadPoolExecutor", Slow)
    with pytest.raises(KeyboardInterrupt):
        run(shell("echo $$ > new; mv new pid; exec sleep 60"), timeout=60, cwd=tmp_path)
    assert ended(int((tmp_path / "pid").read_text()))


def test_a_second_interrupt_kills_a_group_that_does_not_listen() -> None:
    pids: list[int] = []

    def on_line(line: str) -> None:
        pids.extend(int(pid) for pid in line.split())
        _thread.interrupt_main()

    script = "trap 'echo 0 >&2' TERM; echo $$ >&2; while :; do sleep 0.02; done"
    with pytest.raises(KeyboardInterrupt):
        run(shell(script), timeout=60, on_line=on_line)
    assert pids[1:] == [0]
    assert ended(pids[0])


@pytest.mark.parametrize("begin", ["run", "start"])
@pytest.mark.parametrize(
    ("broken", "sentence", "next_step"),
    [
        ("missing", "The program 'no-such-program' was not found.", "put it on PATH"),
        ("mode", "can't be run: Permission denied.", "its mode"),
        ("format", "can't be run: Exec format error.", "built for this machine"),
        ("folder", "its working folder", "is gone"),
    ],
)
def test_a_program_that_cannot_be_run_gets_a_sentence(
    tmp_path: Path, begin: str, broken: str, sentence: str, next_step: str
) -> None:
    script = tmp_path / "program"
    script.write_bytes(b"\x7fnot a program")
    script.chmod(0o755 if broken == "format" else 0o644)
    argv = {"missing": ["no-such-program"], "folder": ["true"]}.get(broken, [str(script)])
    cwd = tmp_path / "gone" if broken == "folder" else None
    calls: dict[str, Callable[[], object]] = {
        "run": lambda: run(argv, timeout=20, cwd=cwd),
        "start": lambda: start(argv, log=tmp_path / "log", cwd=cwd),
    }
    with pytest.raises(UsageError) as caught:
        calls[begin]()
    assert sentence in caught.value.summary
    assert next_step in caught.value.next_step


def test_a_daemon_has_a_session_and_a_log_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "daemon.log"
    for word in ("one", "two"):
        daemon = start(shell(f"echo {word}; echo {word} >&2; exec sleep 60"), log=log)
        assert daemon.alive
        assert os.getsid(daemon.pid) == daemon.pid
        while log.read_text().count(word) < 2:
            assert daemon.alive
        stop(daemon)
        assert not daemon.alive
    assert log.read_text().split() == ["one", "one", "two", "two"]


def test_a_daemon_outlives_the_command_that_started_it(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom runbooks_lib import process\n"
        f"s = process.start(['sleep', '60'], log=Path({str(tmp_path / 'log')!r}))\nprint(s.pid, s.start_time)"
    )
    said = subprocess.run(python(code), capture_output=True, text=True, timeout=60, check=True)
    pid, start_time = said.stdout.split()
    daemon = Started(int(pid), float(start_time))
    assert said.stderr == ""
    assert daemon.alive
    stop(daemon)
    assert not daemon.alive


def test_a_daemon_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = start(shell("trap '' TERM; echo ready; while :; do sleep 0.02; done"), log=log)
    while not log.read_text():
        assert daemon.alive
    stop(daemon, grace=0.2)
    assert not daemon.alive


def test_another_process_with_the_same_pid_is_not_ended() -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        stop(Started(other.pid, identify(other.pid).start_time - 1))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_program_that_ended_is_not_alive_even_while_nobody_collects_it() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not identify(child.pid).alive
    child.wait()
    assert not identify(child.pid).alive


def test_a_process_keeps_its_identity_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("the boot time is part of psutil's answer on Linux")
    before = identify()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 12345.0)
    assert before.alive
    assert identify() == before


def test_a_program_that_ends_while_it_is_looked_at_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = process.start(["sleep", "60"], log=tmp_path / "log")
    waited, collect = [], os.waitpid

    def wait(pid: int, options: int) -> tuple[int, int]:
        found = collect(pid, options)
        if not waited and found == (0, 0):
            # It ends in the very moment after it was found running.
            waited.append(pid)
            os.kill(pid, signal.SIGKILL)
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                pass
        return found

    monkeypatch.setattr(os, "waitpid", wait)
    process.stop(daemon)
    assert waited == [daemon.pid]
    assert not psutil.pid_exists(daemon.pid)
