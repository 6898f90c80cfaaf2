"""The real helm, the rehearsal chart served as a Helm repository on loopback, and containers without a cluster."""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import platformdirs
import pytest

from sandbox import charts


@pytest.fixture(scope="session")
def helm_executable() -> str:
    """The path of a helm: the one named by RUNBOOKS_TEST_HELM, the sandbox's own, or the one on PATH."""
    named = os.environ.get("RUNBOOKS_TEST_HELM")
    if named:
        found = shutil.which(named)
        if found is None:
            pytest.fail(f"RUNBOOKS_TEST_HELM names {named!r}, which is not a program.")
        return str(Path(found).absolute())
    cache = platformdirs.user_cache_path("dataflow-runbooks") / "toolchain"
    built = sorted(cache.glob("*/bin/helm"), key=lambda path: path.stat().st_mtime)
    if built:
        return str(built[-1])
    found = shutil.which("helm")
    if found is None:
        pytest.skip("There is no helm: name one in RUNBOOKS_TEST_HELM, or run `runbooks sandbox up` once.")
    return found


@pytest.fixture(scope="session")
def chart_repository(helm_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Helm repository that holds every version of the rehearsal chart."""
    folder = tmp_path_factory.mktemp("chart-repository")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    url = f"http://127.0.0.1:{server.server_port}"
    charts.publish(folder, helm=helm_executable, url=url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are no news in a test."""
