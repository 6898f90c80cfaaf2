"""Is the release there, whole and reachable: every answer of every check."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.overview import tables
from runbooks_lib.checks.release import Subject
from runbooks_lib.checks.release import status as release_status
from runbooks_lib.results import Finding, Json, Report

CHECKS = FAMILIES["verify"][:9]
MORE = [check for check in FAMILIES["verify"] if check.id in {"pods.restarts", "volumes.room"}]

GATEWAY = "gateway.networking.k8s.io/v1"
MANIFEST = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec: {{selector: {{matchLabels: {{app: api}}}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec: {{selector: {{matchLabels: {{app: db}}}}, volumeClaimTemplates: [{{metadata: {{name: data}}}}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: shared}}
---
apiVersion: v1
kind: Service
metadata: {{name: api}}
spec: {{selector: {{app: api}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: outside}}
spec: {{type: ExternalName}}
---
apiVersion: {GATEWAY}
kind: Gateway
metadata: {{name: gw}}
---
apiVersion: {GATEWAY}
kind: HTTPRoute
metadata: {{name: route}}
spec: {{hostnames: [dataflow.example.com]}}
"""

DONE = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
DATA = {"metadata": {"name": "data"}, "spec": {"volumeMode": "Filesystem"}}
ROUTED = {"hostnames": ["dataflow.example.com"], "parentRefs": [{"group": "gateway.networking.k8s.io"}]}
ACCEPTED = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]


def live(api: str, kind: str, name: str, **fields: Any) -> Json:
    labels = fields.pop("labels", {})
    meta = {"name": name, "namespace": "csghub", "generation": 1, "labels": labels}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **fields}


def selecting(app: str) -> Json:
    return {"replicas": 1, "selector": {"matchLabels": {"app": app}}}


