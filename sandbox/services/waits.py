"""What an init container waits for: the hosts that its command and its variables name, and whether they answer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from getopt import GetoptError
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, urlsplit

from runbooks_lib.cluster import commands
from runbooks_lib.cluster.environment import expand
from sandbox.services import connections, knocks
from sandbox.services.containers import reach
from sandbox.services.hosts import is_hollow
from sandbox.services.sql import understood

#: Where nothing else is said. A page without a port counts only where a command asks for it.
_PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379, "mongodb": 27017}
_PAGES = {"http": 80, "https": 443}
_URL = re.compile(r"\b[a-z][a-z0-9+]*://[^\s'\"]+", re.IGNORECASE)
#: A host with its port in any program's words, and in a shell's own.
_TEXTS = (
    re.compile(r"-h\s*'?([\w.-]+)'?\s+(?:-\S+\s+)*?-p\s*'?(\d+)"),
    re.compile(r"(?<![\w./@-])([A-Za-z][\w.-]*):(\d{2,5})\b"),
    re.compile(r"/dev/tcp/([\w.-]+)/(\d+)"),
)
_SEPARATORS = "();<>|&\n"
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True, order=True)
class Place:
    """A host that is named, on a port; ``url`` says with which login, or is empty."""

    host: str
    port: int
    url: str = ""


@dataclass(frozen=True)
class _Client:
    """How a program is told its host.

    Attributes:
        port: Where it looks when it is told none; 0: it has to be told.
        valued: Its options of one letter that have a value.
        host, port_option: Those of them that name the place.
        words: Those of two hyphens that have a value in the next word.
        variables: Where it looks for what no option says: host, port.
        free: Host and port are words of their own.
    """

    port: int = 0
    valued: str = ""
    host: str = ""
    port_option: str = ""
    words: frozenset[str] = frozenset()
    variables: tuple[str, str] = ("", "")
    free: bool = False

    def place(self, words: list[str], env: Mapping[str, str]) -> Place | None:
        """The place that its words and variables name."""
        options, free = self._read(words)
        named = free if self.free else []
        host = options.get("host") or (named[0] if named else env.get(self.variables[0], ""))
        port = options.get("port") or (named[1] if len(named) > 1 else env.get(self.variables[1], ""))
        number = int(port) if port.isdecimal() else self.port
        return Place(host, number) if re.fullmatch(r"[\w.-]+", host) and number else None

    def _read(self, words: list[str]) -> tuple[dict[str, str], list[str]]:
        """The host and port among its options, and its other words."""
        found: dict[str, str] = {}
        free: list[str] = []
        left = iter(words)
        for word in left:
            name, equals, value = word.partition("=")
            if name in {"--host", "--port"} | self.words:
                found[name.lstrip("-")] = value if equals else next(left, "")
            elif word.startswith("-") and not word.startswith("--"):
                letter = next((at for at, one in enumerate(word) if at and one in self.valued), 0)
                if letter:
                    meaning = {self.host: "host", self.port_option: "port"}.get(word[letter], "")
                    found[meaning] = word[letter + 1 :] or next(left, "")
            elif not word.startswith("--"):
                free.append(word)
        return found, free


_LIBPQ = ("PGHOST", "PGPORT")
_NETCAT = _Client(valued="wipqsxXeTIOPVmM", free=True)
_MONGO = _Client(27017, "up", words=frozenset({"--username", "--password", "--eval", "--authenticationDatabase"}))
#: By the name of the program.
_CLIENTS: dict[str, _Client] = {
    "pg_isready": _Client(
        5432, "dhptU", "h", "p", frozenset({"--dbname", "--timeout", "--username"}), variables=_LIBPQ
    ),
    "redis-cli": _Client(6379, "hpsaurnidD", "h", "p", frozenset({"--user", "--pass"})),
    "mongosh": _MONGO,
    "mongo": _MONGO,
    "nc": _NETCAT,
    "ncat": _NETCAT,
    "netcat": _NETCAT,
}


def places(words: Iterable[str], env: Mapping[str, str]) -> list[Place]:
    """The places that a command and the values of its variables name.

    Args:
        words: The command and its arguments as the chart gives them; read, never executed.
    """
    written = [expand(word, env) for word in words]
    found: set[Place] = set()
    for command in (written, *(line for word in written for line in _lines(word, dict(env)))):
        found |= set(_named(command, env))
    # A script is read by its commands alone: a URL at the end of one would have the semicolon in it.
    for text in (*(word for word in written if not re.search(r"\s", word)), *env.values()):
        found |= set(_in_text(text, _PORTS))
    return sorted(found)


def _lines(text: str, env: dict[str, str]) -> Iterator[list[str]]:
    """The commands of a shell's script, variables looked up; also of scripts within it."""
    if not re.search(r"\s", text):
        return
    lexer = shlex.shlex(re.sub(r"(?m)(?:^|(?<=\s))#.*$", "", text), posix=True, punctuation_chars=_SEPARATORS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        words = list(lexer)
    except ValueError:
        words = re.findall(rf"[^\s{_SEPARATORS}]+|[{_SEPARATORS}]+", text)
    for apart, group in groupby(words, lambda word: not word.strip(_SEPARATORS)):
        if apart:
            continue
        # A value is one word, whatever is in it: only what is written is taken apart.
        raw = list(group)
        line = [commands.shell_expand(word, env) for word in raw]
        while line and (assigned := _ASSIGNED.fullmatch(line[0])):
            env[assigned[1]] = assigned[2]
            del line[0]
        yield line
        for word in raw:
            if word != text:
                yield from _lines(word, env)


def _named(command: list[str], env: Mapping[str, str]) -> Iterator[Place]:
    """What one command names."""
    asks = False
    for number, word in enumerate(command):
        name = word.rpartition("/")[2]
        rest = command[number + 1 :]
        if client := _CLIENTS.get(name):
            if place := client.place(rest, env):
                yield place
        elif name == "psql":
            yield from _psql(rest, env)
        asks = asks or name in {"curl", "wget"}
    yield from _in_text(" ".join(word for word in command if not re.search(r"\s", word)), _PORTS)
    if asks:
        for word in command:
            yield from _in_text(word, _PAGES)


def _psql(words: list[str], env: Mapping[str, str]) -> Iterator[Place]:
    """It does not only look whether the server is there: it logs in."""
    try:
        settings = understood(words, env).settings
    except (GetoptError, connections.Unavailable):
        return
    if host := settings.get("host", ""):
        port = int(settings.get("port", "5432"))
        user, password, database = (quote(settings.get(key, ""), safe="") for key in ("user", "password", "dbname"))
        yield Place(host, port, f"postgresql://{user}:{password}@{host}:{port}/{database or user}")


def _in_text(text: str, ports: Mapping[str, int]) -> Iterator[Place]:
    for url in _URL.findall(text):
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or ports.get(parts.scheme.lower(), 0)
        except ValueError:
            continue
        if host and port:
            yield Place(host, port, url)
    rest = _URL.sub(" ", text)
    for pattern in _TEXTS:
        yield from (Place(host, int(port)) for host, port in pattern.findall(rest))


def trouble(table: Path, place: Place) -> str:
    """Why a place does not answer, in words without a secret; empty when it does.

    Where a login is named it is tried, else a listener is enough.
    """
    if is_hollow(table, place.host, place.port):
        return ""
    try:
        if place.url.startswith(("postgresql://", "postgres://")):
            _log_in(place, table)
            why = ""
        elif place.url.startswith("mongodb://"):
            connections.ask_mongo(place.url, table)
            why = ""
        else:
            why = knocks.refusal(*reach(table, place.host, place.port))
    except connections.Unavailable as error:
        # libpq repeats a URL that it can't read.
        why = str(error).replace(place.url, "its URL")
    return f"{place.host}:{place.port}: {why}" if why else ""


def _log_in(place: Place, table: Path) -> None:
    asked = connections.parsed(place.url)
    user, password, database = (asked.get(key, "") for key in ("user", "password", "dbname"))
    with connections.postgresql(connections.Login(place.host, place.port, user, password, database, {}), table):
        pass
