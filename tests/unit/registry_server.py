"""A small real image registry on loopback: the part of the OCI Distribution API that a pull begins with."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SINGLE = "application/vnd.docker.distribution.manifest.v2+json"
OCI_SINGLE = "application/vnd.oci.image.manifest.v1+json"
USER = "robot"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(ThreadingHTTPServer):
    """Its pages by path; what is asked of it is kept.

    Attributes:
        login: How it lets in: nobody is asked, ``Basic``, or ``Bearer`` with a token.
        public: With tokens: whether nobody in particular gets one.
        answers: Instead of a page: a status by path.
        blobs_at: Another server to which it sends on whoever wants a blob.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.login, self.public = "", True
        self.password = secrets.token_urlsafe(16)
        self.token = secrets.token_urlsafe(16)
        self.realm = f"http://{self.host}/token"
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.answers: dict[str, int] = {}
        self.blobs_at: Registry | None = None
        self.silent = False
        self.asked: list[tuple[str, str]] = []
        self.closing = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def paths(self) -> list[str]:
        return [path.partition("?")[0] for path, _ in self.asked]

    def put(self, repository: str, tag: str, content: Any, kind: str) -> str:
        """A manifest under its tag and its digest, which is returned."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        for reference in (tag, digest(body)):
            self.pages[f"/v2/{repository}/manifests/{reference}"] = (kind, body)
        return digest(body)

    def index(self, repository: str, tag: str, *platforms: str, kind: str = INDEX) -> str:
        """An image for several platforms, such as ``linux/amd64``."""
        parts = [platform.split("/") for platform in platforms]
        entries = [{"digest": digest(b""), "platform": {"os": part[0], "architecture": part[1]}} for part in parts]
        return self.put(repository, tag, {"schemaVersion": 2, "mediaType": kind, "manifests": entries}, kind)

    def single(self, repository: str, tag: str, platform: str, *, kind: str = SINGLE) -> str:
        """An image for one platform, which its configuration names."""
        system, _, architecture = platform.partition("/")
        config = json.dumps({"os": system, "architecture": architecture, "config": {}}).encode()
        at = self.blobs_at or self
        at.pages[f"/v2/{repository}/blobs/{digest(config)}"] = ("application/octet-stream", config)
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": digest(config)}, "layers": []}
        return self.put(repository, tag, manifest, kind)

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is expected here."""


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        registry, path = self.server, urlsplit(self.path).path
        allowed = self.headers.get("Authorization", "")
        registry.asked.append((self.path, allowed))
        if registry.silent:
            registry.closing.wait(30)
        elif path in registry.answers:
            self._say(registry.answers[path])
        elif path == "/token":
            self._token(allowed)
        elif registry.login and not self._let_in(allowed):
            self._say(401, challenge=self._challenge())
        elif "/blobs/" in path and registry.blobs_at:
            self._say(307, location=f"http://{registry.blobs_at.host}{path}")
        elif path == "/v2/":
            self._say(200, b"{}")
        else:
            kind, content = registry.pages.get(path, ("", b""))
            # As the real ones: what the client does not take is not given.
            taken = kind in self.headers.get("Accept", "") or "/blobs/" in path
            self._say(200 if kind and taken else 404, content)

    def _challenge(self) -> str:
        if self.server.login == "Basic":
            return 'Basic realm="the registry"'
        return f'Bearer realm="{self.server.realm}",service="the registry",scope="registry:catalog:*"'

    def _let_in(self, allowed: str) -> bool:
        right = f"Bearer {self.server.token}" if self.server.login == "Bearer" else self._basic()
        return secrets.compare_digest(allowed, right)

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{USER}:{self.server.password}".encode()).decode()

    def _token(self, allowed: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        known = allowed == self._basic() or (not allowed and self.server.public)
        if not known:
            return self._say(401)
        pulls = query.get("scope", [""])[0].endswith(":pull") and query.get("service") == ["the registry"]
        return self._say(200, json.dumps({"token": self.server.token if pulls else "for nothing"}).encode())

    def _say(self, status: int, content: bytes = b"", *, challenge: str = "", location: str = "") -> None:
        self.send_response(status)
        for name, value in {"WWW-Authenticate": challenge, "Location": location}.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Requests are no news in a test."""


@contextmanager
def serving() -> Iterator[Registry]:
    registry = Registry()
    thread = threading.Thread(target=registry.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield registry
    finally:
        registry.closing.set()
        registry.shutdown()
        thread.join()
        registry.server_close()