def whole() -> dict[str, Json]:
    """Everything that the release should have, as it should be."""
    container = {"name": "api", "image": "dataflow:1"}
    return {
        "api": live("apps/v1", "Deployment", "api", spec=selecting("api"), status=dict(DONE)),
        "db": live(
            "apps/v1", "StatefulSet", "db", spec=selecting("db") | {"volumeClaimTemplates": [DATA]}, status=dict(DONE)
        ),
        "shared": live("v1", "PersistentVolumeClaim", "shared", status={"phase": "Bound"}),
        "data": live("v1", "PersistentVolumeClaim", "data-db-0", status={"phase": "Bound"}),
        "slice": live(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "api-x",
            labels={"kubernetes.io/service-name": "api"},
            ports=[{"port": 80}],
            endpoints=[{"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": "api-1"}}],
        ),
        "service": live(
            "v1",
            "Service",
            "api",
            spec={
                "type": "LoadBalancer",
                "clusterIP": "10.0.0.1",
                "selector": {"app": "api"},
                "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}],
            },
            status={"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        ),
        "gateway": live(
            GATEWAY,
            "Gateway",
            "gw",
            status={"conditions": [{"type": "Programmed", "status": "True"}], "addresses": [{"value": "192.0.2.1"}]},
        ),
        "outside": live("v1", "Service", "outside", spec={"type": "ExternalName"}),
        "route": live(GATEWAY, "HTTPRoute", "route", spec=dict(ROUTED), status={"parents": [{"conditions": ACCEPTED}]}),
        "pod": live(
            "v1",
            "Pod",
            "api-1",
            labels={"app": "api", "hash": "1"},
            spec={"containers": [container], "nodeName": "node-1"},
            status={"phase": "Running", "containerStatuses": [{"name": "api", "ready": True, "restartCount": 2}]},
        ),
        "foreign pod": live("v1", "Pod", "other-1", labels={"app": "other"}, spec={"containers": [container]}),
    }


@pytest.fixture
def objects(world: Any) -> dict[str, Json]:
    world.stored(MANIFEST)
    world.settings["chart"] = {"repository": "https://charts.example.com", "name": "dataflow", "version": "1.16.0"}
    return copy.deepcopy(whole())


def looked(world: Any, objects: dict[str, Json]) -> Report:
    world.cluster.add(*objects.values())
    return report("verify", "R", CHECKS, Subject(world.boundaries), observe=world.told.append, tables=tables)


def finding(world: Any, objects: dict[str, Json], ident: str) -> Finding:
    if any(check.id == ident for check in MORE):
        world.cluster.add(*objects.values())
        (chosen,) = [check for check in MORE if check.id == ident]
        return report("verify", "R", [chosen], Subject(world.boundaries), observe=world.told.append).findings[0]
    return next(item for item in looked(world, objects).findings if item.id == ident)


def test_a_whole_release_passes_every_check(world: Any, objects: dict[str, Json]) -> None:
    made = looked(world, objects)
    assert {item.id: (item.status, item.observed) for item in made.findings} == {
        "release.status": ("pass", "revision 1 is deployed: done"),
        "release.chart": ("pass", "dataflow-1.16.0 (app )"),
        "objects.present": ("pass", "7 objects, all there (those of hooks are not looked for)"),
        "objects.as-stored": ("pass", "each field of 7 objects that the release sets"),
        "workloads.available": ("pass", "2 workloads, all available"),
        "claims.bound": ("pass", "2 claims, all bound"),
        "services.endpoints": ("pass", "1 services, each with a ready endpoint"),
        "gateway.programmed": ("pass", "Gateway gw at 192.0.2.1"),
        "routes.accepted": ("pass", "accepted for dataflow.example.com"),
    }
    assert made.verdict == "pass"


def test_no_check_passes_where_there_is_no_release(world: Any) -> None:
    made = report("verify", "R", CHECKS, Subject(world.boundaries), observe=world.told.append, tables=tables)
    assert {item.id: item.status for item in made.findings} == {
        "release.status": "fail",
        "release.chart": "skip",
        "objects.present": "skip",
        "objects.as-stored": "skip",
        "workloads.available": "skip",
        "claims.bound": "skip",
        "services.endpoints": "skip",
        "gateway.programmed": "skip",
        "routes.accepted": "skip",
    }
    assert {item.observed for item in made.findings[1:]} == {"there is no release to look at"}
    assert made.verdict == "fail"
    assert made.findings[0].observed == "no release dataflow in namespace csghub: there is no such namespace"
    assert made.findings[0].remedy.startswith("The name may be misspelt (`kubectl get namespaces`): correct target.nam")
    assert "02_install" in made.findings[0].remedy
    assert made.tables == ()


@pytest.mark.parametrize("hidden", [False, True])
def test_of_a_namespace_that_is_there_or_may_not_be_seen_it_is_not_said_that_it_is_none(
    world: Any, hidden: bool
) -> None:
    if hidden:
        world.cluster.refused.add(("get", "csghub"))
    else:
        world.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}})
    answer = release_status(Subject(world.boundaries))
    assert (answer.status, answer.observed) == ("fail", "no release dataflow in namespace csghub")
    assert not answer.remedy, "the check's own"


def set_at(objects: dict[str, Json], name: str, path: str, value: Any) -> None:
    place: Any = objects[name]
    *way, last = path.split(".")
    for step in way:
        place = place[step]
    place[last] = value


