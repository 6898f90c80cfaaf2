"""An uninstall that takes data along: what it needs, what it names, and what it leaves because it is somebody else's."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.errors import CheckFailed
from runbooks_lib.release.plan import plan_uninstall
from runbooks_lib.release.removing import remove

MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers: [{name: store, image: any/thing:1}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {resources: {requests: {storage: 5Gi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: store, annotations: {helm.sh/resource-policy: keep}}
"""


def claim(name: str, uid: str = "u1") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "csghub", "uid": uid, "creationTimestamp": "2026-03-01T10:00:00Z"}
    spec = {"resources": {"requests": {"storage": "5Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


@pytest.fixture
def there(world: Any) -> Any:
    world.stored(MANIFEST)
    world.lives(MANIFEST)
    world.cluster.add(claim("data-store-0"))
    world.settings["waivers"] = [{"check": "backup.ready", "reason": "copied by hand", "until": "2999-12-31"}]
    return world


def asked(world: Any, **settings: Any) -> Any:
    world.settings["uninstall"] = settings
    return plan_uninstall(world.boundaries)


def test_by_default_data_stays(there: Any) -> None:
    plan = plan_uninstall(there.boundaries)
    assert [step.kind for step in plan.steps] == ["take-lease", "helm-uninstall", "await-absence"]
    assert "PersistentVolumeClaim data-store-0" in plan.bindings["staying"]


@pytest.mark.parametrize("typed", ["", "other"])
def test_data_goes_only_where_the_release_is_named_once_more(there: Any, typed: str) -> None:
    with pytest.raises(CheckFailed, match=f"but {typed or 'nothing'}. Nothing was changed"):
        asked(there, policy="remove-data", confirm=typed)


def test_what_goes_is_named_with_its_size_and_age_and_known_by_its_uid(there: Any) -> None:
    plan = asked(there, policy="remove-data", confirm="dataflow")
    assert "REMOVES DATA: PersistentVolumeClaim data-store-0 (5Gi, made 2026-03-01)." in plan.impact
    assert "REMOVES DATA: Secret store (made an unknown)." in [line.replace(" day", "") for line in plan.impact]
    (step,) = (step for step in plan.steps if step.kind == "remove-data")
    assert ["PersistentVolumeClaim", "data-store-0", "u1"] in step.data["objects"]
    assert plan.bindings["staying"] == ["Namespace csghub"]


def test_without_a_waiver_data_that_nobody_can_copy_stays(there: Any) -> None:
    there.settings["waivers"] = []
    with pytest.raises(CheckFailed, match="which database that is in can't be told"):
        asked(there, policy="remove-data", confirm="dataflow")


def test_a_namespace_with_something_of_others_stays(there: Any) -> None:
    there.cluster.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "csghub"}})
    with pytest.raises(CheckFailed, match="1 objects that are not this release's, such as ConfigMap theirs"):
        asked(there, policy="remove-namespace", confirm="dataflow")
    plan = asked(there, policy="remove-namespace", confirm="dataflow", others_too=True)
    assert "REMOVES what is not this release's: ConfigMap theirs." in plan.impact
    assert plan.steps[-1].kind == "remove-namespace"
    assert plan.bindings["staying"] == []


def test_an_object_that_was_made_anew_meanwhile_stays(there: Any) -> None:
    remove(there.boundaries, [["PersistentVolumeClaim", "data-store-0", "older"]])
    assert there.cluster.get("v1", "PersistentVolumeClaim", "data-store-0", "csghub") is not None
    remove(there.boundaries, [["PersistentVolumeClaim", "data-store-0", "u1"]])
    assert there.cluster.get("v1", "PersistentVolumeClaim", "data-store-0", "csghub") is None
