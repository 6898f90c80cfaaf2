"""Does a PostgreSQL let a user in, and may they work there? The only importer of ``psycopg``, loaded when it asks."""

import os
import time
from contextlib import closing
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import Answered, asking

_LOOK = """
SELECT split_part(current_setting('server_version'), ' ', 1),
       (SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate),
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
       (SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema$)'),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool
"""
#: What everyone may enter, when no database is named.
MAINTENANCE = "postgres"


def ask(address: tuple[str, int], access: Access, write: str = "", *, seconds: float = 5) -> Answered:
    """Log in and look; with ``write``, the name of a table, also create it with a row, read and drop it.

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
    access = access.model_copy(update={"user": user, "database": database})
    login: dict[str, Any] = {"host": address[0], "port": address[1], "user": user, "dbname": database}
    # Nothing of the environment of whoever asks: no stricter TLS, no Kerberos, no password file.
    login |= {"sslmode": "prefer", "gssencmode": "disable", "passfile": f"{os.devnull}/none"}
    login |= {"password": access.password, "connect_timeout": max(2, round(seconds))}
    with asking("PostgreSQL", access, psycopg.Error, LookupError), closing(Impatient.connect(**login)) as connection:
        # With `write` as the server has it for its clients: it may be read-only for them.
        connection.read_only = None if write else True
        version, databases, may_create, tables, closed = connection.execute(_LOOK).fetchone() or (
            "",
            "",
            False,
            0,
            False,
        )
        if closed:
            raise LookupError("read only")
        if write:
            table = Identifier(write)
            connection.execute(SQL("CREATE TABLE {} AS SELECT now()").format(table))
            connection.execute(SQL("TABLE {}").format(table))
            connection.execute(SQL("DROP TABLE {}").format(table))
            connection.commit()
    seen = f"databases {databases}" if database == MAINTENANCE else f"{tables} tables"
    facts = (seen,) if may_create else (seen, "they may create no tables there")
    wrote = "a row" if write else ""
    return Answered(product="PostgreSQL", version=version, user=user, database=database, facts=facts, wrote=wrote)


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
