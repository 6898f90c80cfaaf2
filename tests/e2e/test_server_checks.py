"""The API server is asked beforehand what it would take, as this Helm would send it."""

from __future__ import annotations

import shutil

import pytest
from faults import until
from releases import change
from runs import Open

from runbooks_lib import process
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.server import LONGEST
from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Finding
from runbooks_lib.run import Run
from runbooks_lib.stages import install

QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "few"},
    "spec": {"hard": {"configmaps": "0"}},
}


def accepted(run: Run) -> Finding:
    (finding,) = report(
        "t",
        "T",
        [check for check in FAMILIES["prerequisites"] if check.id == "objects.accepted"],
        Subject(run.boundaries),
        observe=run.observe,
    ).findings
    return finding


def looked(run: Run) -> dict[str, Finding]:
    made = report(
        "t",
        "T",
        [check for check in FAMILIES["prerequisites"] if check.id in {"values.effect", "chart.guide"}],
        Subject(run.boundaries),
        observe=run.observe,
    )
    return {finding.id: finding for finding in made.findings}


def test_before_the_namespace_is_there_another_one_is_asked(opened: Open, target: dict[str, str]) -> None:
    found = accepted(opened("install"))
    assert found.status == "pass", found.observed
    assert "44 objects and 5 claims of StatefulSets, asked as Helm v3." in found.observed
    assert f"in the namespace default, since {target['target.namespace']} is not there yet" in found.observed
    assert found.observed.endswith("all would be taken")


def test_objects_of_a_live_release_are_asked_as_patches_and_a_field_that_is_immutable_is_named(opened: Open) -> None:
    change(opened("install"), install)
    assert accepted(opened("upgrade")).status == "pass"
    found = accepted(opened("upgrade", dataflow__persistence__size="200Gi"))
    assert found.status == "fail"
    assert "StatefulSet" in found.observed
    assert "updates to statefulset spec for fields other than" in found.observed


def test_what_a_quota_forbids_is_named_before_anything_is_made(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    namespace = target["target.namespace"]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.create(QUOTA, namespace)
    found = accepted(opened("install"))
    assert found.status == "fail"
    assert "exceeded quota: few" in found.observed
    assert cluster.list("v1", "Service", namespace) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_null_that_helm_4_cannot_apply_is_named(
    opened: Open, cluster: Cluster, target: dict[str, str], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target["target.namespace"]}})
    run = opened("install")
    # Of a Helm 4 only its version matters here: how it would send them.
    run.boundaries.helm.__dict__["version"] = "v4.0.0"
    found = accepted(run)
    assert found.status == "fail"
    assert "EnvoyProxy" in found.observed
    assert "spec.provider.kubernetes" in found.observed


def test_a_statefulset_whose_name_is_too_long_is_refused_here_since_its_pods_would_be(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    namespace, release = target["target.namespace"], "r" * 40 + "-too-long"
    found = accepted(opened("install", target__release=release))
    assert found.status == "fail", found.observed
    name = f"{release}-dataflow"
    assert f"StatefulSet {name}: its name has {len(name)} characters" in found.observed.splitlines()[0]
    assert "target.release" in found.remedy
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, "serviceName": "x"}
    # From 53 on it depends on how many digits the hash of the revision has, which has ten at most.
    for length, refused in ((LONGEST, False), (LONGEST + 10, True)):
        meta = {"name": "s" * length}
        cluster.create({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": spec}, namespace)

        def events(name: str = meta["name"]) -> list[str]:
            found = cluster.list("v1", "Event", namespace)
            return [event["reason"] for event in found if event["involvedObject"]["name"] == name]

        until(lambda: events() or None)
        assert events()[0] == ("FailedCreate" if refused else "SuccessfulCreate")


def test_a_database_that_the_built_in_server_does_not_make_is_told(opened: Open) -> None:
    (check,) = (check for check in FAMILIES["prerequisites"] if check.id == "databases.created")

    def ask(**overrides: object) -> Finding:
        subject = Subject(opened("install", **overrides).boundaries)
        return report("t", "T", [check], subject, observe=lambda _: None).findings[0]

    found = ask()
    assert found.status == "pass", found.observed
    found = ask(dataflow__postgresql__database="")
    assert (found.status, "asks for the database" in found.observed) == ("fail", True), found.observed


def test_every_object_that_is_anothers_is_named_with_its_owner(
    opened: Open, cluster: Cluster, target: dict[str, str], request: pytest.FixtureRequest
) -> None:
    namespace, release = target["target.namespace"], target["target.release"]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    name = f"{release}-label-studio"
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}, namespace)
    marks = {"meta.helm.sh/release-name": "agentichub", "meta.helm.sh/release-namespace": "hub"}
    made = {"name": "csghub-gateway", "annotations": marks}
    api, kind, spec = "gateway.networking.k8s.io/v1", "GatewayClass", {"controllerName": "example.com/x"}
    cluster.create({"apiVersion": api, "kind": kind, "metadata": made, "spec": spec})
    request.addfinalizer(lambda: cluster.delete(api, kind, made["name"]))

    def asked(**values: str) -> dict[str, Finding]:
        wanted = {"objects.owned", "chart.render", "values.effect"}
        chosen = [one for one in FAMILIES["prerequisites"] if one.id in wanted]
        run = opened("install", **values)
        return {one.id: one for one in run.ask("T", chosen, Subject(run.boundaries)).findings}

    found = asked(values__dataflow__persistance__size="20Gi")
    # Compared all the same, by renders without the cluster.
    idle = found["values.effect"]
    assert (idle.status, "values.dataflow.persistance.size changes nothing" in idle.observed) == ("warn", True)
    assert "edition" not in idle.observed
    # Helm names the first one alone.
    assert f"{kind} csghub-gateway" not in found["chart.render"].observed.replace('"', "")
    first, second = found["objects.owned"].observed.splitlines()
    assert first.startswith(f"ConfigMap {name} in namespace {namespace} is there and was not made by this release")
    assert (
        second
        == f"{kind} csghub-gateway, one for the whole cluster, is there and belongs to release agentichub in namespace hub"
    )
    # What is said of it, done: Helm takes it over.
    if shutil.which("kubectl") is None:
        pytest.skip("There is no kubectl on this machine.")
    for command in found["objects.owned"].remedy.split("`")[1::2]:
        assert process.run(["bash", "-c", command], timeout=60).ok, command
    cluster.delete(api, kind, made["name"])
    assert {one.status for one in asked().values()} == {"pass"}
    change(opened("install"), install)
    assert asked()["objects.owned"].status == "pass"


