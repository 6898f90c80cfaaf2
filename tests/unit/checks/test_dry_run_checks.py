"""What is asked of the server beforehand, and how its refusals are told; what it says is tried on the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.cluster import Forbidden, Invalid
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Json

HERE: Json = {"kind": "Namespace", "metadata": {"name": "csghub"}}
STORE = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}]
  template: {spec: {containers: [{name: c, image: i}]}}
"""


def store(name: str = "store") -> str:
    return STORE.replace("NAME", name)


def tried_claims(world: Any) -> list[Json]:
    return [obj for obj in world.cluster.tried if obj["kind"] == "PersistentVolumeClaim"]


def test_a_claim_that_a_statefulset_makes_is_tried_under_a_name_that_nobody_has(world: Any, ask: Any) -> None:
    world.renders(store())
    world.cluster.add(HERE)
    answer = ask("objects.accepted")
    (tried,) = tried_claims(world)
    assert tried["metadata"]["name"].startswith("data-store-0-")
    assert tried["spec"] == {"resources": {"requests": {"storage": "1Gi"}}}
    assert (answer.status, "1 objects and 1 claims of StatefulSets" in answer.observed) == ("pass", True)


@pytest.mark.parametrize("there", [True, False])
def test_a_claim_that_is_there_or_may_not_be_made_by_this_account_is_not_tried(
    world: Any, ask: Any, there: bool
) -> None:
    world.renders(store())
    world.cluster.add(HERE)
    if there:
        meta = {"name": "data-store-0", "namespace": "csghub"}
        world.cluster.add({"kind": "PersistentVolumeClaim", "metadata": meta})
    else:
        world.cluster.refused = {("create", "persistentvolumeclaims")}
    assert ask("objects.accepted").status == "pass"
    assert tried_claims(world) == []


def test_a_statefulset_whose_name_is_too_long_for_its_pods_labels_is_told(world: Any, ask: Any) -> None:
    world.cluster.add(HERE)
    world.renders(store("s" * 52))
    assert ask("objects.accepted").status == "pass"
    world.renders(store("s" * 53))
    answer = ask("objects.accepted")
    first = answer.observed.splitlines()[0]
    assert (answer.status, "its name has 53 characters" in first, "52" in first) == ("fail", True, True)
    assert "target.release" in answer.remedy


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            Forbidden("The webhook x refuses.", next_step="Ask the owner of the webhook x."),
            "Ask the owner of the webhook x.",
        ),
        (Invalid("spec.x is null.", next_step="Correct what it names."), "A null that Helm 4 can't apply"),
    ],
)
def test_a_refusal_is_told_first_with_what_mends_it(world: Any, ask: Any, error: RunbookError, remedy: str) -> None:
    world.renders(store())
    world.cluster.add(HERE)
    world.cluster.rejected = {"store": error}
    answer = ask("objects.accepted")
    assert (answer.status, answer.observed.splitlines()[0]) == ("fail", f"StatefulSet store: {error.summary}")
    assert remedy in answer.remedy


def test_a_namespace_that_is_being_removed_is_not_asked(world: Any, ask: Any) -> None:
    world.renders(store())
    world.cluster.add(HERE | {"status": {"phase": "Terminating"}})
    assert (ask("objects.accepted").status, world.cluster.tried) == ("skip", [])
