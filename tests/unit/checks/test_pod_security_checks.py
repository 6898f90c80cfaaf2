"""Would the API server take the rendered pods?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbooks_lib.cluster import Forbidden, Invalid
from runbooks_lib.errors import CheckFailed, Unreachable
from runbooks_lib.results import Json

WORKLOAD = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]
  template:
    metadata: {labels: {app: store}, annotations: {note: kept}}
    spec:
      serviceAccountName: made-by-the-chart
      volumes: [{name: scratch, emptyDir: {}}]
      containers: [{name: c, image: i, volumeMounts: [{name: data, mountPath: /data}]}]
"""
ENFORCED = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "baseline"}
REFUSED = Forbidden('The cluster does not let it happen (403): violates PodSecurity "restricted:latest".')


def here(labels: Json | None = None) -> Json:
    return {"kind": "Namespace", "metadata": {"name": "csghub", "labels": labels or {}}}


@pytest.mark.parametrize(
    ("there", "may", "rejected", "status", "observed"),
    [
        ([], True, None, "pass", "no level is enforced by a label: csghub is not there yet"),
        ([here()], True, None, "pass", "no level is enforced by a label; the API server takes a pod of each of 1"),
        ([here()], False, None, "pass", "without the right to create pods"),
        (
            [here(ENFORCED)],
            False,
            None,
            "unknown",
            "the level restricted is enforced in csghub (warn=baseline only tell)",
        ),
        ([here(ENFORCED)], True, None, "pass", "the API server takes a pod of each of 1 templates (dry run)"),
        (
            [here(ENFORCED)],
            True,
            REFUSED,
            "fail",
            "StatefulSet store: The cluster does not let it happen (403): violates",
        ),
        ([here()], True, REFUSED, "fail", "violates PodSecurity"),
        ([here()], True, Forbidden("it: exceeded quota: q, requested: pods=1"), "pass", "takes a pod"),
        ([here(ENFORCED) | {"status": {"phase": "Terminating"}}], True, REFUSED, "skip", "csghub is being removed and"),
        ([here()], True, Forbidden("The admission webhook w does not: cpu usage per pod"), "fail", "usage per pod"),
        ([here(ENFORCED)], True, Unreachable("no answer"), "unknown", "no answer"),
        ([here(ENFORCED)], True, Invalid("no dry run"), "unknown", "no dry run"),
    ],
)
def test_the_api_server_is_asked_whether_it_takes_such_a_pod(
    world: Any, ask: Any, there: list[Json], may: bool, rejected: Exception | None, status: str, observed: str
) -> None:
    world.renders(WORKLOAD)
    world.cluster.add(*there)
    world.cluster.refused = set() if may else {("create", "pods")}
    world.cluster.rejected = {"store-dry-run": rejected} if rejected else {}
    answer = ask("namespace.pod-security")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed
    assert not [obj for obj in world.cluster.objects if obj["kind"] == "Pod"]


def test_the_pod_that_is_tried_has_its_volumes_and_not_the_account_that_is_still_to_be_made(
    world: Any, ask: Any
) -> None:
    world.renders(WORKLOAD)
    world.cluster.add(here())
    ask("namespace.pod-security")
    (tried,) = world.cluster.tried
    assert tried["metadata"] == {"name": "store-dry-run", "labels": {"app": "store"}, "annotations": {"note": "kept"}}
    assert [volume["name"] for volume in tried["spec"]["volumes"]] == ["data", "scratch"]
    assert "serviceAccountName" not in tried["spec"]
    assert "serviceAccountName" in yaml.safe_load(WORKLOAD)["spec"]["template"]["spec"]


def test_whoever_refuses_a_pod_is_told_first_with_what_to_do_about_that(world: Any, ask: Any) -> None:
    world.renders(WORKLOAD)
    world.cluster.add(here(ENFORCED))
    world.cluster.rejected = {"store-dry-run": CheckFailed("The webhook is dead.", next_step="Bring it back.")}
    answer = ask("namespace.pod-security")
    assert answer.observed.splitlines() == [
        "StatefulSet store: The webhook is dead.",
        "the level restricted is enforced in csghub (warn=baseline only tell)",
    ]
    assert (answer.status, answer.remedy) == ("fail", "Bring it back.")
