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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import psutil

from runbooks_lib.errors import UsageError

#: Seconds a program has to end after SIGTERM before it is killed. Helm needs under 0.1 s to mark its
#: release `failed`; a killed helm leaves it `pending-…`, so patience is cheap here.
GRACE_SECONDS = 10.0

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Completed:
    """How a program ended.

    Attributes:
        returncode: As the operating system gives it; negative for a signal.
        seconds: Wall time.
        timed_out: It was ended by us because its time was up.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.returncode == 0 and not self.timed_out


class Runner(Protocol):
    """What boundaries call to run a program; tests hand in a fake of this."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: OnLine | None = None,
    ) -> Completed:
        """See :func:`run`."""
        ...


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

    An exception in the caller (Ctrl-C, a kernel's interrupt) also ends and awaits the group.
    """
    started = time.monotonic()
    child = _spawn(argv, env=env, cwd=cwd)
    out: list[str] = []
    err: list[str] = []
    drains = [
        _drain(child.stdout, out, None),
        _drain(child.stderr, err, on_line),
        _feed(child.stdin, stdin),
    ]
    timed_out = False
    try:
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
    finally:
        _end_group(child)
        for thread in drains:
            thread.join()
    seconds = time.monotonic() - started
    return Completed(tuple(argv), child.returncode, "".join(out), "".join(err), seconds, timed_out)


@dataclass(frozen=True)
class Started:
    """A program that runs on its own: its pid, and the time it started, since pids are used again."""

    pid: int
    start_time: float

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            found = psutil.Process(self.pid)
            return same_start(found.create_time(), self.start_time) and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


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
    with log.open("ab") as sink, _sentences(argv):
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


def identify(pid: int | None = None) -> Started:
    """The identity of a running process, by default of this one."""
    pid = os.getpid() if pid is None else pid
    try:
        return Started(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return Started(pid, 0.0)


def same_start(one: float, other: float) -> bool:
    """Whether two start times are the same moment: clocks of the same boot differ by less than 50 ms."""
    return abs(one - other) < 0.05


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
    with _sentences(argv):
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
def _sentences(argv: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(
            f"The program {argv[0]!r} was not found.",
            next_step=f"Install {Path(argv[0]).name} or put it on PATH, then try again.",
        ) from error
    except PermissionError as error:
        raise UsageError(
            f"The program {argv[0]!r} may not be run: {error.strerror}.",
            next_step="Look at its file mode, and whether its file system is mounted with noexec.",
        ) from error


def _drain(pipe: IO[str] | None, into: list[str], on_line: OnLine | None) -> threading.Thread:
    """Read a pipe to its end in a thread: a full pipe would stop the program."""

    def read() -> None:
        if pipe is None:
            return
        with pipe:
            for line in pipe:
                into.append(line)
                if on_line is not None:
                    on_line(line.rstrip("\n"))

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


def _end_group(child: subprocess.Popen[str]) -> None:
    """End what is left of the child's group: SIGTERM, patience, SIGKILL; the child itself is awaited.

    Also after a normal end: a grandchild that kept the pipe open would hold the drains for ever.
    """
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        if not _group_alive(child.pid) and child.poll() is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if child.poll() is not None and not _group_alive(child.pid):
                return
            time.sleep(0.01)


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
