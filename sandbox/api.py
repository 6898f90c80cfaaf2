"""A few plain requests to the sandbox's own API server.

The library's ``cluster`` serves the stages. This one works while the server is only coming up, when
refusals are normal, and costs no import time: ``status`` has to answer at once.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from pathlib import Path
from typing import Any

from runbooks_lib.errors import RunbookError
from sandbox.interruption import interrupted
from sandbox.parts import PartFailed

Json = dict[str, Any]

#: Seconds for one answer to a write, and for all attempts at it: a busy machine takes its time.
_WRITE_SECONDS, _PATIENCE_SECONDS = 15.0, 60.0
_PAUSE_SECONDS = 0.5
#: Answers of a server that is overloaded, or that does not reach its store.
_PASSING = {429, 500, 502, 503, 504}


class Api:
    """A server of the sandbox on one loopback port, by default asked as administrator."""

    def __init__(self, port: int, certificates: Path, *, holder: str = "admin", timeout: float = 5.0) -> None:
        self._port = port
        self._timeout = timeout
        self._log = certificates.parent / "logs" / "kube-apiserver.log"
        self._context = ssl.create_default_context(cafile=certificates / "ca.crt")
        self._context.load_cert_chain(certificates / f"{holder}.crt", certificates / f"{holder}.key")

    def ready(self, path: str = "/readyz") -> bool:
        """Whether the server says that it is ready."""
        try:
            return self._request("GET", path, self._timeout)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> Json | None:
        """An object or a list; nothing when it is not there or the server does not answer."""
        try:
            status, content = self._request("GET", path, self._timeout)
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(content) if status == 200 else None

    def create(self, path: str, body: str, *, name: str) -> bool:
        """Create an object; says whether it was new.

        Args:
            path: The path of its collection.
            body: The object as YAML or JSON: the server reads both, so nothing is parsed here.
            name: What to call it if it is refused.

        Raises:
            PartFailed: The server does not answer.
            RunbookError: The server refused it.
        """
        status, content = self._write("POST", path, body)
        if status == 409:
            return False
        if status not in {200, 201}:
            answer = json.loads(content) if content.startswith(b"{") else {}
            raise RunbookError(
                f"The sandbox's API server refused {name}: {answer.get('message', status)}",
                next_step="Run `runbooks sandbox down`, then `runbooks sandbox up`.",
            )
        return True

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is fine.

        Raises:
            PartFailed: The server does not answer.
        """
        self._write("DELETE", path)

    def _write(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Ask until there is an answer: an object has a name, so a second attempt makes no second one."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                status, content = self._request(method, path, _WRITE_SECONDS, body)
                if status not in _PASSING:
                    return status, content
                trouble = f"it answers {status}"
            except (OSError, http.client.HTTPException) as error:
                trouble = str(error) or type(error).__name__
            if interrupted() or time.monotonic() >= deadline:
                raise PartFailed(
                    f"The sandbox's API server did not take {method} {path}: {trouble}.",
                    next_step="Look whether this machine is very busy or its disk full, then run the same command again.",
                    evidence=str(self._log),
                )
            time.sleep(_PAUSE_SECONDS)

    def _request(self, method: str, path: str, seconds: float, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=seconds, context=self._context)
        try:
            connection.request(method, path, body, {"Content-Type": "application/yaml"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