# ---- what the values do


def test_values_that_the_chart_reads_are_tried_by_sections_only(opened: Open) -> None:
    found = looked(opened("install"))["values.effect"]
    assert (found.status, found.observed) == (
        "pass",
        "5 values, 0 of them tried one by one, 5 by sections, by leaving them out of dataflow 1.16.0",
    )


def test_values_of_a_component_that_the_chart_has_no_more_are_told_though_it_knows_them(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCUMENTS_OUTSIDE", "d" * 12)
    outside = {"host": "127.0.0.1", "port": 1, "user": "owner", "password": {"from": "env:DOCUMENTS_OUTSIDE"}}
    for given, idle in (
        ({"mongo__persistence": {"size": "20Gi"}}, ["mongo.persistence.size"]),
        (
            {"mongo__external": outside},
            ["values.global.mongo.enabled", *(f"mongo.external.{key}" for key in ("host", "port", "password", "user"))],
        ),
    ):
        found = looked(opened("install", chart__version="2.1.0", **given))["values.effect"]
        assert found.status == "warn", found.observed
        told = [line.partition(" ")[0] for line in found.observed.splitlines()]
        assert told == idle, found.observed


def test_values_without_an_effect_are_told_with_what_was_meant_and_the_others_are_not(opened: Open) -> None:
    found = looked(
        opened(
            "install",
            edition="ce",
            images__tag="v9",
            gateway__node_ports={"http": 30081},
            gateway__tls={"enabled": False, "secret_name": "tls"},
            images__envoy_registry="registry.example.com/x",
            values__dataflow__persistance__size="20Gi",
            values__envoy__imag__tag="v9",
            values__labelStudio__securityContext__fsGroup=7,
        )
    )["values.effect"]
    assert found.status == "warn"
    assert found.observed.splitlines() == [
        "edition (global.edition) changes nothing in dataflow 1.16.0",
        "gateway.node_ports.http (global.gateway.service.nodePorts.http) changes nothing in dataflow 1.16.0",
        "gateway.tls.secret_name (global.gateway.tls.secretName) changes nothing in dataflow 1.16.0",
        "images.tag (global.image.tag) changes nothing in dataflow 1.16.0",
        "values.dataflow.persistance.size changes nothing in dataflow 1.16.0; did you mean dataflow.persistence.size?",
        "values.envoy.imag.tag changes nothing in dataflow 1.16.0; did you mean envoy.image.tag?",
    ]


def test_where_the_chart_differs_from_the_guide_the_chart_wins_and_it_is_told(opened: Open) -> None:
    found = looked(opened("install"))["chart.guide"]
    assert found.status == "pass"
    assert "labelStudio.image.tag: the guide says v1.15.0, the chart has v1.16.0" in found.observed
    assert "labelStudio.persistence.size: the guide says 100Gi, the chart has nothing" in found.observed
