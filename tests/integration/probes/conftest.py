"""What else than a database may be behind a port."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator

import pytest
import redis
from pods import Pods
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from servers import Address, Certificates, Postgres, login, talking
from stores import address_of

from runbooks_lib.parameters.components import Access
from sandbox.ports import free_port


@pytest.fixture
def app(postgres: Postgres) -> Iterator[Access]:
    """A user with a database of their own; both are new for each test."""
    name, password = f"app_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    postgres.do(f"CREATE USER {name} PASSWORD '{password}'", f"CREATE DATABASE {name} OWNER {name}")
    mine = (f"CREATE TABLE {table} (id int); ALTER TABLE {table} OWNER TO {name}" for table in ("one", "two"))
    postgres.do(*mine, "CREATE SCHEMA other", "CREATE TABLE other.three (id int)", database=name)
    yield login(name, password, name)
    postgres.do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"DROP USER {name}")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that nobody trusts yet."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def redis_replica(pods: Pods, nobody_listens: Address) -> Iterator[Address]:
    running = pods.start(pods.container("redis:7.2.5"), more=("--replicaof", *map(str, nobody_listens)))
    yield address_of(running)
    pods.stop(running)


@pytest.fixture(scope="module")
def redis_of_the_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A Redis from 7 on, where this machine has one: the one that comes with the package is older."""
    program = shutil.which("redis-server")
    if program is None or " v=6" in subprocess.check_output([program, "--version"], text=True):
        pytest.skip("There is no redis-server from 7 on in the PATH.")
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    argv = (program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder))
    with (folder / "log").open("w") as log, subprocess.Popen(argv, stdout=log) as running:
        with redis.Redis(port=port, retry=Retry(ConstantBackoff(0.05), 100)) as client:
            client.ping()
        yield "127.0.0.1", port
        running.terminate()


@pytest.fixture
def nobody_listens() -> Address:
    return "127.0.0.1", free_port()


@pytest.fixture
def never_answers() -> Iterator[Address]:
    """Connections are taken, and nothing ever comes."""
    over = threading.Event()
    with talking(lambda connection: (over.wait(30), None)[1]) as address:
        yield address
        over.set()


@pytest.fixture
def greets() -> Iterator[Address]:
    """Whatever it is told, it says who it is, and that is nobody we asked for."""
    with talking(
        lambda connection: (connection.recv(10), connection.sendall(b"SSH-2.0-Server_9\r\n" * 4), None)[2]
    ) as address:
        yield address


@pytest.fixture
def web() -> Iterator[Address]:
    """Something that speaks HTTP to whoever says whatever."""
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with talking(lambda connection: (connection.recv(1000), connection.sendall(answer), None)[2]) as address:
        yield address


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """A probe leaves no thread behind; the driver's own end by themselves in a moment."""
    before = set(threading.enumerate())
    yield
    mine = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("Thread-")]
    for thread in mine:
        thread.join(5)
    assert [thread.name for thread in mine if thread.is_alive()] == []
