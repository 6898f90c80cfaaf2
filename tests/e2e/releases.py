"""An installed release, and the ways to its data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pymongo
import redis

from runbooks_lib.cluster import Cluster
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.results import Json
from runbooks_lib.run import Run


class Live:
    """One installed release, and the ways to its data."""

    def __init__(self, cluster: Cluster, target: dict[str, str]) -> None:
        self.cluster = cluster
        self.namespace, self.release = target["target.namespace"], target["target.release"]

    def get(self, name: str, kind: str = "Pod") -> Json | None:
        group = {"Pod": "v1", "Secret": "v1", "PersistentVolumeClaim": "v1"}.get(kind, "apps/v1")
        return self.cluster.get(group, kind, f"{self.release}-{name}", self.namespace)

    def pod(self, name: str) -> Json:
        found = self.get(name)
        assert found is not None
        return found

    def until(self, name: str, wanted: Callable[[Json], bool], seconds: float = 60, *, kind: str = "Pod") -> Json:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.get(name, kind)
            if found is not None and wanted(found):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{name}: {self.get(name, kind)}")

    def gone(self, kind: str, name: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while self.cluster.get("v1", kind, name, self.namespace) is not None:
            assert time.monotonic() < deadline, f"{kind} {name} is still there"
            time.sleep(0.1)

    def scale(self, name: str, replicas: int) -> None:
        """Give a StatefulSet that many replicas."""
        body = {"spec": {"replicas": replicas}}
        self.cluster.patch("apps/v1", "StatefulSet", f"{self.release}-{name}", body, self.namespace)

    def secret(self, name: str) -> dict[str, str]:
        found = self.get(name, "Secret")
        assert found is not None
        return dict(secret_values(found))

    @contextmanager
    def postgresql(self, database: str = "postgres", password: str = "") -> Iterator[psycopg.Connection[Any]]:
        known = self.secret("postgresql")
        with (
            self.cluster.forward(self.namespace, f"{self.release}-postgresql-0", 5432) as (host, port),
            psycopg.connect(
                host=host,
                port=port,
                user=known["POSTGRES_USER"],
                password=password or known["POSTGRES_PASSWORD"],
                dbname=database,
                autocommit=True,
            ) as connection,
        ):
            yield connection

    @contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        with (
            self.cluster.forward(self.namespace, f"{self.release}-redis-0", 6379) as (host, port),
            redis.Redis(host, port, decode_responses=True) as client,
        ):
            yield client

    @contextmanager
    def mongodb(self) -> Iterator[pymongo.MongoClient[dict[str, Any]]]:
        known = self.secret("mongo")
        login = {"username": known["MONGO_INITDB_ROOT_USERNAME"], "password": known["MONGO_INITDB_ROOT_PASSWORD"]}
        with (
            self.cluster.forward(self.namespace, f"{self.release}-mongo-0", 27017) as (host, port),
            pymongo.MongoClient[dict[str, Any]](host, port, directConnection=True, **login) as client,
        ):
            yield client


def ready(pod: Json) -> bool:
    return all(status["ready"] for status in pod["status"].get("containerStatuses") or [{"ready": False}])


def change(run: Run, stage: Any) -> None:
    plan = stage.plan(run)
    run.approve(plan.digest)
    stage.apply(run, plan, run.approval(plan))
