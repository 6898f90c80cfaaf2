"""An upgrade that removes volume claims: what is copied first, what is refused, and what stays."""

from __future__ import annotations

from typing import Any

import pytest
from databases import CLIENT

from runbooks_lib.errors import CheckFailed
from runbooks_lib.release.plan import plan_upgrade

SERVER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      volumes: [{name: data, persistentVolumeClaim: {claimName: db-data}}]
      containers:
        - name: postgresql
          image: any/postgres:15
          env: [{name: POSTGRES_USER, value: root}, {name: POSTGRES_PASSWORD, value: root-password-1}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{port: 5432}]}
"""
DATABASE = f"{SERVER}---{CLIENT}---{SERVICE}"
CLAIM = """
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME}
spec: {resources: {requests: {storage: 5Gi}}}
"""


def claims(*names: str) -> str:
    return "".join(CLAIM.replace("NAME", name) for name in names)


def there(world: Any, *names: str) -> Any:
    """A release with these claims, that its next version has no more."""
    world.stored(DATABASE + claims(*names))
    world.lives(DATABASE + claims(*names))
    world.renders(DATABASE)
    return world


def test_what_is_a_databases_is_copied_and_proved_before_it_goes(world: Any) -> None:
    plan = plan_upgrade(there(world, "db-data").boundaries)
    kinds = [step.kind for step in plan.steps]
    assert kinds[-6:] == ["take-lease", "stop-writers", "back-up", "helm-upgrade", "start-writers", "await-rollout"]
    (copying,) = (step for step in plan.steps if step.kind == "back-up")
    assert copying.data["databases"] == ["things at db:5432"]
    assert any(line.startswith("VOLUME REMOVED, with its data: claim db-data (5Gi") for line in plan.impact)


@pytest.mark.parametrize("names", [("files",), ("db-data", "files")])
def test_what_no_copy_can_be_made_of_stops_the_plan(world: Any, names: tuple[str, ...]) -> None:
    with pytest.raises(CheckFailed, match=r"no copy of that can be made here: files\. Nothing was changed") as caught:
        plan_upgrade(there(world, *names).boundaries)
    assert "kubectl -n csghub annotate pvc files helm.sh/resource-policy=keep" in caught.value.next_step


def test_a_waiver_accepts_that_it_is_lost(world: Any) -> None:
    world.settings["waivers"] = [{"check": "backup.ready", "reason": "copied by hand", "until": "2999-12-31"}]
    plan = plan_upgrade(there(world, "db-data", "files").boundaries)
    assert "back-up" not in [step.kind for step in plan.steps]
    assert len([line for line in plan.impact if line.startswith("VOLUME REMOVED")]) == 2


def test_what_its_live_policy_keeps_stays_and_asks_for_nothing(world: Any) -> None:
    there(world, "files")
    live = next(obj for obj in world.cluster.objects if obj["kind"] == "PersistentVolumeClaim")
    live["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    plan = plan_upgrade(world.boundaries)
    assert ("keep", "PersistentVolumeClaim files") in [(each.action, each.name) for each in plan.changes]
    assert any(line.startswith("ORPHANED: volume claim files (5Gi) stays") for line in plan.impact)
    assert not any(line.startswith("VOLUME REMOVED") for line in plan.impact)


def test_a_claim_that_is_gone_already_has_nothing_to_lose(world: Any) -> None:
    there(world, "files")
    world.cluster.objects = [obj for obj in world.cluster.objects if obj["kind"] != "PersistentVolumeClaim"]
    assert plan_upgrade(world.boundaries).steps
