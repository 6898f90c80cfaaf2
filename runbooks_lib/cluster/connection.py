"""One connection to one API server: requests, their repetition, and what went wrong as our errors.

Answers are plain JSON; nothing is turned into the client's models, which would drop fields they don't know.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from runbooks_lib.cluster import failures, kubeconfig, refusals
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.errors import Unreachable
from runbooks_lib.results import Event, Json, Observe

if TYPE_CHECKING:
    from kubernetes.client.api_client import ApiClient
    from urllib3.response import HTTPResponse

#: Seconds before a read is asked again; half as much again by chance, so that many readers spread out.
PAUSES = (0.1, 0.3, 0.9)


class Connection:
    """Asks one API server.

    Attributes:
        server: Its address, without credentials.
        timeout: Seconds for one answer to begin, and between two parts of it.
    """

    def __init__(self, client: ApiClient, *, observe: Observe, timeout: float) -> None:
        self._client = client
        self._observe = observe
        self.timeout = timeout
        parts = urlsplit(client.configuration.host)
        self._base: str = urlunsplit(parts).rstrip("/")
        self.server: str = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")

    @classmethod
    def open(cls, path: Path | None, context: str, *, observe: Observe, timeout: float) -> Connection:
        """Load the kubeconfig; nothing is sent yet.

        Raises:
            UsageError: See :func:`runbooks_lib.cluster.kubeconfig.load`.
        """
        import urllib3
        from kubernetes.client.api_client import ApiClient

        settings = kubeconfig.load(path, context)
        # Repeating is decided here, by what a request does; the library would also repeat deletes, and log it.
        settings.retries = urllib3.Retry(
            connect=0, read=0, redirect=0, status=0, other=0, raise_on_redirect=False, raise_on_status=False
        )
        settings.connection_pool_maxsize = 32
        settings.keep_alive = True
        if not settings.verify_ssl:
            # The kubeconfig's owner has chosen so; a warning at every request tells nobody anything new.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        client = ApiClient(configuration=settings)
        client.user_agent = "dataflow-runbooks"
        return cls(client, observe=observe, timeout=timeout)

    def close(self) -> None:
        """Close every open socket."""
        close: Any = self._client.close
        close()

    def json(self, ask: Ask) -> Json:
        """The answer as a JSON object.

        Raises:
            Unreachable: No answer, no trust, no valid credentials, or no API server.
            OutcomeUnknown: A write whose answer was lost, or a server that failed.
            Rejected: The server understood and refused.
        """
        content = self._repeated(ask)
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise failures.malformed(self.server, ask) from error
        if not isinstance(answer, dict):
            raise failures.malformed(self.server, ask)
        return answer

    def text(self, ask: Ask) -> str:
        """The answer as text (logs); bytes that are no UTF-8 are replaced. Raises as :meth:`json` does."""
        return self._repeated(ask).decode("utf-8", errors="replace")

    @contextmanager
    def lines(self, ask: Ask, *, patience: float) -> Iterator[Iterator[bytes]]:
        """A long answer, line by line, as it comes; the connection is closed at the end of the block.

        Args:
            patience: Seconds between two parts of the answer, after which it counts as broken off.
        """
        with self._mapped(ask):
            response = self._send(ask, timeout=(self.timeout, patience))
            try:
                if response.status >= 300:
                    raise refusals.refusal(self.server, ask, response.status, response.read())
                yield _lines(response)
            finally:
                response.close()

    def websocket(self, path: str, query: dict[str, str]) -> Any:
        """An open websocket to a subresource, with the settings and credentials of this connection."""
        from kubernetes.stream import ws_client

        create: Any = ws_client.create_websocket
        address: Any = ws_client.get_websocket_url
        url = address(f"{self._base}{path}", list(query.items()))
        headers = self._headers(Ask("create", path))
        return create(self._client.configuration, url, headers)

    def _repeated(self, ask: Ask) -> bytes:
        """Ask, and ask again after a passing fault if that changes nothing; never a write."""
        deadline = time.monotonic() + self.timeout
        pauses = iter(PAUSES if ask.safe else ())
        while True:
            broken: _BrokenOff | None = None
            status, content, wait = 0, b"", None
            try:
                status, content, wait = self._once(ask)
            except _BrokenOff as error:
                broken = error
            pause = next(pauses, None) if broken or refusals.is_passing(status, content) else None
            if pause is not None:
                pause = max(wait or 0.0, pause * (1 + random.random() / 2))  # noqa: S311 (spreads, guards nothing)
                if time.monotonic() + pause < deadline:
                    time.sleep(pause)
                    continue
            if broken:
                raise broken
            if 200 <= status < 300:
                return content
            raise refusals.refusal(self.server, ask, status, content)

    def _once(self, ask: Ask) -> tuple[int, bytes, float | None]:
        """Status, content and the pause that the server asks for."""
        status = 0
        try:
            with self._mapped(ask):
                response = self._send(ask, timeout=self.timeout)
                content = bytes(response.data)
                status = int(response.status)
                return status, content, _seconds(response.headers.get("Retry-After"))
        finally:
            if not ask.safe:
                self._tell(ask, status)

    def _send(self, ask: Ask, *, timeout: Any) -> HTTPResponse:
        query = f"?{urlencode(ask.query)}" if ask.query else ""
        answer = self._client.call_api(
            ask.method,
            f"{self._base}{ask.path}{query}",
            header_params=self._headers(ask),
            body=ask.body,
            _request_timeout=timeout,
        )
        response: HTTPResponse = answer.response
        return response

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"Accept": ask.accept}
        if ask.body is not None:
            headers["Content-Type"] = ask.content_type
        serialized = self._client.param_serialize(
            ask.method, ask.path, header_params=headers, auth_settings=["BearerToken"]
        )
        return dict(serialized[2])

    def _tell(self, ask: Ask, status: int) -> None:
        """Tell the observer of a write; status 0: no answer came."""
        data: Json = {
            "verb": ask.verb,
            "resource": ask.resource,
            "name": ask.name,
            "namespace": ask.namespace,
            "status": status,
        }
        self._observe(Event(kind="request.made", data=data))

    @contextmanager
    def _mapped(self, ask: Ask) -> Iterator[None]:
        """Turn everything the libraries below raise into an error of ours."""
        import urllib3.exceptions as foreign
        from kubernetes.client.exceptions import OpenApiException
        from kubernetes.config import ConfigException

        try:
            yield
        except (foreign.HTTPError, OpenApiException, OSError) as error:
            cause = error.reason if isinstance(error, foreign.MaxRetryError) and error.reason else error
            unsent = (
                foreign.ConnectTimeoutError,
                foreign.NewConnectionError,
                foreign.SSLError,
                foreign.ProxyError,
                foreign.LocationValueError,
                OpenApiException,
            )
            if isinstance(cause, unsent):
                raise failures.unreachable(self.server, cause) from error
            if not ask.safe:
                raise failures.answer_lost(self.server, ask, cause) from error
            broken = failures.unreachable(self.server, cause)
            if isinstance(cause, foreign.ProtocolError):
                raise _BrokenOff(broken.summary, next_step=broken.next_step) from error
            raise broken from error
        except ConfigException as error:
            raise failures.unreachable(self.server, error) from None


class _BrokenOff(Unreachable):
    """The server closed the connection in the middle; a read may be asked again."""


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    rest = b""
    for part in response.stream(amt=None):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line for line in whole if line.strip())
    if rest.strip():
        yield rest


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds; its other form, a date, is not used by API servers."""
    return float(header) if header and header.isascii() and header.isdigit() else None
