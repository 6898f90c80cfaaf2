"""Does a PostgreSQL let a user in, and may they work there? The only importer of ``psycopg``, loaded when it asks."""

import os
import time
from contextlib import closing
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import Answered, Seen, asking

_LOOK = """
SELECT split_part(current_setting('server_version'), ' ', 1),
       (SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate),
       (SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema$)'),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool
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


def ask(address: tuple[str, int], access: Access, write: str = "", *, seconds: float = 5) -> Answered:
    """Log in and look, as a client also at what it may do; with ``write``, a name, also make a table, read and drop it.

    All of that is one transaction: whenever and however it ends, nothing is left. ``seconds`` is for all of it
    together; the login alone gets two at least.
    """
    import psycopg
    from psycopg.sql import SQL, Identifier

    deadline = time.monotonic() + seconds

    class Impatient(psycopg.Connection[Any]):
        """The server's own limits of time don't help where the server hangs."""

        def wait(self, gen: Any, *how: Any, **options: Any) -> Any:
            return super().wait(_until(deadline, gen), *how, **options)

    user, database = access.user or "postgres", access.database or MAINTENANCE
    # Who comes by a host, to a database that it names.
    client = bool(access.host and access.database)
    access = access.model_copy(update={"user": user, "database": database})
    login: dict[str, Any] = {"host": address[0], "port": address[1], "user": user, "dbname": database}
    # Nothing of the environment of whoever asks: no stricter TLS, no Kerberos, no password file.
    login |= {"sslmode": "prefer", "gssencmode": "disable", "passfile": f"{os.devnull}/none"}
    login |= {"password": access.password, "connect_timeout": max(2, round(seconds))}
    with asking("PostgreSQL", access, psycopg.Error), closing(Impatient.connect(**login)) as connection:
        # With `write` as the server has it for its clients: it may be read-only for them.
        connection.read_only = None if write else True
        version, databases, tables, closed = connection.execute(_LOOK).fetchone() or ("", "", 0, False)
        if closed:
            raise Seen("read only")
        if client:
            tables = _rights(connection)
        if write:
            table = Identifier(write)
            connection.execute(SQL("CREATE TABLE {} AS SELECT now()").format(table))
            connection.execute(SQL("TABLE {}").format(table))
            connection.execute(SQL("DROP TABLE {}").format(table))
            connection.commit()
    seen = f"databases {databases}" if database == MAINTENANCE else f"{tables} tables"
    wrote = "a row" if write else ""
    return Answered(product="PostgreSQL", version=version, user=user, database=database, facts=(seen,), wrote=wrote)


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
