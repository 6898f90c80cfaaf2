"""A real HTTP(S) server on loopback that plays scripted answers of an API server, and remembers what it was asked."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Answer:
    """One answer; ``lines`` make it a stream, ``drop`` breaks it off, ``hang`` never begins it."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lines: Iterable[Any] = ()
    drop: bool = False
    hang: bool = False


def status(code: int, message: str, **details: Any) -> Answer:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return Answer(code, body | {"details": details})


def page(*items: Any, version: str = "10", more: str = "") -> Answer:
    return Answer(
        body={"kind": "List", "items": list(items), "metadata": {"resourceVersion": version, "continue": more}}
    )


def thing(name: str, version: str = "1", uid: str = "", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": uid or f"uid-{name}", "resourceVersion": version},
        **more,
    }


def event(kind: str, obj: Any) -> dict[str, Any]:
    return {"type": kind, "object": obj}


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


def _served(plural: str, kind: str, scope: str = "Namespaced") -> dict[str, Any]:
    return {"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": ["get", "list", "watch"]}


CORE = [_served("pods", "Pod"), _served("secrets", "Secret"), _served("namespaces", "Namespace", "Cluster")]
APPS = [_served("deployments", "Deployment")]


def _aggregated(*groups: tuple[str, list[dict[str, Any]], str]) -> Answer:
    items = [
        {"metadata": {"name": name}, "versions": [{"version": "v1", "resources": served, "freshness": freshness}]}
        for name, served, freshness in groups
    ]
    return Answer(body={"kind": "APIGroupDiscoveryList", "items": items})


class ScriptedApi:
    """Answers are given in order; the last one of a path stays. Discovery is there from the beginning."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.asked: list[Asked] = []
        self._scripts: dict[tuple[str, str], deque[Answer]] = defaultdict(deque)
        self.closing = threading.Event()
        self.stream_broke = threading.Event()
        self.script("GET", "/api", _aggregated(("", CORE, "Current")))
        self.script("GET", "/apis", _aggregated(("apps", APPS, "Current"), ("metrics.k8s.io", [], "Stale")))
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes; together with delayed acknowledgements that would cost 40 ms each.
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                api.play(self)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 (the names that http.server calls)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that goes away in the middle is what some tests are about."""
                api.stream_broke.set()

        self._server = Server(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def script(self, method: str, path: str, *answers: Answer) -> None:
        self._scripts[method, path] = deque(answers)

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def play(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        headers = {key.lower(): text for key, text in handler.headers.items()}
        body = json.loads(content) if content else None
        self.asked.append(Asked(handler.command, parts.path, query, headers, body))
        script = self._scripts[handler.command, parts.path]
        answer = (script.popleft() if len(script) > 1 else script[0]) if script else status(404, "not scripted")
        if answer.hang:
            self.closing.wait()
            handler.close_connection = True
            return
        if answer.lines:
            self._stream(handler, answer)
        elif answer.drop:
            handler.close_connection = True
        else:
            self._whole(handler, answer)

    def _whole(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        # It would write a Date of its own beside a scripted one.
        (handler.send_response_only if "Date" in answer.headers else handler.send_response)(answer.status)
        for name, text in {"Content-Type": "application/json", **answer.headers}.items():
            handler.send_header(name, text)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _stream(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.send_response(answer.status)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in answer.lines:
            content = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            handler.wfile.flush()
        if answer.drop:
            handler.close_connection = True
        else:
            handler.wfile.write(b"0\r\n\r\n")


def kubeconfig_text(server: str, *, authority: str = "", user: dict[str, Any] | None = None) -> str:
    cluster = {"server": server} | ({"certificate-authority": authority} if authority else {})
    return yaml.safe_dump(
        {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "s3cr3t-token"} if user is None else user}],
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u"}},
                {"name": "there", "context": {"cluster": "c", "user": "u"}},
            ],
        }
    )


def self_signed(path: Path, *, name: str = "127.0.0.1", days: int = 1) -> Path:
    """A certificate for an address, with its key, in one file; with negative days it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scripted")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