#: Check · what is wrong with what · what is said.
BROKEN: list[tuple[str, str, str, Any, str]] = [
    ("workloads.available", "api", "status.availableReplicas", 0, "Deployment api: 0 of 1 available, 1 updated"),
    ("workloads.available", "db", "status.observedGeneration", 0, "StatefulSet db: its controller has not seen"),
    ("workloads.available", "api", "status.replicas", 2, "1 old still there"),
    ("workloads.available", "api", "spec.replicas", 0, "Deployment api: scaled to 0, the release has 1"),
    ("claims.bound", "data", "status.phase", "Pending", "data-db-0: Pending"),
    ("claims.bound", "data", "metadata.deletionTimestamp", "2026-03-01", "is being deleted since 2026-03-01, kept by "),
    ("claims.bound", "shared", "status", {}, "shared: unknown"),
    ("services.endpoints", "slice", "endpoints", [], "without a ready endpoint in a pod of this release: api"),
    (
        "services.endpoints",
        "slice",
        "endpoints",
        [{"conditions": {"ready": False}}],
        "without a ready endpoint in a pod of this release: api",
    ),
    ("services.endpoints", "slice", "ports", [], "without a ready endpoint in a pod of this release: api"),
    (
        "services.endpoints",
        "slice",
        "endpoints",
        [{"targetRef": {"name": "stranger"}}],
        "without a ready endpoint in a pod of this release: api",
    ),
    ("services.endpoints", "slice", "endpoints", None, "without a ready endpoint in a pod of this release: api"),
    ("gateway.programmed", "gateway", "status", {}, "Gateway gw: Programmed=unset, addresses []"),
    ("gateway.programmed", "gateway", "status.addresses", [], "Programmed=True, addresses []"),
    (
        "gateway.programmed",
        "gateway",
        "status.conditions",
        [{"type": "Programmed", "status": "False"}],
        "Programmed=False, addresses ['192.0.2.1']",
    ),
    (
        "gateway.programmed",
        "gateway",
        "status",
        {
            "conditions": [
                {"type": "Programmed", "status": "False", "reason": "AddressNotAssigned", "message": "No address yet"},
                {"type": "Accepted", "status": "False", "reason": "Invalid"},
            ]
        },
        "Programmed=False (AddressNotAssigned: No address yet), Accepted=False (Invalid), addresses []",
    ),
    ("routes.accepted", "route", "status", {}, "HTTPRoute route: no parent has taken it"),
    (
        "routes.accepted",
        "route",
        "status.parents",
        [{"conditions": [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "False"}]}],
        "HTTPRoute route at Gateway without a name: ResolvedRefs=False",
    ),
    (
        "routes.accepted",
        "route",
        "status.parents",
        [
            {
                "parentRef": {"name": "gw"},
                "conditions": [
                    {
                        "type": "Accepted",
                        "status": "False",
                        "reason": "NoMatchingParent",
                        "message": "no such listener",
                    },
                    {"type": "ResolvedRefs", "status": "True"},
                ],
            }
        ],
        "HTTPRoute route at Gateway gw: Accepted=False (NoMatchingParent: no such listener)",
    ),
    ("routes.accepted", "route", "status.parents", [{"conditions": ACCEPTED}, {}], "HTTPRoute route"),
]


@pytest.mark.parametrize(("ident", "name", "path", "value", "said"), BROKEN)
def test_what_is_broken_fails_its_check_and_no_other(
    world: Any, objects: dict[str, Json], ident: str, name: str, path: str, value: Any, said: str
) -> None:
    set_at(objects, name, path, value)
    made = looked(world, objects)
    assert [item.id for item in made.findings if item.status != "pass"] == [ident]
    assert said in made.with_status("fail")[0].observed


@pytest.mark.parametrize(
    ("ident", "name", "said"),
    [
        ("objects.present", "route", "not in the cluster: HTTPRoute route"),
        ("workloads.available", "api", "Deployment api: not there"),
        ("claims.bound", "data", "data-db-0: not there"),
        ("services.endpoints", "slice", "without a ready endpoint in a pod of this release: api"),
        ("gateway.programmed", "gateway", "Gateway gw: not there"),
        ("routes.accepted", "route", "no parent has taken it"),
    ],
)
def test_what_is_missing_fails(world: Any, objects: dict[str, Json], ident: str, name: str, said: str) -> None:
    del objects[name]
    answer = finding(world, objects, ident)
    assert answer.status == "fail"
    assert said in answer.observed


def test_an_object_that_another_release_has_taken_over_fails(world: Any, objects: dict[str, Json]) -> None:
    other = {"meta.helm.sh/release-name": "two", "meta.helm.sh/release-namespace": "elsewhere"}
    set_at(objects, "route", "metadata.annotations", other)
    del objects["outside"]
    answer = finding(world, objects, "objects.present")
    assert (answer.status, answer.observed) == (
        "fail",
        "not in the cluster: Service outside; "
        "there, but of another release: HTTPRoute route (release two in namespace elsewhere)",
    )
    assert "keep one of the two releases" in answer.remedy


