"""Is each client's database among those that the server in the release makes?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbooks_lib.results import Json


def workload(kind: str, name: str, image: str, variables: Json) -> Json:
    container = {"name": "main", "image": f"r.example/team/{image}:1"}
    container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"template": template, "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(name: str, app: str) -> Json:
    spec = {"selector": {"app": app}, "ports": [{"port": 5432}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def rendered(database: str, host: str = "db", **variables: str) -> str:
    client = {"DATABASE_HOSTNAME": host, "DATABASE_PORT": "5432", "DATABASE_DB": database}
    api, server = (
        workload("Deployment", "api", "dataflow", client),
        workload("StatefulSet", "store", "postgres", variables),
    )
    return yaml.safe_dump_all([api, server, service("db", "store"), service("web", "api")])


@pytest.mark.parametrize(
    ("database", "variables", "status", "says"),
    [
        (
            "flows",
            {"POSTGRES_MULTIPLE_DATABASES": "labels,flows"},
            "pass",
            "StatefulSet store makes its database flows",
        ),
        ("flows", {"POSTGRES_MULTIPLE_DATABASES": "labels  flows"}, "pass", "makes its database flows"),
        ("flows", {"POSTGRES_DB": "flows"}, "pass", "makes its database flows"),
        ("purser", {"POSTGRES_USER": "purser"}, "pass", "makes its database purser"),
        ("postgres", {"POSTGRES_USER": "purser", "POSTGRES_DB": "x"}, "pass", "makes its database postgres"),
        (
            "r_dataflow",
            {"POSTGRES_MULTIPLE_DATABASES": "labels,flows", "POSTGRES_USER": "u"},
            "fail",
            "Deployment api asks for the database r_dataflow, and StatefulSet store makes only labels, flows, u, postgres",
        ),
        ("", {}, "skip", "no client asks a server of the release for a database"),
    ],
)
def test_a_database_that_its_server_does_not_make_is_told(
    world: Any, ask: Any, database: str, variables: dict[str, str], status: str, says: str
) -> None:
    world.renders(rendered(database, **variables))
    answer = ask("databases.created")
    assert (answer.status, says in answer.observed) == (status, True), answer.observed
    assert "postgresql.databases" in answer.remedy


@pytest.mark.parametrize("host", ["pg.example.com", "web", ""])
def test_what_is_no_server_of_the_release_is_not_judged(world: Any, ask: Any, host: str) -> None:
    world.renders(rendered("flows", host))
    assert ask("databases.created").status == "skip"


def test_a_server_that_has_started_before_is_only_doubted(world: Any, ask: Any) -> None:
    world.renders(rendered("flows", "store-0.db.csghub.svc"))
    assert ask("databases.created").status == "fail"
    claim = {"name": "data-store-0", "namespace": "csghub"}
    world.cluster.add({"kind": "PersistentVolumeClaim", "metadata": claim})
    answer = ask("databases.created")
    assert (answer.status, "whether it is on the claim data-store-0 by now is not known" in answer.observed) == (
        "warn",
        True,
    )
