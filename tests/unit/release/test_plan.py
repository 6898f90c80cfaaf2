"""Plans: what they say, what binds them, and that no secret is in them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from runbooks_lib.errors import CheckFailed, RunbookError, TargetRefused
from runbooks_lib.release import by_hand
from runbooks_lib.release.plan import plan_install, plan_uninstall, plan_upgrade
from runbooks_lib.results import Plan

UID = "11111111-2222-3333-4444-555555555555"
KEEP = "annotations: {helm.sh/resource-policy: keep}"


def manifest(password: str = "6fa1b2c3d4", image: str = "dataflow:1", more: str = "") -> str:
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: dataflow-postgresql, {KEEP}}}
data: {{POSTGRES_PASSWORD: {base64.b64encode(password.encode()).decode()}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: config}}
data: {{url: "postgresql://u:{password}@db"}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: dataflow-postgresql}}
spec:
  volumeClaimTemplates: [{{metadata: {{name: data}}}}]
  selector: {{matchLabels: {{app: db}}}}
  template: {{spec: {{containers: [{{name: db, image: "postgres:16"}}]}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: dataflow-api}}
spec: {{template: {{spec: {{containers: [{{name: api, image: "{image}"}}]}}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: dataflow}}
{more}"""


def namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}}


def live(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "csghub"}, **fields}


@pytest.mark.parametrize("make", [plan_install, plan_upgrade, plan_uninstall])
@pytest.mark.parametrize(
    ("pin", "sentence", "hint"),
    [
        ("", "The parameters pin no cluster", f'cluster_uid: "{UID}"'),
        ("other", f"another cluster than the pinned one: .* has the UID {UID}", "target.context"),
    ],
)
def test_no_plan_is_made_without_the_pin_of_this_cluster(
    world: Any, make: Callable[[Any], Plan], pin: str, sentence: str, hint: str
) -> None:
    world.settings["target"]["cluster_uid"] = pin
    with pytest.raises(TargetRefused, match=sentence) as caught:
        make(world.boundaries)
    assert hint in caught.value.next_step


def test_what_is_not_there_can_not_be_upgraded_and_is_removed_already(world: Any) -> None:
    with pytest.raises(CheckFailed, match="There is no release dataflow in namespace csghub to") as caught:
        plan_upgrade(world.boundaries)
    assert "02_install" in caught.value.next_step
    gone = plan_uninstall(world.boundaries)
    assert gone.empty
    assert gone.impact[0].startswith("There is no release dataflow in namespace csghub: nothing is to be removed.")


def test_what_is_there_can_not_be_installed(world: Any) -> None:
    world.stored(manifest())
    with pytest.raises(CheckFailed, match="exists already in namespace csghub: revision 1 is deployed: ") as caught:
        plan_install(world.boundaries)
    assert "04_upgrade" in caught.value.next_step


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "uninstalling"])
def test_a_stuck_release_is_not_upgraded_but_can_be_removed(world: Any, status: str) -> None:
    world.stored(manifest(), info={"status": status})
    with pytest.raises(TargetRefused, match=f"is {status} since 2026-11-22") as caught:
        plan_upgrade(world.boundaries)
    assert "07_recover" in caught.value.next_step
    assert plan_uninstall(world.boundaries).steps


# ---- install


def test_an_install_makes_namespace_and_secret_first(world: Any) -> None:
    world.renders(manifest())
    plan = plan_install(world.boundaries)
    assert [(step.kind, step.title) for step in plan.steps] == [
        ("create-namespace", "Create namespace csghub"),
        ("take-lease", "Hold the Lease runbooks-dataflow: no other run may change it now"),
        ("create-secret", "Create Secret dataflow-postgresql with a strong POSTGRES_PASSWORD"),
        ("helm-install", "Install dataflow 1.16.0 with Helm"),
        ("await-rollout", "Wait until 2 workloads are rolled out"),
    ]
    assert plan.target == {"cluster_uid": UID, "namespace": "csghub", "release": "dataflow"}
    assert plan.impact[0] == "Installs dataflow 1.16.0 as release dataflow in namespace csghub: 5 added."
    assert "an uninstall leaves: 1" in plan.impact[-1]


