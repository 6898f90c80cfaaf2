"""What the versions of the rehearsal chart take away and bring, and the SQL that one of them runs before an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.nodes import FAULTS, PREFIX

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]

MIGRATIONS = "dataflow-dataflow-migrations"
TABLES = ("job", "datasources", "collection_tasks", "data_format_tasks", "operator_document", "operator_permission")


def pod(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects[kind, name]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("version", ["1.17.2", "2.1.0", "2.2.1", "2.2.2", "2.2.3"])
def test_from_1_17_2_on_41_objects_are_rendered(render: Render, version: str) -> None:
    assert len(render(version=version)) == 41


def test_1_17_2_takes_mongodb_away_and_nothing_else(render: Render) -> None:
    before, after = render(version="1.16.1"), render(version="1.17.2")
    assert before.keys() - after.keys() == {(kind, "dataflow-mongo") for kind in ("StatefulSet", "Service", "Secret")}
    assert not after.keys() - before.keys()
    told = after["ConfigMap", "dataflow-dataflow"]["data"]
    assert "MONG_HOST_URL" not in told
    assert {key for key in told if key.startswith("LOG_")} == {
        f"LOG_DATABASE_{what}" for what in ("DB", "HOSTNAME", "PASSWORD", "PORT", "USERNAME")
    }
    assert "mongo" not in str({key: document["spec"] for key, document in after.items() if "spec" in document})


@pytest.mark.parametrize("version", ["1.17.2", "2.1.0", "2.2.1"])
def test_values_of_what_went_mean_nothing(render: Render, version: str) -> None:
    given = {"postgresql": {"password": "p"}}
    gone = {
        "global": {"mongo": {"enabled": False, "external": {"host": "mongo.company.com"}}},
        "mongo": {"user": "keeper", "password": "other", "persistence": {"size": "99Gi"}},
        "dataflow": {"mongo": {"host": "own.company.com"}},
    }
    assert render(given | gone, version=version) == render(given, version=version)


@pytest.mark.parametrize(
    ("version", "kubernetes"),
    [("1.17.2", None), ("2.1.0", {"envoyDeployment": {}}), ("2.2.1", {"envoyDeployment": {}})],
)
def test_the_envoy_proxys_null_goes_with_2_1_0(render: Render, version: str, kubernetes: Any) -> None:
    proxy = render(version=version)["EnvoyProxy", "dataflow-envoy-proxy-custom"]
    assert proxy["spec"]["provider"]["kubernetes"] == kubernetes


def test_2_2_1_takes_redis_and_the_worker_away_and_makes_dataflow_a_deployment(render: Render) -> None:
    before, after = render(version="2.1.0"), render(version="2.2.1")
    assert before.keys() - after.keys() == {
        ("StatefulSet", "dataflow-dataflow"),
        ("StatefulSet", "dataflow-redis"),
        ("Service", "dataflow-redis"),
        ("Deployment", "dataflow-celery-worker"),
    }
    assert after.keys() - before.keys() == {
        ("Deployment", "dataflow-dataflow"),
        ("PersistentVolumeClaim", "dataflow-dataflow"),
        ("ConfigMap", MIGRATIONS),
        ("Job", MIGRATIONS),
    }
    assert "REDIS_HOST_URL" not in after["ConfigMap", "dataflow-dataflow"]["data"]
    waits = pod(after, "Deployment", "dataflow-dataflow")["initContainers"]
    assert [each["name"] for each in waits] == ["wait-for-postgresql"]
    deployment = after["Deployment", "dataflow-dataflow"]["spec"]
    assert not {"serviceName", "volumeClaimTemplates"} & deployment.keys()
    postgresql = pod(after, "StatefulSet", "dataflow-postgresql")["containers"][0]
    assert postgresql["image"] == "docker.io/opencsghq/postgres:15.17"


def test_2_2_1_has_a_new_claim_that_goes_with_the_release(render: Render) -> None:
    objects = render(version="2.2.1")
    claim = objects["PersistentVolumeClaim", "dataflow-dataflow"]
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}}
    assert "annotations" not in claim["metadata"]
    (volume,) = pod(objects, "Deployment", "dataflow-dataflow")["volumes"]
    assert volume == {"name": "data", "persistentVolumeClaim": {"claimName": "dataflow-dataflow"}}


def test_the_migrations_are_a_hook_before_an_upgrade_alone_their_files_first(render: Render) -> None:
    objects = render(version="2.2.1")
    job, files = (objects[kind, MIGRATIONS] for kind in ("Job", "ConfigMap"))
    hooks = [each["metadata"]["annotations"] for each in (files, job)]
    assert [each["helm.sh/hook"] for each in hooks] == ["pre-upgrade"] * 2
    weights = [int(each.get("helm.sh/hook-weight", 0)) for each in hooks]
    assert weights[0] < weights[1]
    assert job["spec"]["ttlSecondsAfterFinished"] == 300
    work = pod(objects, "Job", MIGRATIONS)
    assert work["volumes"] == [{"name": "migrations", "configMap": {"name": MIGRATIONS}}]
    (container,) = work["containers"]
    assert container["image"] == pod(objects, "StatefulSet", "dataflow-postgresql")["containers"][0]["image"]
    assert container["command"][0] == "psql"
    read = [word.rpartition("/")[2] for word in container["command"] if word.startswith("--file=")]
    assert read == list(files["data"])


def test_their_sql_copies_six_tables_and_empties_them_with_what_refers_to_them(render: Render) -> None:
    (sql,) = render(version="2.2.1")["ConfigMap", MIGRATIONS]["data"].values()
    for table in TABLES:
        assert f"CREATE TABLE IF NOT EXISTS {table}_20260608 AS TABLE {table};" in sql
    assert f"TRUNCATE TABLE {', '.join(TABLES)} CASCADE;" in sql
    assert sql.index("AS TABLE operator_permission") < sql.index("TRUNCATE")


def test_they_log_in_as_dataflow_does_also_into_a_database_outside(render: Render) -> None:
    outside = {"host": "pg.company.com", "port": 15432, "user": "admin", "password": "p", "sslmode": "require"}
    values = {
        "global": {"postgresql": {"enabled": False, "external": outside}},
        "dataflow": {"postgresql": {"database": "csghub_dataflow"}},
    }
    (container,) = pod(render(values, version="2.2.1"), "Job", MIGRATIONS)["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "PGHOST": "pg.company.com",
        "PGPORT": "15432",
        "PGDATABASE": "csghub_dataflow",
        "PGUSER": "admin",
        "PGPASSWORD": "p",
        "PGSSLMODE": "require",
    }


def test_the_migrations_can_be_left_out(render: Render) -> None:
    off = {"dataflow": {"migrations": {"enabled": False}}}
    everything = render(version="2.2.1").keys()
    assert everything - render(off, version="2.2.1").keys() == {("ConfigMap", MIGRATIONS), ("Job", MIGRATIONS)}


def test_2_2_2_differs_by_a_file_of_sql_that_fails(render: Render) -> None:
    good, broken = (render(version=version)["ConfigMap", MIGRATIONS]["data"] for version in ("2.2.1", "2.2.2"))
    assert broken == good | {"20260615.sql": broken["20260615.sql"]}
    assert "no_such_table" in broken["20260615.sql"]


def test_2_2_3_has_an_image_that_the_sandbox_does_not_find(render: Render) -> None:
    template = render(version="2.2.3")["Deployment", "dataflow-dataflow"]["spec"]["template"]
    fault = template["metadata"]["annotations"][f"{PREFIX}fault"]
    assert fault == "image-not-found"
    assert fault in FAULTS
    assert template["spec"]["containers"][0]["image"].endswith("/dataflow:v2.2.3")
