"""Which hosts an init container is taken to wait for, and what is said while one does not answer."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path

import pytest

from sandbox.services.waits import Place, places, trouble

SHELL = ("sh", "-c")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((*SHELL, "until pg_isready -h reef -U diver -p 5555; do sleep 1; done"), "reef:5555"),
        ((*SHELL, "until pg_isready -hreef -q;do sleep 1;done"), "reef:5432"),
        (("pg_isready", "--host=reef", "--timeout", "3", "--port", "5555"), "reef:5555"),
        (("/usr/bin/pg_isready", "-d", "deep"), "from-env:5432"),
        ((*SHELL, "until redis-cli -h nothere ping; do sleep 1; done"), "nothere:6379"),
        ((*SHELL, '[ "$(redis-cli -h tide -a "$PW" -p 6380 ping)" = PONG ]'), "tide:6380"),
        ((*SHELL, "until nc -z $H $PT; do echo waiting; sleep 1; done"), "tide:6390"),
        ((*SHELL, 'until nc -zvw 3 "${H}" "${UNSET:-7000}" >/dev/null 2>&1; do sleep 1; done'), "tide:7000"),
        (("nc", "-z", "$(H)", "$(PT)"), "tide:6390"),
        (("nc", "-z", "$H", "$PT"), ""),
        ((*SHELL, "timeout 60 sh -c 'until nc -z kelp 27017; do sleep 1; done'"), "kelp:27017"),
        ((*SHELL, "# nc -z old 1\nWHO=kelp\nuntil nc -z $WHO 27017 # nc -z never 1\ndo sleep 1\ndone"), "kelp:27017"),
        ((*SHELL, "until (echo > /dev/tcp/kelp/27017) 2>/dev/null; do sleep 1; done"), "kelp:27017"),
        ((*SHELL, "until mongosh --host kelp --quiet --eval 'db.hello()'; do sleep 1; done"), "kelp:27017"),
        ((*SHELL, "until mongosh -u gardener -p 5 --host kelp --port 27018; do sleep 1; done"), "kelp:27018"),
        ((*SHELL, "until curl -sf http://web/health; do sleep 1; done"), "web:80"),
        ((*SHELL, "until wget -qO- https://web; do sleep 1; done"), "web:443"),
        (("wait-for-it.sh", "web:8000", "-t", "0"), "web:8000"),
        (("dockerize", "-wait", "tcp://web:8000"), "web:8000"),
        (("app", "--broker", "redis://tide/0"), "tide:6379"),
        ((*SHELL, "mkdir -p /data && chown 1000 /data"), ""),
        ((*SHELL, "echo 'unclosed"), ""),
        ((*SHELL, "echo waiting for nc"), ""),
    ],
)
def test_the_places_that_a_command_names(words: tuple[str, ...], named: str) -> None:
    env = {"H": "tide", "PT": "6390", "PW": "a b'c", "PGHOST": "from-env"}
    assert sorted({f"{place.host}:{place.port}" for place in places(words, env)}) == ([named] if named else [])


def test_variables_name_places_and_a_page_without_a_port_is_none() -> None:
    env = {"A": "mongodb://u:p@kelp/admin", "B": "web:8000", "C": "https://hub.example.com", "D": "http://[bad"}
    assert places((), env) == [Place("kelp", 27017, env["A"]), Place("web", 8000)]


def test_psql_logs_in_and_pg_isready_does_not() -> None:
    words = ("psql", "-h", "reef", "-U", "diver", "-d", "deep", "-c", "SELECT 1")
    (place,) = places(words, {"PGPASSWORD": "a/b"})
    assert place == Place("reef", 5432, "postgresql://diver:a%2Fb@reef:5432/deep")
    assert places(("psql", "-c", "SELECT 1"), {}) == []


def test_a_url_ends_where_a_shell_ends_it(tmp_path: Path) -> None:
    url = "postgresql://u:hidden@reef:5432/deep"
    for line in (f"until psql {url}; do sleep 1; done", f"until (psql '{url}');do sleep 1;done", f'psql "{url}"&&x'):
        assert places((*SHELL, line), {}) == [Place("reef", 5432, url)]
    odd = Place("reef", 5432, f"{url}?nonsense=%zz")
    assert "hidden" not in trouble(tmp_path / "none", odd)


def test_a_place_is_told_as_long_as_nobody_listens_there(tmp_path: Path) -> None:
    table = tmp_path / "hosts.json"
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        table.write_text(json.dumps({"tide:6379": f"127.0.0.1:{port}"}))
        assert trouble(table, Place("tide", 6379)) == ""
    assert trouble(table, Place("tide", 6379)).startswith("tide:6379: ")
    told = trouble(table, Place("tide", 6379, "postgresql://diver:hidden@tide:6379/deep"))
    assert told.startswith("tide:6379: ")
    assert "hidden" not in told
