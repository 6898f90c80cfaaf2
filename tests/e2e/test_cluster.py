"""The cluster boundary against a real API server with real controllers."""

from __future__ import annotations

import http.server
import queue
import socket
import socketserver
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runbooks_lib.cluster import Cluster, Conflict, Forbidden, Invalid, NotFound
from runbooks_lib.errors import CheckFailed
from runbooks_lib.results import Event, Json

FORWARDS = "kwok.x-k8s.io/v1alpha1"


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def cluster(sandbox: Any, told: list[Event]) -> Iterator[Cluster]:
    with Cluster.connect(sandbox.kubeconfig, sandbox.context, observe=told.append) as connected:
        yield connected


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"cluster-{uuid.uuid4().hex[:8]}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # Pods are refused until the controllers have made the namespace's service account.
    accounts = cluster.watch("v1", "ServiceAccount", name, timeout=30)
    assert any(obj["metadata"]["name"] == "default" for _, obj in accounts)
    yield name
    cluster.delete("v1", "Namespace", name)


def _deployment(**spec: Any) -> Json:
    labels = {"app": "web"}
    container = {"name": "web", "image": "nginx", "env": [{"name": "PASSWORD", "value": "hunter2"}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    whole = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": whole | spec}


def _running_pod(cluster: Cluster, namespace: str) -> str:
    for _, pod in cluster.watch("v1", "Pod", namespace, timeout=60):
        if pod["status"].get("phase") == "Running":
            return str(pod["metadata"]["name"])
    pytest.fail("no pod ran within a minute")


def test_who_where_and_what(cluster: Cluster, sandbox: Any) -> None:
    assert cluster.server.startswith("https://127.0.0.1:")
    assert cluster.version().startswith("v1.33.")
    assert uuid.UUID(cluster.uid())
    assert cluster.who()["username"]
    assert cluster.can_i("create", "apps", "deployments", "default")
    gateway = cluster.resource("gateway.networking.k8s.io/v1", "Gateway")
    assert gateway is not None
    assert gateway.plural == "gateways"


def test_a_write_is_told_and_a_second_one_conflicts(cluster: Cluster, namespace: str, told: list[Event]) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    told.clear()
    cluster.create(settings, namespace)
    with pytest.raises(Conflict, match='configmaps "one" already exists'):
        cluster.create(settings, namespace)
    assert cluster.patch("v1", "ConfigMap", "one", {"data": {"a": None, "b": "2"}}, namespace)["data"] == {"b": "2"}
    assert cluster.delete("v1", "ConfigMap", "one", namespace)
    assert cluster.get("v1", "ConfigMap", "one", namespace) is None
    assert [(event.data["verb"], event.data["status"]) for event in told] == [
        ("create", 201),
        ("create", 409),
        ("patch", 200),
        ("delete", 200),
    ]


def test_a_list_of_more_than_one_page_is_complete(cluster: Cluster, namespace: str) -> None:
    def make(number: int) -> None:
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"n{number}"}}, namespace)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(510)))
    names = {obj["metadata"]["name"] for obj in cluster.list("v1", "ConfigMap", namespace)}
    assert names >= {f"n{number}" for number in range(510)}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"foo": 1}, ".spec.foo: field not declared in schema"),
        ({"replicas": "hunter2"}, ".spec.replicas: expected numeric"),
        ({"selector": {"matchLabels": {"app": "other"}}}, "`selector` does not match template `labels`"),
    ],
)
def test_a_dry_run_names_what_is_wrong_without_changing_anything(
    cluster: Cluster, namespace: str, told: list[Event], spec: dict[str, Any], expected: str
) -> None:
    told.clear()
    assert cluster.dry_run("apply", _deployment(), namespace)["spec"]["strategy"]["type"] == "RollingUpdate"
    with pytest.raises(Invalid) as caught:
        cluster.dry_run("apply", _deployment(**spec), namespace)
    assert expected in caught.value.summary
    assert "hunter2" not in str(caught.value)
    assert cluster.list("apps/v1", "Deployment", namespace) == []
    assert told == []