def test_an_install_makes_only_what_is_missing(world: Any) -> None:
    world.renders(manifest())
    world.cluster.add(namespace(), live("Secret", "dataflow-postgresql"))
    assert [step.kind for step in plan_install(world.boundaries).steps] == [
        "take-lease",
        "helm-install",
        "await-rollout",
    ]


def test_a_digest_outlives_the_minute_in_which_the_chart_made_a_password(world: Any) -> None:
    plans = []
    for password in ("6fa1b2c3d4", "7777777777", "a-much-longer-password"):
        world.renders(manifest(password))
        plans.append(plan_install(world.boundaries))
    assert len({plan.digest for plan in plans}) == 1
    assert plans[0] == plans[1] == plans[2]


def test_no_password_stands_in_a_plan(world: Any) -> None:
    world.renders(manifest())
    text = plan_install(world.boundaries).model_dump_json()
    assert "6fa1b2c3d4" not in text
    assert base64.b64encode(b"6fa1b2c3d4").decode() not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.renders(manifest(image="dataflow:2")),
        lambda world: world.renders(manifest(), version="1.16.1"),
        lambda world: world.settings.update(values={"a": "b"}),
        lambda world: world.settings.update(policy={"rollout_seconds": 2}),
        lambda world: world.program.answer("version", stdout="v4.0.0"),
        lambda world: world.cluster.add(namespace()),
        lambda world: world.renders(
            manifest(),
            hooks=[{"name": "h", "kind": "Job", "manifest": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h}\n"}],
        ),
    ],
    ids=["manifest", "chart", "values", "policy", "helm", "cluster", "hooks"],
)
def test_a_digest_changes_with_whatever_would_change_the_outcome(world: Any, change: Callable[[Any], None]) -> None:
    world.renders(manifest())
    before = plan_install(world.boundaries).digest
    change(world)
    assert plan_install(world.boundaries).digest != before


