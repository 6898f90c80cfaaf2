"""What is in the way of a first install."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.results import Finding, Json

MANIFEST = f"""
apiVersion: v1
kind: Secret
metadata: {{name: db}}
data: {{POSTGRES_PASSWORD: {base64.b64encode(b"6fa1b2c3d4").decode()}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  volumeClaimTemplates: [{{metadata: {{name: data}}}}]
  template: {{spec: {{containers: [{{name: db, image: "registry.example.com/library/postgres:16"}}]}}}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {{name: e}}
"""


def finding(world: Any, ident: str) -> Finding:
    world.renders(MANIFEST)
    chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
    return report("install", "I", chosen, Subject(world.boundaries), observe=world.told.append).findings[0]


def live(kind: str, name: str) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": "csghub"}}


def test_somebody_elses_object_is_found_by_helms_own_dry_run(world: Any) -> None:
    world.renders(MANIFEST)
    said = 'Secret "db" in namespace "csghub" exists and cannot be imported: invalid ownership metadata'
    world.program.answer("--dry-run=server", returncode=1, stderr=f"Error: INSTALLATION FAILED: {said}\n")
    (check,) = [check for check in FAMILIES["prerequisites"] if check.id == "chart.render"]
    made = report("install", "I", [check], Subject(world.boundaries), observe=world.told.append)
    assert made.verdict == "fail"
    assert "exists and does not belong to this release" in made.findings[0].observed
    assert 'Secret "db"' in made.findings[0].observed
    assert "objects.owned of 01_prerequisites names all of them" in made.findings[0].remedy


def test_who_only_waits_for_a_database_has_no_data_of_it(world: Any) -> None:
    world.renders(
        MANIFEST.replace("containers: [{name: db", "containers: [{name: web, image: web}], initContainers: [{name: db")
    )
    world.cluster.add(live("PersistentVolumeClaim", "data-db-0"))
    chosen = [check for check in FAMILIES["prerequisites"] if check.id == "claims.secrets"]
    (answer,) = report("install", "I", chosen, Subject(world.boundaries), observe=world.told.append).findings
    assert answer.status == "pass"


@pytest.mark.parametrize(
    ("there", "status"),
    [
        ([], "pass"),
        (["PersistentVolumeClaim", "Secret"], "pass"),
        (["Secret"], "pass"),
        (["PersistentVolumeClaim"], "fail"),
    ],
)
def test_a_claim_without_its_secret_would_lock_the_database(world: Any, there: list[str], status: str) -> None:
    names = {"PersistentVolumeClaim": "data-db-0", "Secret": "db"}
    world.cluster.add(*(live(kind, names[kind]) for kind in there))
    answer = finding(world, "claims.secrets")
    assert answer.status == status
    if status == "fail":
        assert answer.observed == "claim data-db-0 is there, Secret db is not"
