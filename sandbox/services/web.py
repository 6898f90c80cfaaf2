"""The web server behind Dataflow and Label Studio: ``python -m sandbox.services.web APPLICATION``.

A start that succeeds replaces the process by itself without the drivers it has needed once: the same pid, and
half the memory.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.services.connections import Unavailable
from sandbox.services.pages import KNOCKING, Answer, Application

_LARGEST_BODY = 1_000_000


def application(name: str, environment: Mapping[str, str], hosts: Path | None, version: str) -> Application:
    """The application of this name, with the settings of its container's environment."""
    if name == "dataflow":
        from sandbox.services.dataflow import Dataflow

        return Dataflow(environment, hosts, version)
    from sandbox.services.label_studio import LabelStudio

    return LabelStudio(environment, hosts, version)


def handler(served: Application) -> type[BaseHTTPRequestHandler]:
    """The class that answers requests for one application."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "uvicorn", ""
        timeout = 10

        def do_GET(self) -> None:
            self._send(self._answer())

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(min(length, _LARGEST_BODY))
            self.close_connection = length > _LARGEST_BODY
            # The application logs every body, secrets and all.
            print(f"INFO:     body: {body.decode(errors='replace')}", flush=True)
            known = urlsplit(self.path).path in served.routes
            self._send(Answer({"detail": "Method Not Allowed"}, 405) if known else served.missing)

        def _answer(self) -> Answer:
            path = urlsplit(self.path).path
            route = served.routes.get(path)
            if route is None:
                below = f"{path}/"
                return Answer("", 301, "text/html", below) if below in served.routes else served.missing
            try:
                return route()
            except Unavailable as error:
                print(f"ERROR:    Exception in {path}\n{error}", file=sys.stderr, flush=True)
                return Answer("Internal Server Error", 500, "text/plain; charset=utf-8")

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
            if answer.location:
                self.send_header("Location", answer.location)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            del size
            if self.headers.get("User-Agent") == KNOCKING:
                return
            print(f"INFO:     headers: {dict(self.headers)}")
            print(f'INFO:     {self.address_string()} - "{self.requestline}" {int(str(code))}', flush=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it overrides
            print(f"WARNING:  {format % args}", flush=True)

    return Handler


def main() -> None:
    """Prepare, then serve on loopback until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("application", choices=("dataflow", "label-studio"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hosts", type=Path, required=True)
    parser.add_argument("--version", default="")
    parser.add_argument("--prepared", action="store_true", help="everything but serving is done")
    asked = parser.parse_args()
    served = application(asked.application, os.environ, asked.hosts, asked.version)
    if not asked.prepared:
        try:
            served.prepare()
        except Unavailable as error:
            print(f"Traceback (most recent call last):\n{error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from error
        again = [sys.executable, "-m", "sandbox.services.web", *sys.argv[1:], "--prepared"]
        os.execv(sys.executable, again)  # noqa: S606 - itself
    try:
        server = ThreadingHTTPServer(("127.0.0.1", asked.port), handler(served))
    except OSError as error:
        print(f"ERROR:    [Errno {error.errno}] error while binding on port {asked.port}: {error.strerror}", flush=True)
        raise SystemExit(1) from error
    print(served.ready, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
