from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Page
from runbooks_lib.probes import http
from runbooks_lib.probes.http import HttpAnswer, answer, ask

#: Status and content of pages that are looked at.
PAGES = {
    "right.json": (200, '{"info": {"title": "Right"}, "data": {"rows": [1]}, "none": []}'),
    "failed.json": (200, '{"code": 500, "msg": "no such table"}'),
    "list.json": (200, "[]"),
    "broken.json": (200, '{"info": '),
    "nothing.json": (200, ""),
    "welcome.html": (200, "<html><style>p {}</style><title>Welcome to\n nginx!</title><p>It works</html>"),
    "down.json": (503, '{"status": "DOWN"}'),
}


class Site(BaseHTTPRequestHandler):
    """``/STATUS`` answers with it, ``/hops/N`` redirects N times, ``/hang`` never answers."""

    def do_GET(self) -> None:
        what, _, count = self.path.strip("/").partition("/")
        if what == "hang":
            self.server.closing.wait()  # type: ignore[attr-defined]
        elif what == "shut":
            self.close_connection = True
        elif what == "noise":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        elif what == "hops" and int(count) > 0:
            self.send_response(302)
            self.send_header("Location", f"/hops/{int(count) - 1}")
            self.end_headers()
        elif what in PAGES:
            code, content = PAGES[what]
            self.send_response(code)
            self.end_headers()
            self.wfile.write(content.encode())
        elif what == "trickle":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"begun")
            self.server.closing.wait()  # type: ignore[attr-defined]
        else:
            self.send_response(int(what) if what.isdigit() else 200)
            self.send_header("Content-Type", "text/HTML; charset=utf-8")
            self.end_headers()
            self.wfile.write("é".encode() * 500)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is expected here."""


def _serve(certificate: Path | None = None) -> Server:
    server = Server(("127.0.0.1", 0), Site)
    server.closing = threading.Event()  # type: ignore[attr-defined]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _stop(server: Server) -> None:
    server.closing.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = _serve()
    yield f"http://127.0.0.1:{server.server_port}"
    _stop(server)


@pytest.fixture(scope="module")
def secure_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = _serve(_self_signed(tmp_path_factory.mktemp("tls") / "server.pem"))
    yield f"https://127.0.0.1:{server.server_port}"
    _stop(server)


def _self_signed(path: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("code", [200, 404, 503])
def test_an_answer_tells_its_status(site: str, code: int) -> None:
    found = answer(f"{site}/{code}")
    assert (found.status, found.error) == (code, "")
    assert 0 < found.seconds < 10
    assert HttpAnswer.model_validate_json(found.model_dump_json()) == found


def test_redirects_are_followed_but_not_for_ever(site: str) -> None:
    assert answer(f"{site}/hops/5").status == 200
    assert answer(f"{site}/hops/6").error == "more than 5 redirects"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("hang", "no answer in time"),
        ("shut", "the connection was closed without an answer"),
        ("noise", "what it answers is not HTTP"),
    ],
)
def test_no_answer_has_a_reason(site: str, path: str, error: str) -> None:
    found = answer(f"{site}/{path}", timeout=0.3)
    assert (found.status, found.error) == (0, error)


def test_a_body_that_never_ends_is_not_waited_for(site: str) -> None:
    found = answer(f"{site}/trickle", timeout=0.3)
    assert (found.status, found.error) == (200, "")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://csghub.invalid/", "its name does not resolve"),
        ("ftp://127.0.0.1/", "it is no http or https address"),
        ("csghub.example.com", "it is no http or https address"),
        ("http://[::1", "it is no http or https address"),
        ("http://127.0.0.1:99999/", "it is no http or https address"),
        ("", "it is no http or https address"),
    ],
)
def test_an_address_that_leads_nowhere_has_a_reason(url: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    assert answer(url, timeout=5).error == error


def test_a_port_where_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert answer(f"http://127.0.0.1:{port}").error == "connection refused"


def test_a_certificate_that_nobody_vouches_for(secure_site: str) -> None:
    assert answer(secure_site).error == "its certificate is not trusted"


def test_plain_http_behind_an_https_address(site: str) -> None:
    assert answer(site.replace("http:", "https:")).error == "it does not speak TLS on this port"


def test_a_proxy_is_asked_for_the_world_outside_and_never_for_this_machine(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HTTP_PROXY", site)
    monkeypatch.setenv("http_proxy", site)
    assert answer("http://csghub.invalid/200").status == 200
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert answer(f"{site}/200").status == 200
    assert answer("http://csghub.invalid/200").error == "connection refused"


# ---- a page that is looked at


def address_of(site: str) -> tuple[str, int]:
    return "127.0.0.1", int(site.rpartition(":")[2])


@pytest.mark.parametrize(
    "page",
    [
        {"path": "/200"},
        {"path": "/right.json", "at": "info.title", "equals": "Right"},
        {"path": "/right.json", "at": "data.rows"},
        {"path": "/right.json", "at": ""},
        {"path": "/404", "at": "data", "optional": True},
        {"path": "/list.json", "at": "", "empty": True},
    ],
)
def test_a_page_is_as_it_should_be(site: str, page: dict[str, Any]) -> None:
    assert ask(address_of(site), Page(**page)).error == ""


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"at": "info.title", "equals": "Left"}, "/right.json says info.title is 'Right', not 'Left'."),
        ({"at": "info.name"}, '/right.json has nothing in info.name: {"info": '),
        ({"at": "none"}, "/right.json has nothing in none: "),
        ({"at": "info.title.more"}, "/right.json has nothing in info.title.more: "),
        (
            {"path": "/failed.json", "at": "data"},
            '/failed.json has nothing in data: {"code": 500, "msg": "no such table"}.',
        ),
        ({"path": "/list.json", "at": ""}, "/list.json has nothing in it: []."),
        ({"path": "/failed.json", "at": "data", "empty": True}, "/failed.json has nothing in data: "),
        ({"path": "/broken.json", "at": ""}, '/broken.json is no JSON: {"info":.'),
        ({"path": "/nothing.json", "at": ""}, "/nothing.json is no JSON."),
        ({"path": "/welcome.html", "at": ""}, "/welcome.html is no JSON: Welcome to nginx! It works."),
        ({"path": "/down.json", "at": "status", "equals": "UP"}, '/down.json answered 503: {"status": "DOWN"}.'),
        ({"path": "/404"}, "/404 answered 404: é"),
        ({"path": "/500", "optional": True}, "/500 answered 500: é"),
        ({"path": "/hops/1"}, "/hops/1 answered 302."),
        ({"path": "/noise"}, "/noise can't be had: what it answers is not HTTP."),
        ({"path": "/shut"}, "/shut can't be had: the connection was closed without an answer."),
        ({"path": "/hang"}, "/hang can't be had: no answer in time."),
        ({"path": "/trickle"}, "/trickle can't be had: no answer in time."),
    ],
)
def test_a_page_that_is_not_as_it_should_be_says_what_it_is(site: str, page: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        ask(address_of(site), Page(**{"path": "/right.json"} | page), seconds=0.5)
    assert caught.value.summary.startswith(said)
    assert len(caught.value.summary) < 200
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("page", "step"),
    [
        ({"at": "info.title", "equals": "Left"}, "Another application"),
        ({"path": "/404"}, "Another application"),
        ({"path": "/500"}, "Look at the pod's log; what its databases say"),
        ({"path": "/failed.json", "at": "data"}, "Look at the pod's log for what it could not read"),
        ({"path": "/hang"}, "Look at the pod's log and its load"),
    ],
)
def test_what_to_do_about_a_page_fits_what_is_wrong_with_it(site: str, page: dict[str, Any], step: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        ask(address_of(site), Page(**{"path": "/right.json"} | page), seconds=0.5)
    assert caught.value.next_step.startswith(step)


def test_a_page_without_an_end_is_not_read_to_its_end(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 100)
    with pytest.raises(CheckFailed, match="/200 can't be had"):
        ask(address_of(site), Page(path="/200"))


def test_a_port_where_no_page_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(CheckFailed, match="/x can't be had: connection refused"):
        ask(("127.0.0.1", port), Page(path="/x"))
