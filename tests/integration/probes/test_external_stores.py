"""The checks of external data stores on what the real helm renders of the rehearsal chart, against real servers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from servers import Address, Certificates, Postgres, tls_before

from runbooks_lib import process
from runbooks_lib.checks import external
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.helm import Release
from runbooks_lib.parameters import Parameters, chart_values, fill_references
from runbooks_lib.parameters.components import Access
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.results import Finding, Json
from runbooks_lib.secrets import resolve
from sandbox import charts

#: One worker runs them all: they share their databases.
pytestmark = pytest.mark.xdist_group("probes")

CHART = Path(charts.__file__).parent / "dataflow"
CLIENTS = "Deployment dataflow-celery-worker, StatefulSet dataflow-dataflow"
Ask = Callable[..., Finding]


@pytest.fixture
def ask(helm_executable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Renders the chart for external stores that parameters name, and asks one check of it.

    The cluster alone is none: it has no object that the chart does not render.
    """

    def asking(ident: str, passwords: dict[str, str], **sets: Any) -> Finding:
        for name, value in passwords.items():
            monkeypatch.setenv(name, value)
        minimal = {"target": {}, "csghub": {"external_url": "https://a.example"}, "gateway": {"domain": "example.com"}}
        parameters = Parameters.model_validate(minimal | {"chart": {"version": "1.16.0"}} | sets)
        redactor = Redactor()

        def known(reference: Any) -> str:
            return resolve(reference.text, read_secret=None, redactor=redactor).get_secret_value()

        values: Json = fill_references(chart_values(parameters), known)

        def proposed(values: Json) -> Any:
            argv = [helm_executable, "template", "dataflow", str(CHART), "--namespace", "csghub", "--values", "-"]
            ended = process.run(argv, timeout=60, stdin=yaml.safe_dump(values), cwd=tmp_path)
            assert ended.ok, ended.stderr
            rendered = Release(name="dataflow", namespace="csghub", revision=0, status="", manifest=ended.stdout)
            return SimpleNamespace(values=values, rendered=rendered)

        nothing: Any = SimpleNamespace(get=lambda *_: None)
        boundaries = Boundaries(parameters, nothing, nothing, redactor, lambda _: None, "run abc")
        subject: Any = SimpleNamespace(boundaries=boundaries, proposal=proposed(values), with_values=proposed)
        subject.objects = objects_of(subject.proposal.rendered.manifest)
        chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
        (finding,) = report("prerequisites", "P", chosen, subject, observe=lambda _: None).findings
        assert not any(password in f"{finding}" for password in passwords.values())
        return finding

    return asking


# ---- PostgreSQL


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[Access]:
    """A user who owns both databases of the guide."""
    user, password = f"app_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    postgres.do(f"CREATE USER {user} PASSWORD '{password}'")
    postgres.do(*(f"CREATE DATABASE {name} OWNER {user}" for name in ("csghub_dataflow", "csghub_label_studio")))
    yield Access(host="127.0.0.1", port=postgres.address[1], user=user, password=password)
    names = ("csghub_dataflow", "csghub_label_studio")
    postgres.do(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in names), f"DROP USER {user}")


def postgresql(access: Access, **more: Any) -> dict[str, Any]:
    """The section of the parameters that names it."""
    address = {"host": access.host, "port": access.port, "user": access.user, "password": {"from": "env:PG_OF_A_TEST"}}
    return {"postgresql": {"external": address | more}}


def test_each_client_of_a_postgresql_outside_gets_into_its_own_database(ask: Ask, databases: Access) -> None:
    finding = ask("external.postgresql", {"PG_OF_A_TEST": databases.password}, **postgresql(databases))
    assert finding.status == "pass", finding
    first, second = finding.observed.splitlines()
    assert first.startswith(f"{CLIENTS} at 127.0.0.1:{databases.port}: PostgreSQL ")
    assert first.endswith(f" lets {databases.user} into csghub_dataflow; 0 tables")
    assert second.endswith(f" lets {databases.user} into csghub_label_studio; 0 tables")


def test_a_database_that_nobody_made_fails(ask: Ask, databases: Access, postgres: Postgres) -> None:
    postgres.do("DROP DATABASE csghub_label_studio")
    finding = ask("external.postgresql", {"PG_OF_A_TEST": databases.password}, **postgresql(databases))
    assert finding.status == "fail"
    worst = finding.observed.splitlines()[0]
    assert worst.endswith(f":{databases.port}: PostgreSQL has no database csghub_label_studio")
    assert "or label_studio.postgresql.database" in finding.remedy


def test_a_wrong_password_fails_once_for_all_who_have_it(ask: Ask, databases: Access) -> None:
    finding = ask("external.postgresql", {"PG_OF_A_TEST": secrets.token_urlsafe(12)}, **postgresql(databases))
    assert finding.status == "fail"
    said = f"PostgreSQL refuses the password of {databases.user}, or has no such user"
    assert [line.rpartition(": ")[2] for line in finding.observed.splitlines()] == [said, said]


