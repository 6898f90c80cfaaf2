"""One program that stands for one container: started, watched, started again, ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.errors import RunbookError
from sandbox.services.containers import Container, Launch
from sandbox.services.telling import write_lines
from sandbox.state import write_whole

#: What stands for the exit code of a program that ended while nobody watched it.
UNSEEN = 255
_GRACE_SECONDS = 5.0
#: Seconds before a program that ended is started again: the first time at once, as a kubelet does, which then
#: begins with 10 and goes up to 300.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)


class Unit:
    """A container's program.

    Its folder holds ``raw.log`` (what the program writes), ``0.log`` (the same as a container runtime keeps
    it), ``previous.log`` (of the start before) and ``unit.json`` (who it is, for a controller that comes later).
    """

    def __init__(self, folder: Path, container: Container, launch: Callable[[], Launch | None]) -> None:
        self.folder = folder
        self.container = container
        self._launch = launch
        self._begun = 0.0
        self._read = 0
        self._next = 0.0
        self.started: process.Started | None = None
        self.restarts = 0
        self.exit_code: int | None = None
        self.last_exit: int | None = None
        self.pause = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self._adopt()

    @property
    def log(self) -> Path:
        """The log in the runtime's format, which kwok serves."""
        return self.folder / "0.log"

    @property
    def running(self) -> bool:
        """Whether its program runs."""
        return self.started is not None and self.exit_code is None

    @property
    def age(self) -> float:
        """Seconds since its program was started."""
        return time.monotonic() - self._begun

    def start(self) -> bool:
        """Start the program, unless its pause after an end is not over; False when there is none for it."""
        if self.started is not None:
            if time.monotonic() < self._next:
                return True
            self.restarts, self.last_exit = self.restarts + 1, self.exit_code
            self._turn_log()
        try:
            launch = self._launch()
            if launch is None:
                return False
            self.started = process.start(launch.argv, log=self._raw, env=launch.env, cwd=launch.cwd)
        except (RunbookError, OSError) as error:
            self._write_line(str(error))
            self.started, self.exit_code = process.Started(0, 0.0), 128
            self._wait(_PAUSES[-1])
            return True
        self.exit_code, self._begun = None, time.monotonic()
        self._save()
        return True

    def look(self) -> None:
        """Take over what it has written, and see whether it has ended."""
        self._follow()
        if self.started is None or self.exit_code is not None:
            return
        code = _ended(self.started)
        if code is not None:
            self._follow()
            self.exit_code = code
            # A controller that comes later can't ask any more how it ended.
            self._save()
            # One that ran for a while is started at once again, as a kubelet has it.
            self._wait(_PAUSES[0 if self.age > 60 else min(self.restarts, len(_PAUSES) - 1)])

    def _wait(self, seconds: float) -> None:
        self.pause, self._next = seconds, time.monotonic() + seconds

    def stop(self) -> None:
        """End the program and await its end."""
        if self.started is not None and self.started.pid and self.exit_code is None:
            process.stop(self.started, grace=_GRACE_SECONDS)
            self._follow()
            self.exit_code = 143

    @property
    def _raw(self) -> Path:
        return self.folder / "raw.log"

    def _follow(self) -> None:
        """Append the new whole lines of the raw log in the runtime's format."""
        with suppress(FileNotFoundError), self._raw.open("rb") as raw:
            raw.seek(self._read)
            content = raw.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read += len(whole)
            if whole:
                write_lines(self.log, whole.decode("utf-8", "replace").splitlines())
        self.log.touch()

    def _turn_log(self) -> None:
        self._follow()
        self.log.replace(self.folder / "previous.log")
        self._raw.unlink(missing_ok=True)
        self._read = 0
        self.log.touch()

    def _write_line(self, text: str) -> None:
        with self._raw.open("a", encoding="utf-8") as raw:
            raw.write(" ".join(text.split()) + "\n")

    def _save(self) -> None:
        if self.started:
            known: dict[str, object] = {"pid": self.started.pid, "start_time": self.started.start_time}
            known |= {"ports": dict(self.container.ports), "restarts": self.restarts, "exit_code": self.exit_code}
            write_whole(self.folder / "unit.json", json.dumps(known))

    def _adopt(self) -> None:
        """Take over the program that an earlier controller started; one that has ended is started again."""
        known = saved(self.folder)
        if known:
            self.started, self.restarts, self.exit_code = known.started, known.restarts, known.exit_code
            self._read = self._raw.stat().st_size if self._raw.exists() else 0


@dataclass(frozen=True)
class Saved:
    """What a controller keeps about a unit for the one that comes after it."""

    started: process.Started
    ports: dict[int, int]
    restarts: int
    exit_code: int | None = None


def saved(folder: Path) -> Saved | None:
    """What an earlier controller kept about a unit."""
    try:
        known = json.loads((folder / "unit.json").read_text())
        ports = {int(port): int(local) for port, local in known["ports"].items()}
        begun = process.Started(known["pid"], known["start_time"])
        return Saved(begun, ports, known["restarts"], known["exit_code"])
    except (OSError, ValueError, KeyError):
        return None


def end_all(folder: Path) -> None:
    """End what a controller that is gone has left running, below its folder."""
    end_saved(*folder.glob("pods/*"))


def end_saved(*pods: Path) -> None:
    """End every program that is kept in the folders of some pods, whoever started it."""
    found = [known for pod in pods for file in pod.glob("*/unit.json") if (known := saved(file.parent))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda known: process.stop(known.started, grace=_GRACE_SECONDS), found))


def _ended(started: process.Started) -> int | None:
    """The exit code of a program that has ended, as a shell tells it; None while it runs."""
    try:
        pid, status = os.waitpid(started.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code
    except ChildProcessError:
        # Not ours: an earlier controller's.
        pass
    return None if started.alive else UNSEEN
