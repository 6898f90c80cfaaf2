"""A few plain requests to the sandbox's own API server.

The library's ``cluster`` serves the stages. This one works while the server is only coming up, when
refusals are normal, and costs no import time: ``status`` has to answer at once.
"""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from runbooks_lib.errors import RunbookError

Json = dict[str, Any]


class Api:
    """The API server on one loopback port, asked as administrator."""

    def __init__(self, port: int, certificates: Path, *, timeout: float = 5.0) -> None:
        self._port = port
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=certificates / "ca.crt")
        self._context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")

    def ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self._request("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> Json | None:
        """An object or a list; nothing when it is not there or the server does not answer."""
        try:
            status, content = self._request("GET", path)
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(content) if status == 200 else None

    def create(self, path: str, body: Json) -> bool:
        """Create an object; says whether it was new.

        Raises:
            RunbookError: The server refused it.
        """
        status, content = self._request("POST", path, body)
        if status == 409:
            return False
        if status not in {200, 201}:
            answer = json.loads(content) if content.startswith(b"{") else {}
            raise RunbookError(
                f"The sandbox's API server refused {body['kind']} {body['metadata']['name']}: "
                f"{answer.get('message', status)}",
                next_step="Run `runbooks sandbox down`, then `runbooks sandbox up`.",
            )
        return True

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is fine."""
        self._request("DELETE", path)

    def _request(self, method: str, path: str, body: Json | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=self._timeout, context=self._context
        )
        try:
            content = json.dumps(body) if body is not None else None
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
