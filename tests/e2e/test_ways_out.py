"""States beyond Helm's own in which a release is left: 07 explains each, takes its way out, and touches only what it names."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Scene, ended, kill_helm, until
from other_helms import built

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import ChangeFailed, CheckFailed
from runbooks_lib.results import Json, Plan
from runbooks_lib.stages import install, recover

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: berths.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Berth, plural: berths, singular: berth}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
BERTH = "apiVersion: GROUP/v1\nkind: Berth\nmetadata: {name: {{ .Release.Name }}-berth}\nspec: {length: 12}\n"


@pytest.fixture(params=[pytest.param("", id="helm-3"), pytest.param("helm-4", marks=pytest.mark.faults)])
def scene(request: Any, sandbox: Any, target: dict[str, str], cluster: Cluster, tmp_path: Path) -> Scene:
    made = Scene(sandbox, target, cluster, tmp_path, program=str(built(request.param)) if request.param else "")
    made.policy = {"policy.rollout_seconds": 60, "policy.command_seconds": 60}
    return made


def of_another(scene: Scene) -> None:
    """What nobody has named, with a name that looks like the release's."""
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{scene.release}-of-another"}}
    scene.cluster.create(made, scene.namespace)


def forget(scene: Scene, revision: int) -> None:
    assert scene.cluster.delete("v1", "Secret", f"sh.helm.release.v1.{scene.release}.v{revision}", scene.namespace)


def gone(scene: Scene, version: str, kind: str, name: str) -> None:
    scene.cluster.delete(version, kind, name, scene.namespace)
    until(lambda: scene.cluster.get(version, kind, name, scene.namespace) is None or None)


def lost(scene: Scene) -> None:
    scene.have("upgrade")
    forget(scene, 1)


def newest_lost(scene: Scene) -> None:
    scene.have("upgrade")
    scene.helm("upgrade", scene.release, str(scene.charts[1]), "--set", "store.enabled=false", "--no-hooks")
    forget(scene, 2)


def half(scene: Scene) -> None:
    scene.have("upgrade")
    gone(scene, "apps/v1", "Deployment", f"{scene.release}-quay")
    gone(scene, "v1", "Service", f"{scene.release}-quay")


def a_job_left(scene: Scene) -> None:
    """As of a helm that was killed, and that somebody has helped over it by hand."""
    scene.have("upgrade")
    pod: Json = {"restartPolicy": "Never", "containers": [{"name": "moon", "image": "registry.example/tiny:1"}]}
    pod["nodeSelector"] = {scene.door: "yes"}
    told = {"helm.sh/hook": "pre-install,pre-upgrade,pre-delete"}
    told["helm.sh/hook-delete-policy"] = "before-hook-creation,hook-succeeded"
    metadata = {"name": f"{scene.release}-tide", "annotations": told}
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}
    scene.cluster.create(made, scene.namespace)


def values_dropped(scene: Scene) -> None:
    scene.have("upgrade")
    values = "store.enabled=false,quay.berths=7"
    scene.helm("upgrade", scene.release, str(scene.charts[0]), "--set", values, "--no-hooks")
    values = "store.enabled=false,quay.waitsFor=no-node-has-this"
    scene.helm("upgrade", scene.release, str(scene.charts[0]), "--set", values, "--no-hooks")


#: How it was left · what is said of it · what the plan does · which revision there is then · what is no more.
LEFT: list[tuple[Callable[[Scene], None], str, list[str], int, list[str]]] = [
    (lost, "Helm knows no release", ["helm-install", "await-rollout"], 1, []),
    (newest_lost, "Revision 1 is superseded", ["helm-upgrade", "await-rollout"], 2, []),
    (half, "these objects of it are not in the cluster", ["helm-rollback", "await-rollout"], 2, []),
    (a_job_left, "its hooks have left Jobs", ["remove-jobs"], 1, ["Job {}-tide"]),
    (values_dropped, "quay.berths", ["helm-rollback", "await-rollout"], 4, []),
]


