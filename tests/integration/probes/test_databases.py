"""PostgreSQL, Redis and MongoDB, asked for real: what each lets in, what it refuses, and that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest
import redis
from servers import Address, Postgres, login

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes import mongodb, postgresql, redis_server
from runbooks_lib.probes.asking import PREFIX, Answered

#: One worker runs them all: they share their databases.
pytestmark = pytest.mark.xdist_group("probes")

Ask = Callable[..., Answered]
BEHIND = "something else is behind the port"


def refusal(ask: Ask, address: Address, access: Access, write: str = "", seconds: float = 2) -> str:
    with pytest.raises(CheckFailed) as caught:
        ask(address, access, write, seconds=seconds)
    error = caught.value
    assert not access.password or access.password not in f"{error}{error!r}{error.__cause__}"
    assert error.next_step
    return error.summary


# ---- PostgreSQL


def tables(postgres: Postgres, database: str) -> list[Any]:
    return postgres.do("SELECT relname FROM pg_class WHERE relname LIKE 'runbooks%'", database=database)


def test_postgresql_tells_its_version_and_how_many_tables_a_client_has(postgres: Postgres, app: Access) -> None:
    found = postgresql.ask(postgres.address, app)
    assert (found.product, found.user, found.database, found.wrote) == ("PostgreSQL", app.user, app.user, "")
    assert found.version.split(".")[0].isdigit()
    assert found.facts == ("2 tables",)
    assert found.says == f"PostgreSQL {found.version} lets {app.user} into {app.user}; 2 tables"


def test_postgresql_tells_which_databases_there_are_when_none_is_named(postgres: Postgres, app: Access) -> None:
    found = postgresql.ask(postgres.address, login("owner", postgres.password))
    assert found.database == "postgres"
    assert app.database in found.facts[0].removeprefix("databases ").split(", ")


#: What was done in the client's database · what is said · what mends it.
UNUSABLE = [
    (
        ["ALTER SCHEMA public OWNER TO owner", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"],
        "create tables in schema public of {app}, which its clients do when they start.",
        "GRANT CREATE ON SCHEMA public TO {app};",
    ),
    (
        ["ALTER TABLE one OWNER TO owner", "GRANT SELECT, INSERT, UPDATE ON one TO {app}"],
        "read and write 1 of the 2 tables in schema public of {app}, such as one.",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};",
    ),
    (
        ["ALTER SCHEMA public OWNER TO owner", "REVOKE ALL ON SCHEMA public FROM PUBLIC"],
        "use schema public in {app}.",
        "GRANT USAGE ON SCHEMA public TO {app};",
    ),
    (
        ["ALTER SCHEMA public RENAME TO old"],
        "PostgreSQL has no schema for {app} in {app}: of its search path ({app}, public) none is there; there is old, other.",
        "ALTER ROLE {app} IN DATABASE {app} SET search_path",
    ),
]


@pytest.mark.parametrize("write", ["", f"{PREFIX}x"])
@pytest.mark.parametrize(("done", "said", "step"), UNUSABLE)
def test_a_client_that_can_not_work_in_its_database_is_told_by_what_it_lacks(
    postgres: Postgres, app: Access, done: list[str], said: str, step: str, write: str
) -> None:
    postgres.do(*(each.format(app=app.user) for each in done), database=app.database)
    expected = said if said.startswith("PostgreSQL") else f"PostgreSQL does not let {{app}} {said}"
    with pytest.raises(CheckFailed) as caught:
        postgresql.ask(postgres.address, app, write)
    assert caught.value.summary == expected.format(app=app.user)
    assert step.format(app=app.user) in caught.value.next_step


def test_what_others_have_elsewhere_and_what_an_extension_brought_is_not_asked_of_a_client(
    postgres: Postgres, app: Access
) -> None:
    postgres.do(
        "CREATE TABLE parts (id int) PARTITION BY LIST (id)",
        "CREATE TABLE part PARTITION OF parts DEFAULT",
        f"GRANT ALL ON parts TO {app.user}",
        "CREATE TABLE brought (id int)",
        "ALTER EXTENSION plpgsql ADD TABLE brought",
        database=app.database,
    )
    assert postgresql.ask(postgres.address, app).facts == ("3 tables",)


def test_a_service_is_asked_as_its_own_user_whatever_became_of_the_schema(postgres: Postgres, app: Access) -> None:
    postgres.do("ALTER SCHEMA public RENAME TO old", database=app.database)
    own = Access(user="owner", password=postgres.password, database=app.database)
    assert postgresql.ask(postgres.address, own).facts == ("3 tables",)


@pytest.mark.parametrize("write", ["", f"{PREFIX}12ab34cd_0"])
def test_a_postgresql_that_takes_no_writes_of_its_clients_is_told(postgres: Postgres, app: Access, write: str) -> None:
    postgres.do(f"ALTER DATABASE {app.database} SET default_transaction_read_only = on")
    with pytest.raises(CheckFailed) as caught:
        postgresql.ask(postgres.address, app, write)
    assert caught.value.summary == "PostgreSQL takes no writes: it is read-only, or a replica."
    assert "Lead its clients to the primary" in caught.value.next_step


def test_postgresql_writes_only_when_it_is_told_to_and_leaves_nothing(postgres: Postgres, app: Access) -> None:
    assert postgresql.ask(postgres.address, app).wrote == ""
    found = postgresql.ask(postgres.address, app, f"{PREFIX}12ab34cd_0")
    assert (found.wrote, found.says.endswith("a row was written, read and removed")) == ("a row", True)
    assert tables(postgres, app.database) == []


def test_reading_is_all_that_postgresql_allows_a_probe_that_does_not_write(
    postgres: Postgres, app: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_LOOK", "CREATE TABLE sly (id int)")
    assert "takes no writes" in refusal(postgresql.ask, postgres.address, app)


def test_a_postgresql_probe_that_is_interrupted_in_the_middle_leaves_nothing(
    postgres: Postgres, app: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = psycopg.Connection.execute
    done: list[str] = []

    def interrupted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        done.append(query if isinstance(query, str) else query.as_string(None))
        if done[-1].startswith("TABLE"):
            raise KeyboardInterrupt
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        postgresql.ask(postgres.address, app, f"{PREFIX}x")
    monkeypatch.undo()
    assert any(query.startswith("CREATE TABLE") for query in done)
    assert tables(postgres, app.database) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong-and-long"}, "PostgreSQL refuses the password of {user}, or has no such user."),
        ({"user": "nobody_here"}, "PostgreSQL refuses the password of nobody_here, or has no such user."),
        ({"password": ""}, "PostgreSQL asks for a password, and none is given."),
        ({"database": "not_there"}, "PostgreSQL has no database not_there."),
    ],
)
def test_postgresql_says_what_it_refuses(
    postgres: Postgres, app: Access, change: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is meant for another server is not taken from whoever asks.
    monkeypatch.setenv("PGPASSWORD", app.password)
    if "password" not in change or change["password"]:
        monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert refusal(postgresql.ask, postgres.address, app.model_copy(update=change)) == said.format(user=app.user)


def test_postgresql_may_keep_a_user_out_of_a_database(postgres: Postgres, app: Access) -> None:
    postgres.do(
        f"REVOKE CONNECT ON DATABASE {app.database} FROM PUBLIC, {app.user}",
        f"ALTER DATABASE {app.database} OWNER TO owner",
    )
    said = refusal(postgresql.ask, postgres.address, app)
    assert said == f"PostgreSQL does not let {app.user} do what is asked in {app.user}."


def test_a_postgresql_that_hangs_after_the_login_is_not_waited_for(postgres: Postgres, app: Access) -> None:
    with closing(
        psycopg.connect(
            host=postgres.address[0],
            port=postgres.address[1],
            user="owner",
            password=postgres.password,
            dbname=app.database,
        )
    ) as other:
        # The probe's question needs this catalogue.
        other.execute("LOCK TABLE pg_namespace IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        said = refusal(postgresql.ask, postgres.address, app, seconds=1)
    assert said == f"No answer in time: PostgreSQL hangs, or {BEHIND}.".replace("No", "no", 1)
    assert time.monotonic() - started < 4


# ---- Redis


def keys(address: Address, password: str = "") -> list[Any]:
    with closing(redis.Redis(*address, password=password or None, decode_responses=True)) as client:
        return list(client.keys(f"{PREFIX}*"))


def test_redis_answers_with_its_version_and_role(redis_without_password: Address) -> None:
    found = redis_server.ask(redis_without_password, Access())
    assert found.says == f"Redis {found.version} answers; master"
    assert found.version.split(".")[0].isdigit()


def test_redis_is_asked_with_its_password(redis_with_password: Address, redis_password: str) -> None:
    found = redis_server.ask(redis_with_password, Access(password=redis_password, database="1"), f"{PREFIX}x")
    assert found.says.endswith("a key was written, read and removed")
    assert keys(redis_with_password, redis_password) == []


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (Access(), "Redis asks for a password, and none is given."),
        (Access(password="wrong-and-long"), "Redis refuses the password of its default user, or has no such user."),
        (Access(user="app", password="wrong-and-long"), "Redis refuses the password of app, or has no such user."),
    ],
)
def test_redis_says_what_it_refuses(redis_with_password: Address, access: Access, said: str) -> None:
    assert refusal(redis_server.ask, redis_with_password, access) == said


def test_redis_says_that_a_password_is_too_much(redis_without_password: Address) -> None:
    said = refusal(redis_server.ask, redis_without_password, Access(password="not-asked-for"))
    assert said == "Redis has no password, and one is given."


def test_redis_says_that_it_is_a_replica(redis_replica: Address) -> None:
    assert redis_server.ask(redis_replica, Access()).facts == ("slave",)
    said = refusal(redis_server.ask, redis_replica, Access(), f"{PREFIX}x")
    assert said == "Redis takes no writes: it is read-only, or a replica."


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, redis.TimeoutError])
def test_a_redis_probe_that_fails_in_the_middle_leaves_nothing(
    redis_without_password: Address, trouble: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[Any] = []

    def get(*_: Any) -> Any:
        there.extend(keys(redis_without_password))
        raise trouble

    monkeypatch.setattr(redis.Redis, "get", get)
    with pytest.raises((KeyboardInterrupt, CheckFailed)):
        redis_server.ask(redis_without_password, Access(), f"{PREFIX}x")
    assert there == [f"{PREFIX}x"]
    assert keys(redis_without_password) == []


def test_a_key_that_a_killed_redis_probe_leaves_goes_by_itself(
    redis_without_password: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis.Redis, "delete", lambda *_: 0)
    redis_server.ask(redis_without_password, Access(), f"{PREFIX}x")
    monkeypatch.undo()
    with closing(redis.Redis(*redis_without_password)) as client:
        assert 0 < client.ttl(f"{PREFIX}x") <= redis_server.LASTS
        client.delete(f"{PREFIX}x")


# ---- MongoDB


def test_mongodb_lets_its_user_in_and_a_document_is_written_read_and_removed(ferretdb: Any) -> None:
    address, access = ferretdb
    assert mongodb.ask(address, access).wrote == ""
    found = mongodb.ask(address, access, f"{PREFIX}12ab34cd_0")
    assert found.says.startswith("MongoDB ")
    assert found.says.endswith("a document was written, read and removed")
    assert left_in(address, access) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong-and-long"}, "MongoDB refuses the password of root, or has no such user."),
        ({"user": "nobody"}, "MongoDB refuses the password of nobody, or has no such user."),
        ({"user": ""}, "MongoDB asks for a password, and none is given."),
    ],
)
def test_mongodb_says_what_it_refuses(ferretdb: Any, change: dict[str, str], said: str) -> None:
    address, access = ferretdb
    assert refusal(mongodb.ask, address, access.model_copy(update=change)) == said


@pytest.mark.parametrize(("hours", "stays"), [(0, True), (2, False)])
def test_what_a_dead_mongodb_probe_left_is_removed_when_it_is_old(
    ferretdb: Any, hours: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pymongo

    address, access = ferretdb
    with monkeypatch.context() as patch:
        patch.setattr(pymongo.MongoClient, "drop_database", lambda *_: None)
        mongodb.ask(address, access, f"{PREFIX}dead")
    with monkeypatch.context() as patch:
        patch.setattr(mongodb, "FORGOTTEN", mongodb.FORGOTTEN * (1 if not hours else 0))
        found = mongodb.ask(address, access, f"{PREFIX}alive")
    assert left_in(address, access) == ([f"{PREFIX}dead"] if stays else [])
    assert (f"left by a run that was killed: {PREFIX}dead (removed now)" in found.facts) is not stays
    with client_of(address, access) as client:
        client.drop_database(f"{PREFIX}dead")


def test_what_a_run_left_that_is_proved_to_be_over_is_removed_at_once_and_else_told(
    ferretdb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pymongo

    address, access = ferretdb
    killed, alive = f"{PREFIX}12ab34cd_0", f"{PREFIX}56ef78ab_0"
    with monkeypatch.context() as patch:
        patch.setattr(pymongo.MongoClient, "drop_database", lambda *_: None)
        for name in (killed, alive):
            mongodb.ask(address, access, name)
    reading = mongodb.ask(address, access, "", "12ab34cd".__eq__)
    assert reading.facts == (f"left by a run that was killed: {killed} (03_verify with `probes: write` removes it)",)
    assert left_in(address, access) == [killed, alive]
    writing = mongodb.ask(address, access, f"{PREFIX}99cd99cd_0", "12ab34cd".__eq__)
    assert writing.facts == (f"left by a run that was killed: {killed} (removed now)",)
    assert left_in(address, access) == [alive]
    with client_of(address, access) as client:
        client.drop_database(alive)


def test_a_mongodb_probe_that_is_interrupted_in_the_middle_leaves_nothing(
    ferretdb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymongo.collection import Collection

    address, access = ferretdb
    there: list[str] = []

    def interrupted(*_: Any) -> Any:
        there.extend(left_in(address, access))
        raise KeyboardInterrupt

    monkeypatch.setattr(Collection, "find_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mongodb.ask(address, access, f"{PREFIX}x")
    assert there == [f"{PREFIX}x"]
    assert left_in(address, access) == []


def client_of(address: Address, access: Access) -> Any:
    import pymongo

    return pymongo.MongoClient(*address, directConnection=True, username=access.user, password=access.password)


def left_in(address: Address, access: Access) -> list[str]:
    with client_of(address, access) as client:
        return [name for name in client.list_database_names() if name.startswith(PREFIX)]


# ---- what all three say when something else, or nothing, is there

ASKS = {"PostgreSQL": postgresql.ask, "Redis": redis_server.ask, "MongoDB": mongodb.ask}
ACCESS = login("app", "not-shown-anywhere", "app")


@pytest.mark.parametrize("product", ASKS)
@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("nobody_listens", ("nothing listens where {} should.",)),
        ("never_answers", (f"no answer in time: {{}} hangs, or {BEHIND}.",)),
        ("greets", ("what answers is not {}.",)),
        ("web", ("what answers is not {}.",)),
    ],
)
def test_what_is_behind_the_port(product: str, there: str, said: tuple[str], request: pytest.FixtureRequest) -> None:
    started = time.monotonic()
    found = refusal(ASKS[product], request.getfixturevalue(there), ACCESS, seconds=1)
    assert found in [each.format(product) for each in said]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("product", ["PostgreSQL", "MongoDB"])
def test_a_redis_behind_the_port(product: str, redis_without_password: Address) -> None:
    found = refusal(ASKS[product], redis_without_password, ACCESS, seconds=1)
    assert found == f"no answer in time: {product} hangs, or {BEHIND}."


@pytest.mark.parametrize("product", ["Redis", "MongoDB"])
def test_a_postgresql_behind_the_port(product: str, postgres: Postgres) -> None:
    found = refusal(ASKS[product], postgres.address, ACCESS, seconds=1)
    assert found == f"the connection was closed: {product} is ending, or {BEHIND}."
