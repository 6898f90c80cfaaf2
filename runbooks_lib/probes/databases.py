"""Whole databases of a PostgreSQL: one made beside another, and the two exchanged. Nothing that was there is removed."""

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.postgresql import MAINTENANCE, Address, connected


def make(address: Address, access: Access, name: str, *, seconds: float = 60) -> None:
    """Make an empty database as the one that ``access`` names: of the same owner, encoding and locale.

    Raises CheckFailed: The user may not, or there is one of that name.
    """
    from psycopg.rows import namedtuple_row
    from psycopg.sql import SQL, Identifier, Literal

    with connected(address, _maintaining(access), seconds=seconds, rows=namedtuple_row) as connection:
        connection.read_only, connection.autocommit = None, True
        like = connection.execute(
            "SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, "
            "datcollate AS collated, datctype AS typed FROM pg_database WHERE datname = %s",
            (access.database,),
        ).fetchone()
        # From the empty template, the only one that may be of any encoding and locale.
        made = SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}")
        how = (Identifier(like.owner), Literal(like.encoding), Literal(like.collated), Literal(like.typed))
        connection.execute(made.format(Identifier(name), *how))


def exchange(address: Address, access: Access, made: str, aside: str, *, seconds: float = 60) -> None:
    """Give a database that was made beside the one of ``access`` its name, and that one the name ``aside``, both at once.

    Raises CheckFailed: Somebody is still connected, or the user may not; both are called as before.
    """
    from psycopg.rows import tuple_row
    from psycopg.sql import SQL, Identifier

    renamed = SQL("ALTER DATABASE {} RENAME TO {}")
    with connected(address, _maintaining(access), seconds=seconds, rows=tuple_row) as connection:
        connection.read_only = None
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
            ([access.database, made],),
        )
        connection.execute(renamed.format(Identifier(access.database), Identifier(aside)))
        connection.execute(renamed.format(Identifier(made), Identifier(access.database)))
        connection.commit()


def drop(address: Address, access: Access, made: str, *, seconds: float = 60) -> None:
    """Remove a database that was made beside another one and is not needed."""
    from psycopg.rows import tuple_row
    from psycopg.sql import SQL, Identifier

    with connected(address, _maintaining(access), seconds=seconds, rows=tuple_row) as connection:
        connection.read_only, connection.autocommit = None, True
        connection.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(made)))


def _maintaining(access: Access) -> Access:
    """The same user, in the database that everyone may enter."""
    return access.model_copy(update={"database": MAINTENANCE})
