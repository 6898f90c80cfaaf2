"""What is read of a container: its command, its folders, its environment, the addresses behind its hosts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runbooks_lib.cluster.commands import option
from sandbox.services.containers import Container, bare_environment, place_of, programs_of, reach, words_of


def container(tmp_path: Path, *args: str, **env: str) -> Container:
    folders = {"/data": tmp_path / "claim", "/data/deeper": tmp_path / "other"}
    return Container("main", "redis", args, env, {}, folders, tmp_path, tmp_path / "hosts.json")


@pytest.mark.parametrize(
    ("inside", "place"),
    [
        ("/data", "claim"),
        ("/data/", "claim"),
        ("/data/db/x", "claim/db/x"),
        ("/data/deeper/x", "other/x"),
        ("/database", None),
        ("/", None),
        ("/data/../etc/passwd", None),
        ("/data/x/../../../etc/passwd", None),
        ("//data/./y", "claim/y"),
    ],
)
def test_a_path_is_found_below_its_mount_and_nowhere_else(tmp_path: Path, inside: str, place: str | None) -> None:
    found = place_of(container(tmp_path).folders, inside)
    assert found == (None if place is None else tmp_path / place)


def test_a_mount_at_the_root_holds_every_path(tmp_path: Path) -> None:
    assert place_of({"/": tmp_path}, "/etc/x") == tmp_path / "etc/x"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), []),
        (("redis-server", "--requirepass", "$(PASSWORD)"), ["redis-server", "--requirepass", "a b"]),
        (("psql", "-c", "DO $body$ SELECT $1 $body$"), ["psql", "-c", "DO $body$ SELECT $1 $body$"]),
        (("x", "$(UNKNOWN)"), ["x", "$(UNKNOWN)"]),
        (("sh", "-c", 'exec redis-server --requirepass "$PASSWORD"'), "sh -c exec redis-server --requirepass|a b"),
        (
            ("/bin/bash", "-ec", "redis-server --requirepass ${PASSWORD}"),
            "/bin/bash -ec redis-server --requirepass|a b",
        ),
        (("sh", "-c", "echo 'unclosed"), ["sh", "-c", "echo 'unclosed"]),
    ],
)
def test_the_words_of_a_command(tmp_path: Path, args: tuple[str, ...], words: list[str] | str) -> None:
    if isinstance(words, str):
        front, _, last = words.partition("|")
        words = [*front.split(), last]
    assert words_of(container(tmp_path, *args, PASSWORD="a b")) == words


@pytest.mark.parametrize(
    ("words", "programs"),
    [
        ([], set()),
        (["--appendonly", "yes"], set()),
        (["redis-server", "--appendonly", "yes"], {"redis-server"}),
        (["/usr/local/bin/docker-entrypoint.sh", "postgres"], {"docker-entrypoint.sh"}),
        (["sh", "-c", "set", "-e;", "exec", "mongod", "--auth"], {"set", "mongod"}),
        (["sh", "-c", "until", "psql", "-U", "postgres"], {"until"}),
        (["tini", "--", "redis-server"], {"tini", "redis-server"}),
    ],
)
def test_the_programs_that_a_command_starts(words: list[str], programs: set[str]) -> None:
    assert programs_of(words) == programs


def test_an_option_is_read_in_both_its_forms() -> None:
    assert option(["x", "--dir", "/a"], "--dir") == "/a"
    assert option(["x", "--dir=/a"], "--dir") == "/a"
    assert option(["x", "--dir"], "--dir") == ""


def test_only_hosts_of_the_release_lead_elsewhere(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.json"
    assert reach(hosts, "pg", 5432) == ("pg", 5432)
    hosts.write_text(json.dumps({"pg:5432": "127.0.0.1:40123"}))
    assert reach(hosts, "pg", 5432) == ("127.0.0.1", 40123)
    assert reach(hosts, "pg", 5433) == ("pg", 5433)
    assert reach(hosts, "db.example.com", 5432) == ("db.example.com", 5432)
    hosts.write_text("{")
    assert reach(hosts, "pg", 5432) == ("pg", 5432)


def test_an_environment_has_what_is_asked_for_and_nothing_that_loads_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", "the user's own")
    made = container(tmp_path, LD_PRELOAD="/data/x.so", PYTHONPATH="/data", PATH="/data", HOME="/data", PGUSER="admin")
    bare = bare_environment(made, ("PGUSER", "PGHOST"))
    assert bare["PGUSER"] == "admin"
    assert not {"LD_PRELOAD", "PGPASSFILE", "PGHOST"} & set(bare)
    assert "/data" not in bare.values()
    assert bare["PATH"] == os.defpath


def test_a_secret_may_come_from_a_mounted_file(tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "secret").write_text("from a file\n")
    made = container(tmp_path, PASSWORD_FILE="/data/secret", USER_FILE="/etc/passwd")
    bare = bare_environment(made, ("PASSWORD", "USER"))
    assert bare["PASSWORD"] == "from a file"
    assert "USER" not in bare