def test_a_dry_run_finds_the_null_that_a_gateways_schema_rejects(cluster: Cluster, namespace: str) -> None:
    provider = {"type": "Kubernetes", "kubernetes": None}
    proxy = {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyProxy", "metadata": {"name": "p"}}
    with pytest.raises(Invalid, match=r"spec\.provider\.kubernetes"):
        cluster.dry_run("apply", proxy | {"spec": {"provider": provider}}, namespace)


def test_a_dry_run_in_a_namespace_that_is_not_there_says_so(cluster: Cluster) -> None:
    with pytest.raises(NotFound, match='namespaces "not-there" not found'):
        cluster.dry_run("apply", _deployment(), "not-there")


def test_a_watch_tells_a_roll_out_as_it_happens(cluster: Cluster, namespace: str) -> None:
    cluster.create(_deployment(), namespace)
    seen = []
    for change, pod in cluster.watch("v1", "Pod", namespace, timeout=60):
        seen.append(change)
        if change == "DELETED":
            break
        if pod["status"].get("phase") == "Running":
            cluster.delete("apps/v1", "Deployment", "web", namespace)
    assert seen[0] == "ADDED"
    assert "MODIFIED" in seen
    assert seen[-1] == "DELETED"


def test_events_of_a_namespace_tell_what_happened(cluster: Cluster, namespace: str) -> None:
    cluster.create(_deployment(), namespace)
    missing = {"ScalingReplicaSet", "Scheduled"}
    for _, told in cluster.watch("v1", "Event", namespace, timeout=30):
        missing.discard(told["reason"])
        if not missing:
            break
    assert missing == set()


def test_what_a_plain_user_may_not_do_is_said_with_the_users_name(
    cluster: Cluster, namespace: str, sandbox: Any, tmp_path: Any
) -> None:
    import yaml

    account = f"system:serviceaccount:{namespace}:default"
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    from runbooks_lib.cluster.failures import Ask

    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster._connection.json(Ask("create", path, body=body))["status"]["token"]
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    with Cluster.connect(kubeconfig, sandbox.context) as plain:
        assert plain.who()["username"] == account
        assert not plain.can_i("list", "", "secrets", namespace)
        with pytest.raises(Forbidden) as caught:
            plain.list("v1", "Secret", namespace)
        assert caught.value.summary == f"{account} may not list secrets in the namespace {namespace}."


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def echo_port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def _forward_to(cluster: Cluster, namespace: str, ports: dict[int, int]) -> None:
    """Let the simulated kubelet answer for ports of every pod of the namespace."""
    forwards = [{"ports": [port], "target": {"port": to, "address": "127.0.0.1"}} for port, to in ports.items()]
    cluster.create(
        {
            "apiVersion": FORWARDS,
            "kind": "ClusterPortForward",
            "metadata": {"name": namespace},
            "spec": {"selector": {"matchNamespaces": [namespace]}, "forwards": forwards},
        }
    )


def test_a_forward_carries_large_bodies_both_ways_and_many_connections_at_once(
    cluster: Cluster, namespace: str, echo_port: int
) -> None:
    _forward_to(cluster, namespace, {80: echo_port})
    cluster.create(_deployment(), namespace)
    pod = _running_pod(cluster, namespace)
    content = bytes(range(256)) * 8192

    def echoed(address: tuple[str, int]) -> bytes:
        request = urllib.request.Request("http://{}:{}/".format(*address), data=content)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    try:
        with cluster.forward(namespace, pod, 80) as address, ThreadPoolExecutor(4) as pool:
            assert list(pool.map(echoed, [address] * 8)) == [content] * 8
    finally:
        cluster.delete(FORWARDS, "ClusterPortForward", namespace)


def test_a_clients_goodbye_arrives_though_the_forward_ends_right_after_it(cluster: Cluster, namespace: str) -> None:
    heard: queue.Queue[bytes] = queue.Queue()

    class Listening(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            self.request.sendall(self.request.recv(100))
            heard.put(self.request.recv(100))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listening) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        _forward_to(cluster, namespace, {80: server.server_address[1]})
        try:
            cluster.create(_deployment(), namespace)
            pod = _running_pod(cluster, namespace)
            for number in range(10):
                with (
                    cluster.forward(namespace, pod, 80) as address,
                    socket.create_connection(address, timeout=10) as side,
                ):
                    side.sendall(b"hello")
                    assert side.recv(100) == b"hello"
                    side.sendall(b"bye %d" % number)
                assert heard.get(timeout=15) == b"bye %d" % number
        finally:
            cluster.delete(FORWARDS, "ClusterPortForward", namespace)
            server.shutdown()


def test_a_port_where_nothing_listens_in_the_pod_is_a_sentence(cluster: Cluster, namespace: str) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        free = server.server_port
    _forward_to(cluster, namespace, {80: free})
    cluster.create(_deployment(), namespace)
    pod = _running_pod(cluster, namespace)

    def ask() -> None:
        with cluster.forward(namespace, pod, 80) as address:
            urllib.request.urlopen("http://{}:{}/".format(*address), timeout=20)

    try:
        with pytest.raises(CheckFailed) as caught:
            ask()
        assert caught.value.summary == (
            f"The pod {pod} in the namespace {namespace} can't be reached through the cluster: "
            "nothing listens on port 80 there."
        )
    finally:
        cluster.delete(FORWARDS, "ClusterPortForward", namespace)
