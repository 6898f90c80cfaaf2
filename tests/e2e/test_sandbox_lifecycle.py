"""A sandbox's whole life: up, mended, reset and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runbooks_lib import parameters
from runbooks_lib.cluster import Cluster, Invalid
from runbooks_lib.errors import UsageError
from runbooks_lib.helm import kube_cache
from runbooks_lib.results import Json
from sandbox import lifecycle
from sandbox.nodes import PREFIX
from sandbox.parts import kwok_of
from sandbox.ports import free_port
from sandbox.state import State
from sandbox.toolchain import Toolchain

# One worker: each test leaves the sandbox as the next one may find it, and a second sandbox would cost seconds.
pytestmark = pytest.mark.xdist_group("life")

GATEWAY = "gateway.networking.k8s.io/v1"
CLAIM = ("v1", "PersistentVolumeClaim")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project's root of its own: its sandboxes and parameters files are nobody else's."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOKS_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def made(root: Path, tools: Toolchain) -> Iterator[State]:
    try:
        yield lifecycle.up("life")
    finally:
        lifecycle.down("life")


@pytest.fixture
def cluster(made: State) -> Iterator[Cluster]:
    with Cluster.connect(made.kubeconfig, "sandbox") as connected:
        yield connected


def eventually(question: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it becomes true; asked often, given up late."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
    return False


def answers(port: int) -> bool:
    """Whether somebody listens there; a port may be taken as the near end of somebody else's connection."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def claim(cluster: Cluster, name: str, mode: str = "ReadWriteOnce", **more: str) -> str:
    """Make a claim in the namespace ``default``; returns its UID."""
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, **more}
    made = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
    return str(cluster.create(made, "default")["metadata"]["uid"])


def condition(found: Json, kind: str) -> str:
    conditions = found.get("status", {}).get("conditions") or []
    return next((item["status"] for item in conditions if item["type"] == kind), "")


def test_up_says_that_it_is_already_running_and_starts_nothing(made: State) -> None:
    said: list[str] = []
    again = lifecycle.up("life", say=said.append)
    assert said == [f"The sandbox life is already running: {made.parameters_file}"]
    assert again.parts == made.parts


def test_status_finds_every_part_running(made: State) -> None:
    status = lifecycle.status("life")
    assert status.ready
    assert [row["state"] for row in status.rows()] == ["running"] * 7


def test_its_parameters_file_loads_and_pins_its_cluster(made: State, cluster: Cluster) -> None:
    loaded = parameters.load(str(made.parameters_file))
    assert loaded.target.cluster_uid == cluster.uid()
    assert loaded.target.name == "life"
    assert loaded.probes == "write"


def test_it_reports_the_pinned_kubernetes_version(cluster: Cluster) -> None:
    assert cluster.version() == "v1.33.13"


def test_its_kubeconfig_and_keys_are_the_users_alone(made: State) -> None:
    secrets = [made.kubeconfig, *(made.folder / "pki").glob("*.key")]
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}