def test_another_password_of_the_users_does_not_show_in_the_digest(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.settings["values"] = {"postgresql": {"password": {"from": "env:DB_PASSWORD"}}}
    digests = set()
    for password in ("hunter2-hunter2", "other-other-other"):
        monkeypatch.setenv("DB_PASSWORD", password)
        world.renders(manifest(password))
        digests.add(plan_install(world.boundaries).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(("known", "name"), [("dataflow:2", "another"), ("6fa1b2c3d4", "earlier"), ("u:p@db", "third")])
def test_a_digest_is_the_same_whatever_else_a_run_has_come_to_know(world: Any, known: str, name: str) -> None:
    world.stored(manifest())
    world.renders(manifest(image="dataflow:2").replace("u:6fa1b2c3d4@db", "u:p@db"))
    early = plan_upgrade(world.boundaries)
    world.redactor.register(known, name)
    late = plan_upgrade(world.boundaries)
    assert late.digest == early.digest
    assert late == early


def test_what_is_shown_of_a_plan_has_nothing_in_it_that_is_known_to_be_secret_and_the_digest_stays(world: Any) -> None:
    world.stored(manifest())
    world.renders(manifest(image="dataflow:2"))
    plan = plan_upgrade(world.boundaries).model_copy(update={"notes": ("Now: dataflow:2.",)})
    world.redactor.register("dataflow:2", "of somebody else")
    shown = plan.masked(world.redactor.redact)
    assert "dataflow:2" in plan.model_dump_json()
    assert "dataflow:2" not in f"{shown.model_dump_json()}{shown.notes}"
    assert shown.digest == plan.digest == shown.model_copy(update={"commands": ("helm",)}).digest
    # Read from a file it is taken for what it says.
    assert Plan.model_validate_json(shown.model_dump_json()).digest != plan.digest


# ---- upgrade


def test_an_upgrade_to_the_same_says_so_and_has_no_steps(world: Any) -> None:
    world.renders(manifest())
    values = {}
    world.program.answer("status", stdout="")
    world.stored(manifest(), values=values)
    rendered = plan_upgrade(world.boundaries)
    # The values that the parameters give are not the stored ones yet.
    assert rendered.steps
    given = _given(world)
    world.stored(manifest(), values=given)
    world.lives(manifest())
    plan = plan_upgrade(world.boundaries)
    assert plan.empty
    assert plan.impact == ("Nothing to do: revision 1 is dataflow-1.16.0 with these values already.",)
    assert plan.bindings["revision"] == 1


def test_what_was_deleted_by_hand_is_made_again(world: Any) -> None:
    world.renders(manifest())
    world.stored(manifest(), values=_given(world))
    world.lives(manifest())
    lost = world.cluster.objects.pop()
    plan = plan_upgrade(world.boundaries)
    assert not plan.empty
    assert f"Missing in the cluster, and made again: {lost['kind']} {lost['metadata']['name']}." in plan.impact


@pytest.mark.parametrize("method", ["", "ssa"])
@pytest.mark.parametrize("custom", [False, True])
def test_what_was_changed_by_hand_is_put_back_and_named(world: Any, method: str, custom: bool) -> None:
    text = manifest(
        more="---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {hostnames: [a.b]}\n"
    )
    world.renders(text)
    world.stored(text, values=_given(world))
    status = json.loads(world.program(["helm", "status"], timeout=1).stdout)
    world.program.answer("status", stdout=status | {"apply_method": method})
    world.lives(text)
    if custom:
        definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        world.cluster.add(definition | {"metadata": {"name": "httproutes.gateway.networking.k8s.io"}})
    assert plan_upgrade(world.boundaries).empty
    route = next(obj for obj in world.cluster.objects if obj["kind"] == "HTTPRoute")
    digests = set()
    for host in ("c.d", "e.f"):
        route["spec"]["hostnames"] = [host]
        plan = plan_upgrade(world.boundaries)
        assert f"Drift: HTTPRoute r spec.hostnames is {host}; the upgrade puts back a.b." in plan.impact
        digests.add(plan.digest)
    assert len(digests) == 2
    # Helm 3 leaves a field of a custom kind that its two manifests agree on.
    assert ("put-back" in [step.kind for step in plan.steps]) is (custom and not method)
    commands = by_hand.commands_of(plan, world.boundaries.parameters, None)
    assert any("--force-conflicts" in command for command in commands) is bool(method)
    # What these values ask for is a change and no drift.
    world.renders(text.replace("a.b", "e.f"))
    assert not [line for line in plan_upgrade(world.boundaries).impact if line.startswith("Drift")]


def test_what_helm_leaves_makes_no_plan_but_is_told(world: Any) -> None:
    world.renders(manifest())
    world.stored(manifest(), values=_given(world))
    world.lives(manifest())
    container = world.cluster.get("apps/v1", "Deployment", "dataflow-api", "csghub")["spec"]["template"]["spec"][
        "containers"
    ][0]
    container["env"] = [{"name": "FOO", "value": "bar"}]
    plan = plan_upgrade(world.boundaries)
    assert plan.empty
    assert plan.impact[1].startswith(
        "Stays: Deployment dataflow-api spec.template.spec.containers[api].env[FOO] was added"
    )


def test_an_upgrade_names_what_it_would_take_over_from_another_release(world: Any) -> None:
    world.renders(manifest())
    world.stored(manifest(), values=_given(world))
    world.lives(manifest())
    shared = world.cluster.objects[-1]
    other = {"meta.helm.sh/release-name": "other", "meta.helm.sh/release-namespace": "elsewhere"}
    shared["metadata"].setdefault("annotations", {}).update(other)
    plan = plan_upgrade(world.boundaries)
    name = f"{shared['kind']} {shared['metadata']['name']} (release other in namespace elsewhere)"
    assert not plan.empty
    assert f"TAKEN OVER from another release, which loses it: {name}." in plan.impact
    world.renders("")
    assert f"REMOVED although it belongs to another release: {name}." in plan_upgrade(world.boundaries).impact
    # Its own are no news, whether or not Helm has written on them whose they are.
    ours = {"meta.helm.sh/release-name": "dataflow", "meta.helm.sh/release-namespace": "csghub"}
    shared["metadata"]["annotations"].update(ours)
    world.renders(manifest())
    assert plan_upgrade(world.boundaries).empty


def test_after_a_failed_upgrade_the_plan_says_what_it_is_compared_with(world: Any) -> None:
    world.renders(manifest())
    world.stored(manifest(), values=_given(world), info={"status": "failed"})
    assert "Revision 1 is failed: the differences are to what it tried, not to what runs." in (
        plan_upgrade(world.boundaries).impact
    )


def _given(world: Any) -> dict[str, Any]:
    from runbooks_lib.release.values import given

    return given(world.boundaries)


@pytest.mark.parametrize(
    ("stored", "what"),
    [({"chart": "dataflow-1.15.0"}, "another version"), ({"info": {"status": "failed"}}, "a failed revision")],
)
def test_the_same_objects_are_applied_again_for_a_reason(world: Any, stored: dict[str, Any], what: str) -> None:
    world.renders(manifest())
    world.stored(manifest(), values=_given(world), **stored)
    assert not plan_upgrade(world.boundaries).empty, what


def test_a_changed_password_alone_is_a_change(world: Any) -> None:
    world.cluster.add(live("Secret", "dataflow-postgresql"))
    world.renders(manifest("new-new-new-new"))
    world.stored(manifest("old-old-old-old"), values=_given(world))
    plan = plan_upgrade(world.boundaries)
    assert not plan.empty
    assert ("Secret dataflow-postgresql", ("data.POSTGRES_PASSWORD: changed",)) in [
        (change.name, change.detail) for change in plan.changes
    ]
    assert not any(text in plan.model_dump_json() for text in ("new-new-new-new", "old-old-old-old"))


def test_an_upgrade_names_images_objects_and_dropped_values(world: Any) -> None:
    world.cluster.add(namespace(), live("Secret", "dataflow-postgresql"))
    world.renders(manifest(image="dataflow:2"), version="1.16.1")
    gone = "---\napiVersion: v1\nkind: Service\nmetadata: {name: old}\n"
    world.stored(manifest(more=gone), values=_given(world) | {"forgotten": {"key": 1}})
    plan = plan_upgrade(world.boundaries)
    assert plan.impact[0] == (
        "Upgrades release dataflow from dataflow-1.16.0 (revision 1) to dataflow-1.16.1: 1 changed, 1 removed."
    )
    assert "Image: Deployment dataflow-api api: dataflow:1 → dataflow:2" in plan.impact
    assert any(line.startswith("DROPPED VALUE: forgotten.key is set in the stored release") for line in plan.impact)
    assert [(change.action, change.name) for change in plan.changes] == [
        ("remove", "Service old"),
        ("change", "Deployment dataflow-api"),
    ]
    assert [step.kind for step in plan.steps] == ["take-lease", "helm-upgrade", "await-rollout"]


# ---- uninstall


def test_an_uninstall_names_what_goes_and_what_stays_and_why(world: Any) -> None:
    world.cluster.add(
        live("PersistentVolumeClaim", "data-dataflow-postgresql-0"),
        live("Secret", "dataflow-postgresql"),
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "dataflow"}},
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "gatewayclasses.gateway.networking.k8s.io"},
        },
    )
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    stays = {change.name: change.detail[0] for change in plan.changes if change.action == "keep"}
    assert stays == {
        "Secret dataflow-postgresql": "has helm.sh/resource-policy: keep; pairs with the claim of the same service",
        "PersistentVolumeClaim data-dataflow-postgresql-0": "made by a StatefulSet, holds its data; Helm does not know it",
        "CustomResourceDefinition gatewayclasses.gateway.networking.k8s.io": "a definition shared by the whole cluster",
        "Namespace csghub": "Helm never removes a namespace",
    }
    assert set(plan.bindings["staying"]) == set(stays)
    goes = {change.name for change in plan.changes if change.action == "remove"}
    assert goes == {
        "ConfigMap config",
        "StatefulSet dataflow-postgresql",
        "Deployment dataflow-api",
        "GatewayClass dataflow",
    }
    assert "Cluster-scoped and removed: GatewayClass dataflow." in plan.impact
    assert [step.kind for step in plan.steps] == ["take-lease", "helm-uninstall", "await-absence"]
    assert plan.steps[1].title == "Remove the release and its 4 objects"


