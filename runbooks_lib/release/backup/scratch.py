"""A PostgreSQL of our own for as long as a copy is proved: on a socket that nobody else can open, gone afterwards."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes import postgresql
from runbooks_lib.process import passage, run, start, stop
from runbooks_lib.release.backup.programs import Programs
from runbooks_lib.release.refusals import refused

#: Its user and its one database.
OWN = Access(user="postgres", database="postgres")
#: What is lost with it may be lost.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "listen_addresses": "", "jit": "off"}
_SECONDS = 120.0
#: What it says when it gives up; it says FATAL, too, to whoever asks while it starts.
_ENDED = re.compile(r"FATAL:(?! +the database system is starting up)")
#: What a server takes before it holds anything.
_EMPTY_SERVER = 64 * 1024 * 1024
#: Bytes of a folder in which a socket of PostgreSQL has room: its whole path may have 107.
_LONGEST = 85


def place(preferred: Path) -> Path:
    """The folder in which it works: the preferred one, unless we are root and its user can't get there."""
    return passage.open_folder(preferred)


def require_room(folder: Path, size: int) -> None:
    """Raise CheckFailed unless a database of so many bytes fits twice: as its copy, and in the server that proves it."""
    for each, needed in (folder, size), (place(folder), size + _EMPTY_SERVER):
        there = next(above for above in (each, *each.parents) if above.exists())
        free = shutil.disk_usage(there).free
        if free < needed:
            raise refused("no room", folder=each, free=f"{free >> 20} MiB", needed=f"{needed >> 20} MiB")


def environment(**more: str) -> dict[str, str]:
    """Ours, without what PostgreSQL's programs would read in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", **more}


@contextmanager
def server(programs: Programs, preferred: Path, encoding: str) -> Iterator[Path]:
    """Yield the folder of its socket; raises CheckFailed: It does not start."""
    user = passage.unprivileged()
    # A folder of links is where they lead.
    real = (programs.folder / "initdb").resolve().parent
    # Of a tree of programs only: nobody's home is copied because a program lies in it.
    own = passage.open_copy(real.parent) / "bin" if real.name == "bin" else real
    above = place(preferred)
    above.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=above))
    # A socket's path must fit its address; the folder for temporary files may be a kernel's own, which another user can't enter.
    sockets = folder if len(bytes(folder)) < _LONGEST else Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    data, log = folder / "data", folder / "log"
    how: dict[str, Any] = {"env": environment(), "user": user, "cwd": folder}
    try:
        if user:
            for each in (sockets, folder):
                os.chown(each, user.uid, user.gid)
        argv = [str(own / "initdb"), "-D", str(data), "--username=postgres", f"--encoding={encoding}"]
        made = run([*argv, "--locale=C", "--auth=trust", "--no-sync"], timeout=_SECONDS, **how)
        if not made.ok:
            raise refused("no scratch", why=last(made.stderr))
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        argv = [str(own / "postgres"), "-D", str(data), "-k", str(sockets), *settings]
        started = start(argv, log=log, **how)
        try:
            _await(sockets, log)
            yield sockets
        finally:
            stop(started)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _await(sockets: Path, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            postgresql.ask((str(sockets), None), OWN)
        except CheckFailed as error:
            if time.monotonic() > deadline or _ENDED.search(log.read_text(errors="replace")):
                raise refused("no scratch", why=last(log.read_text(errors="replace"))) from error
            time.sleep(0.1)
        else:
            return


def last(text: str) -> str:
    """The end of what a program has said, on one line."""
    return " ".join(text.split())[-300:] or "it says nothing"