@pytest.mark.parametrize("status", ["failed", "pending-upgrade", "uninstalling", "superseded"])
def test_a_release_that_is_not_deployed_fails(world: Any, objects: dict[str, Json], status: str) -> None:
    world.stored(MANIFEST, info={"status": status, "description": "timed out"})
    answer = finding(world, objects, "release.status")
    assert (answer.status, answer.observed) == (
        "fail",
        f"revision 1 is {status} since 2026-11-22 (timed out), left by run abc",
    )
    assert "07_recover" in answer.remedy
    assert ("04_upgrade" in answer.remedy) == (status in {"failed", "superseded"})


def test_another_version_than_in_the_parameters_fails(world: Any, objects: dict[str, Json]) -> None:
    world.settings["chart"]["version"] = "1.16.1"
    answer = finding(world, objects, "release.chart")
    assert (answer.status, answer.expected) == ("fail", "dataflow-1.16.1")
    assert answer.observed.endswith(", the parameters say dataflow-1.16.1")


@pytest.mark.parametrize(
    ("conditions", "status", "said"),
    [
        ([{"type": "Complete", "status": "True"}], "pass", ""),
        (None, "fail", "Job sow: has not ended"),
        (
            [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "again and again"}],
            "fail",
            "Job sow: BackoffLimitExceeded again and again",
        ),
    ],
)
def test_a_job_of_the_release_has_to_end_well(
    world: Any, objects: dict[str, Json], conditions: list[Json] | None, status: str, said: str
) -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: sow}\n"
    world.stored(f"{MANIFEST}---\n{job}")
    assert finding(world, objects, "workloads.available").status == "pass"  # it removes itself when it has ended
    world.cluster.add(live("batch/v1", "Job", "sow", status={"conditions": conditions} if conditions else {}))
    answer = finding(world, objects, "workloads.available")
    assert (answer.status, said in answer.observed) == (status, True)


@pytest.mark.parametrize(
    ("hours", "count", "status"), [(0.5, 3, "warn"), (2, 3, "pass"), (0.5, 0, "pass")], ids=["now", "before", "never"]
)
def test_a_container_that_was_started_again_a_short_while_ago_is_told(
    world: Any, objects: dict[str, Json], hours: float, count: int, status: str
) -> None:
    ended = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ended}}
    container = {"name": "api", "ready": True, "restartCount": count, "lastState": last}
    set_at(objects, "pod", "status.containerStatuses", [container])
    answer = finding(world, objects, "pods.restarts")
    said = "api-1, container api: started again 3 times, last after exit 137 OOMKilled"
    assert (answer.status, said in answer.observed) == (status, status == "warn")


@pytest.mark.parametrize(
    ("used", "status", "said"),
    [
        (50, "pass", "claim data-db-0: 50Gi of 100Gi used (50%)"),
        (90, "warn", "(90%)"),
        (99, "fail", "(99%)"),
        (None, "skip", "no kubelet tells of a volume of this release"),
    ],
)
def test_how_full_a_volume_is_is_what_its_kubelet_says(
    world: Any, objects: dict[str, Json], used: int | None, status: str, said: str
) -> None:
    assert finding(world, objects, "volumes.room").observed == "the kubelets tell nothing of their volumes"
    volume = {"pvcRef": {"namespace": "csghub", "name": "data-db-0"}, "capacityBytes": 100 * 2**30}
    volume |= {"usedBytes": used * 2**30} if used is not None else {}
    other = {"pvcRef": {"namespace": "elsewhere", "name": "data-db-0"}, "capacityBytes": 1, "usedBytes": 1}
    world.cluster.stats["node-1"] = {"pods": [{"volume": [volume, other, {"name": "scratch"}]}, {}]}
    answer = finding(world, objects, "volumes.room")
    assert (answer.status, said in answer.observed) == (status, True), answer.observed


def test_a_condition_of_an_older_generation_says_nothing_of_now(world: Any, objects: dict[str, Json]) -> None:
    parent = objects["route"]["status"]["parents"][0]
    for name, status in (("gateway", objects["gateway"]["status"]), ("route", parent)):
        set_at(objects, name, "metadata.generation", 2)
        for condition in status["conditions"]:
            condition["observedGeneration"] = 1
    assert "Programmed=unset" in finding(world, objects, "gateway.programmed").observed
    assert "Accepted=unset, ResolvedRefs=unset" in finding(world, objects, "routes.accepted").observed


