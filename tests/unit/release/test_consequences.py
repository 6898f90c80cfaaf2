"""What a change means: two manifests of nobody's chart against each other."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.release.consequences import Sides, settings, volumes, ways, workloads
from runbooks_lib.release.rendered import claims_of, size_of
from runbooks_lib.results import Json


def workload(kind: str, name: str, *containers: Json, **spec: Any) -> Json:
    claims = [
        {"metadata": {"name": each}, "spec": {"resources": {"requests": {"storage": size}}}}
        for each, size in spec.pop("claims", {}).items()
    ]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": list(containers) or [{"name": "c"}]}}
    template["spec"] |= spec.pop("pod", {})
    whole = {"template": template, **spec} | ({"volumeClaimTemplates": claims} if claims else {})
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def claim(name: str, size: str, **meta: Any) -> Json:
    spec = {"resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, **meta}, "spec": spec}


def service(name: str, *ports: int) -> Json:
    listed = [{"port": port} for port in ports]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": listed}}


def route(*hosts: str) -> Json:
    meta = {"name": "r"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": meta,
        "spec": {"hostnames": [*hosts]},
    }


C1, C2 = {"name": "c", "image": "a:1"}, {"name": "c", "image": "a:2"}
AWAY = "away until its new pod is ready"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ([workload("Deployment", "a", C1)], [workload("Deployment", "a", C1)], []),
        ([], [workload("Deployment", "a", C1)], ["Added: Deployment a."]),
        ([workload("Deployment", "a", C1)], [], ["Removed: Deployment a, with its pods."]),
        (
            [workload("StatefulSet", "a", C1)],
            [workload("Deployment", "a", C1)],
            ["REPLACED: StatefulSet a goes, and Deployment a takes its place; nobody answers in between."],
        ),
        (
            [workload("Deployment", "a", C1)],
            [workload("Deployment", "a", C2)],
            ["Restarted: Deployment a, new pods first, then the old ones go."],
        ),
        (
            [workload("Deployment", "a", C1)],
            [workload("Deployment", "a", C2, strategy={"type": "Recreate"}, minReadySeconds=30)],
            [f"Restarted: Deployment a, {AWAY}, at least 30 s."],
        ),
        (
            [workload("StatefulSet", "a", C1)],
            [workload("StatefulSet", "a", C2)],
            [f"Restarted: StatefulSet a, {AWAY}."],
        ),
        (
            [workload("StatefulSet", "a", C1)],
            [workload("StatefulSet", "a", C2, replicas=3)],
            ["Restarted: StatefulSet a, one pod after the other."],
        ),
        (
            [workload("StatefulSet", "a", C1)],
            [workload("StatefulSet", "a", C2, replicas=0)],
            ["Restarted: StatefulSet a, which has no pods."],
        ),
        (
            [workload("DaemonSet", "a", C1)],
            [workload("DaemonSet", "a", C2)],
            ["Restarted: DaemonSet a, one pod after the other."],
        ),
        # More replicas restart nobody.
        ([workload("Deployment", "a", C1)], [workload("Deployment", "a", C1, replicas=3)], []),
        (
            [
                workload(
                    "Deployment",
                    "a",
                    {"name": "c", "env": [{"name": "X"}, {"name": "Y"}], "ports": [{"containerPort": 80}]},
                    {"name": "side"},
                    pod={"initContainers": [{"name": "wait"}]},
                )
            ],
            [workload("Deployment", "a", {"name": "c", "env": [{"name": "Y"}, {"name": "Z"}]})],
            [
                "Restarted: Deployment a, new pods first, then the old ones go.",
                "No longer in Deployment a: container wait, container side, variable X of c, port 80 of c.",
            ],
        ),
    ],
)
def test_what_becomes_of_what_runs(old: list[Json], new: list[Json], told: list[str]) -> None:
    assert list(workloads(Sides(old, new, "n"))) == told


STORE = workload("StatefulSet", "s", claims={"data": "5Gi"})
MADE = claim("data-s-0", "5Gi", creationTimestamp="2026-01-02T03:04:05Z")


@pytest.mark.parametrize(
    ("old", "new", "live", "told"),
    [
        ([STORE], [STORE], [MADE], []),
        ([], [STORE], [], ["Volume claim data-s-0 is made, empty (5Gi, the default class)."]),
        ([], [STORE], [MADE], ["Volume claim data-s-0 is there already, with its data."]),
        (
            [STORE],
            [],
            [MADE],
            [
                "ORPHANED: volume claim data-s-0 (5Gi, made 2026-01-02) stays, with its data, and nothing uses it any more."
            ],
        ),
        ([STORE], [], [], []),
        (
            [STORE],
            [
                workload(
                    "Deployment",
                    "s",
                    pod={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data-s-0"}}]},
                )
            ],
            [MADE],
            ["Stays: volume claim data-s-0 (5Gi, made 2026-01-02) stays, still mounted."],
        ),
        ([claim("s", "9Gi")], [], [], ["VOLUME REMOVED, with its data: claim s."]),
        (
            [STORE],
            [workload("Deployment", "s"), claim("s", "9Gi")],
            [MADE],
            [
                "ORPHANED: volume claim data-s-0 (5Gi, made 2026-01-02) stays, with its data, and nothing uses it any more.",
                "Volume claim s is made, empty (9Gi, the default class).",
            ],
        ),
    ],
)
def test_what_becomes_of_what_is_stored(old: list[Json], new: list[Json], live: list[Json], told: list[str]) -> None:
    there = {each["metadata"]["name"]: each for each in live}
    assert list(volumes(Sides(old, new, "n"), there)) == told


def test_claims_of_two_templates_of_like_names_are_told_apart() -> None:
    found = claims_of([workload("StatefulSet", "s", claims={"data": "5Gi", "data-s": "6Gi"}, replicas=2)])
    assert {each.name: size_of(each.spec) for each in found} == {
        "data-s-0": "5Gi",
        "data-s-1": "5Gi",
        "data-s-s-0": "6Gi",
        "data-s-s-1": "6Gi",
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ([service("a", 80)], [], ["Gone: Service a; whoever calls it is refused."]),
        ([service("a", 80, 443)], [service("a", 80)], ["Gone: port 443/TCP of Service a."]),
        ([service("a", 80)], [service("a", 80, 443)], []),
        (
            [route("a.example.com")],
            [route("b.example.com")],
            [
                "Gone: host a.example.com; links and certificates for it mean nothing any more.",
                "New host: b.example.com; its name must lead to the gateway.",
            ],
        ),
        ([], [route("a.example.com")], []),
    ],
)
def test_what_can_no_longer_be_reached(old: list[Json], new: list[Json], told: list[str]) -> None:
    assert list(ways(Sides(old, new, "n"))) == told


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_entries_that_something_may_still_read(field: str) -> None:
    def of(*names: str) -> Json:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, field: dict.fromkeys(names, "x")}

    assert list(settings(Sides([of("a", "b")], [of("b", "c")], "n"))) == ["No longer in Secret s: a."]
    assert list(settings(Sides([of("a")], [of("a")], "n"))) == []
