"""The sandbox's own process: it keeps kwok running, and serves the charts and the CSGHub stand-in.

Run as ``python -m sandbox.daemon SETTINGS``. It imports little, since it lives as long as the sandbox.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runbooks_lib import process

#: How soon a kwok that ended is noticed; its nodes' leases last 40 s.
_POLL_SECONDS = 0.1
#: A kwok that ends sooner than this after its start is not started again at once.
_SOUND_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 5.0
PORT_TAKEN = "address already in use"
STAND_IN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>CSGHub stand-in</title></head>
<body><h1>CSGHub stand-in</h1><p>The sandbox answers here in the place of CSGHub.</p></body></html>
"""


@dataclass(frozen=True)
class Settings:
    """What the daemon is started with; one JSON argument.

    Attributes:
        folder: The sandbox's folder; ``daemon.json`` and the logs are written there.
        kwok: kwok's command line.
        charts: The folder of the chart repository.
        charts_port: Where it is served, on loopback.
        csghub_port: Where the stand-in is served.
    """

    folder: str
    kwok: list[str]
    charts: str
    charts_port: int
    csghub_port: int


class _Charts(SimpleHTTPRequestHandler):
    """The chart repository: files, no listings of folders."""

    def list_directory(self, path: Any) -> None:
        """There is none."""
        del path
        self.send_error(404)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Say nothing: each request of a healthy Helm in a log would be noise."""


class _StandIn(BaseHTTPRequestHandler):
    """A page that says what it is; nothing else is promised of CSGHub."""

    def do_GET(self) -> None:
        """Answer with the page, or with 404."""
        found = self.path.split("?")[0] == "/"
        body = (STAND_IN_PAGE if found else "not found\n").encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Answer as to GET, without the page itself."""
        self.do_GET()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Say nothing, as above."""


class Kwok:
    """kwok, started again whenever it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = Path(settings.folder) / "daemon.json"
        self.restarts = 0
        self._pause = _POLL_SECONDS
        self._begun = 0.0
        self._current = self._adopt() or self._start()

    def look(self) -> None:
        """Start it again if it has ended; one that can't stay up is tried less and less often."""
        # Waited for in any case: an ended child stays in the process table until then.
        if _reaped(self._current.pid) or not self._current.alive:
            sound = time.monotonic() - self._begun > _SOUND_SECONDS
            self._pause = _POLL_SECONDS if sound else min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
            time.sleep(self._pause)
            self.restarts += 1
            self._current = self._start()

    def end(self) -> None:
        """End it with the daemon."""
        process.stop(self._current)

    def _start(self) -> process.Started:
        self._begun = time.monotonic()
        log = Path(self._settings.folder) / "logs" / "kwok.log"
        # Its `exec` looks for a program in its own path: first come those of the databases' containers.
        path = os.pathsep.join([str(Path(self._settings.folder) / "bin"), os.environ.get("PATH", os.defpath)])
        # And has its environment: none of the user's tokens.
        own = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        started = process.start(self._settings.kwok, log=log, env={**own, "PATH": path})
        self._tell(started)
        return started

    def _adopt(self) -> process.Started | None:
        """The kwok of a daemon that was killed, if it still runs with the same command line."""
        try:
            data = json.loads(self._file.read_text())
            found = process.Started(data["kwok"]["pid"], data["kwok"]["start_time"])
            if not found.alive:
                return None
            if data["kwok"]["argv"] != self._settings.kwok:
                process.stop(found)
                return None
        except (OSError, ValueError, KeyError):
            return None
        self._tell(found)
        return found

    def _tell(self, started: process.Started) -> None:
        kwok = {"pid": started.pid, "start_time": started.start_time, "argv": self._settings.kwok}
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({"kwok": kwok, "restarts": self.restarts, "daemon": os.getpid()}))
        partial.replace(self._file)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        OSError: A port is taken.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    charts = functools.partial(_Charts, directory=settings.charts)
    servers = [
        _Server(("127.0.0.1", settings.charts_port), charts),
        _Server(("127.0.0.1", settings.csghub_port), _StandIn),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    kwok = Kwok(settings)
    try:
        while not ended.wait(_POLL_SECONDS):
            kwok.look()
    finally:
        kwok.end()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def main() -> int:
    """Serve what the argument says; a taken port is told in the words that ``up`` looks for."""
    settings = Settings(**json.loads(sys.argv[1]))
    try:
        serve(settings)
    except OSError as error:
        print(f"{PORT_TAKEN}: {error}" if error.errno == errno.EADDRINUSE else error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