def test_a_user_who_may_create_nothing_fails(ask: Ask, databases: Access, postgres: Postgres) -> None:
    taken = ("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "ALTER SCHEMA public OWNER TO owner")
    postgres.do(*taken, database="csghub_dataflow")
    finding = ask("external.postgresql", {"PG_OF_A_TEST": databases.password}, **postgresql(databases))
    assert finding.status == "fail"
    assert finding.observed.splitlines()[0].endswith(
        "create tables in schema public of csghub_dataflow, which its clients do when they start"
    )
    assert "GRANT CREATE ON SCHEMA public" in finding.remedy


def test_an_sslmode_of_the_parameters_is_what_the_clients_ask_for(
    ask: Ask, databases: Access, certificates: Certificates, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = {"PG_OF_A_TEST": databases.password}
    finding = ask("external.postgresql", passwords, **postgresql(databases, sslmode="require"))
    assert finding.status == "fail"
    assert finding.observed.endswith(": PostgreSQL offers no TLS, though sslmode asks for it")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.trusted))
    with tls_before(postgres.address, certificates.context("localhost")) as (_, port):
        for host, status, said in [
            ("localhost", "warn", "whether the pods know its authority could not be seen"),
            ("127.0.0.1", "fail", "the certificate of PostgreSQL is for another host name"),
        ]:
            there = databases.model_copy(update={"host": host, "port": port})
            finding = ask("external.postgresql", passwords, **postgresql(there, sslmode="verify-full"))
            assert (finding.status, finding.observed.endswith(said)) == (status, True), finding


def test_nobody_listening_is_told_as_seen_from_here(ask: Ask, nobody_listens: Address) -> None:
    host, port = nobody_listens
    sets = postgresql(Access(host=host, port=port, user="app"))
    finding = ask("external.postgresql", {"PG_OF_A_TEST": secrets.token_urlsafe(12)}, **sets)
    assert finding.status == "fail"
    assert finding.observed.endswith(": nothing listens where PostgreSQL should (asked from here, not from a node)")
    assert f"nc -zv -w 5 {host} {port}" in finding.remedy


# ---- Redis


def redis(address: Address, **more: Any) -> dict[str, Any]:
    host, port = address
    return {"redis": {"external": {"host": host, "port": port} | more}}


def test_a_redis_without_a_password_lets_everybody_in(ask: Ask, redis_without_password: Address) -> None:
    finding = ask("external.redis", {}, **redis(redis_without_password))
    assert finding.status == "pass"
    assert finding.observed.startswith(f"{CLIENTS} at 127.0.0.1:{redis_without_password[1]}: Redis ")


def test_the_chart_keeps_the_password_of_a_redis_from_the_application(
    ask: Ask, redis_with_password: Address, redis_password: str
) -> None:
    sets = redis(redis_with_password, password={"from": "env:REDIS_OF_A_TEST"})
    finding = ask("external.redis", {"REDIS_OF_A_TEST": redis_password}, **sets)
    assert finding.status == "fail"
    assert finding.observed == (
        f"Redis at 127.0.0.1:{redis_with_password[1]} asks for a password, and REDIS_HOST_URL of {CLIENTS} holds none: "
        "global.redis.external.password gives one, which the chart does not put there"
    )


def test_a_password_for_a_redis_that_wants_none_warns(ask: Ask, redis_without_password: Address) -> None:
    sets = redis(redis_without_password, password={"from": "env:REDIS_OF_A_TEST"})
    finding = ask("external.redis", {"REDIS_OF_A_TEST": secrets.token_urlsafe(12)}, **sets)
    assert finding.status == "warn"
    assert finding.observed.endswith("global.redis.external.password gives a password, and the server asks for none")


def test_a_replica_fails(ask: Ask, redis_replica: Address) -> None:
    finding = ask("external.redis", {}, **redis(redis_replica))
    assert (finding.status, finding.observed.endswith("a replica, which takes no writes")) == ("fail", True)


# ---- MongoDB


def mongo(address: Address, user: str) -> dict[str, Any]:
    host, port = address
    return {
        "mongo": {"external": {"host": host, "port": port, "user": user, "password": {"from": "env:MONGO_OF_A_TEST"}}}
    }


@pytest.mark.parametrize(
    ("wrong", "probes", "status", "said"),
    [
        (False, "read", "warn", "it does not tell what root may do"),
        (True, "read", "fail", "MongoDB refuses the password of root, or has no such user"),
    ],
)
def test_a_mongodb_outside_lets_its_clients_in(
    ask: Ask, ferretdb: tuple[Address, Access], wrong: bool, probes: str, status: str, said: str
) -> None:
    address, access = ferretdb
    password = secrets.token_urlsafe(12) if wrong else access.password
    sets = mongo(address, access.user)
    finding = ask("external.mongodb", {"MONGO_OF_A_TEST": password}, **sets, probes=probes)
    assert (finding.status, finding.observed.endswith(said)) == (status, True), finding


# ---- none, and both


def test_built_in_stores_are_not_asked(ask: Ask) -> None:
    assert {ask(f"external.{protocol}", {}).status for protocol in external.ASKS} == {"skip"}


def test_values_that_bring_the_built_in_store_back_are_told_and_seen_as_what_wins(ask: Ask, databases: Access) -> None:
    sets = postgresql(databases) | {"values": {"global": {"postgresql": {"enabled": True}}}}
    passwords = {"PG_OF_A_TEST": databases.password}
    assert ask("stores.contradictions", passwords, **sets).status == "warn"
    asked = ask("external.postgresql", passwords, **sets)
    # The one that nobody uses is asked all the same: whoever mends the contradiction wants it.
    assert asked.status == "pass"
    assert all("though values lead elsewhere" in line for line in asked.observed.splitlines())
