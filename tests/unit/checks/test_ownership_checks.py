"""Whose is what the chart would make: each object that is another's is named, with its owner and a way out."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.cluster.failures import Forbidden
from runbooks_lib.results import Json

MANIFEST = """apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: way}
"""
HELM = {"app.kubernetes.io/managed-by": "Helm"}
NAME, SPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
OURS = {NAME: "dataflow", SPACE: "csghub"}


def settings(labels: Json | None = None, annotations: Json | None = None) -> Json:
    meta = {"name": "settings", "namespace": "csghub", "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def way(labels: Json | None = None, annotations: Json | None = None) -> Json:
    meta = {"name": "way", "labels": labels, "annotations": annotations}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": meta}


@pytest.mark.parametrize(
    ("there", "status", "observed", "remedy"),
    [
        ([], "pass", "of 2 objects none is there that is somebody else's", ""),
        ([settings(HELM, OURS), way(HELM, OURS)], "pass", "of 2 objects none", ""),
        (
            [settings()],
            "fail",
            f"ConfigMap settings in namespace csghub is there and was not made by this release: it lacks "
            f"app.kubernetes.io/managed-by=Helm, {NAME}=dataflow, {SPACE}=csghub",
            "let Helm adopt it and make it what the chart renders, by its label and two annotations:\n"
            "`kubectl label configmap settings --namespace csghub --overwrite app.kubernetes.io/managed-by=Helm`\n"
            f"`kubectl annotate configmap settings --namespace csghub --overwrite {NAME}=dataflow {SPACE}=csghub`",
        ),
        ([settings({}, OURS)], "fail", "it lacks app.kubernetes.io/managed-by=Helm", "`kubectl label configmap"),
        ([settings(HELM)], "fail", f"it lacks {NAME}=dataflow, {SPACE}=csghub", "`kubectl annotate configmap"),
        (
            [settings({"app.kubernetes.io/managed-by": "argo"})],
            "fail",
            f"{SPACE}=csghub; app.kubernetes.io/managed-by is argo",
            "remove it if nobody needs it",
        ),
        (
            [way(HELM, {NAME: "agentichub", SPACE: "hub"})],
            "fail",
            "GatewayClass way, one for the whole cluster, is there and belongs to release agentichub in namespace hub",
            "Ask whoever runs release agentichub in namespace hub",
        ),
        (
            [way()],
            "fail",
            "GatewayClass way, one for the whole cluster, is there and was not made",
            "`kubectl label gatewayclass.gateway.networking.k8s.io way --overwrite app.kubernetes.io/managed-by=Helm`",
        ),
    ],
)
def test_what_is_there_is_ours_or_told_with_its_owner_and_the_way_out(
    world: Any, ask: Any, there: list[Json], status: str, observed: str, remedy: str
) -> None:
    world.renders(MANIFEST)
    world.cluster.add(*there)
    answer = ask("objects.owned")
    assert answer.status == status
    assert observed in answer.observed
    assert remedy in answer.remedy


def test_all_of_them_are_named_and_nobody_is_sent_to_an_owner_that_there_is_not(world: Any, ask: Any) -> None:
    world.renders(MANIFEST)
    world.cluster.add(settings(), way(HELM, {NAME: "agentichub", SPACE: "hub"}))
    said = 'ConfigMap "settings" in namespace "csghub" exists and cannot be imported: invalid ownership metadata'
    world.program.answer("--dry-run=server", returncode=1, stderr=f"Error: INSTALLATION FAILED: {said}\n")
    world.program.answer("template", stdout=MANIFEST)
    answer = ask("objects.owned")
    assert [line.partition(" is there")[0] for line in answer.observed.splitlines()] == [
        "ConfigMap settings in namespace csghub",
        "GatewayClass way, one for the whole cluster,",
    ]
    told = answer.remedy.splitlines()
    assert (told[0].startswith("Two releases can't have one object. Ask"), len(told)) == (True, 4)
    assert "objects.owned of 01_prerequisites names all of them" in ask("chart.render").remedy


def test_what_is_in_the_release_already_is_its_own_and_what_a_hook_makes_is_made_anew(world: Any, ask: Any) -> None:
    world.stored(MANIFEST)
    world.renders(MANIFEST, hooks=[{"manifest": MANIFEST.replace("settings", "hooked")}])
    hooked = settings()
    hooked["metadata"]["name"] = "hooked"
    world.cluster.add(settings(), way(), hooked)
    assert ask("objects.owned").status == "pass"


def test_an_object_that_may_not_be_read_hides_no_other(world: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.renders(MANIFEST)
    world.cluster.add(settings())
    read = world.cluster.get

    def get(version: str, kind: str, *where: Any) -> Json | None:
        if kind == "GatewayClass":
            raise Forbidden("This account may not get gatewayclasses.")
        found: Json | None = read(version, kind, *where)
        return found

    monkeypatch.setattr(world.cluster, "get", get)
    answer = ask("objects.owned")
    assert answer.status == "fail"
    first, second = answer.observed.splitlines()
    assert first.startswith("ConfigMap settings")
    assert second == "GatewayClass way: whose it is is not known: This account may not get gatewayclasses"
