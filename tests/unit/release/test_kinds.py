"""The kinds that a chart brings, which Helm makes once and never again, and those that the API server has ceased to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbooks_lib.helm import Release
from runbooks_lib.helm.chart import source_of
from runbooks_lib.release import sentences
from runbooks_lib.release.consequences import Sides, kinds
from runbooks_lib.release.kinds import brought, definitions, versions
from runbooks_lib.results import Json


def crd(name: str = "things", *served: str, **besides: Any) -> Json:
    schema = {"openAPIV3Schema": {"type": "object"}} | besides
    each = [{"name": one, "served": True, "storage": True, "schema": schema} for one in served or ("v1",)]
    names = {"kind": "Thing", "plural": name}
    metadata = {"name": f"{name}.example.com", "annotations": {"made-by": "a generator"}}
    spec = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": each}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


def live(definition: Json, *stored: str) -> Json:
    filled = {"conversion": {"strategy": "None"}, **definition["spec"]}
    filled["names"] = {**filled["names"], "listKind": "ThingList"}
    return {**definition, "spec": filled, "status": {"storedVersions": list(stored or ("v1",))}}


def lines(world: Any, shipped: list[Json], *rendered: Json, upgrade: bool = True) -> list[str]:
    return list(definitions(world.boundaries, shipped, rendered, upgrade=upgrade))


def test_definitions_that_are_not_there_are_made_by_an_install_and_by_no_upgrade(world: Any) -> None:
    assert lines(world, [crd()], upgrade=False) == [
        "Makes definitions of kinds first, which an uninstall leaves: things.example.com."
    ]
    (line,) = lines(world, [crd()])
    assert line.startswith(
        "NOT MADE by Helm, which makes the definitions of crds/ at an install only: things.example.com."
    )


def test_a_definition_as_the_chart_has_it_is_not_told_whatever_the_server_has_filled_in(world: Any) -> None:
    world.cluster.add(live(crd()))
    assert lines(world, [crd()]) == lines(world, [crd()], upgrade=False) == []


@pytest.mark.parametrize(
    ("now", "detail"),
    [
        (crd("things", "v1", "v2"), "; its versions are v1, the chart's v1, v2"),
        (crd(openAPIV3Schema={"type": "string"}), ""),
        (crd(openAPIV3Schema={}), ""),
    ],
)
@pytest.mark.parametrize("upgrade", [True, False])
def test_a_definition_that_differs_is_named_since_helm_leaves_it_as_it_is(
    world: Any, now: Json, detail: str, upgrade: bool
) -> None:
    world.cluster.add(live(crd()))
    (line,) = lines(world, [now], upgrade=upgrade)
    said = f"Helm does not upgrade CRDs: things.example.com on the cluster differs from the chart's{detail}. By hand: "
    assert line.startswith(said)


@pytest.mark.parametrize("in_template", [True, False])
def test_a_version_that_goes_though_objects_are_stored_in_it_is_named(world: Any, in_template: bool) -> None:
    world.cluster.add(live(crd("things", "v1alpha1", "v1"), "v1alpha1", "v1"))
    shipped, rendered = ([], [crd()]) if in_template else ([crd()], [])
    said = lines(world, shipped, *rendered)
    assert said[-1].startswith(
        "STORED VERSION GOES: the chart's things.example.com has no v1alpha1 any more, in which "
    )
    assert len(said) == (1 if in_template else 2)


def test_who_may_not_read_definitions_gets_a_plan_all_the_same(world: Any) -> None:
    world.cluster.refused = {("get", "things.example.com")}
    assert lines(world, [crd()]) == ["What the cluster has of these definitions may not be read: things.example.com."]


def test_a_definition_among_the_objects_takes_all_objects_of_its_kind_along() -> None:
    assert list(kinds(Sides([crd()], [], "csghub"))) == [
        "REMOVED, with all objects of its kind in all namespaces: CustomResourceDefinition things.example.com."
    ]


def test_a_subcharts_definitions_are_read_where_its_condition_holds(tmp_path: Path) -> None:
    sub = tmp_path / "charts" / "sub"
    for folder, name in ((tmp_path, "whole"), (sub, "part")):
        (folder / "crds").mkdir(parents=True)
        (folder / "crds" / "all.yaml").write_text(yaml.safe_dump(crd(name)))
        (folder / "crds" / "README.md").write_text("kind: CustomResourceDefinition")
    (tmp_path / "Chart.yaml").write_text("name: whole\ndependencies: [{name: sub, condition: 'not.set,sub.enabled'}]\n")
    (sub / "Chart.yaml").write_text("name: sub\n")
    (tmp_path / "values.yaml").write_text("sub: {enabled: false}\n")
    source = source_of(tmp_path)
    assert [obj["metadata"]["name"] for obj in brought(source, {})] == ["whole.example.com"]
    found = brought(source, {"sub": {"enabled": True}})
    assert [obj["metadata"]["name"] for obj in found] == ["whole.example.com", "part.example.com"]


FLOW = {"apiVersion": "flowcontrol.apiserver.k8s.io/v1beta3", "kind": "FlowSchema", "metadata": {"name": "mine"}}


@pytest.mark.parametrize(
    ("version", "served", "said"),
    [
        (
            "v1.31.9+k3s1",
            True,
            "ENDS with the next Kubernetes: flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema (mine) is removed in "
            "Kubernetes 1.32; write flowcontrol.apiserver.k8s.io/v1. This cluster is v1.31.9+k3s1.",
        ),
        ("v1.30.1", True, ""),
        (
            "v1.32.0",
            False,
            "NOT SERVED by this cluster, so that Helm would fail: flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema (mine). "
            "It was removed in Kubernetes 1.32; write flowcontrol.apiserver.k8s.io/v1.",
        ),
    ],
)
def test_a_version_of_the_api_that_ends_is_told_before_it_does_and_after(
    world: Any, version: str, served: bool, said: str
) -> None:
    world.cluster.gitversion = version
    if served:
        group, _, name = FLOW["apiVersion"].partition("/")
        like = world.cluster.served[0]
        resource = like.model_copy(
            update={"group": group, "version": name, "kind": "FlowSchema", "plural": "flowschemas"}
        )
        world.cluster.served.append(resource)
    assert list(versions(world.boundaries, [], [FLOW])) == ([said] if said else [])


def test_a_kind_that_nobody_knows_is_told_unless_the_chart_brings_it(world: Any) -> None:
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "one"}}
    assert list(versions(world.boundaries, [], [thing])) == [
        "NOT SERVED by this cluster, so that Helm would fail: example.com/v1 Thing (one)."
    ]
    assert (
        list(versions(world.boundaries, [crd()], [thing])) == list(versions(world.boundaries, [], [crd(), thing])) == []
    )


def test_plans_tell_of_the_kinds_of_hooks_as_well(world: Any) -> None:
    world.renders("")
    hook = yaml.safe_dump(FLOW | {"metadata": {"name": "hooked"}})
    rendered = Release(name="d", namespace="csghub", revision=1, status="", hooks=(hook,))
    assert any("(hooked)" in line for line in sentences.kinds_of(world.boundaries, rendered, upgrade=True))