def test_everything_listens_on_loopback_only(made: State) -> None:
    kwok = kwok_of(made)
    assert kwok is not None
    pids = [part.pid for part in made.parts.values()] + [kwok.pid]
    listening = [
        link.laddr
        for pid in pids
        for link in psutil.Process(pid).net_connections("inet")
        if link.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(made.ports.values())


def test_the_stand_in_and_the_chart_repository_answer(made: State) -> None:
    with urllib.request.urlopen(made.url("csghub"), timeout=5) as page:
        assert "CSGHub stand-in" in page.read().decode()
    with urllib.request.urlopen(made.url("charts") + "/index.yaml", timeout=5) as index:
        assert "1.16.1" in index.read().decode()


@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteMany"])
def test_a_claim_of_the_default_class_binds_to_a_folder_of_this_sandbox(
    cluster: Cluster, made: State, mode: str
) -> None:
    name = f"claim-{mode.lower()}"
    uid = claim(cluster, name, mode)

    def bound() -> bool:
        found = cluster.get(*CLAIM, name, "default") or {}
        return found["status"].get("phase") == "Bound"

    assert eventually(bound)
    volume = cluster.get("v1", "PersistentVolume", f"pvc-{uid}")
    assert volume is not None
    assert volume["spec"]["hostPath"]["path"] == str(made.services / "claims" / uid)
    assert (volume["spec"]["accessModes"], volume["spec"]["capacity"]) == ([mode], {"storage": "1Gi"})
    assert (made.services / "claims" / uid).is_dir()


def test_a_deleted_claim_takes_its_volume_and_its_data_along(cluster: Cluster, made: State) -> None:
    uid = claim(cluster, "passing")
    folder = made.services / "claims" / uid
    assert eventually(lambda: cluster.get("v1", "PersistentVolume", f"pvc-{uid}") is not None)
    (folder / "rows").write_text("kept while the claim is there")
    cluster.delete(*CLAIM, "passing", "default")
    assert eventually(lambda: cluster.get("v1", "PersistentVolume", f"pvc-{uid}") is None)
    assert not folder.exists()


@pytest.mark.parametrize("more", [{"storageClassName": "unbound"}, {"volumeMode": "Block"}])
def test_a_claim_that_the_sandbox_has_nothing_for_waits(cluster: Cluster, made: State, more: dict[str, str]) -> None:
    name = f"waits-{'-'.join(more).lower()}"
    uid = claim(cluster, name, **more)

    def told() -> bool:
        found = cluster.get(*CLAIM, name, "default") or {}
        return "volume.kubernetes.io/storage-provisioner" in (found["metadata"].get("annotations") or {})

    assert eventually(told)
    assert (cluster.get(*CLAIM, name, "default") or {})["status"]["phase"] == "Pending"
    assert not (made.services / "claims" / uid).exists()


def test_gateway_objects_and_load_balancers_get_their_status(cluster: Cluster) -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    backend = {"backendRefs": [{"name": "web", "port": 80}]}
    for api_version, kind, name, spec in (
        (GATEWAY, "GatewayClass", "of-test", {"controllerName": "example.com/controller"}),
        (GATEWAY, "Gateway", "door", {"gatewayClassName": "of-test", "listeners": [listener]}),
        (GATEWAY, "HTTPRoute", "way", {"parentRefs": [{"name": "door"}], "rules": [backend]}),
        ("v1", "Service", "web", {"type": "LoadBalancer", "ports": [{"port": 80}]}),
    ):
        metadata = {"name": name}
        cluster.create({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}, "default")

    def got(api_version: str, kind: str, name: str) -> Json:
        return cluster.get(api_version, kind, name, "default") or {}

    assert eventually(lambda: condition(got(GATEWAY, "GatewayClass", "of-test"), "Accepted") == "True")
    assert eventually(lambda: condition(got(GATEWAY, "Gateway", "door"), "Programmed") == "True")
    assert got(GATEWAY, "Gateway", "door")["status"]["addresses"][0]["value"]
    assert eventually(lambda: "status" in got(GATEWAY, "HTTPRoute", "way"))
    (parent,) = got(GATEWAY, "HTTPRoute", "way")["status"]["parents"]
    told = {item["type"]: item["status"] for item in parent["conditions"]}
    assert told == {"Accepted": "True", "ResolvedRefs": "True"}
    assert eventually(lambda: bool(got("v1", "Service", "web")["status"]["loadBalancer"].get("ingress")))


def test_a_gateway_can_be_kept_from_being_programmed(cluster: Cluster) -> None:
    metadata: Json = {"name": "shut", "annotations": {f"{PREFIX}fault": "not-programmed"}}
    spec = {"gatewayClassName": "of-test", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    cluster.create({"apiVersion": GATEWAY, "kind": "Gateway", "metadata": metadata, "spec": spec}, "default")

    def programmed() -> str:
        return condition(cluster.get(GATEWAY, "Gateway", "shut", "default") or {}, "Programmed")

    assert eventually(lambda: programmed() == "False")
    assert not (cluster.get(GATEWAY, "Gateway", "shut", "default") or {})["status"].get("addresses")
    healed = {"metadata": {"annotations": {f"{PREFIX}fault": None}}}
    cluster.patch(GATEWAY, "Gateway", "shut", healed, "default")
    assert eventually(lambda: programmed() == "True")


def test_a_gateway_whose_class_is_not_there_gets_no_status_nor_do_its_routes(cluster: Cluster) -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    way = {"parentRefs": [{"name": "lost"}], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}
    for kind, name, spec in (
        ("Gateway", "lost", {"gatewayClassName": "no-such-class", "listeners": [listener]}),
        ("HTTPRoute", "lost", way),
        ("Gateway", "found", {"gatewayClassName": "of-test", "listeners": [listener]}),
    ):
        cluster.create({"apiVersion": GATEWAY, "kind": kind, "metadata": {"name": name}, "spec": spec}, "default")

    def got(kind: str, name: str) -> Json:
        return cluster.get(GATEWAY, kind, name, "default") or {}

    assert eventually(lambda: condition(got("Gateway", "found"), "Programmed") == "True")
    assert condition(got("Gateway", "lost"), "Programmed") != "True"
    assert not got("HTTPRoute", "lost").get("status", {}).get("parents")
    late = {"controllerName": "example.com/controller"}
    metadata = {"name": "no-such-class"}
    cluster.create({"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": metadata, "spec": late})
    assert eventually(lambda: condition(got("Gateway", "lost"), "Programmed") == "True")
    assert eventually(lambda: bool(got("HTTPRoute", "lost").get("status", {}).get("parents")))


def test_a_changed_route_is_accepted_anew(cluster: Cluster) -> None:
    spec = {"parentRefs": [{"name": "door"}], "hostnames": ["one.example.com"]}
    metadata = {"name": "changing"}
    route = {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": metadata, "spec": spec}
    cluster.create(route, "default")
    two = [{"name": "door"}, {"name": "shut"}]
    cluster.patch(GATEWAY, "HTTPRoute", "changing", {"spec": {"parentRefs": two}}, "default")

    def accepted() -> list[int]:
        found = cluster.get(GATEWAY, "HTTPRoute", "changing", "default") or {}
        parents = found.get("status", {}).get("parents", [])
        return [parent["conditions"][0]["observedGeneration"] for parent in parents]

    assert eventually(lambda: accepted() == [2, 2])


def test_an_envoy_proxy_with_a_null_provider_is_refused_by_a_dry_run(cluster: Cluster) -> None:
    provider = {"type": "Kubernetes", "kubernetes": None}
    proxy = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": "custom", "namespace": "default"},
        "spec": {"provider": provider},
    }
    with pytest.raises(Invalid, match=r"spec\.provider\.kubernetes"):
        cluster.dry_run("apply", proxy, "default")


def test_nodes_keep_their_leases_renewed(cluster: Cluster) -> None:
    def leases() -> dict[str, int]:
        found = cluster.list("coordination.k8s.io/v1", "Lease", "kube-node-lease")
        return {lease["metadata"]["name"]: lease["spec"]["leaseDurationSeconds"] for lease in found}

    # kwok makes them one after the other, right after a start.
    assert eventually(lambda: leases() == dict.fromkeys(("sandbox-1", "sandbox-2", "sandbox-3"), 40))


def test_a_killed_kwok_is_started_again_at_once(made: State) -> None:
    before = kwok_of(made)
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    assert eventually(lambda: (now := kwok_of(made)) is not None and now != before and now.alive)
    assert json.loads((made.folder / "daemon.json").read_text())["restarts"] >= 1


def test_a_killed_daemon_is_mended_and_takes_over_the_kwok_that_lived_on(made: State) -> None:
    kwok = kwok_of(made)
    assert kwok is not None
    os.kill(made.parts["daemon"].pid, signal.SIGKILL)
    assert eventually(lambda: not made.parts["daemon"].started.alive)
    mended = lifecycle.up("life", say=lambda _: None)
    assert mended.parts["daemon"].started.alive
    assert kwok_of(mended) == kwok
    assert lifecycle.status("life").ready


def test_a_killed_scheduler_is_told_by_status_and_mended_by_up(made: State) -> None:
    before = lifecycle.up("life", say=lambda _: None)
    os.kill(before.parts["kube-scheduler"].pid, signal.SIGKILL)
    assert eventually(lambda: lifecycle.status("life").dead == ("kube-scheduler",))
    said: list[str] = []
    after = lifecycle.up("life", say=said.append)
    assert lifecycle.status("life").ready
    changed = {name for name in after.parts if after.parts[name].pid != before.parts[name].pid}
    assert changed == {"kube-scheduler"}
    assert any(line.endswith("kube-scheduler started") for line in said)


def test_who_watched_an_api_server_that_came_back_does_not_wait_until_it_asks_again(made: State) -> None:
    """Whoever found nobody asks less and less often: nodes would run no new pod, and serve no new log, for a minute."""
    before, kwok = lifecycle.up("life", say=lambda _: None), kwok_of(made)
    os.kill(before.parts["kube-apiserver"].pid, signal.SIGKILL)
    assert eventually(lambda: not before.parts["kube-apiserver"].started.alive)
    after = lifecycle.up("life", say=lambda _: None)
    assert lifecycle.status("life").ready
    changed = {name for name in after.parts if after.parts[name].pid != before.parts[name].pid}
    assert changed == {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    now = kwok_of(after)
    assert now is not None
    assert now.alive
    assert now != kwok


def test_who_found_the_api_server_at_its_old_port_finds_it_at_its_new_one(made: State) -> None:
    """A port that somebody else has taken meanwhile is replaced."""
    state = lifecycle.up("life", say=lambda _: None)
    port, before = state.ports["kube-apiserver"], {name: part.pid for name, part in state.parts.items()}
    os.kill(state.parts["kube-apiserver"].pid, signal.SIGKILL)
    assert eventually(lambda: not state.parts["kube-apiserver"].started.alive)
    state.ports["kube-apiserver"] = free_port()
    state.save()
    after = lifecycle.up("life", say=lambda _: None)
    assert after.ports["kube-apiserver"] != port
    assert lifecycle.status("life").ready
    with Cluster.connect(after.kubeconfig, "sandbox") as cluster:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later"}})
        assert eventually(lambda: cluster.get("v1", "ServiceAccount", "default", "later") is not None)
    readers = ("kube-controller-manager", "kube-scheduler", "daemon", "services")
    assert [name for name in readers if after.parts[name].pid == before[name]] == []


def test_reset_leaves_no_object_and_makes_another_cluster_at_the_same_address(made: State) -> None:
    with Cluster.connect(made.kubeconfig, "sandbox") as before:
        uid = before.uid()
        claim(before, "before")
        assert eventually(lambda: bool(before.list("v1", "PersistentVolume")))
        volumes = [Path(item["spec"]["hostPath"]["path"]) for item in before.list("v1", "PersistentVolume")]
    ports = lifecycle.up("life", say=lambda _: None).ports
    after = lifecycle.reset("life", say=lambda _: None)
    assert after.ports == ports
    with Cluster.connect(made.kubeconfig, "sandbox") as cluster:
        assert cluster.uid() != uid
        assert cluster.list(*CLAIM) == []
        assert parameters.load(str(after.parameters_file)).target.cluster_uid == cluster.uid()
    assert not [path for path in volumes if path.exists()]


def test_down_leaves_no_process_no_port_and_no_file(made: State, root: Path) -> None:
    """Also when the API server can't be asked any more which volumes there are."""
    state = lifecycle.up("life", say=lambda _: None)
    with Cluster.connect(state.kubeconfig, "sandbox") as connected:
        claim(connected, "last", "ReadWriteMany")
        assert eventually(lambda: bool(connected.list("v1", "PersistentVolume")))
        volumes = [Path(item["spec"]["hostPath"]["path"]) for item in connected.list("v1", "PersistentVolume")]
    os.kill(state.parts["kube-apiserver"].pid, signal.SIGKILL)
    kwok = kwok_of(state)
    assert kwok is not None
    served = kube_cache(root / ".runbooks" / "helm") / "discovery" / f"127.0.0.1_{state.ports['kube-apiserver']}"
    served.mkdir(parents=True)
    (served / "servergroups.json").write_text("as Helm keeps it")
    begun = [kwok, *(part.started for part in state.parts.values())]
    assert lifecycle.down("life", say=lambda _: None)
    assert [one for one in begun if one.alive] == []
    assert [port for port in state.ports.values() if answers(port)] == []
    # Records stay, and so does the key that signs them.
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert left == ["records/life/practice-key.pem", "records/life/practice-passphrase"]
    assert [path for path in (*volumes, state.services) if path.exists()] == []
    assert not lifecycle.down("life", say=lambda _: None), "a second time there is nothing to do"
    with pytest.raises(UsageError, match="There is no sandbox called life"):
        lifecycle.status("life")
