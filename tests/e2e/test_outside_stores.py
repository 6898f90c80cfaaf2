"""Releases whose data stores are outside, all of them or some: installed, verified and upgraded as any other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from releases import change
from runs import Open
from servers import Address, Postgres

from runbooks_lib.parameters.components import Access
from runbooks_lib.results import Report
from runbooks_lib.run import Run
from runbooks_lib.stages import diagnose, install, prerequisites, upgrade

#: One worker runs them all: they share the servers.
pytestmark = pytest.mark.xdist_group("outside")

DATABASES = ("csghub_dataflow", "csghub_label_studio")


@pytest.fixture
def outside(
    postgres: Postgres, redis_without_password: Address, ferretdb: tuple[Address, Access], monkeypatch: Any
) -> Iterator[dict[str, Any]]:
    """The sections of the parameters that name a PostgreSQL, a Redis and a MongoDB outside of the cluster."""
    user, password = f"app_{secrets.token_hex(4)}", "p@ß🙂𠮷:/'\"\\ %41" + secrets.token_urlsafe(9)
    quoted = password.replace("'", "''")
    postgres.do(f"CREATE USER {user} PASSWORD '{quoted}'")
    postgres.do(*(f"CREATE DATABASE {name} OWNER {user}" for name in DATABASES))
    (mongo_host, mongo_port), login = ferretdb
    monkeypatch.setenv("PG_OUTSIDE", password)
    monkeypatch.setenv("MONGO_OUTSIDE", login.password)
    yield {
        "postgresql__external": {
            "host": postgres.address[0],
            "port": postgres.address[1],
            "user": user,
            "password": {"from": "env:PG_OUTSIDE"},
        },
        "redis__external": {"host": redis_without_password[0], "port": redis_without_password[1]},
        "mongo__external": {
            "host": mongo_host,
            "port": mongo_port,
            "user": login.user,
            "password": {"from": "env:MONGO_OUTSIDE"},
        },
    }
    postgres.do(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in DATABASES), f"DROP USER {user}")


def verified(report: Report) -> dict[str, str]:
    assert {found.id: found.observed for found in report.with_status("fail", "unknown")} == {}
    return {found.id: found.observed for found in report.findings}


def installed(run: Run) -> dict[str, str]:
    run.require(install.look(run))
    change(run, install)
    return verified(install.confirm(run))


def kinds(run: Run, kind: str, namespace: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in run.boundaries.cluster.list("apps/v1", kind, namespace))


def test_with_all_stores_outside_nothing_of_them_runs_here_and_all_are_asked(
    opened: Open, outside: dict[str, Any], postgres: Postgres, target: dict[str, str], tmp_path: Path
) -> None:
    run = opened("install", **outside)
    said = installed(run)
    release = target["target.release"]
    sets = kinds(run, "StatefulSet", target["target.namespace"])
    assert sets == [f"{release}-dataflow", f"{release}-label-studio"]
    where = f"{release}-dataflow at 127.0.0.1:{postgres.address[1]}, outside of this release: PostgreSQL "
    assert where in said["services.postgresql"]
    assert "was written, read and removed" in said["services.postgresql"]
    assert "outside of this release: Redis " in said["services.redis"]
    assert "outside of this release: MongoDB " in said["services.mongodb"]
    # Its own servers are behind nothing else than what they were given.
    tables = postgres.do("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database=DATABASES[0])
    assert tables[0][0] > 0
    left = postgres.do("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'runbooks_probe%'", database=DATABASES[0])
    assert left[0][0] == 0
    assert [found.id for found in diagnose.look(opened("diagnose", **outside)).findings] == ["cause.none"]
    again = opened("upgrade", **outside)
    again.require(upgrade.look(again))
    assert upgrade.plan(again).empty
    for file in tmp_path.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"p@\xc3\x9f" not in content, file


def test_stores_may_be_mixed(opened: Open, outside: dict[str, Any], target: dict[str, str]) -> None:
    run = opened("install", postgresql__external=outside["postgresql__external"])
    said = installed(run)
    release = target["target.release"]
    assert kinds(run, "StatefulSet", target["target.namespace"]) == [
        f"{release}-{name}" for name in ("dataflow", "label-studio", "mongo", "redis")
    ]
    assert "outside of this release: PostgreSQL " in said["services.postgresql"]
    assert f"StatefulSet {release}-redis" in said["services.redis"]
    assert "outside" not in said["services.redis"] + said["services.mongodb"]


def test_a_store_outside_that_refuses_its_password_turns_verify_red(
    opened: Open, outside: dict[str, Any], postgres: Postgres
) -> None:
    external = outside["postgresql__external"]
    run = opened("install", postgresql__external=external)
    installed(run)
    postgres.do(f"ALTER USER {external['user']} PASSWORD '{secrets.token_hex(8)}'")
    report = prerequisites.look(opened("prerequisites", postgresql__external=external))
    assert "external.postgresql" in [found.id for found in report.with_status("fail")]
    seen = {found.id: found for found in install.confirm(opened("install", postgresql__external=external)).findings}
    assert seen["services.postgresql"].status == "fail"
    assert f"refuses the password of {external['user']}" in seen["services.postgresql"].observed
    causes = diagnose.look(opened("diagnose", postgresql__external=external)).findings
    assert causes[0].id == "cause.client-password"
    assert "cause.lost-secret" not in {found.id for found in causes}
    # Nobody is told to remove anything, nor of a volume that the server may not even have.
    told = [*(found.remedy for found in report.findings), seen["services.postgresql"].remedy]
    assert not any("A volume keeps" in remedy for remedy in told)


def test_a_store_outside_is_asked_though_a_value_turns_the_built_in_one_on(
    opened: Open, redis_with_password: Address
) -> None:
    host, port = redis_with_password
    settings = {"redis__external": {"host": host, "port": port}, "values__global__redis": {"enabled": True}}
    found = {each.id: each for each in prerequisites.look(opened("prerequisites", **settings)).findings}
    assert found["stores.contradictions"].status == "warn"
    redis = found["external.redis"]
    assert redis.status == "fail"
    assert redis.observed.startswith(
        f"named in the parameters, though values lead elsewhere: Redis at {host}:{port} asks for"
    )
    assert found["external.postgresql"].status == "skip"
