"""Label Studio as far as its users outside can see it: a Django application on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox.services.connections import Login, postgresql
from sandbox.services.dataflow import number
from sandbox.services.pages import Answer, page

_TABLES = {
    "django_migrations": "id bigserial PRIMARY KEY, app text NOT NULL, name text NOT NULL, "
    "applied timestamptz NOT NULL DEFAULT now(), UNIQUE (app, name)",
    "htx_user": "id bigserial PRIMARY KEY, email text UNIQUE NOT NULL, password text NOT NULL",
    "organization": "id bigserial PRIMARY KEY, title text NOT NULL, created_by_id bigint REFERENCES htx_user(id)",
    "project": "id bigserial PRIMARY KEY, title text, organization_id bigint REFERENCES organization(id)",
    "task": "id bigserial PRIMARY KEY, data jsonb NOT NULL, project_id bigint REFERENCES project(id)",
}
_LOCK = 7_230_417


class LabelStudio:
    """The application; see :class:`sandbox.services.pages.Application`."""

    missing = Answer("<h1>Not Found</h1>", 404, "text/html")
    ready = "Starting development server at http://0.0.0.0:8002/"

    def __init__(self, environment: Mapping[str, str], hosts: Path | None, version: str) -> None:
        self._hosts = hosts
        self._login = Login(
            environment.get("POSTGRE_HOST", "localhost"),
            number(environment.get("POSTGRE_PORT", ""), 5432),
            environment.get("POSTGRE_USER", "postgres"),
            environment.get("POSTGRE_PASSWORD", ""),
            environment.get("POSTGRE_NAME", "postgres"),
            {"sslmode": environment["SSLMODE"]} if environment.get("SSLMODE") else {},
        )
        release = version.lstrip("v")
        self.routes = {
            "/": lambda: Answer("", 302, "text/html", "/user/login/"),
            # As the real one: up as soon as it serves, whatever its database does.
            "/health/": lambda: Answer({"status": "UP"}),
            "/api/version/": lambda: Answer({"release": release, "label-studio-os-package": {"version": release}}),
            "/user/login/": self._login_page,
        }

    def prepare(self) -> None:
        """Make the tables that are not there."""
        print(f"=> Database and media directory: {self._login.host}:{self._login.port}", flush=True)
        with postgresql(self._login, self._hosts) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for name, columns in _TABLES.items():
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})".encode())
            cursor.execute(
                "INSERT INTO django_migrations (app, name) VALUES ('core', '0001_initial') ON CONFLICT DO NOTHING"
            )

    def _login_page(self) -> Answer:
        with postgresql(self._login, self._hosts) as connection:
            connection.execute("SELECT 1 FROM htx_user LIMIT 1")
        return page("Label Studio", '<form id="login-form" action="/user/login/" method="post"></form>')