@pytest.mark.parametrize(
    ("left", "says", "steps", "revision", "removed"), LEFT, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_release_that_was_left_so_is_mended_and_nothing_else_is_touched(
    scene: Scene, left: Callable[[Scene], None], says: str, steps: list[str], revision: int, removed: list[str]
) -> None:
    left(scene)
    of_another(scene)
    before = scene.inventory()
    looked = recover.look(scene.opens("recover"))
    assert says in next(each.observed for each in looked.findings if each.id == "release.left")
    with scene.opened():
        run, plan = scene.change("recover")
    assert [step.kind for step in plan.steps] == ["take-lease", *steps]
    assert recover.confirm(run, plan).with_status("fail", "unknown") == ()
    assert scene.helm("list", "--short", "--deployed").split() == [scene.release]
    assert f"sh.helm.release.v1.{scene.release}.v{revision}" in scene.helm_secrets()
    after = scene.inventory()
    # What is there already is taken over as it is, and not made anew.
    assert [name for name, uid in before.items() if after.get(name) != uid] == [
        one.format(scene.release) for one in removed
    ]
    assert recover.plan(scene.opens("recover")).empty


def test_an_upgrade_that_was_cut_off_before_helm_had_removed_anything_is_taken_back(scene: Scene) -> None:
    """Helm's own rollback fails then: it finds in the cluster what the newest revision does not know."""
    scene.have("upgrade")
    service, quay = f"{scene.release}-logbook", ("apps/v1", "Deployment", f"{scene.release}-quay", scene.namespace)
    scene.extra = {"values.quay.enabled": False, "values.store.enabled": True}
    moment = scene.begin("upgrade")
    kill_helm(moment)
    ended(moment.command)
    # As if Helm had begun to apply it: one object is new, and one is changed.
    told = {"meta.helm.sh/release-name": scene.release, "meta.helm.sh/release-namespace": scene.namespace}
    metadata = {"name": service, "annotations": told, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 5432}]}}
    scene.cluster.create(made, scene.namespace)
    charter = ("v1", "ConfigMap", f"{scene.release}-charter")
    scene.cluster.patch(*charter, {"data": {"edition": "0.2.0"}}, scene.namespace)
    of_another(scene)
    before, was = scene.inventory(), scene.cluster.get(*quay)

    run, plan = scene.change("recover")

    kinds = ["take-lease", "remove-jobs", "forget-revisions", "remove-objects", "helm-rollback", "await-rollout"]
    assert [step.kind for step in plan.steps] == kinds
    said = f"Of revision 2 this was applied: made: Service {service}; changed: ConfigMap {scene.release}-charter."
    assert said in plan.impact
    assert not [line for line in plan.impact if line.startswith(("Added", "VOLUME REMOVED", "REPLACED"))]
    after, now = scene.inventory(), scene.cluster.get(*quay)
    assert {name for name in before if after.get(name) != before[name]} == {
        f"Service {service}",
        f"Job {scene.release}-tide",
    }
    assert was is not None
    assert now is not None
    assert now["metadata"]["uid"] == was["metadata"]["uid"], "what runs is not made anew"
    found = scene.cluster.get(*charter, scene.namespace)
    assert found is not None
    assert found["data"] == {"edition": "0.1.0"}
    scene.extra = {}
    history = json.loads(scene.helm("history", scene.release, "--output", "json"))
    assert [(line["revision"], line["status"]) for line in history] == [(1, "superseded"), (2, "deployed")]
    assert "edition: 0.2.0" in (run.folder / "evidence" / "revision-2.yaml").read_text() if run.folder else False
    assert recover.confirm(run, plan).with_status("fail", "unknown") == ()
    assert recover.plan(scene.opens("recover")).empty


def test_a_lost_secret_comes_back_with_the_password_that_its_volume_keeps(scene: Scene) -> None:
    scene.helm("install", scene.release, str(scene.charts[0]), "--create-namespace", "--no-hooks")
    seal = f"{scene.release}-seal"
    was = scene.cluster.get("v1", "Secret", seal, scene.namespace)
    assert was is not None
    gone(scene, "v1", "Secret", seal)
    run, plan = scene.change("recover")
    back = scene.cluster.get("v1", "Secret", seal, scene.namespace)
    assert back is not None
    assert back["data"] == was["data"]
    assert base64.b64decode(was["data"]["POSTGRES_PASSWORD"]).decode() not in plan.model_dump_json()
    assert recover.confirm(run, plan).with_status("fail", "unknown") == ()


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("Secret", "{}-seal", "claim pages-{}-logbook-0 is there, Secret {}-seal is not"),
        ("PersistentVolumeClaim", "pages-{}-logbook-0", "Secret {}-seal is there, claim pages-{}-logbook-0 is not"),
    ],
)
def test_half_a_pair_that_an_uninstall_has_left_is_named_and_nothing_is_done(
    scene: Scene, kind: str, name: str, says: str
) -> None:
    scene.helm("install", scene.release, str(scene.charts[0]), "--create-namespace", "--no-hooks")
    scene.helm("uninstall", scene.release, "--no-hooks", "--wait")
    until(lambda: scene.cluster.get("v1", "Pod", f"{scene.release}-logbook-0", scene.namespace) is None or None)
    gone(scene, "v1", kind, name.format(scene.release))
    scene.extra = {"values.store.enabled": True}
    plan = recover.plan(scene.opens("recover"))
    assert says.replace("{}", scene.release) in plan.impact[0]
    assert plan.empty
    run = scene.opens("install")
    if kind == "Secret":
        with pytest.raises(CheckFailed, match="Claims and their Secrets"):
            run.require(install.look(run))


