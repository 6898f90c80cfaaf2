"""What a kubelet serves of one pod: its ports and its logs, each told by an object of the pod's own name."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pod_states import PLAIN, becomes, create, new_space, pod_of, until

from runbooks_lib.cluster import Cluster, Invalid, NotFound
from runbooks_lib.cluster.execs import LARGEST, Ended
from runbooks_lib.errors import OutcomeUnknown
from runbooks_lib.results import Json

KWOK = "kwok.x-k8s.io/v1alpha1"


class _Named(http.server.BaseHTTPRequestHandler):
    """Says which port it was asked at."""

    def do_GET(self) -> None:
        body = f"I am {self.server.server_address[1]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Say nothing."""


@pytest.fixture
def servers() -> Iterator[list[int]]:
    """The ports of two servers on this machine."""
    begun = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Named) for _ in range(2)]
    for server in begun:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield [server.server_port for server in begun]
    for server in begun:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cluster(sandbox: Any) -> Iterator[Cluster]:
    with Cluster.connect(sandbox.kubeconfig, sandbox.context) as connected:
        yield connected


@pytest.fixture
def space(cluster: Cluster, target: dict[str, str]) -> str:
    name = new_space(cluster, target["target.namespace"])
    create(cluster, name, pod_of(PLAIN))
    becomes(cluster, name, "1/1 Running 0")
    return name


def about(kind: str, spec: Json) -> Json:
    return {"apiVersion": KWOK, "kind": kind, "metadata": {"name": "one"}, "spec": spec}


def leads_to(port: int) -> Json:
    return {"forwards": [{"ports": [5432], "target": {"port": port, "address": "127.0.0.1"}}]}


def asked(cluster: Cluster, space: str) -> str:
    """What answers at the pod's port; nothing where nothing does."""
    try:
        with cluster.forward(space, "one", 5432) as (host, port):
            return urllib.request.urlopen(f"http://{host}:{port}/", timeout=20).read().decode()
    except OutcomeUnknown:
        return ""


def test_a_port_leads_where_the_pods_own_object_says_also_after_a_change(
    cluster: Cluster, space: str, servers: list[int]
) -> None:
    first, second = servers
    assert asked(cluster, space) == ""
    cluster.create(about("PortForward", leads_to(first)), space)
    assert until(lambda: asked(cluster, space) == f"I am {first}")
    cluster.patch(KWOK, "PortForward", "one", {"spec": leads_to(second)}, space)
    assert until(lambda: asked(cluster, space) == f"I am {second}")
    cluster.delete(KWOK, "PortForward", "one", space)
    assert until(lambda: asked(cluster, space) == "")


def test_logs_come_from_the_files_that_the_pods_own_object_names(cluster: Cluster, space: str, tmp_path: Path) -> None:
    now, before = tmp_path / "now.log", tmp_path / "before.log"
    now.write_text("2026-11-22T12:00:00.000000000Z stdout F one\n2026-11-22T12:00:01.000000000Z stderr F two\n")
    before.write_text("2026-11-22T11:00:00.000000000Z stdout F it broke\n")
    assert cluster.logs(space, "one", "main") == "", "of a container without a program"
    rule = {"containers": ["main"], "logsFile": str(now), "previousLogsFile": str(before)}
    cluster.create(about("Logs", {"logs": [rule]}), space)

    def told(**how: Any) -> str:
        try:
            return cluster.logs(space, "one", "main", **how)
        except Invalid:
            return ""

    assert until(lambda: told() == "one\ntwo\n")
    assert told(tail=1) == "two\n"
    assert told(previous=True) == "it broke\n"


def test_a_command_in_a_pod_is_answered_apart_with_how_it_ended(cluster: Cluster, space: str) -> None:
    shell = {"containers": ["main"], "local": {"envs": [{"name": "NAME", "value": "in the pod"}]}}
    cluster.create(about("Exec", {"execs": [shell]}), space)
    script = "import os, sys; print(os.environ['NAME']); print('beside', file=sys.stderr); sys.exit(int(sys.argv[1]))"

    def ended(code: str) -> Ended:
        return cluster.execute(space, "one", "main", "python3", "-c", script, code)

    assert until(lambda: ended("0").out == "in the pod\n")
    assert ended("0") == Ended("in the pod\n", "beside\n", 0, "")
    assert (ended("3").out, ended("3").code) == ("in the pod\n", 3)
    long = "print('x' * 3_000_000)"
    assert len(cluster.execute(space, "one", "main", "python3", "-c", long).out) == LARGEST


def test_a_command_that_does_not_end_or_is_not_there_is_no_answer(cluster: Cluster, space: str) -> None:
    cluster.create(about("Exec", {"execs": [{"containers": ["main"], "local": {"envs": []}}]}), space)
    assert until(lambda: cluster.execute(space, "one", "main", "python3", "-c", "print(1)").code == 0)
    with pytest.raises(OutcomeUnknown, match=r"python3 in the pod one in the namespace .* did not end within 0\.5 s"):
        cluster.execute(space, "one", "main", "python3", "-c", "import time; time.sleep(3)", seconds=0.5)
    with pytest.raises(NotFound, match="pods/two/exec"):
        cluster.execute(space, "two", "main", "python3", "-c", "print(1)")
    missing = cluster.execute(space, "one", "main", "pg_restore", "--version")
    assert missing.code == 0 or "not found" in missing.why
