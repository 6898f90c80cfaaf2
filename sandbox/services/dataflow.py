"""The Dataflow application as far as its users outside can see it: paths, tables and habits, also the bad ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sandbox.services.connections import Login, Unavailable, ask_mongo, postgresql, redis_at
from sandbox.services.pages import Answer, page

_API = "/api/v1/dataflow"
#: Each worker keeps ``HEARTBEAT + name`` in Redis, with the time as its value.
HEARTBEAT = "data-flow-celery:worker:"

_OPERATORS = (
    ("clean_html_mapper", "Mapper", "Removes the tags of HTML"),
    ("whitespace_normalization_mapper", "Mapper", "Makes one kind of every space"),
    ("language_id_score_filter", "Filter", "Keeps text of a language"),
    ("text_length_filter", "Filter", "Keeps text of a length"),
    ("document_deduplicator", "Deduplicator", "Removes what is there twice"),
)
_TEMPLATES = (("Basic cleaning", "data_refine"), ("Deduplication", "data_refine"), ("Enrichment", "data_enhancement"))

_ID = "id bigserial PRIMARY KEY"
_MADE = "created_at timestamptz NOT NULL DEFAULT now()"
_TABLES = {
    "operator_info": f"{_ID}, operator_name text UNIQUE NOT NULL, operator_type text, description text, {_MADE}",
    "operator_config": f"{_ID}, operator_id bigint NOT NULL REFERENCES operator_info(id), config_name text, "
    f"config_type text, default_value text, {_MADE}, UNIQUE (operator_id, config_name)",
    "operator_config_select_options": f"{_ID}, config_id bigint NOT NULL REFERENCES operator_config(id), "
    f"name text, sort int, {_MADE}, UNIQUE (config_id, name)",
    "operator_document": f"{_ID}, operator_id bigint REFERENCES operator_info(id), content text, {_MADE}",
    "operator_permission": f"{_ID}, operator_id bigint REFERENCES operator_info(id), uuid text, role_type int, {_MADE}",
    "algo_templates": f"{_ID}, name text UNIQUE NOT NULL, type text, dsl_text text, buildin boolean, {_MADE}",
    "job": f"{_ID}, job_name text, job_type text, status text, uuid text, {_MADE}",
    "workers": f"{_ID}, worker_name text, {_MADE}",
    "datasources": f"{_ID}, name text, source_type int, {_MADE}",
    "collection_tasks": f"{_ID}, task_uid text, datasource_id bigint REFERENCES datasources(id), {_MADE}",
    "data_format_tasks": f"{_ID}, name text, task_uid text, {_MADE}",
    "deletion_status": f"{_ID}, name text, status text, {_MADE}",
}
_SUBTASKS = f"{_ID}, job_id bigint REFERENCES job(id), status text, {_MADE}"
#: Two replicas that start at the same time make the tables one after the other.
_LOCK = 7_230_416


class Dataflow:
    """The application; see :class:`sandbox.services.pages.Application`."""

    missing = Answer({"detail": "Not Found"}, 404)

    def __init__(self, environment: Mapping[str, str], hosts: Path | None, version: str) -> None:
        self._hosts = hosts
        self._redis = environment.get("REDIS_HOST_URL", "")
        self._mongo = environment.get("MONG_HOST_URL", "")
        self._version = version
        self._login = Login(
            environment.get("DATABASE_HOSTNAME", "localhost"),
            number(environment.get("DATABASE_PORT", ""), 5432),
            environment.get("DATABASE_USERNAME", "postgres"),
            environment.get("DATABASE_PASSWORD", ""),
            environment.get("DATABASE_DB", "postgres"),
            {},
        )
        api: dict[str, Callable[[], Answer]] = {
            f"{_API}/ops": lambda: _found([{"name": name, "type": kind} for name, kind, _ in _OPERATORS]),
            f"{_API}/operator": lambda: self._rows("operator_info", "id", "operator_name", "operator_type"),
            f"{_API}/algo_templates": lambda: self._rows("algo_templates", "id", "name", "type"),
        }
        if not self._since(2, 2):
            api[f"{_API}/celery/get_celery_server_list"] = self._workers
        described = {
            "openapi": "3.1.0",
            "info": {"title": "Data Flow API Server", "version": version.lstrip("v") or "0.0.0"},
            "paths": {path: {"get": {"responses": {"200": {"description": "OK"}}}} for path in api},
        }
        docs = page("Data Flow API Server - Swagger UI", '<div id="swagger-ui" data-url="/openapi.json"></div>')
        self.routes = {**api, "/openapi.json": lambda: Answer(described), "/docs": lambda: docs}
        self.ready = "INFO:     Application startup complete."

    def prepare(self) -> None:
        """Log in everywhere, make the tables that are not there, and fill those that ship with rows."""
        login = self._login
        # In clear, as the application has it from v1.16.0 on.
        print(f"connect to {login.user}:{login.password}@{login.host}:{login.port}/{login.database}", flush=True)
        tables = _TABLES | ({"job_subtasks": _SUBTASKS} if self._since(2, 2) else {})
        with postgresql(login, self._hosts) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for name, columns in tables.items():
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})".encode())
            for name, kind, text in _OPERATORS:
                cursor.execute(
                    "INSERT INTO operator_info (operator_name, operator_type, description) VALUES (%s, %s, %s) "
                    "ON CONFLICT DO NOTHING",
                    (name, kind, text),
                )
            cursor.execute(
                "INSERT INTO operator_config (operator_id, config_name, config_type, default_value) "
                "SELECT id, 'lang', 'select', 'en' FROM operator_info WHERE operator_name = 'language_id_score_filter' "
                "ON CONFLICT DO NOTHING"
            )
            cursor.execute(
                "INSERT INTO operator_config_select_options (config_id, name, sort) "
                "SELECT c.id, o.name, o.sort FROM operator_config c, (VALUES ('en', 1), ('zh', 2)) o(name, sort) "
                "WHERE c.config_name = 'lang' ON CONFLICT DO NOTHING"
            )
            for name, kind in _TEMPLATES:
                cursor.execute(
                    "INSERT INTO algo_templates (name, type, buildin) VALUES (%s, %s, true) ON CONFLICT DO NOTHING",
                    (name, kind),
                )
        if self._redis:
            with redis_at(self._redis, self._hosts) as client:
                client.ping()
        if self._mongo:
            ask_mongo(self._mongo, self._hosts)

    def _since(self, major: int, minor: int) -> bool:
        """Whether the image is of this version or a later one; an image without a version is."""
        found = re.match(r"v?(\d+)\.(\d+)", self._version)
        return found is None or (int(found[1]), int(found[2])) >= (major, minor)

    def _rows(self, table: str, *columns: str) -> Answer:
        with postgresql(self._login, self._hosts) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id".encode())  # noqa: S608 - names above
            return _found([dict(zip(columns, row, strict=True)) for row in cursor.fetchall()])

    def _workers(self) -> Answer:
        if not self._redis:
            raise Unavailable("KeyError: 'REDIS_HOST_URL'")
        with redis_at(self._redis, self._hosts) as client:
            beats = {str(key): client.get(key) for key in client.scan_iter(f"{HEARTBEAT}*")}
        return _found(
            [
                {
                    "worker_name": key.removeprefix(HEARTBEAT),
                    "last_heartbeat": datetime.fromtimestamp(float(str(beat)), UTC).isoformat(),
                }
                for key, beat in sorted(beats.items())
                if beat is not None
            ]
        )


def number(text: str, otherwise: int) -> int:
    """A port as a setting spells it."""
    return int(text) if text.isdecimal() else otherwise


def _found(data: list[dict[str, object]] | list[dict[str, str]]) -> Answer:
    return Answer({"code": 200, "msg": "success", "data": data})
