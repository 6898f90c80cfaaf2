"""Does a PostgreSQL let a user in, and may they work there? The only importer of ``psycopg``, loaded when it asks."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import Answered, Seen, asking

_LOOK = """
WITH others AS (
  -- Only columns that everybody may see; a session without a user or a database takes no such connection.
  SELECT usesysid, datid FROM pg_stat_activity
   WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid()),
room AS (
  SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) - (SELECT count(*) FROM others) AS free,
         '' AS by
  UNION ALL
  SELECT rolconnlimit - (SELECT count(*) FROM others WHERE usesysid = oid), ' by the limit of the user ' || rolname
    FROM pg_roles WHERE rolname = session_user AND rolconnlimit >= 0 AND NOT rolsuper
  UNION ALL
  SELECT datconnlimit - (SELECT count(*) FROM others WHERE datid = oid), ' by the limit of the database ' || datname
    FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
     AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user))
SELECT free, by, split_part(current_setting('server_version'), ' ', 1) AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       (SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate) AS databases,
       (SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema$)') AS tables,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS closed,
       (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding
  FROM room ORDER BY free LIMIT 1
"""
#: What a client may do in its own schema: the first of its search path that is there and lets it in; and which row
#: of clauses.yaml says what is wrong. Parts of a table and what an extension has brought are not asked for.
_RIGHTS = """
WITH path AS (
  SELECT DISTINCT btrim(replace(each, '"$user"', current_user), ' "') AS name
    FROM unnest(string_to_array(current_setting('search_path'), ',')) AS each),
mine AS (
  SELECT relname, has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                  AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') AS open
    FROM pg_class c
   WHERE relkind IN ('r', 'p') AND NOT relispartition
     AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
     AND NOT EXISTS (SELECT FROM pg_depend
                      WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')),
seen AS (
  SELECT quote_ident(current_user) AS user,
         quote_ident(coalesce(current_schema(), (SELECT min(nspname) FROM pg_namespace JOIN path ON name = nspname)))
           AS schema,
         (SELECT string_agg(name, ', ') FROM path) AS path,
         (SELECT coalesce(string_agg(quote_ident(nspname), ', ' ORDER BY nspname), 'none') FROM pg_namespace
           WHERE nspname !~ '^(pg_|information_schema$)') AS there,
         (SELECT count(*) FROM mine) AS tables,
         (SELECT count(*) FROM mine WHERE NOT open) AS closed,
         (SELECT min(relname) FROM mine WHERE NOT open) AS one)
SELECT *, CASE WHEN schema IS NULL THEN 'no schema of its own'
               WHEN current_schema() IS NULL THEN 'no way into a schema'
               WHEN closed > 0 THEN 'tables are closed'
               WHEN NOT has_schema_privilege(current_schema(), 'CREATE') THEN 'no new tables' END AS problem
  FROM seen
"""
#: What everyone may enter, when no database is named.
MAINTENANCE = "postgres"
#: The oldest major version that is not doubted, and how many connections should be free.
OLDEST, FREE = 14, 20


#: Host and port; a folder and None where it is reached by a socket in that folder.
Address = tuple[str, int] | tuple[str, None]


@contextmanager
def connected(address: Address, access: Access, *, seconds: float, rows: Any) -> Iterator[Any]:
    """A session, read-only unless told otherwise, that is closed at the end; its failures are ours.

    ``seconds`` is for all of it together; the login alone gets two at least. A certificate is held against the
    authorities that this machine trusts, those of ``SSL_CERT_FILE`` where that is set.

    Args:
        rows: In which form its rows come, one of ``psycopg.rows``.
    """
    import psycopg

    deadline = time.monotonic() + seconds

    class Impatient(psycopg.Connection[Any]):
        """The server's own limits of time don't help where the server hangs."""

        def wait(self, gen: Any, *how: Any, **options: Any) -> Any:
            return super().wait(_until(deadline, gen), *how, **options)

    user, database = access.user or "postgres", access.database or MAINTENANCE
    access = access.model_copy(update={"user": user, "database": database})
    login: dict[str, Any] = {"host": address[0], "port": address[1], "user": user, "dbname": database}
    # Nothing of the environment of whoever asks: no stricter TLS, no Kerberos, no password file, no certificate.
    login |= dict.fromkeys(("passfile", "sslcert", "sslrootcert"), f"{os.devnull}/none")
    login |= {"sslmode": access.sslmode or "prefer", "gssencmode": "disable", "row_factory": rows}
    # Without it the texts of a database in SQL_ASCII would come as bytes.
    login |= {"client_encoding": "utf8"}
    login |= {"sslrootcert": trusted()} if access.sslmode.startswith("verify") else {}
    login |= {"password": access.password, "connect_timeout": max(2, round(seconds))}
    with asking("PostgreSQL", access, psycopg.Error), closing(Impatient.connect(**login)) as connection:
        connection.read_only = True
        yield connection


def ask(address: Address, access: Access, write: str = "", *, seconds: float = 5) -> Answered:
    """Log in and look, as a client also at what it may do; with ``write``, a name, also make a table, read and drop it.

    All of that is one transaction: whenever and however it ends, nothing is left. See :func:`connected`.
    """
    from psycopg.rows import namedtuple_row
    from psycopg.sql import SQL, Identifier

    # Who comes by a host, to a database that it names.
    client = bool(access.host and access.database)
    with connected(address, access, seconds=seconds, rows=namedtuple_row) as connection:
        if write:
            # As the server has it for its clients: it may be read-only for them.
            connection.read_only = None
        seen: Any = connection.execute(_LOOK).fetchone()
        if seen.closed:
            raise Seen("read only")
        tables = _rights(connection) if client else seen.tables
        if write:
            table = Identifier(write)
            connection.execute(SQL("CREATE TABLE {} AS SELECT now()").format(table))
            connection.execute(SQL("TABLE {}").format(table))
            connection.execute(SQL("DROP TABLE {}").format(table))
            connection.commit()
        encrypted = connection.pgconn.ssl_in_use
    database = access.database or MAINTENANCE
    facts = [f"databases {seen.databases}" if database == MAINTENANCE else f"{tables} tables"]
    facts += ["over TLS"] if encrypted else []
    return Answered(
        product="PostgreSQL",
        version=seen.version,
        user=access.user or "postgres",
        database=database,
        facts=tuple(facts),
        doubts=tuple(_doubts(seen, access)),
        lacks=(f"no connection is free{seen.by}",) if seen.free <= 0 else (),
        wrote="a row" if write else "",
    )


def _doubts(seen: Any, access: Access) -> Iterator[str]:
    if seen.major < OLDEST:
        yield f"older than {OLDEST}"
    if access.database not in {"", MAINTENANCE} and seen.encoding != "UTF8":
        yield f"{access.database} has the encoding {seen.encoding}, not UTF8"
    if 0 < seen.free < FREE:
        yield f"only {seen.free} connections are free{seen.by}"
    if access.sslmode.startswith("verify"):
        yield "its certificate is trusted here; whether the pods know its authority could not be seen"


def trusted() -> str:
    """The file of the authorities that this machine trusts."""
    import ssl

    import certifi

    return ssl.get_default_verify_paths().cafile or certifi.where()


def _rights(connection: Any) -> int:
    """How many tables a client has, all of which it may read and write, in a schema where it may make more."""
    from psycopg.rows import dict_row

    found = connection.cursor(row_factory=dict_row).execute(_RIGHTS).fetchone()
    if problem := found.pop("problem"):
        raise Seen(problem, **found)
    return int(found["tables"])


def _until(deadline: float, steps: Any) -> Any:
    """The steps of a conversation, ended by a ``TimeoutError`` when the time is up."""
    said = None
    while True:
        try:
            said = yield steps.send(said)
        except StopIteration as end:
            return end.value
        if time.monotonic() > deadline:
            raise TimeoutError
