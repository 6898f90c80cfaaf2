"""What a probe tells of a server that nobody here looks after: TLS, versions, rights, room, other members."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from servers import Address, Certificates, Postgres, redis_protocol, tls_before

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import COMPONENTS, Access
from runbooks_lib.probes import mongodb, postgresql, redis_server
from runbooks_lib.probes.asking import PREFIX, NotFromHere

#: One worker runs them all: they share their databases.
pytestmark = pytest.mark.xdist_group("probes")

NO_TLS = "PostgreSQL offers no TLS, though sslmode asks for it."
ANOTHER_HOST = "the certificate of PostgreSQL is for another host name."
NOT_TRUSTED = "the certificate of PostgreSQL is not trusted, or its time is over."
DOUBT = "its certificate is trusted here; whether the pods know its authority could not be seen"


# ---- PostgreSQL over TLS


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_a_postgresql_without_tls_is_refused_where_sslmode_asks_for_it(
    postgres: Postgres, app: Access, sslmode: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        postgresql.ask(postgres.address, app.model_copy(update={"sslmode": sslmode}))
    assert caught.value.summary == NO_TLS


@pytest.mark.parametrize("sslmode", ["", "prefer", "allow", "disable"])
def test_a_postgresql_without_tls_will_do_for_the_other_modes(postgres: Postgres, app: Access, sslmode: str) -> None:
    found = postgresql.ask(postgres.address, app.model_copy(update={"sslmode": sslmode}))
    assert (found.facts, found.doubts, found.lacks) == (("2 tables",), (), ())


@pytest.mark.parametrize(
    ("sslmode", "host", "trusted", "days", "said"),
    [
        ("prefer", "localhost", False, 1, ()),
        ("require", "localhost", False, 1, ()),
        ("require", "localhost", False, -1, ()),
        ("verify-ca", "127.0.0.1", True, 1, (DOUBT,)),
        ("verify-full", "localhost", True, 1, (DOUBT,)),
        ("verify-full", "127.0.0.1", True, 1, ANOTHER_HOST),
        ("verify-full", "localhost", False, 1, NOT_TRUSTED),
        ("verify-ca", "localhost", False, 1, NOT_TRUSTED),
        ("verify-full", "localhost", True, -1, NOT_TRUSTED),
    ],
)
def test_a_certificate_is_looked_at_as_sslmode_asks(
    postgres: Postgres,
    app: Access,
    certificates: Certificates,
    sslmode: str,
    host: str,
    trusted: bool,
    days: int,
    said: str | tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.trusted))
    context = certificates.context("localhost", lasts=timedelta(days=days))
    access = app.model_copy(update={"sslmode": sslmode})
    with tls_before(postgres.address, context) as (_, port):
        if isinstance(said, tuple):
            found = postgresql.ask((host, port), access)
            assert (found.facts, found.doubts) == (("2 tables", "over TLS"), said)
        else:
            with pytest.raises(CheckFailed) as caught:
                postgresql.ask((host, port), access)
            assert caught.value.summary == said


def test_nothing_of_the_home_of_whoever_asks_makes_tls_stricter(
    postgres: Postgres, app: Access, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".postgresql").mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_bytes(Certificates(other).trusted.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    with tls_before(postgres.address, certificates.context("localhost")) as address:
        assert "over TLS" in postgresql.ask(address, app.model_copy(update={"sslmode": "require"})).facts


def test_an_sslmode_that_there_is_not_is_told(postgres: Postgres, app: Access) -> None:
    with pytest.raises(CheckFailed, match="sslmode is none that PostgreSQL knows"):
        postgresql.ask(postgres.address, app.model_copy(update={"sslmode": "always"}))


# ---- PostgreSQL: what is there, and what may be done


def test_a_postgresql_that_is_old_is_doubted(postgres: Postgres, app: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    major = int(postgres.do("SHOW server_version_num")[0][0]) // 10000
    monkeypatch.setattr(postgresql, "OLDEST", major)
    assert postgresql.ask(postgres.address, app).doubts == ()
    monkeypatch.setattr(postgresql, "OLDEST", major + 1)
    assert postgresql.ask(postgres.address, app).doubts == (f"older than {major + 1}",)


def test_a_database_that_is_not_in_utf8_is_doubted(postgres: Postgres, app: Access) -> None:
    name = f"odd_{secrets.token_hex(4)}"
    postgres.do(f"CREATE DATABASE {name} OWNER {app.user} ENCODING 'SQL_ASCII' TEMPLATE template0")
    found = postgresql.ask(postgres.address, app.model_copy(update={"database": name}))
    postgres.do(f"DROP DATABASE {name}")
    assert found.doubts == (f"{name} has the encoding SQL_ASCII, not UTF8",)


def test_how_many_connections_are_free_is_seen_by_a_user_without_rights(postgres: Postgres, app: Access) -> None:
    host, port = postgres.address
    most, reserved = (
        int(postgres.do(f"SHOW {name}")[0][0]) for name in ("max_connections", "superuser_reserved_connections")
    )

    def enter(user: str, password: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=host, port=port, user=user, password=password, dbname=app.database)

    assert postgresql.ask(postgres.address, app).doubts == ()
    with ExitStack() as stack:
        for _ in range(most - reserved - 3):
            stack.enter_context(closing(enter("owner", postgres.password)))
        assert postgresql.ask(postgres.address, app).doubts == ("only 3 connections are free",)
        for _ in range(3):
            stack.enter_context(closing(enter("owner", postgres.password)))
        # Some are left for superusers; to everybody else it says so itself.
        owner = Access(user="owner", password=postgres.password, database=app.database)
        assert postgresql.ask(postgres.address, owner).lacks == ("no connection is free",)
        with pytest.raises(CheckFailed, match="PostgreSQL has no connection left"):
            postgresql.ask(postgres.address, app)


@pytest.mark.parametrize(("what", "whose"), [("ROLE", "user"), ("DATABASE", "database")])
def test_a_limit_of_the_users_or_the_databases_own_counts(
    postgres: Postgres, app: Access, what: str, whose: str
) -> None:
    name = app.user if what == "ROLE" else app.database
    host, port = postgres.address
    try:
        postgres.do(f"ALTER {what} {name} CONNECTION LIMIT 20")
        assert postgresql.ask(postgres.address, app).doubts == ()
        postgres.do(f"ALTER {what} {name} CONNECTION LIMIT 3")
        said = f"only {{}} connections are free by the limit of the {whose} {name}"
        assert postgresql.ask(postgres.address, app).doubts == (said.format(3),)
        login = {"user": app.user, "password": app.password, "dbname": app.database}
        with closing(psycopg.connect(host=host, port=port, **login)):
            assert postgresql.ask(postgres.address, app).doubts == (said.format(2),)
        # Superusers have none.
        owner = Access(host=host, user="owner", password=postgres.password, database=app.database)
        assert postgresql.ask(postgres.address, owner).doubts == ()
    finally:
        postgres.do(f"ALTER {what} {name} CONNECTION LIMIT -1")


@pytest.fixture
def only_with_tls(postgres: Postgres) -> Iterator[None]:
    """Its access rules let nobody but the superuser in without TLS."""
    ((file,),) = postgres.do("SHOW hba_file")
    ((before,),) = postgres.do(f"SELECT pg_read_file('{file}')")

    def write(rules: str) -> None:
        lines = " UNION ALL ".join(f"SELECT '{line}'" for line in rules.splitlines() if line and line[0] != "#")
        postgres.do(f"COPY ({lines}) TO '{file}'", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")

    write("host all owner 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256")
    yield
    write(before)


@pytest.mark.usefixtures("only_with_tls")
def test_access_rules_that_keep_this_address_out_may_let_another_in(postgres: Postgres, app: Access) -> None:
    with pytest.raises(NotFromHere) as caught:
        postgresql.ask(postgres.address, app)
    rules = "PostgreSQL's access rules (pg_hba.conf) do not let"
    assert caught.value.summary == f"{rules} {app.user} into {app.user}, at least not without TLS."


def test_a_user_who_may_not_log_in_is_told(postgres: Postgres, app: Access) -> None:
    postgres.do(f"ALTER USER {app.user} NOLOGIN")
    with pytest.raises(CheckFailed, match=f"PostgreSQL does not let {app.user} do what is asked"):
        postgresql.ask(postgres.address, app)


# ---- Redis


@pytest.fixture
def limited(redis_with_password: Address, redis_password: str) -> Iterator[Callable[..., Access]]:
    """Makes a user of the real Redis who may do only these commands."""
    user, password = f"app_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    with closing(redis.Redis(*redis_with_password, password=redis_password)) as client:

        def making(*commands: str) -> Access:
            rights = [f"+{command}" for command in ("ping", *commands)]
            client.execute_command("ACL", "SETUSER", user, "on", f">{password}", "~*", "&*", "-@all", *rights)
            return Access(user=user, password=password)

        yield making
        client.execute_command("ACL", "DELUSER", user)


def test_a_redis_whose_user_may_ask_nothing_about_it_is_doubted(
    redis_with_password: Address, limited: Callable[..., Access]
) -> None:
    access = limited("get", "set", "publish")
    found = redis_server.ask(redis_with_password, access)
    assert found.says.startswith("Redis of an unknown version answers; its role is not told to this user; ")
    assert found.doubts == (f"whether {access.user} may {PROBED} is not told to this user",)


def test_a_redis_that_knows_no_dry_run_is_doubted_about_a_user_of_its_own(
    redis_with_password: Address, redis_password: str, limited: Callable[..., Access]
) -> None:
    found = redis_server.ask(redis_with_password, Access(password=redis_password))
    assert int(found.version.split(".")[0]) < 7
    assert (found.doubts, found.lacks) == ((), ())
    access = limited("info", "acl|dryrun")
    doubt = f"what {access.user} may do a Redis before 7 does not tell"
    assert redis_server.ask(redis_with_password, access).doubts == (doubt,)


def test_a_redis_whose_user_may_not_write_is_found_by_writing(
    redis_with_password: Address, limited: Callable[..., Access]
) -> None:
    with pytest.raises(CheckFailed, match=r"Redis does not let .* do what is asked"):
        redis_server.ask(redis_with_password, limited("get", "del"), f"{PREFIX}x")
    assert redis_server.ask(redis_with_password, limited("get", "set", "del"), f"{PREFIX}x").doubts == ()


#: What a client does of which nothing more is known.
PROBED = f"GET {PREFIX}x, SET {PREFIX}x probe, PUBLISH {PREFIX}x probe"

#: As Redis 7 answers: a bulk of lines, then what its ACL says. https://redis.io/docs/latest/commands/acl-dryrun/
INFO = "# Server\r\nredis_version:7.2.5\r\nrole:master\r\n"
SEVEN = {"CLIENT": "+OK", "AUTH": "+OK", "PING": "+PONG", "INFO": f"${len(INFO)}\r\n{INFO}"}


@pytest.mark.parametrize(
    ("answers", "doubts", "lacks"),
    [
        ({"ACL DRYRUN": "+OK"}, (), ()),
        (
            {"ACL DRYRUN app GET": "+OK", "ACL DRYRUN": "+User app has no permissions to run the 'x' command"},
            (),
            (f"app may not {PROBED.partition(', ')[2]}",),
        ),
        (
            {"ACL": "-NOPERM User app has no permissions to run the 'acl|dryrun' command"},
            (f"whether app may {PROBED} is not told to this user",),
            (),
        ),
    ],
)
def test_a_redis_from_7_on_says_what_its_user_may_not_do(
    answers: dict[str, str], doubts: tuple[str, ...], lacks: tuple[str, ...]
) -> None:
    with redis_protocol(SEVEN | answers) as address:
        found = redis_server.ask(address, Access(user="app", password=secrets.token_urlsafe(12)))
    assert (found.version, found.facts, found.doubts, found.lacks) == ("7.2.5", ("master",), doubts, lacks)


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        (("~*", "&*", "+@all"), ""),
        (("~*", "&*", "+@read"), "LPUSH celery x, .*PUBLISH /0.celery.pidbox x"),
        (("~dataflow:*", "&*", "+@all"), "LPUSH celery x, .*SET data-flow-celery:worker:x x"),
        (("~*", "resetchannels", "+@all"), "PUBLISH /0.celery.pidbox x"),
    ],
)
def test_a_real_redis_7_says_which_of_its_clients_commands_a_user_may_not_give(
    redis_of_the_system: Address, keys: tuple[str, ...], refused: str
) -> None:
    (login,) = (use for row in COMPONENTS for use in row.uses if use.protocol == "redis")
    user, password = f"app_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    with closing(redis.Redis(*redis_of_the_system)) as client:
        client.execute_command("ACL", "SETUSER", user, "on", f">{password}", *keys, "+info", "+ping", "+acl|dryrun")
    access = login.read({"REDIS_HOST_URL": f"redis://{user}:{password}@h:1"})
    found = redis_server.ask(redis_of_the_system, access)
    assert found.doubts == ()
    assert re.fullmatch(f"{user} may not {refused}" if refused else "", "".join(found.lacks))


def test_a_redis_without_users_is_asked_about_its_default_one() -> None:
    with redis_protocol(SEVEN | {"ACL DRYRUN default": "+OK"}) as address:
        assert redis_server.ask(address, Access()).lacks == ()


def test_a_replica_lacks_what_clients_need(redis_replica: Address) -> None:
    assert redis_server.ask(redis_replica, Access()).lacks == ("a replica, which takes no writes",)


# ---- MongoDB


def test_a_mongodb_that_knows_no_roles_is_doubted_until_something_is_written(ferretdb: Any) -> None:
    address, access = ferretdb
    assert mongodb.ask(address, access).doubts == ("it does not tell what root may do",)
    assert mongodb.ask(address, access, f"{PREFIX}x").doubts == ()


# ---- what all three say of a place that can't be reached


ANYBODY = Access(user="app", password=secrets.token_urlsafe(12))


@pytest.mark.parametrize("ask", [postgresql.ask, redis_server.ask, mongodb.ask])
def test_a_name_that_does_not_resolve_here_may_do_so_elsewhere(ask: Any) -> None:
    with pytest.raises(NotFromHere, match=r"^the name of its host does not resolve\."):
        ask(("nobody.invalid", 6000), ANYBODY, seconds=2)


@pytest.mark.parametrize("ask", [postgresql.ask, redis_server.ask, mongodb.ask])
def test_an_address_may_have_colons(ask: Any, nobody_listens: Address) -> None:
    with pytest.raises(NotFromHere):
        ask(("::1", nobody_listens[1]), ANYBODY, seconds=1)


@pytest.mark.parametrize("ask", [postgresql.ask, redis_server.ask, mongodb.ask])
@pytest.mark.parametrize("there", ["nobody_listens", "never_answers"])
def test_what_does_not_answer_here_may_do_so_elsewhere(ask: Any, there: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotFromHere):
        ask(request.getfixturevalue(there), ANYBODY, seconds=1)


@pytest.mark.parametrize("ask", [postgresql.ask, redis_server.ask, mongodb.ask])
def test_something_else_is_that_from_everywhere(ask: Any, greets: Address) -> None:
    with pytest.raises(CheckFailed) as caught:
        ask(greets, ANYBODY, seconds=1)
    assert not isinstance(caught.value, NotFromHere)
