"""Other programs: the only importer of ``subprocess``.

``run`` is for a program that answers and ends, ``start`` for the sandbox's daemons, which outlive their command.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from runbooks_lib.errors import refused
from runbooks_lib.process.identity import Started, identify, runs
from runbooks_lib.process.passage import User

#: Seconds a program has to end after SIGTERM before it is killed. Helm needs under 0.1 s to mark its
#: release `failed`; a killed helm leaves it `pending-…`, so patience is cheap here.
GRACE_SECONDS = 10.0

#: Seconds that a pipe may stay silent once its group has ended: whoever holds it then has left the group.
SILENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Completed:
    """How a program ended.

    Attributes:
        returncode: As the operating system gives it; negative for a signal.
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


#: What boundaries call to run a program: :func:`run`, or in tests a fake of it.
Runner = Callable[..., Completed]


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    user: User | None = None,
) -> Completed:
    """Run a program to its end.

    Args:
        timeout: Seconds; then the whole process group gets SIGTERM, and SIGKILL after :data:`GRACE_SECONDS`.
        stdin: Text for its standard input; without it the input is empty, never the terminal.
        env: The whole environment; the caller's own when left out.
        on_line: Called with each line of standard error as it comes, from another thread.
        user: As whom it runs, where we are root; ourselves when left out.

    Raises:
        UsageError: The program does not exist or may not be run.

    An exception in the caller (Ctrl-C, a kernel's interrupt) also ends and awaits the group; a second one
    kills it. An error of ``on_line`` does not stop the program: it is raised when the program has ended.
    """
    started = time.monotonic()
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    out: list[str] = []
    err: list[str] = []
    failures: list[Exception] = []
    threads: list[threading.Thread] = []
    # In a thread: an interrupt reaches the main one only, so never falls between the fork and knowing the child.
    born: list[subprocess.Popen[Any]] = []
    apart = ThreadPoolExecutor(1)
    apart.submit(int).result()  # starts the thread, which an interrupt could make the executor forget

    def spawn() -> None:
        born.append(_spawn(argv, env, cwd, user, **pipes, encoding="utf-8", errors="replace"))

    try:
        apart.submit(spawn).result()
        (child,) = born
        for thread in _attendants(child, stdin or "", out, err, on_line, failures):
            threads.append(thread)
            thread.start()
        while threads[0].is_alive() and (left := started + timeout - time.monotonic()) > 0:
            # In slices: an interrupt that is no signal does not wake a thread that waits.
            threads[0].join(min(left, 0.5))
        timed_out = threads[0].is_alive()
    finally:
        apart.shutdown()
        try:
            for child in born:
                _end_group(child)
                if not threads:
                    child.communicate()  # closes its pipes, which nobody has read
        finally:
            for thread in threads:
                _await(thread, out, err)
    if failures:
        raise failures[0]
    return Completed(tuple(argv), child.returncode, "".join(out), "".join(err), time.monotonic() - started, timed_out)


