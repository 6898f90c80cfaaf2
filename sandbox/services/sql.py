"""psql for a Job's SQL: ``python -m sandbox.services.sql``. Options and exit codes are psql's; no shell, no commands.

What it is asked stands in its environment, under :data:`ASKED`.
"""

from __future__ import annotations

import argparse
import getopt
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.services.connections import Login, Refused, Result, Unavailable, parsed, postgresql, results
from sandbox.services.containers import place_of
from sandbox.services.statements import NotSql, statements

if TYPE_CHECKING:
    from sandbox.services.connections import Connection

#: The variable with psql's arguments and the container's folders, as JSON.
ASKED = "SANDBOX_PSQL"
_MOST_ROWS = 20
_FAILED, _NO_CONNECTION, _SCRIPT_STOPPED = 1, 2, 3
_SHORT = "aAbc:d:eEf:F:h:HlL:no:p:P:qR:sStT:U:v:VwWxXz01"
_WITH_VALUE = ("command", "dbname", "file", "host", "port", "username", "set", "variable", "output", "pset", "log-file")
_LONG = [
    *(f"{name}=" for name in (*_WITH_VALUE, "field-separator", "record-separator")),
    *("no-psqlrc", "quiet", "tuples-only", "no-align", "single-transaction", "no-password", "password"),
    *("echo-all", "echo-queries", "echo-errors", "echo-hidden", "csv", "html", "expanded", "no-readline"),
]
_NAMES = {"-c": "--command", "-d": "--dbname", "-f": "--file", "-h": "--host", "-p": "--port", "-U": "--username"}
_NAMES |= {"-v": "--set", "--variable": "--set", "-1": "--single-transaction", "-q": "--quiet", "-t": "--tuples-only"}
#: Would write a file, or is for a person at a terminal.
_NOT_HERE = {"-l", "-V", "-s", "-S", "-o", "--output", "-L", "--log-file"}
_KEYS = {"--host": "host", "--port": "port", "--username": "user"}
#: What of libpq's environment and connection strings counts here.
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "options": "PGOPTIONS",
}


@dataclass(frozen=True)
class Asked:
    """What psql's arguments ask for.

    Attributes:
        actions: Each ``("command", SQL)`` or ``("file", path)``, in order.
        settings: Of the connection, by libpq's names.
    """

    actions: tuple[tuple[str, str], ...]
    settings: Mapping[str, str]
    variables: Mapping[str, str]
    flags: frozenset[str] = frozenset()

    @property
    def stops(self) -> bool:
        """Whether a script ends at its first error."""
        return self.variables.get("ON_ERROR_STOP", "").lower() in {"1", "on", "true", "yes"}


def understood(words: list[str], environment: Mapping[str, str]) -> Asked:
    """Read psql's arguments.

    Raises:
        Unavailable: The connection string is none.
        getopt.GetoptError: An option that psql has not, or that nothing here does.
    """
    options, free = getopt.gnu_getopt(words, _SHORT, _LONG)
    found = {key: environment[name] for key, name in _ENVIRONMENT.items() if environment.get(name)}
    actions, variables, flags = [], {}, set()
    named = dict(zip(("--dbname", "--username"), free, strict=False))
    for option, value in [*named.items(), *options]:
        name = _NAMES.get(option, option)
        if name in {"--command", "--file"}:
            actions.append((name.lstrip("-"), value))
        elif name == "--set":
            key, _, text = value.partition("=")
            variables[key] = text
        elif name == "--dbname":
            found |= parsed(value) if "=" in value or "://" in value else {"dbname": value}
        elif name in _KEYS:
            found[_KEYS[name]] = value
        elif name in _NOT_HERE:
            raise getopt.GetoptError(f"option {name} is not for a Job")
        else:
            flags.add(name)
    if not found.get("port", "5432").isdecimal():
        raise getopt.GetoptError(f"invalid port number: {found['port']!r}")
    return Asked(tuple(actions), found, variables, frozenset(flags))


def login_of(settings: Mapping[str, str]) -> Login:
    """Who logs in where; what is not said is as libpq has it."""
    user = settings.get("user", "postgres")
    known = {"host", "port", "user", "password", "dbname", "hostaddr", "connect_timeout", "gssencmode"}
    return Login(
        settings.get("host", "localhost"),
        int(settings.get("port", "5432")),
        user,
        settings.get("password", ""),
        settings.get("dbname", user),
        {name: value for name, value in settings.items() if name not in known},
    )


def run(asked: Asked, folders: Mapping[str, Path], hosts: Path | None) -> int:
    """Do what was asked; psql's exit code."""
    try:
        with postgresql(login_of(asked.settings), hosts, autocommit=True) as connection:
            connection.add_notice_handler(lambda told: _say(f"{told.severity}:  {told.message_primary}"))
            single = "--single-transaction" in asked.flags
            if single:
                results(connection, "BEGIN")
            code = 0
            for kind, what in asked.actions:
                code = (
                    _command(connection, asked, what) if kind == "command" else _file(connection, asked, what, folders)
                )
                if code and asked.stops:
                    break
            if single:
                results(connection, "ROLLBACK" if code else "COMMIT")
            return code
    except Unavailable as error:
        _say(f"psql: error: {error}")
        return _NO_CONNECTION


def _command(connection: Connection, asked: Asked, text: str) -> int:
    """One string as a whole, which the server runs as one transaction; no variables, as with psql."""
    try:
        for _ in statements(text, {}):
            pass
        for result in results(connection, text):
            _show(result, asked)
    except (NotSql, Refused) as error:
        _say(str(error))
        return _FAILED
    return 0


def _file(connection: Connection, asked: Asked, name: str, folders: Mapping[str, Path]) -> int:
    """A file, statement by statement; an error ends it only with ON_ERROR_STOP."""
    place = place_of(folders, name)
    try:
        text = place.read_text(encoding="utf-8") if place else ""
    except (OSError, UnicodeDecodeError):
        place = None
    if place is None:
        _say(f"psql: error: {name}: No such file or directory")
        return _FAILED
    try:
        for statement in statements(text, asked.variables):
            try:
                for result in results(connection, statement):
                    _show(result, asked)
            except Refused as error:
                _say(f"psql:{name}: {error}")
                if asked.stops:
                    return _SCRIPT_STOPPED
    except NotSql as error:
        # psql would do it; leaving it out and going on would be a success that is none.
        _say(f"psql:{name}: {error}")
        return _SCRIPT_STOPPED
    return 0


def _show(result: Result, asked: Asked) -> None:
    if not result.columns:
        if result.status and "--quiet" not in asked.flags:
            print(result.status, flush=True)
        return
    bare = "--tuples-only" in asked.flags
    lines = [] if bare else ["|".join(result.columns)]
    lines += ["|".join("" if value is None else str(value) for value in row) for row in result.rows[:_MOST_ROWS]]
    lines += ["…"] if len(result.rows) > _MOST_ROWS else []
    lines += [] if bare else [f"({len(result.rows)} row{'' if len(result.rows) == 1 else 's'})"]
    print("\n".join(lines), flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read what was asked, do it, and end with psql's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=Path, required=True)
    hosts: Path = parser.parse_args().hosts
    told = json.loads(os.environ.pop(ASKED))
    folders = {inside: Path(folder) for inside, folder in told["folders"].items()}
    try:
        asked = understood(told["words"], os.environ)
    except (getopt.GetoptError, Unavailable, ValueError) as error:
        _say(f"psql: error: {error}")
        raise SystemExit(_FAILED) from error
    raise SystemExit(run(asked, folders, hosts))


if __name__ == "__main__":
    main()
