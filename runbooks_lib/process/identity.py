"""Which process is meant: a pid alone is used again."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Started:
    """A program that runs on its own: its pid, and the time it started, since pids are used again.

    Attributes:
        start_time: Seconds since the machine's boot on Linux, since 1970 elsewhere; only good for comparing.
    """

    pid: int
    start_time: float

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            found = psutil.Process(self.pid)
            return same_start(_start_time(found), self.start_time) and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def identify(pid: int | None = None) -> Started:
    """The identity of a running process, by default of this one."""
    pid = os.getpid() if pid is None else pid
    try:
        return Started(pid, _start_time(psutil.Process(pid)))
    except psutil.NoSuchProcess:
        return Started(pid, 0.0)


def same_start(one: float, other: float) -> bool:
    """Whether two start times are the same moment; floats that went through JSON may differ in a last digit."""
    return abs(one - other) < 0.005


def _start_time(found: psutil.Process) -> float:
    """When a process started, by a clock that nobody sets.

    On Linux psutil adds the boot time to it, which jumps by a second whenever the clock is corrected: a
    daemon that was started before would then be taken for another process.
    """
    if sys.platform != "linux":
        return found.create_time()
    try:
        fields = Path(f"/proc/{found.pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(found.pid) from error
    # The second field is the program's name in brackets, which may hold anything; the 22nd is the start.
    return int(fields.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