def test_a_kept_secret_that_is_gone_already_is_not_promised_to_stay(world: Any) -> None:
    world.cluster.add(live("PersistentVolumeClaim", "data-dataflow-postgresql-0"))
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    assert "Secret dataflow-postgresql" not in plan.bindings["staying"]
    (said,) = [line for line in plan.impact if line.startswith("GONE ALREADY")]
    assert said.startswith(
        "GONE ALREADY, though it should stay: Secret dataflow-postgresql. Save what `helm get manifest`"
    )


@pytest.mark.parametrize("claims", [["data-dataflow-postgresql-0"], []])
def test_a_secret_that_goes_while_its_volume_stays_is_told_before(world: Any, claims: list[str]) -> None:
    world.cluster.add(*(live("PersistentVolumeClaim", name) for name in claims))
    world.stored(manifest().replace("helm.sh/resource-policy: keep", "other: note"))
    plan = plan_uninstall(world.boundaries)
    said = [line for line in plan.impact if line.startswith("GOES WHILE ITS VOLUME STAYS")]
    assert len(said) == len(claims)
    assert all("Secret dataflow-postgresql" in line for line in said)


def test_a_cluster_wide_object_says_who_else_would_miss_it(world: Any) -> None:
    annotations = {"meta.helm.sh/release-name": "other", "meta.helm.sh/release-namespace": "elsewhere"}
    world.cluster.add(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "dataflow", "annotations": annotations},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "theirs", "namespace": "elsewhere"},
            "spec": {"gatewayClassName": "dataflow"},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "going", "namespace": "elsewhere", "deletionTimestamp": "2026-11-25T00:00:00Z"},
            "spec": {"gatewayClassName": "dataflow"},
        },
    )
    world.stored(manifest())
    (told,) = [line for line in plan_uninstall(world.boundaries).impact if line.startswith("Cluster-scoped")]
    assert "belongs to release other in namespace elsewhere, and Helm would remove it all the same" in told
    assert "used by Gateway elsewhere/theirs" in told
    assert "elsewhere/going" not in told