def test_a_namespace_that_does_not_go_is_freed_of_the_finalizers_that_the_plan_names(scene: Scene) -> None:
    scene.have("upgrade")
    metadata = {"name": "moored", "finalizers": ["harbour.example/pilot"]}
    scene.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, scene.namespace)
    scene.cluster.delete("v1", "Namespace", scene.namespace)
    held = "ConfigMap moored (by harbour.example/pilot)"

    def young() -> bool | None:
        plan = recover.plan(scene.opens("recover"))
        assert plan.empty
        return held in plan.impact[0] or None

    assert until(young)
    before = scene.inventory()
    scene.policy["policy.rollout_seconds"] = 5

    def overdue() -> Plan | None:
        # Until its time is over, and what needs none of us is gone.
        plan = recover.plan(scene.opens("recover"))
        return None if plan.empty else plan

    assert [step.kind for step in until(overdue).steps] == ["free-namespace"]
    run, plan = scene.change("recover")
    assert held in plan.steps[0].title
    assert recover.confirm(run, plan).with_status("fail", "unknown") == ()
    assert scene.cluster.get("v1", "Namespace", scene.namespace) is None
    spaced = {each.kind for each in scene.cluster.resources() if each.namespaced}
    missing = before.keys() - scene.inventory().keys()
    assert {name for name in missing if name.split()[0] not in spaced} == {f"Namespace {scene.namespace}"}


@pytest.fixture
def berths(scene: Scene) -> Iterator[str]:
    """The group of a kind of the chart's own; the chart brings its definition, once for the whole cluster."""
    group = f"{scene.release}.example"
    for chart in scene.charts:
        (chart / "crds").mkdir()
        (chart / "crds" / "berths.yaml").write_text(DEFINITION.replace("GROUP", group))
        (chart / "templates" / "berth.yaml").write_text(BERTH.replace("GROUP", group))
    yield group
    scene.cluster.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"berths.{group}")


def test_definitions_that_are_gone_are_made_again_as_the_chart_has_them_and_then_their_objects(
    scene: Scene, berths: str
) -> None:
    scene.have("upgrade")
    name, definition = f"berths.{berths}", ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    scene.cluster.delete(*definition, name)
    until(lambda: scene.cluster.get(*definition, name) is None or None)

    def forgotten() -> bool | None:
        with Cluster.connect(scene.sandbox.kubeconfig, scene.sandbox.context) as fresh:
            return fresh.resource(f"{berths}/v1", "Berth") is None or None

    assert until(forgotten)
    before = scene.inventory()
    run, plan = scene.change("recover")
    assert f"these definitions are gone, with all objects of their kinds: {name}." in plan.impact[0]
    assert [step.kind for step in plan.steps] == ["take-lease", "create-definitions", "helm-rollback", "await-rollout"]
    berth: Json | None = scene.cluster.get(f"{berths}/v1", "Berth", f"{scene.release}-berth", scene.namespace)
    assert berth is not None
    assert berth["spec"] == {"length": 12}
    assert recover.confirm(run, plan).with_status("fail", "unknown") == ()
    assert before.items() <= scene.inventory().items()


def test_a_release_that_is_too_large_for_helm_is_a_sentence_and_leaves_nothing_to_recover(scene: Scene) -> None:
    # Noise, which no packing makes smaller.
    scene.extra = {"values.note": secrets.token_hex(1_000_000)}
    with pytest.raises(ChangeFailed, match="Helm could not store the release, which is too large"):
        scene.change("install")
    plan = recover.plan(scene.opens("recover"))
    assert plan.empty
    assert plan.impact[0].startswith(f"There is no release {scene.release}")
