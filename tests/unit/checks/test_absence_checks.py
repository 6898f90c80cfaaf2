"""After an uninstall: gone, and only what the plan named as staying is left."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.checks.absence import Subject
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Finding, Json

BY_LABEL = {"labels": {"app.kubernetes.io/instance": "dataflow"}}
BY_HELM = {"annotations": {"meta.helm.sh/release-name": "dataflow", "meta.helm.sh/release-namespace": "csghub"}}
STAYING = ("PersistentVolumeClaim data-db-0", "Secret db", "Namespace csghub")


def obj(kind: str, name: str, meta: Json, namespace: str | None = "csghub") -> Json:
    where = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "metadata": {"name": name} | where | meta}


NAMESPACE = obj("Namespace", "csghub", {}, None)
CLAIM = obj("PersistentVolumeClaim", "data-db-0", BY_LABEL)
SECRET = obj("Secret", "db", BY_HELM)
KEPT = (NAMESPACE, CLAIM, SECRET)


def findings(
    world: Any, staying: tuple[str, ...] | None, *there: Json, passing: tuple[str, ...] = ()
) -> dict[str, Finding]:
    world.cluster.add(*there)
    subject = Subject(world.boundaries, staying, passing)
    made = report("verify", "A", FAMILIES["verify (absent)"], subject, observe=world.told.append)
    return {item.id: item for item in made.findings}


def test_gone_as_planned_passes(world: Any) -> None:
    made = findings(world, STAYING, *KEPT)
    assert {ident: item.status for ident, item in made.items()} == {
        "release.absent": "pass",
        "objects.absent": "pass",
        "staying.present": "pass",
    }
    assert made["objects.absent"].observed == "left, as planned: PersistentVolumeClaim data-db-0, Secret db"


def test_a_release_that_is_still_there_fails(world: Any) -> None:
    world.stored("", info={"status": "uninstalling"})
    answer = findings(world, STAYING)["release.absent"]
    assert (answer.status, answer.observed) == ("fail", "revision 1 is uninstalling")


@pytest.mark.parametrize(
    "left",
    [
        obj("Deployment", "api", BY_LABEL),
        obj("ConfigMap", "c", BY_HELM),
        obj("ClusterRole", "c", BY_HELM, None),
        obj("Pod", "bare", BY_LABEL),
        obj("Secret", "other", BY_HELM),
        obj("PersistentVolumeClaim", "other", BY_LABEL),
    ],
)
def test_what_the_plan_did_not_name_is_left_behind(world: Any, left: Json) -> None:
    answer = findings(world, STAYING, *KEPT, left)["objects.absent"]
    name = f"{left['kind']} {left['metadata']['name']}"
    assert (answer.status, answer.observed) == ("fail", f"left behind: {name}")


@pytest.mark.parametrize(
    "other",
    [
        obj("Deployment", "api", {"labels": {"app.kubernetes.io/instance": "other"}}),
        obj("Deployment", "api", BY_LABEL, "elsewhere"),
        obj(
            "ConfigMap", "c", {"annotations": BY_HELM["annotations"] | {"meta.helm.sh/release-namespace": "elsewhere"}}
        ),
        obj("Deployment", "api", {}),
        obj("ReplicaSet", "api-1", BY_LABEL),
        obj("Pod", "api-1", BY_LABEL | {"ownerReferences": [{"controller": True}]}),
    ],
)
def test_what_is_not_the_releases_or_goes_by_itself_does_not_count(world: Any, other: Json) -> None:
    assert findings(world, STAYING, *KEPT, other)["objects.absent"].status == "pass"


def test_what_removes_itself_later_may_be_there_or_gone(world: Any) -> None:
    job = obj("Job", "certgen", BY_LABEL)
    assert findings(world, STAYING, *KEPT, job, passing=("Job certgen",))["objects.absent"].status == "pass"
    world.cluster.objects.remove(job)
    made = findings(world, STAYING, passing=("Job certgen",))
    assert {item.status for item in made.values()} == {"pass"}


def test_what_should_have_stayed_and_is_gone_fails(world: Any) -> None:
    answer = findings(world, STAYING, NAMESPACE, SECRET)["staying.present"]
    assert (answer.status, answer.observed) == (
        "fail",
        "should have stayed and is gone: PersistentVolumeClaim data-db-0",
    )


def test_a_kind_that_the_cluster_no_longer_serves_is_gone(world: Any) -> None:
    answer = findings(world, ("EnvoyProxy e",))["staying.present"]
    assert (answer.status, answer.observed) == ("fail", "should have stayed and is gone: EnvoyProxy e")


def test_without_a_plan_claims_and_secrets_may_be_left_but_nobody_says_that_it_was_planned(world: Any) -> None:
    made = findings(world, None, *KEPT)
    assert made["objects.absent"].status == "warn"
    assert made["objects.absent"].observed.startswith("left, and no plan of an uninstall is known that names it: ")
    assert made["staying.present"].status == "skip"
    assert "no record of an uninstall" in made["staying.present"].observed


def test_without_a_plan_and_without_anything_left_there_is_nothing_to_say(world: Any) -> None:
    answer = findings(world, None)["objects.absent"]
    assert (answer.status, answer.observed) == ("pass", "nothing is left")


def test_without_a_plan_anything_else_is_left_behind(world: Any) -> None:
    answer = findings(world, None, *KEPT, obj("Service", "api", BY_LABEL))["objects.absent"]
    assert (answer.status, answer.observed) == ("fail", "left behind: Service api")


def test_a_kind_that_can_not_be_listed_makes_it_unknown(world: Any) -> None:
    world.cluster.lists["ConfigMap"] = RunbookError("You may not list configmaps.")
    made = findings(world, STAYING, *KEPT)
    assert (made["objects.absent"].status, made["objects.absent"].observed) == (
        "unknown",
        "You may not list configmaps.",
    )
    assert made["staying.present"].status == "pass"
