"""A backup put back: restored beside what is there, compared, and then given its name. What was there stays, aside."""

import json
from contextlib import suppress
from pathlib import Path

from runbooks_lib.errors import RunbookError
from runbooks_lib.probes import databases, rows
from runbooks_lib.probes.postgresql import Address
from runbooks_lib.process import run
from runbooks_lib.release.backup import whole
from runbooks_lib.release.backup.copies import Backup, Copy, back_up, environment, told
from runbooks_lib.release.backup.places import Kept
from runbooks_lib.release.backup.programs import Programs, programs
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.stores import Store, reached
from runbooks_lib.results import Event

#: Bytes of a manifest; more is none of ours.
_LARGEST = 64 * 1024 * 1024
#: Bytes of a database's name.
_LONGEST = 63


def read(folder: str) -> tuple[Kept, Backup]:
    """A backup and where it is; raises CheckFailed: It is none, or not as it was made."""
    place = Kept(folder)
    try:
        found = Backup.model_validate(json.loads(place.text(_LARGEST)))
    except (OSError, ValueError) as error:
        raise refused("no backup", folder=place.place, why=type(error).__name__) from error
    for copy in found.copies:
        place.require(copy.file, copy.digest)
    return place, found


def pairs(stores: list[Store], backup: Backup) -> list[tuple[Store, Copy]]:
    """Each copy with the database of its name and protocol that the release uses now; raises CheckFailed: There is none."""
    found = []
    for copy in backup.copies:
        meant = [store for store in stores if (store.protocol, store.access.database) == (copy.protocol, copy.database)]
        same = [store for store in meant if (store.access.host, store.access.port) == (copy.host, copy.port)]
        if not meant:
            raise refused("no place", database=copy.database or copy.protocol)
        found.append(((same or meant)[0], copy))
    return found


def restore(boundaries: Boundaries, place: Kept, wanted: list[tuple[Store, Copy]]) -> None:
    """Put copies back, each only when all of them are restored and equal to what was copied.

    Raises:
        CheckFailed: One does not restore, or is not equal; every database is as it was.
        ChangeFailed: Some were exchanged, and then one could not be.
    """
    mark = boundaries.note.removeprefix("run ")
    over = [(store, copy) for store, copy in wanted if store.protocol != "postgresql"]
    made: list[tuple[Store, str]] = []
    exchanged: list[str] = []

    def done(store: Store, aside: str) -> None:
        exchanged.append(store.access.database or store.protocol)
        boundaries.observe(Event(kind="backup.restored", data={"database": exchanged[-1], "aside": aside}))

    for store, copy in over:
        whole.seen(boundaries, store, copy.server)
    # What has no other name to be kept under is kept as a copy.
    kept = back_up(boundaries, [store for store, _ in over]).folder if over else ""
    try:
        for store, copy in (each for each in wanted if each not in over):
            made.append((store, _name(copy.database, "restored", mark)))
            _restored(boundaries, place, store, copy, made[-1][1])
        for store, name in made:
            aside = _name(store.access.database, "before", mark)
            with reached(boundaries, store) as address:
                databases.exchange(address, store.access, name, aside)
            done(store, aside)
        for store, copy in over:
            with place.fetched(copy.file, copy.digest) as file:
                whole.put_back(boundaries, store, file, copy.contents, kept)
            done(store, kept)
    except RunbookError as error:
        for store, name in made[len(exchanged) :]:
            with suppress(RunbookError), reached(boundaries, store) as address:
                databases.drop(address, store.access, name)
        if exchanged:
            raise refused("partly restored", done=", ".join(exchanged), why=error.summary) from error
        raise


def _restored(boundaries: Boundaries, place: Kept, store: Store, copy: Copy, name: str) -> None:
    settings, access = boundaries.parameters.backup, store.access
    with reached(boundaries, store) as address:
        server = rows.server(address, access, seconds=settings.seconds)
        used = programs(settings.programs, server.major)
        databases.make(address, access, name)
        with place.fetched(copy.file, copy.digest) as file:
            _fill(used, address, store, file, name, settings.seconds)
        there = access.model_copy(update={"database": name})
        with rows.snapshot(address, there, seconds=settings.seconds) as moment:
            rows.require_equal(copy.contents, moment.contents, copy.database)


def _fill(used: Programs, address: Address, store: Store, file: Path, name: str, seconds: float) -> None:
    argv = [str(used.folder / "pg_restore"), f"--host={address[0]}", f"--port={address[1]}"]
    argv += [f"--username={store.access.user or 'postgres'}", f"--dbname={name}", "--no-password"]
    argv += ["--exit-on-error", "--single-transaction", str(file)]
    told("pg_restore", store.access, run(argv, timeout=seconds, env=environment(store.access)))


def _name(database: str, word: str, mark: str) -> str:
    """A name beside a database's own, cut so that the run's number stays."""
    end = f"_{word}_{mark}"
    return database.encode()[: _LONGEST - len(end)].decode(errors="ignore") + end
