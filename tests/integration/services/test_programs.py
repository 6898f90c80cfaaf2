"""The programs behind known images, each the real one: first start, later starts, refusals."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import time
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

import psycopg
import pymongo
import pymongo.errors
import pytest
import redis
from pods import Pods, Running
from redis.backoff import NoBackoff
from redis.retry import Retry

from runbooks_lib import process
from runbooks_lib.parameters.components import component_of
from runbooks_lib.probes import http
from sandbox.ports import free_port
from sandbox.services import programs
from sandbox.services.containers import Container

#: One worker runs them all: they share their databases.
pytestmark = pytest.mark.xdist_group("services")

PASSWORD = f"it's-\"{secrets.token_hex(8)}$%ä"
PGDATA = {"PGDATA": "/var/lib/postgresql/data/pgdata"}
STORE = {"POSTGRES_USER": "admin", "POSTGRES_MULTIPLE_DATABASES": "csghub_dataflow, csghub_label_studio", **PGDATA}


def postgres(pods: Pods, claim: str, password: str = PASSWORD, *, host: str = "") -> Running:
    env = {**STORE, "POSTGRES_PASSWORD": password}
    return pods.start(pods.container("postgres:15.10", env=env, claims={"/var/lib/postgresql/data": claim}), host)


def login(running: Running, password: str = PASSWORD, database: str = "csghub_dataflow") -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=running.port, user="admin", password=password, dbname=database, connect_timeout=5
    )


@pytest.fixture(scope="module")
def store(pods: Pods) -> Running:
    running = postgres(pods, "store", host="pg")
    assert running.answers(), running.said
    return running


@pytest.fixture(scope="module")
def cache(pods: Pods) -> Running:
    running = pods.start(pods.container("redis:7.2.5", claims={"/data": "cache"}), "redis")
    assert running.answers(), running.said
    return running


@pytest.fixture(scope="module")
def documents(pods: Pods) -> Running:
    running = mongo(pods, "documents", host="mongo")
    assert running.answers(), running.said
    return running


def dataflow(pods: Pods, *args: str, password: str = PASSWORD, **env: str) -> Container:
    settings = {
        "DATABASE_HOSTNAME": "pg",
        "DATABASE_PORT": "5432",
        "DATABASE_USERNAME": "admin",
        "DATABASE_PASSWORD": password,
        "DATABASE_DB": "csghub_dataflow",
        "API_PORT": "8000",
    }
    return pods.container("dataflow:v1.16.0", *args, env={**settings, **env})


# ---- PostgreSQL


def test_postgresql_makes_the_databases_of_its_environment(store: Running) -> None:
    with login(store, database="postgres") as connection:
        names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert {"admin", "csghub_dataflow", "csghub_label_studio"} <= names
    assert row == (True,)


def test_the_data_of_one_major_version_of_postgresql_is_for_no_other(pods: Pods) -> None:
    first = postgres(pods, "major")
    assert first.answers(), first.said
    pods.stop(first)
    env, claims = first.container.env, {"/var/lib/postgresql/data": "major"}
    minor = pods.start(pods.container("postgres:15.17", env=env, claims=claims))
    assert minor.answers(), minor.said
    pods.stop(minor)
    major = pods.run(pods.container("postgres:18.0", env=env, claims=claims))
    assert major.returncode == 1
    assert "FATAL:  database files are incompatible with server" in major.stderr
    assert "initialized by PostgreSQL version 15, which is not compatible with this version 18." in major.stderr


def test_a_killed_postgresql_has_its_data_at_the_next_start(pods: Pods) -> None:
    first = postgres(pods, "kept")
    assert first.answers(), first.said
    with login(first) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    os.kill(first.started.pid, signal.SIGKILL)
    pods.stop(first)
    # As after a reboot: the pid of the dead is that of somebody else.
    file = pods.folder / "kept" / "pgdata" / "postmaster.pid"
    file.write_text(file.read_text().replace(str(first.started.pid), str(os.getpid()), 1))
    again = pods.start(first.container)
    assert again.answers(), again.said
    with login(again) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (42,)
    assert "Skipping initialization" in again.said
    pods.stop(again)


def test_another_password_in_the_environment_opens_no_database(pods: Pods) -> None:
    first = postgres(pods, "locked")
    assert first.answers(), first.said
    pods.stop(first)
    other = secrets.token_hex(8)
    second = postgres(pods, "locked", other)
    assert second.answers(), second.said
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        login(second, other)
    login(second).close()
    pods.stop(second)


def test_a_first_start_that_was_cut_off_is_begun_anew(pods: Pods) -> None:
    data = pods.folder / "cut" / "pgdata"
    (data / "initialising").mkdir(parents=True)
    (data / "base").mkdir()
    running = postgres(pods, "cut")
    assert running.answers(), running.said
    login(running).close()
    pods.stop(running)


@pytest.mark.parametrize(
    ("env", "before", "sentence"),
    [
        ({}, "", "superuser password is not specified"),
        ({"POSTGRES_PASSWORD": "x"}, "somebody's", "exists but is not empty"),
        ({"POSTGRES_PASSWORD": "x", "POSTGRES_HOST_AUTH_METHOD": "a b"}, "", "no method that PostgreSQL knows"),
    ],
)
def test_a_postgresql_that_cannot_start_says_why(pods: Pods, env: dict[str, str], before: str, sentence: str) -> None:
    container = pods.container("postgres:15.10", env={**PGDATA, **env}, claims={"/var/lib/postgresql/data": "none"})
    (pods.folder / "none" / "pgdata").mkdir(exist_ok=True)
    file = pods.folder / "none" / "pgdata" / "file"
    file.write_text(before) if before else file.unlink(missing_ok=True)
    ended = pods.run(container)
    assert ended.returncode == 1
    assert sentence in ended.stderr


# ---- Redis


def test_redis_keeps_its_data_and_wants_the_password_of_its_arguments(pods: Pods) -> None:
    args = ("redis-server", "--appendonly", "yes", "--requirepass", "$(REDIS_PASSWORD)")
    container = pods.container("redis:7.2.5", *args, env={"REDIS_PASSWORD": PASSWORD}, claims={"/data": "secured"})
    running = pods.start(container)
    assert running.answers(), running.said
    with redis.Redis(port=running.port, password=PASSWORD) as client:
        client.set("kept", "42")
    os.kill(running.started.pid, signal.SIGKILL)
    pods.stop(running)
    again = pods.start(container)
    assert again.answers(), again.said
    with redis.Redis(port=again.port, password=PASSWORD) as client:
        assert client.get("kept") == b"42"
    once = Retry(NoBackoff(), 0)
    with redis.Redis(port=again.port, retry=once) as client, pytest.raises(redis.AuthenticationError):
        client.get("kept")
    assert PASSWORD not in "".join(programs.program_for(container).argv)
    pods.stop(again)
    assert not programs.answers(container)


def test_redis_writes_and_loads_nothing_from_elsewhere(cache: Running) -> None:
    with redis.Redis(port=cache.port) as client:
        for command in (("CONFIG", "SET", "dir", "/"), ("MODULE", "LOAD", "/x.so"), ("REPLICAOF", "127.0.0.1", "1")):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(*command)


# ---- MongoDB


def mongo(pods: Pods, claim: str, password: str = PASSWORD, *, host: str = "") -> Running:
    env = {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD": password}
    return pods.start(pods.container("mongo:8.0.12", env=env, claims={"/data/db": claim}), host)


def documents_of(running: Running, password: str) -> int:
    with pymongo.MongoClient(
        "127.0.0.1", running.port, username="root", password=password, directConnection=True
    ) as client:
        client.app.kept.insert_one({"n": 42})
        return client.app.kept.count_documents({"n": 42})


def test_mongo_keeps_its_data_and_its_first_password(pods: Pods) -> None:
    first = mongo(pods, "mongo")
    assert first.answers(), first.said
    assert documents_of(first, PASSWORD) == 1
    os.kill(first.started.pid, signal.SIGKILL)
    pods.stop(first)
    other = secrets.token_hex(8)
    second = mongo(pods, "mongo", other)
    assert second.answers(), second.said
    assert documents_of(second, PASSWORD) == 2
    with pytest.raises(pymongo.errors.OperationFailure, match="Authentication failed"):
        documents_of(second, other)
    refused = pytest.raises(pymongo.errors.OperationFailure, match="requires authentication")
    with pymongo.MongoClient("127.0.0.1", second.port, directConnection=True) as client, refused:
        client.app.kept.find_one()
    pods.stop(second)


# ---- the two web servers and the worker


@pytest.fixture(scope="module")
def web(pods: Pods, store: Running, cache: Running, documents: Running) -> Running:
    url = f"mongodb://root:{quote(PASSWORD, safe='')}@mongo:27017"
    running = pods.start(dataflow(pods, REDIS_HOST_URL="redis://redis:6379", MONG_HOST_URL=url))
    assert running.answers(), running.said
    return running


def test_dataflow_answers_as_the_application_does(web: Running) -> None:
    status, text = web.get("/openapi.json")
    assert (status, json.loads(text)["info"]["title"]) == (200, "Data Flow API Server")
    for path, key in (("ops", "name"), ("operator", "operator_name"), ("algo_templates", "name")):
        status, text = web.get(f"/api/v1/dataflow/{path}")
        assert status == 200
        assert all(row[key] for row in json.loads(text)["data"])
    assert web.get("/health") == (404, '{"detail": "Not Found"}')


def test_dataflow_logs_its_password_and_every_request(web: Running) -> None:
    web.get("/docs?from=here")
    assert f"connect to admin:{PASSWORD}@pg:5432/csghub_dataflow" in web.said
    assert '"GET /docs?from=here HTTP/1.1" 200' in web.said
    assert "User-Agent" in web.said
    assert "sandbox-readiness" not in web.said


def test_a_second_start_finds_the_tables_of_the_first(pods: Pods, web: Running, store: Running) -> None:
    with login(store) as connection:
        before = connection.execute("SELECT count(*) FROM operator_info").fetchone()
    second = pods.start(replace(web.container, ports={8000: free_port()}))
    assert second.answers(), second.said
    pods.stop(second)
    with login(store) as connection:
        assert connection.execute("SELECT count(*) FROM operator_info").fetchone() == before
        assert connection.execute("SELECT count(*) FROM operator_config_select_options").fetchone() == (2,)


@pytest.mark.parametrize(
    ("wrong", "last"),
    [
        ({"password": "wrong"}, "psycopg.OperationalError: .*password authentication failed"),
        ({"DATABASE_DB": "none"}, 'psycopg.OperationalError: .*database "none" does not exist'),
        ({"REDIS_HOST_URL": "redis://127.0.0.1:1"}, "redis.exceptions.ConnectionError: "),
        (
            {"MONG_HOST_URL": "mongodb://root:wrong@mongo:27017"},
            "pymongo.errors.OperationFailure: Authentication failed",
        ),
    ],
)
def test_dataflow_ends_when_a_database_refuses(
    pods: Pods, store: Running, documents: Running, wrong: dict[str, str], last: str
) -> None:
    ended = pods.run(dataflow(pods, **wrong))
    assert ended.returncode == 1
    assert re.match(last, ended.stderr.splitlines()[-1])


def test_the_worker_beats_where_the_application_sees_it(pods: Pods, web: Running) -> None:
    container = dataflow(pods, "celery-worker", REDIS_HOST_URL="redis://redis:6379", HOSTNAME="worker-0")
    assert not programs.answers(container)
    worker = pods.start(container)
    assert worker.answers(), worker.said
    _, text = web.get("/api/v1/dataflow/celery/get_celery_server_list")
    (listed,) = json.loads(text)["data"]
    assert listed["worker_name"] == "celery@worker-0"
    assert abs(datetime.fromisoformat(listed["last_heartbeat"]).timestamp() - time.time()) < 10
    # With a worker there is everything that a verify looks for.
    component = component_of(web.container.image)
    assert component is not None
    assert {http.ask(("127.0.0.1", web.port), page).status for page in component.pages} == {200}
    pods.stop(worker)
    long_ago = time.time() - 60
    os.utime(container.scratch / "heartbeat", (long_ago, long_ago))
    assert not programs.answers(container)


def test_a_worker_without_redis_ends(pods: Pods) -> None:
    ended = pods.run(dataflow(pods, "celery-worker", REDIS_HOST_URL=f"redis://127.0.0.1:{free_port()}"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("redis.exceptions.ConnectionError: ")


def test_the_web_servers_are_healthy_only_while_their_database_lets_them_in(pods: Pods, web: Running) -> None:
    own = postgres(pods, "own", host="own")
    assert own.answers(), own.said
    settings = {"POSTGRE_HOST": "own", "POSTGRE_USER": "admin", "POSTGRE_NAME": "csghub_label_studio"}
    container = pods.container("label-studio:v1.16.0", env={**settings, "POSTGRE_PASSWORD": PASSWORD})
    studio = pods.start(container)
    assert studio.answers(), studio.said
    assert json.loads(studio.get("/api/version/")[1])["release"] == "1.16.0"
    pods.stop(own)
    assert studio.get("/user/login/")[0] == 500
    assert studio.get("/health/") == (200, '{"status": "UP"}')
    assert studio.answers(wanted=False)
    moved = pods.start(replace(own.container, ports={5432: free_port()}), "own")
    assert moved.answers(), moved.said
    assert studio.answers(), studio.said
    assert web.answers()
    for running in (studio, moved):
        pods.stop(running)


# ---- SQL of a Job


@pytest.mark.parametrize(
    ("args", "code", "out", "err"),
    [
        (("-tAc", "SELECT 6 * 7"), 0, "42\n", ""),
        (("-c", "CREATE TEMP TABLE t (n int); INSERT INTO t VALUES (1), (2)"), 0, "CREATE TABLE\nINSERT 0 2\n", ""),
        (("-c", "SELECT 1 AS a, NULL AS b"), 0, "a|b\n1|\n(1 row)\n", ""),
        (("-c", "SELECT * FROM nowhere"), 1, "", 'ERROR:  relation "nowhere" does not exist\n'),
        (("-c", "\\! id"), 1, "", "\\! is a command of psql itself; only SQL is run here\n"),
        (("-c", "COPY t TO PROGRAM 'id'"), 1, "", "COPY with PROGRAM would start a command"),
        (("-f", "/sql/good.sql", "-v", "name=it's"), 0, "it's", ""),
        (("-f", "/sql/bad.sql"), 0, "after", "psql:/sql/bad.sql: ERROR:  division by zero\n"),
        (("-v", "ON_ERROR_STOP=1", "-f", "/sql/bad.sql"), 3, "", "psql:/sql/bad.sql: ERROR:  division by zero\n"),
        (("-f", "/sql/none.sql"), 1, "", "psql: error: /sql/none.sql: No such file or directory\n"),
        (("-f", "/sql/../../etc/passwd"), 1, "", "No such file or directory\n"),
        (("-U", "nobody-here", "-c", "SELECT 1"), 2, "", "password authentication failed"),
        (("--nonsense",), 1, "", "psql: error: option --nonsense not recognized\n"),
    ],
)
def test_a_jobs_sql_ends_as_psql_ends(
    pods: Pods, store: Running, args: tuple[str, ...], code: int, out: str, err: str
) -> None:
    env = {"PGHOST": "pg", "PGUSER": "admin", "PGPASSWORD": PASSWORD, "PGDATABASE": "csghub_dataflow"}
    container = pods.container("postgres:15.10", "psql", *args, env=env, claims={"/sql": "sql"}, name="job")
    (pods.folder / "sql" / "good.sql").write_text("-- ; a comment\nSELECT :'name' AS name;\nDO $$BEGIN NULL; END$$;\n")
    (pods.folder / "sql" / "bad.sql").write_text("SELECT 1 / 0;\nSELECT 'after';\n")
    ended = pods.run(container)
    assert ended.returncode == code, ended.stderr
    assert out in ended.stdout
    assert err in ended.stderr
    assert bool(ended.stderr) is bool(err)


@pytest.mark.parametrize(("single", "made"), [((), "half"), (("-1",), ""), (("--single-transaction",), "")])
def test_a_jobs_files_are_one_transaction_where_that_is_asked(
    pods: Pods, store: Running, single: tuple[str, ...], made: str
) -> None:
    env = {"PGHOST": "pg", "PGUSER": "admin", "PGPASSWORD": PASSWORD, "PGDATABASE": "csghub_dataflow"}
    sql = pods.container("postgres:15.10", env=env, claims={"/sql": "sql"}, name="files")
    (pods.folder / "sql" / "first.sql").write_text("DROP TABLE IF EXISTS half; CREATE TABLE half ();")
    (pods.folder / "sql" / "second.sql").write_text("TRUNCATE nowhere;")

    def psql(*args: str) -> process.Completed:
        return pods.run(replace(sql, args=("psql", *args)))

    assert psql("-c", "DROP TABLE IF EXISTS half").returncode == 0
    files = ("-f", "/sql/first.sql", "-f", "/sql/second.sql")
    assert psql("-v", "ON_ERROR_STOP=1", *single, *files).returncode == 3
    assert psql("-tAc", "SELECT to_regclass('half')").stdout == f"{made}\n"


def test_a_job_can_use_a_connection_string_which_no_list_of_processes_shows(pods: Pods, store: Running) -> None:
    url = f"postgresql://admin:{quote(PASSWORD, safe='')}@pg:5432/csghub_dataflow"
    container = pods.container("postgres:15.10", "psql", url, "-tAc", "SELECT current_database()")
    launch = programs.program_for(container)
    assert launch is not None
    assert url not in " ".join(launch.argv)
    assert pods.run(container).stdout == "csghub_dataflow\n"
