"""Which process it is, and whether it is gone: a pid alone says neither, since it is used again."""

import atexit
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_WHO = "who.json"


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
        # Floats that went through JSON may differ in a last digit.
        return runs(self.pid) and abs(_start_time(self.pid) - self.start_time) < 0.005


def identify(pid: int | None = None) -> Started:
    """The identity of a running process, by default of this one."""
    pid = os.getpid() if pid is None else pid
    return Started(pid, _start_time(pid))


def introduce() -> dict[str, str | int | float]:
    """Who this process is, for others to tell later whether it is gone (:func:`proved_gone`): plain data."""
    me = identify()
    return {"pid": me.pid, "start_time": me.start_time, **_place()}


def proved_gone(introduced: Mapping[str, object]) -> bool:
    """Whether a process that introduced itself has ended for sure.

    On another machine, or in another container of this one (which may share its host's name), nobody can tell. After
    a reboot of the same machine all are gone.
    """
    here = _place()
    told = {key: str(introduced.get(key, here[key])) for key in here}
    try:
        started = Started(int(str(introduced["pid"])), float(str(introduced["start_time"])))
    except (KeyError, ValueError):
        return False
    if (told["host"], told["machine"]) != (here["host"], here["machine"]):
        return False
    rebooted = bool(here["machine"]) and told["boot"] != here["boot"]
    return rebooted or (told == here and not started.alive)


def _place() -> dict[str, str]:
    """This machine, its boot, and the container whose processes can be seen; empty where the system does not say."""
    found = {"host": platform.node(), "machine": "", "boot": "", "pids": ""}
    with suppress(OSError):
        found["pids"] = str(Path("/proc/self/ns/pid").readlink())
    for key, path in (("machine", "/etc/machine-id"), ("boot", "/proc/sys/kernel/random/boot_id")):
        with suppress(OSError):
            # Digested, since machine-id(5) asks not to spread it.
            content = Path(path).read_bytes().strip()
            found[key] = hashlib.sha256(b"dataflow-runbooks:" + content).hexdigest()[:16] if content else ""
    return found


def private_folder(where: str | None = None) -> Path:
    """A folder that only this user can read, removed when this process ends; those of processes that are gone go, too.

    Args:
        where: The folder that it is made in; by default that for temporary files.
    """
    for left in Path(where or tempfile.gettempdir()).glob(f"rb-*/{_WHO}"):
        with suppress(OSError, ValueError):
            if proved_gone(json.loads(left.read_text(encoding="utf-8"))):
                shutil.rmtree(left.parent, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"rb-{os.getpid()}-", dir=where))
    (made / _WHO).write_text(json.dumps(introduce()), encoding="utf-8")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie, which may never be collected, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _start_time(pid: int) -> float:
    """When a process started, by a clock that nobody sets; 0 when it does not run.

    On Linux psutil adds the boot time to it, which jumps by a second whenever the clock is corrected: a
    daemon that was started before would then be taken for another process.
    """
    try:
        if sys.platform != "linux":
            return psutil.Process(pid).create_time()
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return 0.0
    # The second field is the program's name in brackets, which may hold anything; the 22nd is the start.
    return int(fields.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
