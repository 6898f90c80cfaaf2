"""The rows of a PostgreSQL's tables: how many, what of them a TRUNCATE would take along, and whether two sides are equal."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.postgresql import Address, connected
from runbooks_lib.results import Value

#: A table's name with or without its schema's, quoted or not.
_NAME = re.compile(r'(?:(?:"[^"]+"|[\w$]+)\.)?(?:"[^"]+"|[\w$]+)')
#: The tables that some names mean, by the search path as the server would, and all that refers to them.
_MEANT = """
WITH RECURSIVE meant AS (
  SELECT to_regclass(each) AS id, false AS along FROM unnest(%s::text[]) AS each WHERE to_regclass(each) IS NOT NULL
  UNION
  SELECT conrelid, true FROM pg_constraint JOIN meant ON confrelid = id WHERE contype = 'f' AND %s)
SELECT c.oid AS id, nspname AS schema, relname AS name, bool_and(along) AS along,
       CASE WHEN relkind = 'p' THEN -1 ELSE reltuples END::bigint AS estimate
  FROM meant JOIN pg_class c ON c.oid = id JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('r', 'p') GROUP BY c.oid, nspname, relname, relkind, reltuples ORDER BY 4, 2, 3
"""
#: Every table with rows of its own; what PostgreSQL keeps for itself is left out.
_TABLES = """
SELECT nspname AS schema, relname AS name FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema$)' ORDER BY 1, 2
"""
_SERVER = """
SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('server_version_num')::int / 10000,
       pg_database_size(current_database()), current_setting('server_encoding')
"""
#: The same whatever the order of the rows; hash partitions rely on this hash being the same in every version.
_SUM = (
    "SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS checksum FROM ONLY {} t"
)
#: How values are written as text, which a database or a user may have set otherwise; no row is to be hidden, and the moment
#: is to last until whoever copies it is done.
_PLAIN = "SET datestyle = ISO; SET timezone = UTC; SET intervalstyle = postgres; SET bytea_output = hex; \
SET extra_float_digits = 1; SET row_security = off; SET lc_monetary = 'C'; \
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
_UNEQUAL = "Try again; if it stays so, compare the versions of the server and of the programs in backup.programs."


class Counted(NamedTuple):
    """The rows of one table that a statement names, or that it takes along.

    Attributes:
        along: It only refers to a table that is named.
        rows: None where they could not be counted in time and nobody has an estimate.
        estimated: As of the last ANALYZE, since counting took too long.
    """

    schema: str
    name: str
    along: bool
    rows: int | None
    estimated: bool


class Contents(Value):
    """What one table holds; equal contents have an equal checksum, in whatever order its rows lie."""

    name: str
    rows: int
    checksum: str


class Server(NamedTuple):
    """A database's server; ``size`` is the database's, in bytes."""

    version: str
    major: int
    size: int
    encoding: str


class Snapshot(NamedTuple):
    """One moment of a database, held open for others to see the same by its ``id``."""

    id: str
    server: Server
    contents: tuple[Contents, ...]


def counts(address: Address, access: Access, names: Iterable[str], *, cascade: bool, seconds: float) -> list[Counted]:
    """The rows of some tables, each within a part of these seconds; raises CheckFailed where the database lets nobody in.

    Args:
        names: As a statement has them, with or without a schema; what is no name, or is not there, is left out.
        cascade: Also of every table that refers to them.
    """
    import psycopg
    from psycopg.rows import namedtuple_row
    from psycopg.sql import SQL, Identifier

    found = []
    with connected(address, access, seconds=seconds, rows=namedtuple_row) as connection:
        connection.autocommit = True
        tables = connection.execute(_MEANT, ([*filter(_NAME.fullmatch, names)], cascade)).fetchall()
        share = max(1, round(seconds * 1000 / (len(tables) + 1)))
        connection.execute(SQL("SET statement_timeout = {}").format(share))
        for each in tables:
            try:
                query = SQL("SELECT count(*) FROM {}").format(Identifier(each.schema, each.name))
                rows, estimated = connection.execute(query).fetchone()[0], False
            except psycopg.errors.QueryCanceled:
                rows, estimated = (each.estimate if each.estimate >= 0 else None), True
            found.append(Counted(each.schema, each.name, each.along, rows, estimated))
    return found


@contextmanager
def snapshot(address: Address, access: Access, *, seconds: float) -> Iterator[Snapshot]:
    """One moment of a database with the contents of all its tables; ``pg_dump --snapshot`` sees the same until the end.

    Raises CheckFailed: It lets nobody in, or a table can't be read.
    """
    from psycopg import IsolationLevel
    from psycopg.rows import namedtuple_row
    from psycopg.sql import SQL, Identifier

    with connected(address, access, seconds=seconds, rows=namedtuple_row) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.execute(_PLAIN)
        (mark,) = connection.execute("SELECT pg_export_snapshot()").fetchone()
        server = Server(*connection.execute(_SERVER).fetchone())
        contents = []
        for each in connection.execute(_TABLES).fetchall():
            held = connection.execute(SQL(_SUM).format(Identifier(each.schema, each.name))).fetchone()
            name = f"{each.schema}.{each.name}"
            contents.append(Contents(name=name, rows=held.rows, checksum=held.checksum))
        yield Snapshot(mark, server, tuple(contents))


def server(address: Address, access: Access, *, seconds: float) -> Server:
    """A database's server; raises CheckFailed: It lets nobody in."""
    from psycopg.rows import tuple_row

    with connected(address, access, seconds=seconds, rows=tuple_row) as connection:
        return Server(*connection.execute(_SERVER).fetchone())


def contents_of(found: Iterable[tuple[str, bytes]]) -> tuple[Contents, ...]:
    """What the places hold of which each element is told as its place and its bytes, in whatever order they come."""
    sums: dict[str, list[int]] = {}
    for name, content in found:
        number, total = sums.get(name, [0, 0])
        sums[name] = [number + 1, total + int.from_bytes(hashlib.sha256(content).digest()[:8])]
    return tuple(Contents(name=name, rows=each[0], checksum=str(each[1])) for name, each in sorted(sums.items()))


def require_equal(before: Iterable[Contents], after: Iterable[Contents], database: str) -> None:
    """Raise CheckFailed unless every table of a database came out with the rows that went in."""
    found = {each.name: each for each in after}
    for each in before:
        if (there := found.get(each.name)) != each:
            many = there.rows if there else "no"
            says = (
                f"The copy of {database} is not what was copied: {each.name} had {each.rows} rows, and {many} came out"
            )
            raise CheckFailed(f"{says}, or others.", next_step=_UNEQUAL)