def start(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: User | None = None,
) -> Started:
    """Start a daemon in a session of its own; its output is appended to ``log``. Raises as :func:`run` does."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        child = _spawn(argv, env, cwd, user, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
    # The daemon outlives this object: without this its __del__ would warn that it still runs.
    child.returncode = 0
    return identify(child.pid)


def stop(started: Started, *, grace: float = GRACE_SECONDS) -> None:
    """End a program that :func:`start` started, with SIGTERM and then SIGKILL, and await its end."""

    def ended() -> bool:
        # Looked at first: one that ended between the two would stay in the process table, and count as running there.
        alive = started.alive
        with suppress(ChildProcessError):  # a child is collected when it is ours to collect
            os.waitpid(started.pid, os.WNOHANG)
        return not alive

    _end(ended, partial(os.kill, started.pid), grace)


def end_left_over(variable: str, value: str) -> list[str]:
    """End what a killed run has left running: every process that was started with its environment; says which.

    A killed kernel can't end the helm it started, and helm has a session of its own: nobody else would. They
    are known by a variable that only this run was given; a program that was given another environment
    altogether is not found.
    """
    # An environment is None where it is another user's.
    asked = psutil.process_iter(["environ", "name"])
    left = [found for found in asked if (found.info["environ"] or {}).get(variable) == value]
    names = [f"{found.info['name']} ({found.pid})" for found in left]
    # Who read its pipes is gone. Without a reader it would die of its last words, before it has told the cluster.
    read = []
    for place in (f"/proc/{found.pid}/fd/{number}" for found in left for number in (1, 2)):
        with suppress(OSError):
            read.append(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for found in left:
            with suppress(psutil.NoSuchProcess):
                found.send_signal(number)
        _, left = psutil.wait_procs(left, timeout=GRACE_SECONDS)
    for handle in read:
        os.close(handle)
    return names


def _spawn(
    argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None, user: User | None, **how: Any
) -> subprocess.Popen[Any]:
    how |= {"user": user.uid, "group": user.gid, "extra_groups": ()} if user else {}
    try:
        return subprocess.Popen(list(argv), env=env, cwd=cwd, start_new_session=True, **how)
    except OSError as error:
        absent = "not at its path" if "/" in argv[0] else "no program"
        case = absent if isinstance(error, FileNotFoundError) else "can't run"
        case = "no folder" if cwd is not None and not cwd.is_dir() else case
        raise refused(case, program=argv[0], name=Path(argv[0]).name, cwd=cwd, error=error.strerror) from error


def _attendants(
    child: subprocess.Popen[Any], stdin: str, out: list[str], err: list[str], on_line: Any, failures: list[Exception]
) -> list[threading.Thread]:
    """Threads for a child's end and its pipes, not started yet; last the one whose observer may interrupt us.

    A full pipe would stop the program; with a time limit `Popen.wait` looks every 50 ms, as long as most helm calls take.
    """
    feed = partial(_feed, child.stdin, stdin)
    drains = partial(_drain, child.stdout, out, None, failures), partial(_drain, child.stderr, err, on_line, failures)
    return [threading.Thread(target=work, daemon=True) for work in (child.wait, feed, *drains)]


def _drain(pipe: Any, into: list[str], on_line: Callable[[str], None] | None, failures: list[Exception]) -> None:
    with pipe:
        for line in pipe:
            into.append(line)
            try:
                if on_line:
                    on_line(line.rstrip("\n"))
            except Exception as error:  # noqa: BLE001 - raised by run() when the program has ended
                failures.append(error)


def _feed(pipe: Any, text: str) -> None:
    # A program may end without reading its input; that is its business.
    with suppress(BrokenPipeError), pipe:
        pipe.write(text)


def _await(thread: threading.Thread, *read: list[str]) -> None:
    """Wait until a pipe is read to its end, or is silent because a daemon that left the group holds it."""
    while thread.is_alive():
        before = sum(map(len, read))
        thread.join(SILENCE_SECONDS)
        if sum(map(len, read)) == before:
            return


def _end_group(child: subprocess.Popen[Any]) -> None:
    """End what is left of the child's group and await the child.

    Also after a normal end: a grandchild that kept the pipe open would hold the drains for ever.
    """
    kill = partial(os.killpg, child.pid)
    try:
        _end(lambda: child.poll() is not None and not _group_alive(child.pid), kill, GRACE_SECONDS)
    except BaseException:
        # A second Ctrl-C: the person will not wait.
        with suppress(ProcessLookupError, PermissionError):
            kill(signal.SIGKILL)
        child.wait(GRACE_SECONDS)
        raise


def _end(ended: Callable[[], bool], kill: Callable[[int], None], grace: float) -> None:
    """SIGTERM, patience, SIGKILL, patience; as far as it is needed."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, GRACE_SECONDS)):
        if ended():
            return
        with suppress(ProcessLookupError, PermissionError):
            kill(number)
        deadline = time.monotonic() + patience
        while not ended() and time.monotonic() < deadline:
            time.sleep(0.01)


def _group_alive(group: int) -> bool:
    """Whether a group has a process that runs."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == group and runs(pid):
                return True
    return False
