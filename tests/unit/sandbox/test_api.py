"""Writes to the sandbox's own API server wait for a busy one, and end in a sentence."""

from __future__ import annotations

import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runbooks_lib.errors import Interrupted, RunbookError
from sandbox import api, certificates, furniture
from sandbox.interruption import interruptible
from sandbox.parts import PartFailed
from sandbox.toolchain import Toolchain

NODES = "/api/v1/nodes"


class Server(ThreadingHTTPServer):
    """Answers each request as the script says: a status, or ``late`` and ``cut`` for none; then always the last."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str] = ["201"]
        self.asked: list[str] = []
        self.ended = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what is tested here."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        script = self.server.script
        word = script.pop(0) if len(script) > 1 else script[0]
        if word == "late":
            self.server.ended.wait(5)
        if not word.isdigit():
            return
        body = json.dumps({"message": "no such field"}).encode()
        self.send_response(int(word))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.answer()

    def do_DELETE(self) -> None:
        self.answer()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sandbox") / "pki"
    certificates.make(folder)
    return folder


@pytest.fixture
def server(pki: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, seconds in (("_WRITE_SECONDS", 0.3), ("_PATIENCE_SECONDS", 1.5), ("_PAUSE_SECONDS", 0.01)):
        monkeypatch.setattr(api, name, seconds)
    made = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.ended.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def asked(server: Server, pki: Path) -> api.Api:
    return api.Api(server.server_port, pki)


@pytest.mark.parametrize("trouble", ["late", "cut", "429", "500", "503"])
def test_an_object_is_created_by_a_server_that_answers_the_second_time(
    asked: api.Api, server: Server, trouble: str
) -> None:
    server.script = [trouble, "201"]
    assert asked.create(NODES, "{}", name="a node")
    assert server.asked == [f"POST {NODES}"] * 2


def test_what_an_answer_that_was_lost_had_created_is_no_conflict(asked: api.Api, server: Server) -> None:
    server.script = ["late", "409"]
    assert not asked.create(NODES, "{}", name="a node")


def test_a_deletion_is_asked_again_too(asked: api.Api, server: Server) -> None:
    server.script = ["cut", "404"]
    asked.delete(f"{NODES}/one")
    assert server.asked == [f"DELETE {NODES}/one"] * 2


@pytest.mark.parametrize(("trouble", "said"), [("late", "timed out"), ("503", "it answers 503")])
def test_a_server_that_never_answers_is_a_sentence_with_its_log(
    asked: api.Api, server: Server, pki: Path, trouble: str, said: str
) -> None:
    server.script = [trouble]
    with pytest.raises(PartFailed) as raised:
        asked.create(NODES, "{}", name="a node")
    assert raised.value.summary.startswith(f"The sandbox's API server did not take POST {NODES}: ")
    assert said in raised.value.summary
    assert raised.value.evidence == str(pki.parent / "logs" / "kube-apiserver.log")
    assert len(server.asked) > 1


def test_a_refusal_is_told_at_once(asked: api.Api, server: Server) -> None:
    server.script = ["422"]
    with pytest.raises(RunbookError, match="refused a node: no such field"):
        asked.create(NODES, "{}", name="a node")
    assert len(server.asked) == 1


def test_a_signal_ends_the_waiting_for_an_answer(
    asked: api.Api, server: Server, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(furniture, "_drop_stuck_crds", lambda _: None)
    (pki.parent / "crds").mkdir()
    server.script = ["503"]
    began = time.monotonic()

    def furnish() -> None:
        with interruptible(""):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            furniture.furnish(asked, Toolchain(pki.parent))

    with pytest.raises(Interrupted, match="Ctrl-C"):
        furnish()
    assert time.monotonic() - began < 5
