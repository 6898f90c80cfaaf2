"""Does each claim have a class, and is each one that is there as it would be made?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbooks_lib.results import Json

NAMESPACE = "csghub"
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
BETA = {"storageclass.beta.kubernetes.io/is-default-class": "true"}


def made(name: str, *, marks: Json | None = None, **more: Any) -> Json:
    created = more.pop("created", "2026-01-01T00:00:00Z")
    meta = {"name": name, "annotations": marks or {}, "creationTimestamp": created}
    return {"kind": "StorageClass", "metadata": meta, "provisioner": "nfs", **more}


def spec(size: str = "10Gi", name: str | None = "files") -> Json:
    named = {} if name is None else {"storageClassName": name}
    return {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"], **named}


def claim(**how: Any) -> Json:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "own"}, "spec": spec(**how)}


def stateful(**how: Any) -> Json:
    templates = [{"metadata": {"name": "data"}, "spec": spec(**how)}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "store"},
        "spec": {"volumeClaimTemplates": templates},
    }


def live(obj: Json, name: str = "") -> Json:
    meta = obj["metadata"] | {"namespace": NAMESPACE} | ({"name": name} if name else {})
    return obj | {"metadata": meta}


@pytest.mark.parametrize(
    ("rendered", "classes", "status", "observed"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, [], "skip", "the chart asks for no claim"),
        (claim(), [], "fail", "claim own (10Gi): StorageClass files does not exist"),
        (claim(name=None), [made("a")], "fail", "claim own (10Gi): no default StorageClass, and the chart names none"),
        (claim(name=""), [made("a", marks=DEFAULT)], "warn", "claim own (10Gi) names no class on purpose"),
        (claim(), [made("files")], "pass", "claim own (10Gi): StorageClass files (Immediate)"),
        (
            stateful(name=None, size="1Ti"),
            [made("a", marks=BETA, volumeBindingMode="WaitForFirstConsumer"), made("b")],
            "pass",
            "claim data-store-0 (1Ti): StorageClass a (WaitForFirstConsumer)",
        ),
        (
            claim(name=None),
            [made("a", marks=DEFAULT, created="2026-03-01T00:00:00Z"), made("b", marks=DEFAULT)],
            "warn",
            "claim own (10Gi): StorageClass a (Immediate), the newest of the default ones a, b",
        ),
        (
            claim(name=None),
            [made("b", marks=DEFAULT), made("a", marks=DEFAULT)],
            "warn",
            "StorageClass a (Immediate), the newest of the default ones a, b",
        ),
    ],
)
def test_a_claim_has_the_class_that_it_names_or_the_only_default_one(
    world: Any, ask: Any, rendered: Json, classes: list[Json], status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(rendered))
    world.cluster.add(*classes)
    answer = ask("storage.classes")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


@pytest.mark.parametrize(
    ("provisioner", "status"),
    [
        ("nfs.csi.k8s.io", "pass"),
        ("cephfs.csi.ceph.com", "pass"),
        ("rook-ceph.cephfs.csi.ceph.com", "pass"),
        ("efs.csi.aws.com", "pass"),
        ("file.csi.azure.com", "pass"),
        ("filestore.csi.storage.gke.io", "pass"),
        ("driver.longhorn.io", "pass"),
        ("nasplugin.csi.alibabacloud.com", "pass"),
        ("com.tencent.cloud.csi.cfs", "pass"),
        ("kubernetes.io/host-path", "pass"),
        ("sandbox.dataflow-runbooks.dev/host-path", "pass"),
        ("ebs.csi.aws.com", "fail"),
        ("kubernetes.io/aws-ebs", "fail"),
        ("disk.csi.azure.com", "fail"),
        ("diskplugin.csi.alibabacloud.com", "fail"),
        ("pd.csi.storage.gke.io", "fail"),
        ("com.tencent.cloud.csi.cbs", "fail"),
        ("cinder.csi.openstack.org", "fail"),
        ("rancher.io/local-path", "fail"),
        ("kubernetes.io/no-provisioner", "warn"),
        ("rook-ceph.rbd.csi.ceph.com", "warn"),
        ("csi.example.com", "warn"),
        ("", "warn"),
    ],
)
def test_whether_a_class_gives_shared_volumes_is_read_off_its_provisioner(
    world: Any, ask: Any, provisioner: str, status: str
) -> None:
    shared = claim() | {"spec": spec() | {"accessModes": ["ReadWriteMany"]}}
    for rendered, expected in ((shared, status), (claim(), "pass")):
        world.renders(yaml.safe_dump(rendered))
        world.cluster.objects = [made("files") | {"provisioner": provisioner}]
        answer = ask("storage.classes")
        assert (answer.status, "StorageClass files (Immediate)" in answer.observed) == (expected, True)
        assert (provisioner in answer.observed) == (expected != "pass" or not provisioner)


@pytest.mark.parametrize(
    ("now", "able", "status", "observed"),
    [
        ({}, False, "pass", "claim own is there with 10Gi of StorageClass files"),
        ({"name": "old"}, False, "fail", "with StorageClass old, not files; a claim's class can't be changed"),
        ({"size": "20Gi"}, True, "fail", "with 20Gi, 10Gi is rendered; a claim can't shrink"),
        ({"size": "5Gi"}, True, "pass", "with 5Gi, 10Gi is rendered; StorageClass files can grow it"),
        ({"size": "5Gi"}, False, "fail", "with 5Gi, 10Gi is rendered; StorageClass files can not grow it"),
        ({"size": "10240Mi"}, False, "pass", "is there with 10240Mi"),
    ],
)
def test_a_claim_of_the_chart_is_changed_as_far_as_claims_can_be(
    world: Any, ask: Any, now: Json, able: bool, status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(claim()))
    world.cluster.add(made("files", allowVolumeExpansion=able), live(claim(**now)))
    answer = ask("storage.classes")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


@pytest.mark.parametrize(
    ("now", "able", "status", "observed"),
    [
        ({}, False, "pass", "claim data-store-0 is there with 10Gi of StorageClass files"),
        ({"name": "old"}, False, "warn", "with StorageClass old, not files; it keeps it: a StatefulSet never"),
        ({"size": "20Gi"}, True, "warn", "with 20Gi, 10Gi is rendered; it stays so"),
        ({"size": "5Gi"}, True, "warn", "files can grow it, and Helm never does for a StatefulSet's claim"),
        ({"size": "5Gi"}, False, "warn", "files can not grow it, and Helm never does for a StatefulSet's claim"),
    ],
)
def test_a_claim_of_a_stateful_set_stays_as_it_is(
    world: Any, ask: Any, now: Json, able: bool, status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(stateful()))
    world.cluster.add(made("files", allowVolumeExpansion=able), live(claim(**now), "data-store-0"))
    answer = ask("storage.classes")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


def test_a_class_that_is_gone_is_no_matter_to_a_claim_that_is_there(world: Any, ask: Any) -> None:
    world.renders(yaml.safe_dump(claim()))
    world.cluster.add(live(claim()))
    assert ask("storage.classes").status == "pass"


@pytest.mark.parametrize(
    ("now", "status", "observed"),
    [
        ({}, "pass", "claim data-store-0 (10Gi)"),
        ({"size": "5Gi"}, "fail", "StatefulSet store can't get other claim templates, so that an upgrade is refused"),
        ({"name": "old"}, "fail", "(data: 10Gi old is there, 10Gi files is rendered)"),
    ],
)
def test_the_claim_templates_of_a_stateful_set_that_is_there_can_not_change(
    world: Any, ask: Any, now: Json, status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(stateful()))
    world.cluster.add(made("files"), live(stateful(**now)))
    answer = ask("storage.classes")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


# ---- what Kubernetes does with a claim that is there


def mounting(name: str, claim: str, kind: str = "Deployment") -> Json:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    pod = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    api = {"Pod": "v1"}.get(kind, "apps/v1")
    spec = pod if kind == "Pod" else {"template": {"spec": pod}}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("finalizers", "pods", "observed", "remedy"),
    [
        (
            ["kubernetes.io/pvc-protection"],
            [live(mounting("store-0", "data-store-0", "Pod"))],
            "kept by kubernetes.io/pvc-protection; mounted by Pod store-0",
            "then stop store-0: once it is gone, an empty claim is made in its place",
        ),
        (
            ["a/b", "c/d"],
            [live(mounting("else", "other", "Pod"))],
            "kept by a/b, c/d; no pod mounts it",
            "then ask whoever set a/b, c/d to finish and take it out: once it is gone",
        ),
    ],
)
def test_a_claim_that_is_being_deleted_fails_with_what_keeps_it(
    world: Any, ask: Any, finalizers: list[str], pods: list[Json], observed: str, remedy: str
) -> None:
    world.renders(yaml.safe_dump(stateful()))
    ends = {"deletionTimestamp": "2026-03-01T00:00:00Z", "finalizers": finalizers}
    there = live(claim(), "data-store-0")
    world.cluster.add(made("files"), there | {"metadata": there["metadata"] | ends}, *pods)
    answer = ask("storage.classes")
    told = f"claim data-store-0 is being deleted since 2026-03-01T00:00:00Z, {observed}"
    assert (answer.status, answer.observed) == ("fail", told)
    assert remedy in answer.remedy


def with_modes(obj: Json, *modes: str) -> Json:
    if "volumeClaimTemplates" in obj["spec"]:
        (template,) = obj["spec"]["volumeClaimTemplates"]
        return obj | {"spec": {"volumeClaimTemplates": [with_modes(template, *modes)]}}
    return obj | {"spec": obj["spec"] | {"accessModes": list(modes)}}


SHARED, SINGLE = "ReadWriteMany", "ReadWriteOnce"


@pytest.mark.parametrize(
    ("rendered", "there", "status", "observed"),
    [
        (
            [with_modes(stateful(), SHARED), mounting("worker", "data-store-0")],
            with_modes(live(claim(), "data-store-0"), SINGLE),
            "fail",
            "claim data-store-0 is there with ReadWriteOnce, ReadWriteMany is asked for; a StatefulSet keeps the claim that it "
            "finds; StatefulSet store, Deployment worker mount it, and those on another node than the first wait for ever",
        ),
        (
            [with_modes(stateful(), SHARED)],
            with_modes(live(claim(), "data-store-0"), SINGLE),
            "warn",
            "ReadWriteMany is asked for; a StatefulSet keeps the claim that it finds",
        ),
        (
            [with_modes(claim(), SHARED)],
            with_modes(live(claim()), SINGLE),
            "fail",
            "ReadWriteMany is asked for; no change of a claim changes its access modes",
        ),
        (
            [with_modes(stateful(), SINGLE)],
            with_modes(live(claim(), "data-store-0"), SHARED),
            "pass",
            "is there with 10Gi",
        ),
        (
            [with_modes(stateful(), SHARED), mounting("worker", "data-store-0")],
            # Its volume was made by hand, and gives more than it was asked for.
            with_modes(live(claim(), "data-store-0"), SINGLE) | {"status": {"accessModes": [SINGLE, SHARED]}},
            "pass",
            "is there with 10Gi",
        ),
    ],
)
def test_a_claim_that_is_there_has_the_access_modes_that_are_asked_for(
    world: Any, ask: Any, rendered: list[Json], there: Json, status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump_all(rendered))
    world.cluster.add(made("files"), there)
    answer = ask("storage.classes")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed
    assert ("Copy the data of " in answer.remedy) == (status != "pass")
