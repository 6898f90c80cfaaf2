"""Starting, awaiting and ending the processes of a sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.errors import RunbookError
from sandbox.daemon import PORT_TAKEN
from sandbox.interruption import checkpoint
from sandbox.ports import free_port
from sandbox.state import Part, State

#: Seconds a part has to become ready; a laptop under load needs a multiple of the usual three.
READY_SECONDS = 60.0
#: How often another port is tried when the chosen one was taken in between.
_ATTEMPTS = 5
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05
_LAST_LINES = 5


class PartFailed(RunbookError):
    """A process of the sandbox ended, or does not answer."""


def ensure(
    state: State,
    name: str,
    argv_of: Callable[[State], list[str]],
    *,
    ports: Iterable[str] = (),
    ready: Callable[[], bool] = lambda: True,
    logs: Iterable[str] = (),
) -> bool:
    """Have a part running with this command line and answering; says whether it had to be started.

    A part with another command line (a port or the toolchain changed) is started anew; so is one that
    runs without answering. A port that was taken in between is replaced by another one.

    Args:
        argv_of: Gives the command line for the state's ports.
        ports: Which of the state's ports it binds.
        ready: Whether it answers.
        logs: Whose logs may tell of a taken port; its own is always looked at.

    Raises:
        PartFailed: It ended, or does not answer in time.
    """
    current = state.parts.get(name)
    if current and current.started.alive:
        if current.argv == argv_of(state) and _await(current, ready, _GRACE_SECONDS):
            return False
        process.stop(current.started, grace=_GRACE_SECONDS)
    files = [state.log(log) for log in (name, *logs)]
    for _ in range(_ATTEMPTS):
        taken = _watch_for_taken_port(files)
        part = _start(state, name, argv_of(state))
        answers = _await(part, ready, READY_SECONDS, unless=taken)
        if answers and not taken():
            return True
        if not taken():
            break
        process.stop(part.started, grace=_GRACE_SECONDS)
        for port in ports:
            state.ports[port] = free_port()
    raise failure(state, name)


def _start(state: State, name: str, argv: list[str]) -> Part:
    started = process.start(argv, log=state.log(name), cwd=state.folder)
    part = Part(started.pid, started.start_time, argv)
    state.parts[name] = part
    state.save()
    return part


def _await(
    part: Part, ready: Callable[[], bool], seconds: float, *, unless: Callable[[], bool] = lambda: False
) -> bool:
    return until(ready, seconds, unless=lambda: unless() or not part.started.alive)


def until(done: Callable[[], bool], seconds: float, *, unless: Callable[[], bool] = lambda: False) -> bool:
    """Wait for something; says whether it came before the time was up or ``unless`` became true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        checkpoint()
        if done():
            return True
        if unless():
            return False
        time.sleep(_POLL_SECONDS)
    return False


def _watch_for_taken_port(files: list[Path]) -> Callable[[], bool]:
    """A question to ask later: has anything that was logged since now told of a taken port?"""
    sizes = [file.stat().st_size if file.exists() else 0 for file in files]

    def taken() -> bool:
        for file, size in zip(files, sizes, strict=True):
            if file.exists():
                with file.open("rb") as log:
                    log.seek(size)
                    if PORT_TAKEN.encode() in log.read():
                        return True
        return False

    return taken


def failure(state: State, name: str) -> PartFailed:
    """What to tell about a part that ended or does not answer."""
    log = state.log(name)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    part = state.parts.get(name)
    alive = part is not None and part.started.alive
    what = f"runs but did not answer within {READY_SECONDS:.0f} s" if alive else "ended"
    tail = "\n".join(f"  {line[:300]}" for line in lines[-_LAST_LINES:])
    return PartFailed(
        f"The sandbox's {name} {what}.\n{tail}".rstrip(),
        next_step=f"Run `runbooks sandbox reset --name {state.name}`; if it stays so, look at the log.",
        evidence=str(log),
    )


def stop_all(state: State, names: Collection[str]) -> None:
    """End some parts at the same time, and kwok alone (the daemon starts it again) or with the daemon.

    Each is ended by pid and start time.
    """
    wanted = [state.parts[name].started for name in names if name in state.parts]
    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        list(pool.map(lambda started: process.stop(started, grace=_GRACE_SECONDS), wanted))
    # Only now: as long as the daemon lived it would have started kwok again.
    if {"daemon", "kwok"} & set(names) and (kwok := kwok_of(state)):
        process.stop(kwok, grace=_GRACE_SECONDS)
    for name in names:
        state.parts.pop(name, None)


def kwok_of(state: State) -> process.Started | None:
    """The kwok that the daemon last started."""
    try:
        found = json.loads((state.folder / "daemon.json").read_text())["kwok"]
        return process.Started(found["pid"], found["start_time"])
    except (OSError, ValueError, KeyError):
        return None
