"""Real data stores outside of any cluster, with passwords made here: fixtures for whoever imports them."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator

import pytest
from pods import Pods, Running
from servers import Address, Postgres

from runbooks_lib.parameters.components import Access
from runbooks_lib.process import passage
from sandbox.toolchain import Toolchain


def address_of(running: Running) -> Address:
    assert running.answers(), running.said
    return "127.0.0.1", running.port


@pytest.fixture(scope="module")
def pods(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """A folder that PostgreSQL's user can reach, and programs that end with the tests."""
    preferred = tmp_path_factory.mktemp("pods")
    folder = passage.open_folder(preferred)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    made = Pods(folder)
    try:
        yield made
    finally:
        for running in made.running:
            made.stop(running)
        if folder != preferred:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def postgres(pods: Pods) -> Postgres:
    env = {"POSTGRES_USER": "owner", "POSTGRES_PASSWORD": secrets.token_urlsafe(12)}
    return Postgres(address_of(pods.start(pods.container("postgres:15.10", env=env))), env["POSTGRES_PASSWORD"])


@pytest.fixture(scope="module")
def redis_without_password(pods: Pods) -> Address:
    return address_of(pods.start(pods.container("redis:7.2.5")))


@pytest.fixture(scope="module")
def redis_password() -> str:
    return secrets.token_urlsafe(12)


@pytest.fixture(scope="module")
def redis_with_password(pods: Pods, redis_password: str) -> Address:
    return address_of(pods.start(pods.container("redis:7.2.5", "redis-server", "--requirepass", redis_password)))


@pytest.fixture(scope="module")
def ferretdb(pods: Pods) -> tuple[Address, Access]:
    """A MongoDB-compatible server, and its one user."""
    access = Access(user="root", password=secrets.token_urlsafe(12))
    env = {"MONGO_INITDB_ROOT_USERNAME": access.user, "MONGO_INITDB_ROOT_PASSWORD": access.password}
    return address_of(pods.start(pods.container("mongo:8.0.12", env=env))), access
