"""The copies: each database dumped at one moment whose contents are known, restored elsewhere, and compared."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes import postgresql, rows
from runbooks_lib.process import Completed, run
from runbooks_lib.release.backup import scratch, whole
from runbooks_lib.release.backup.places import MANIFEST, making, require_reached, workplace
from runbooks_lib.release.backup.programs import Programs, programs
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.stores import Store, reached
from runbooks_lib.results import Event, Value, digest_of_file

#: What is counted in a store, and by what.
_COUNTED = {"postgresql": ("rows", "tables"), "redis": ("keys", "kinds"), "mongodb": ("documents", "collections")}
_CHUNK = 1024 * 1024
_LOCKS = 60
#: Seconds for a look at a database.
_LOOKING = 10.0


class Copy(Value):
    """The copy of one database or server, and what is in it.

    Attributes:
        protocol: It says how the file is to be read: the custom format of ``pg_dump`` for PostgreSQL, the commands that make
            the keys again for Redis, BSON for MongoDB.
        database: Empty where all of a server was meant.
        file: Its name beside the manifest.
        server: The version of the server that it comes from, ``proved`` that of the one it was restored into.
    """

    protocol: str = "postgresql"
    database: str
    host: str
    port: int
    file: str
    size: int
    digest: str
    server: str
    proved: str
    contents: tuple[rows.Contents, ...]

    @property
    def says(self) -> str:
        """For people."""
        total, (what, where) = sum(each.rows for each in self.contents), _COUNTED[self.protocol]
        held = f"{total} {what} in {len(self.contents)} {where}"
        return f"{self.database or self.protocol}: {held}, {self.size} bytes, {self.digest}"


class Backup(Value):
    """What one run has backed up; its file is ``backup.json`` beside the copies.

    Attributes:
        revision: The release's, and which chart that is: what works with the schema in these copies.
    """

    run: str
    target: str
    made: str
    revision: int
    chart: str
    folder: str
    copies: tuple[Copy, ...]


def back_up(boundaries: Boundaries, wanted: list[Store]) -> Backup:
    """Copy these databases, prove each copy, and write the manifest last: a folder without one is no backup.

    Raises CheckFailed: One can't be read, does not fit, does not restore, is not what was copied, or can't be sent to its place.
    """
    settings, target = boundaries.parameters.backup, boundaries.parameters.target.name
    now = datetime.now(UTC)
    mark = boundaries.note.removeprefix("run ")
    with making(settings.folder, f"{target}/{now:%Y%m%dT%H%M%SZ}-{mark}") as (folder, kept):
        copies = tuple(_copied(boundaries, each, folder, number) for number, each in enumerate(wanted))
        last = boundaries.helm.history(boundaries.release)[-1]
        about = {"run": mark, "target": target, "made": f"{now:%Y-%m-%dT%H:%M:%SZ}", "folder": kept}
        made = Backup(**about, revision=last.revision, chart=last.chart, copies=copies)
        (folder / MANIFEST).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    data = {"folder": kept, "says": "; ".join(each.says for each in copies)}
    boundaries.observe(Event(kind="backup.made", data=data))
    return made


def made_by(boundaries: Boundaries, told: str) -> str:
    """The folder of this machine with what a run has backed up, by how it is told of; empty where there is none."""
    settings, target = boundaries.parameters.backup, boundaries.parameters.target.name
    run = re.search(r"\brun (\w+)", told)
    found = sorted(workplace(settings.folder).glob(f"{target}/*-{run[1]}/{MANIFEST}")) if run else []
    return str(found[-1].parent) if found else ""


def seen(boundaries: Boundaries, wanted: list[Store]) -> list[str]:
    """What is there for a copy of each of these stores, for people; raises CheckFailed: Something is not."""
    if wanted:
        require_reached(boundaries.parameters.backup.folder)
    return [_seen(boundaries, each) for each in wanted]


def _seen(boundaries: Boundaries, store: Store) -> str:
    if store.protocol != "postgresql":
        return whole.seen(boundaries, store)
    with reached(boundaries, store) as address:
        server = rows.server(address, store.access, seconds=_LOOKING)
    used = programs(boundaries.parameters.backup.programs, server.major)
    scratch.require_room(workplace(boundaries.parameters.backup.folder), server.size)
    return f"{store.name}: {server.size} bytes, PostgreSQL {server.version}, by programs {used.version}"


def _copied(boundaries: Boundaries, store: Store, folder: Path, number: int) -> Copy:
    access, copied = store.access, _dumped if store.protocol == "postgresql" else whole.copied
    # A database's name may be no file's.
    safe = "".join(each if each.isalnum() else "-" for each in access.database or store.protocol)
    file = folder / f"{number:02}-{safe}.dump"
    file.touch(mode=0o600)
    server, proved, contents = copied(boundaries, store, file)
    about: dict[str, Any] = {"host": access.host, "port": access.port, "file": file.name, "size": file.stat().st_size}
    about |= {"digest": digest_of_file(file), "server": server, "proved": proved, "contents": contents}
    return Copy(protocol=store.protocol, database=access.database, **about)


def _dumped(boundaries: Boundaries, store: Store, file: Path) -> tuple[str, str, tuple[rows.Contents, ...]]:
    """Dump one database of a PostgreSQL, and prove it: its version, that of the programs, and what it holds."""
    settings, access = boundaries.parameters.backup, store.access
    with (
        reached(boundaries, store) as (host, port),
        rows.snapshot((host, port), access, seconds=settings.seconds) as moment,
    ):
        scratch.require_room(file.parent, moment.server.size)
        used = programs(settings.programs, moment.server.major)
        argv = [f"--host={host}", f"--port={port}", f"--username={access.user or 'postgres'}"]
        argv += [f"--dbname={access.database}", f"--snapshot={moment.id}", f"--file={file}"]
        argv += ["--format=custom", "--no-password", f"--lock-wait-timeout={_LOCKS}s"]
        told(
            "pg_dump",
            access,
            run([str(used.folder / "pg_dump"), *argv], timeout=settings.seconds, env=environment(access)),
        )
    _prove(store, file, moment, used, settings.seconds)
    return moment.server.version, used.version, moment.contents


def _prove(store: Store, file: Path, moment: rows.Snapshot, used: Programs, seconds: float) -> None:
    """Restore a copy into a server of our own; raises CheckFailed: It does not restore, or other rows come out."""
    with scratch.server(used, file.parent, moment.server.encoding) as sockets:
        argv = [str(used.folder / "pg_restore"), f"--host={sockets}", "--username=postgres", "--dbname=postgres"]
        # Who owns what is for the server that has these users.
        argv += ["--no-owner", "--no-privileges", "--exit-on-error", str(file)]
        told("pg_restore", store.access, run(argv, timeout=seconds, env=scratch.environment()))
        with rows.snapshot((str(sockets), None), scratch.OWN, seconds=seconds) as restored:
            rows.require_equal(moment.contents, restored.contents, store.access.database)


def environment(access: Access) -> dict[str, str]:
    """The environment of PostgreSQL's programs: what must stand in no list of processes."""
    told = {"PGPASSWORD": access.password, "PGSSLMODE": access.sslmode, "PGGSSENCMODE": "disable"}
    told |= {"PGSSLROOTCERT": postgresql.trusted()} if access.sslmode.startswith("verify") else {}
    return scratch.environment(**{name: value for name, value in told.items() if value})


def told(program: str, access: Access, ended: Completed) -> None:
    """Raise CheckFailed where a program of PostgreSQL did not do its part."""
    if not ended.ok:
        late = f"not ended within {ended.seconds:.0f} s" if ended.timed_out else ""
        why = late or " ".join(ended.stderr.split())[-400:] or f"exit code {ended.returncode}"
        raise refused("not copied", program=program, database=access.database, why=why)