def test_a_job_of_a_hook_that_removes_itself_is_no_part_of_what_must_stay(world: Any) -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: NAME}\nspec: {SPEC}\n"
    hooks = [
        {"name": name, "kind": "Job", "manifest": job.replace("NAME", name).replace("SPEC", spec)}
        for name, spec in (("certgen", "ttlSecondsAfterFinished: 30"), ("migrate", ""), ("gone", ""))
    ]
    world.stored(manifest(), hooks=hooks)
    before = plan_uninstall(world.boundaries).digest
    world.cluster.add(live("Job", "certgen"))
    plan = plan_uninstall(world.boundaries)
    assert plan.digest == before, "whether it is still there depends on the minute"
    assert plan.bindings["passing"] == ["Job certgen"]
    world.cluster.add(live("Job", "migrate"))
    plan = plan_uninstall(world.boundaries)
    assert "Job migrate" in plan.bindings["staying"]
    assert not {"Job certgen", "Job gone"} & set(plan.bindings["staying"])


def test_a_job_that_the_uninstall_itself_makes_and_removes_is_no_part_of_what_must_stay(world: Any) -> None:
    policy = {"helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded"}
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    hooks = [
        {"name": name, "manifest": json.dumps(job | {"metadata": {"name": name, "annotations": policy | on}})}
        for name, on in (
            ("tide", {"helm.sh/hook": "pre-install,pre-delete"}),
            ("first", {"helm.sh/hook": "pre-install"}),
        )
    ]
    world.stored(manifest(), hooks=hooks)
    # A killed helm has left them.
    world.cluster.add(live("Job", "tide"))
    world.cluster.add(live("Job", "first"))
    bindings = plan_uninstall(world.boundaries).bindings
    assert bindings["passing"] == ["Job tide"]
    assert "Job first" in bindings["staying"]


@pytest.mark.parametrize("make", [plan_install, plan_upgrade])
def test_a_chart_that_can_not_be_rendered_makes_no_plan(world: Any, make: Callable[[Any], Plan]) -> None:
    world.renders(manifest())
    if make is plan_upgrade:
        world.stored(manifest())
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: execution error at (x): domain is required\n")
    with pytest.raises(RunbookError, match="The chart can't be rendered"):
        make(world.boundaries)