def test_a_late_workload_is_explained_by_its_pods(world: Any, objects: dict[str, Json]) -> None:
    set_at(objects, "api", "status.availableReplicas", 0)
    waiting = [{"name": "api", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    set_at(objects, "pod", "status.containerStatuses", waiting)
    answer = finding(world, objects, "workloads.available")
    assert (answer.evidence, answer.symptom) == ("api-1: api: ImagePullBackOff", True)


def test_a_late_workload_is_explained_by_what_its_pods_said_last(world: Any, objects: dict[str, Json]) -> None:
    set_at(objects, "api", "status.availableReplicas", 0)
    world.cluster.texts["api-1/api", False] = "starting\nFATAL: no config\n\n"
    set_at(objects, "pod", "status.containerStatuses", [{"name": "api", "ready": False}])
    assert finding(world, objects, "workloads.available").evidence == "api-1: api said last: FATAL: no config"


def test_who_was_scaled_down_and_what_was_cut_off_are_causes(world: Any, objects: dict[str, Json]) -> None:
    set_at(objects, "api", "spec.replicas", 0)
    assert finding(world, objects, "workloads.available").symptom is False
    for status, symptom in (("failed", True), ("pending-upgrade", False)):
        world.stored(MANIFEST, info={"status": status, "description": "timed out"})
        assert finding(world, objects, "release.status").symptom is symptom


def test_without_gateway_objects_their_checks_are_skipped(world: Any, objects: dict[str, Json]) -> None:
    world.stored("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    made = {item.id: item.status for item in looked(world, objects).findings}
    assert (made["gateway.programmed"], made["routes.accepted"]) == ("skip", "skip")


def test_a_cluster_that_stops_answering_makes_checks_unknown(world: Any, objects: dict[str, Json]) -> None:
    from runbooks_lib.errors import Unreachable

    world.cluster.lists["EndpointSlice"] = Unreachable("The cluster does not answer.")
    answer = finding(world, objects, "services.endpoints")
    assert (answer.status, answer.observed) == ("unknown", "The cluster does not answer.")


# ---- what was changed by hand


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [
        ("service", "spec.selector", {"app": "nobody"}, "Service api: spec.selector.app is nobody; stored is api"),
        (
            "route",
            "spec.hostnames",
            ["foo.example.org"],
            "HTTPRoute route: spec.hostnames is foo.example.org; stored is ",
        ),
    ],
)
def test_a_field_that_was_changed_by_hand_fails(
    world: Any, objects: dict[str, Json], name: str, path: str, value: Any, said: str
) -> None:
    set_at(objects, name, path, value)
    answer = finding(world, objects, "objects.as-stored")
    assert (answer.status, said in answer.observed) == ("fail", True), answer.observed
    assert "04_upgrade puts it back" in answer.remedy


def test_the_hosts_of_a_route_are_those_that_it_has(world: Any, objects: dict[str, Json]) -> None:
    set_at(objects, "route", "spec.hostnames", ["foo.example.org"])
    assert finding(world, objects, "routes.accepted").observed == "accepted for foo.example.org"


def test_a_workload_that_was_scaled_up_is_told_once(world: Any, objects: dict[str, Json]) -> None:
    text = MANIFEST.replace(
        "{selector: {matchLabels: {app: api}}}", "{replicas: 1, selector: {matchLabels: {app: api}}}"
    )
    world.stored(text)
    set_at(objects, "api", "spec.replicas", 3)
    set_at(objects, "api", "status", DONE | {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3})
    made = {item.id: item for item in looked(world, objects).findings}
    more = made["workloads.available"]
    assert (more.status, more.observed) == ("warn", "Deployment api: scaled to 3, the release has 1")
    assert "04_upgrade scales it back" in more.remedy
    assert made["objects.as-stored"].status == "pass"


def test_what_was_changed_in_a_secret_is_told_by_its_key_and_how_to_put_it_back(
    world: Any, objects: dict[str, Json]
) -> None:
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {A: b2xkLW9sZC1vbGQ=}\n"
    world.stored(MANIFEST + secret)
    objects["secret"] = live("v1", "Secret", "s", data={"A": "bmV3LW5ldy1uZXc="})
    answer = finding(world, objects, "objects.as-stored")
    assert answer.observed == "Secret s: data.A is not as it was stored"
    assert "helm get manifest" in answer.remedy


# ---- the guide's tables


def test_the_guides_two_tables_are_shown(world: Any, objects: dict[str, Json]) -> None:
    pods, services = looked(world, objects).tables
    assert (pods.title, services.title) == ("Pods", "Services")
    assert pods.rows == (
        {
            "pod": "api-1",
            "ready": "1/1",
            "phase": "Running",
            "restarts": "2",
            "node": "node-1",
            "image": "dataflow:1",
            "trouble": "",
        },
    )
    assert services.rows[:1] == (
        {
            "service": "api",
            "type": "LoadBalancer",
            "cluster ip": "10.0.0.1",
            "external ip": "192.0.2.1",
            "ports": "80/TCP, 53/UDP",
        },
    )


def test_a_workload_that_selects_by_expressions_does_not_take_the_tables_away(
    world: Any, objects: dict[str, Json]
) -> None:
    more = "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d}\nspec: {selector: {matchExpressions: []}}\n"
    world.stored(MANIFEST + more)
    pods, _ = looked(world, objects).tables
    assert [row["pod"] for row in pods.rows] == ["api-1"]


# ---- what an uninstall needs


@pytest.mark.parametrize(
    ("status", "expected", "observed"),
    [
        ("deployed", "pass", "revision 1 is deployed: done"),
        ("failed", "warn", "revision 1 is failed since 2026-11-22 (done), left by run abc"),
        ("pending-install", "warn", "revision 1 is pending-install since 2026-11-22 (done), left by run abc"),
    ],
)
def test_a_release_in_any_state_can_be_removed(world: Any, status: str, expected: str, observed: str) -> None:
    world.stored("", info={"status": status})
    answer, allowed, copied = report(
        "uninstall", "R", FAMILIES["uninstall"], Subject(world.boundaries), observe=world.told.append
    ).findings
    assert (answer.status, answer.observed) == (expected, observed)
    assert (allowed.status, allowed.observed) == ("pass", "1 kinds, all allowed")
    assert (copied.status, copied.observed) == ("skip", "uninstall.policy is keep-data")


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        ("keep-data", ["secrets", "statefulsets"]),
        ("remove-data", ["persistentvolumeclaims", "secrets", "statefulsets"]),
        ("remove-namespace", ["namespaces", "persistentvolumeclaims", "secrets", "statefulsets"]),
    ],
)
def test_an_account_that_may_not_delete_a_kind_is_told_before_an_uninstall_stops_half_way(
    world: Any, policy: str, asked: list[str]
) -> None:
    world.settings["uninstall"] = {"policy": policy, "confirm": "dataflow"}
    keeping = "{name: c, annotations: {helm.sh/resource-policy: keep}}"
    world.stored(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\n---\n"
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {keeping}\n"
    )
    (check,) = (each for each in FAMILIES["uninstall"] if each.id == "permissions.removal")

    def answer() -> Finding:
        (found,) = report("uninstall", "R", [check], Subject(world.boundaries), observe=world.told.append).findings
        return found

    assert answer().status == "pass"
    assert sorted(world.cluster.asked) == [("delete", kind) for kind in asked]
    world.cluster.refused = {("delete", "statefulsets")}
    found = answer()
    assert (found.status, found.observed) == ("fail", "not allowed: delete statefulsets.apps")
    (role,) = yaml.safe_load_all(found.evidence)
    assert role["metadata"]["name"] == "runbooks-dataflow-removal", "applied, it takes nothing from the role of 01"
    assert role["rules"] == [{"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "delete"]}]


def test_what_is_not_there_can_not_be_removed(world: Any) -> None:
    answer, allowed, copied = report(
        "uninstall", "R", FAMILIES["uninstall"], Subject(world.boundaries), observe=world.told.append
    ).findings
    assert (answer.status, allowed.status, copied.status) == ("fail", "skip", "skip")
