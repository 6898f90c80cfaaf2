"""The sandbox's real databases for the probes, with passwords made here, and what else may be behind a port."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest
from pods import Pods, Running
from servers import Address, Certificates, Postgres, login, talking

from runbooks_lib.parameters.components import Access
from sandbox.ports import free_port


def address_of(running: Running) -> Address:
    assert running.answers(), running.said
    return "127.0.0.1", running.port


@pytest.fixture(scope="module")
def postgres(pods: Pods) -> Postgres:
    env = {"POSTGRES_USER": "owner", "POSTGRES_PASSWORD": secrets.token_urlsafe(12)}
    return Postgres(address_of(pods.start(pods.container("postgres:15.10", env=env))), env["POSTGRES_PASSWORD"])


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


@pytest.fixture(scope="module")
def redis_without_password(pods: Pods) -> Address:
    return address_of(pods.start(pods.container("redis:7.2.5")))


@pytest.fixture(scope="module")
def redis_password() -> str:
    return secrets.token_urlsafe(12)


@pytest.fixture(scope="module")
def redis_with_password(pods: Pods, redis_password: str) -> Address:
    return address_of(pods.start(pods.container("redis:7.2.5", "redis-server", "--requirepass", redis_password)))


@pytest.fixture
def redis_replica(pods: Pods, nobody_listens: Address) -> Iterator[Address]:
    running = pods.start(pods.container("redis:7.2.5"), more=("--replicaof", *map(str, nobody_listens)))
    yield address_of(running)
    pods.stop(running)


@pytest.fixture(scope="module")
def ferretdb(pods: Pods) -> tuple[Address, Access]:
    """A MongoDB-compatible server, and its one user."""
    access = Access(user="root", password=secrets.token_urlsafe(12))
    env = {"MONGO_INITDB_ROOT_USERNAME": access.user, "MONGO_INITDB_ROOT_PASSWORD": access.password}
    return address_of(pods.start(pods.container("mongo:8.0.12", env=env))), access


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
