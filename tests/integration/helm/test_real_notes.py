"""The notes of another release, by the real helm, from a server that gives it what the cluster stores."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from runbooks_lib.checks.names import url_in
from runbooks_lib.errors import Unreachable
from runbooks_lib.helm import Helm

NOTES = "Access your CSGHub at:\n  CSGHub: http://csghub.example.com\n"
RELEASE = {
    "name": "hub",
    "namespace": "front",
    "version": 1,
    "info": {"status": "deployed", "notes": NOTES},
    "chart": {"metadata": {"name": "csghub", "version": "1.0.0", "apiVersion": "v2"}},
}
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: nobody}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: nobody, user: {}}]
"""


class Storage(BaseHTTPRequestHandler):
    """The Secret of one revision, in one namespace, for whoever asks for that release."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        named = "name=hub" in parse_qs(address.query).get("labelSelector", [""])[0]
        there = address.path == "/api/v1/namespaces/front/secrets" and named
        packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(RELEASE).encode()))).decode()
        labels = {"name": "hub", "owner": "helm", "status": "deployed", "version": "1"}
        secret = {"metadata": {"name": "sh.helm.release.v1.hub.v1", "labels": labels}, "data": {"release": packed}}
        items = [secret | {"type": "helm.sh/release.v1"}] if there else []
        whole = {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": items}
        content = json.dumps({"major": "1", "minor": "33"} if address.path == "/version" else whole).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Requests are no news in a test."""


@pytest.fixture
def helm(helm_executable: str, tmp_path: Path) -> Iterator[Helm]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.replace("PORT", str(server.server_port)))
    yield Helm(helm_executable, tmp_path / "home", "csghub", kubeconfig=kubeconfig)
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_notes_come_from_the_releases_own_namespace(helm: Helm) -> None:
    notes = helm.notes("hub", "front")
    assert notes is not None
    assert NOTES in notes
    assert url_in(notes) == "http://csghub.example.com"


@pytest.mark.parametrize(("release", "namespace"), [("hub", "csghub"), ("other", "front")])
def test_a_release_that_is_not_there_has_none(helm: Helm, release: str, namespace: str) -> None:
    assert helm.notes(release, namespace) is None


def test_a_cluster_that_is_gone_is_unreachable(helm: Helm, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG.replace("PORT", "1"))
    with pytest.raises(Unreachable, match="could not reach a server"):
        helm.notes("hub", "front")
