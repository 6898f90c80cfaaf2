"""Other programs: the only importer of ``subprocess``.

``run`` is for a program that answers and ends; ``start`` is for the sandbox's daemons, which outlive the
command that starts them. Both take argument lists only: there is no shell to quote for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from runbooks_lib.errors import UsageError
from runbooks_lib.process.completed import Completed, OnLine, Runner
from runbooks_lib.process.identity import Started, identify, same_start

__all__ = ["Completed", "OnLine", "Runner", "Started", "identify", "run", "same_start", "start", "stop"]

#: Seconds a program has to end after SIGTERM before it is killed. Helm needs under 0.1 s to mark its
#: release `failed`; a killed helm leaves it `pending-…`, so patience is cheap here.
GRACE_SECONDS = 10.0

#: Seconds that a pipe may stay silent once its group has ended: whoever holds it then has left the group.
SILENCE_SECONDS = 1.0


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: OnLine | None = None,
) -> Completed:
    """Run a program to its end.

    Args:
        argv: The program and its arguments.
        timeout: Seconds; then the whole process group gets SIGTERM, and SIGKILL after :data:`GRACE_SECONDS`.
        stdin: Text for its standard input; without it the input is empty, never the terminal.
        env: The whole environment; the caller's own when left out.
        on_line: Called with each line of standard error as it comes, from another thread.

    Raises:
        UsageError: The program does not exist or may not be run.

    An exception in the caller (Ctrl-C, a kernel's interrupt) also ends and awaits the group; a second one
    kills it. An error of ``on_line`` does not stop the program: it is raised when the program has ended.
    """
    started = time.monotonic()
    child = _spawn(argv, env=env, cwd=cwd)
    out: list[str] = []
    err: list[str] = []
    failures: list[Exception] = []
    threads: list[tuple[threading.Thread, list[str]]] = []
    timed_out = False
    try:
        threads.append((_drain(child.stdout, out, None, failures), out))
        threads.append((_drain(child.stderr, err, on_line, failures), err))
        threads.append((_feed(child.stdin, stdin), []))
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        try:
            _end_group(child)
        finally:
            for thread, lines in threads:
                _await(thread, lines)
            _close(child, threads)
    if failures:
        raise failures[0]
    seconds = time.monotonic() - started
    return Completed(tuple(argv), child.returncode, "".join(out), "".join(err), seconds, timed_out)


def start(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
) -> Started:
    """Start a daemon in a session of its own; its output is appended to ``log``.

    Args:
        user: Run as this user (only root may ask for that).

    Raises:
        UsageError: The program does not exist or may not be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink, _sentences(argv, cwd):
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            user=user,
            start_new_session=True,
        )
    # The daemon outlives this object: without this its __del__ would warn that it still runs.
    child.returncode = 0
    return identify(child.pid)


def stop(started: Started, *, grace: float = GRACE_SECONDS) -> None:
    """End a program that :func:`start` started, with SIGTERM and then SIGKILL, and await its end."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, GRACE_SECONDS)):
        if _ended(started):
            return
        with suppress(ProcessLookupError):
            os.kill(started.pid, number)
        deadline = time.monotonic() + patience
        while not _ended(started) and time.monotonic() < deadline:
            time.sleep(0.02)


def _ended(started: Started) -> bool:
    _reap(started.pid)
    return not started.alive


def _reap(pid: int) -> None:
    """Collect a child that has ended, when it is ours to collect."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _spawn(argv: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None) -> subprocess.Popen[str]:
    with _sentences(argv, cwd):
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )


@contextmanager
def _sentences(argv: Sequence[str], cwd: Path | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise UsageError(
                f"{argv[0]!r} was not started: its working folder {cwd} does not exist.",
                next_step=f"Look why {cwd} is gone, then try again.",
            ) from error
        raise UsageError(
            f"The program {argv[0]!r} was not found.",
            next_step=f"Install {Path(argv[0]).name} or put it on PATH, then try again.",
        ) from error
    except OSError as error:
        raise UsageError(
            f"The program {argv[0]!r} can't be run: {error.strerror}.",
            next_step=f"Look at its mode, at noexec mounts, and whether it was built for this machine: file {argv[0]}",
        ) from error


def _drain(
    pipe: IO[str] | None, into: list[str], on_line: OnLine | None, failures: list[Exception]
) -> threading.Thread:
    """Read a pipe to its end in a thread: a full pipe would stop the program, whatever its reader does."""

    def read() -> None:
        if pipe is None:
            return
        with pipe:
            for line in pipe:
                into.append(line)
                if on_line is None:
                    continue
                try:
                    on_line(line.rstrip("\n"))
                except Exception as error:  # noqa: BLE001 - raised by run() when the program has ended
                    failures.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _feed(pipe: IO[str] | None, text: str | None) -> threading.Thread:
    def write() -> None:
        if pipe is None:
            return
        # A program may end without reading its input; that is its business.
        with suppress(BrokenPipeError), pipe:
            pipe.write(text or "")

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def _await(thread: threading.Thread, lines: list[str]) -> None:
    """Wait until a pipe is read to its end, or is silent because a daemon that left the group holds it."""
    while thread.is_alive():
        before = len(lines)
        thread.join(SILENCE_SECONDS)
        if len(lines) == before:
            return


def _close(child: subprocess.Popen[str], threads: list[tuple[threading.Thread, list[str]]]) -> None:
    """Close what no thread has closed, because an interrupt came before its thread was there."""
    if any(thread.is_alive() for thread, _ in threads):
        return
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _end_group(child: subprocess.Popen[str]) -> None:
    """End what is left of the child's group: SIGTERM, patience, SIGKILL; the child itself is awaited.

    Also after a normal end: a grandchild that kept the pipe open would hold the drains for ever.
    """
    try:
        for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
            if _group_ended(child):
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, number)
            deadline = time.monotonic() + patience
            while not _group_ended(child) and time.monotonic() < deadline:
                time.sleep(0.01)
    except BaseException:
        # A second Ctrl-C: the person will not wait.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(GRACE_SECONDS)
        raise


def _group_ended(child: subprocess.Popen[str]) -> bool:
    return child.poll() is not None and not _group_alive(child.pid)


def _group_alive(group: int) -> bool:
    """Whether a group has a process that runs; a zombie, which may never be collected, does not."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False
