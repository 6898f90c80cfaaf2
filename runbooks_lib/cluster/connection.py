"""One connection to one API server: requests, their repetition, and what went wrong as our errors.

Answers are plain JSON; nothing is turned into the client's models, which would drop fields they don't know.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.results import Event, Json, Observe

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration


class Connection:
    """Asks one API server.

    Attributes:
        server: Its address, without credentials.
        timeout: Seconds for one answer to begin, and between two parts of it.
        pause: Seconds before a question is asked again; longer each time.
    """

    def __init__(self, settings: Configuration, *, observe: Observe, timeout: float, pause: float) -> None:
        import urllib3
        from kubernetes.client.api_client import ApiClient

        settings.connection_pool_maxsize = 32
        settings.keep_alive = True
        if not settings.verify_ssl:
            # The kubeconfig's owner has chosen so; a warning at every request tells nobody anything new.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        # It would write a line about each repetition into the notebook.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self._client: Any = ApiClient(configuration=settings)
        self._client.user_agent = "dataflow-runbooks"
        self._observe = observe
        self.timeout, self.pause = timeout, pause
        parts = urlsplit(settings.host)
        self.server: str = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._repeats = urllib3.Retry(
            total=3,
            connect=0,
            read=1,
            other=0,
            allowed_methods=None,
            status_forcelist={429, 500, 502, 503, 504},
            backoff_factor=pause,
            backoff_jitter=pause,
            retry_after_max=math.ceil(timeout),
            raise_on_status=False,
        )

    def close(self) -> None:
        """Close every open socket; a later question opens new ones."""
        self._client.close()

    def json(self, ask: Ask) -> Json:
        """The answer as a JSON object. A question is repeated after a passing fault; a write never is.

        Raises:
            Unreachable: No answer, no trust, no valid credentials, or no API server.
            OutcomeUnknown: A write whose answer was lost, or a server that failed.
            Rejected: The server understood and refused.
        """
        content = self._content(ask)
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise failures.malformed(self.server, ask) from error
        if not isinstance(answer, dict):
            raise failures.malformed(self.server, ask)
        return answer

    def text(self, ask: Ask) -> str:
        """The answer as text (logs); bytes that are no UTF-8 are replaced. Raises as :meth:`json` does."""
        return self._content(ask).decode("utf-8", errors="replace")

    @contextmanager
    def lines(self, ask: Ask, *, patience: float) -> Iterator[Iterator[bytes]]:
        """A long answer, line by line, as it comes; the connection is closed at the end of the block.

        Args:
            patience: Seconds between two parts of the answer, after which it counts as broken off.
        """
        with self._mapped(ask):
            response = self._send(ask, patience=patience, retries=False, preload_content=False)
            try:
                if response.status >= 300:
                    raise failures.refusal(self.server, ask, response.status, response.read())
                yield (line for line in response if line.strip())
            finally:
                response.close()

    def websocket(self, ask: Ask) -> Any:
        """An open websocket to a subresource, with the settings and credentials of this connection."""
        from kubernetes.stream import ws_client

        create: Any = ws_client.create_websocket
        url, headers = self._addressed(ask)
        return create(self._client.configuration, url.replace("http", "ws", 1), headers)

    def _content(self, ask: Ask) -> bytes:
        status = 0
        try:
            with self._mapped(ask):
                retries = self._repeats if ask.safe else False
                response = self._send(ask, patience=self.timeout, retries=retries)
                status = response.status
        finally:
            if not ask.safe:
                # Status 0: no answer came.
                told = {"verb": ask.verb, "resource": ask.resource, "name": ask.name}
                data = told | {"namespace": ask.namespace, "status": status}
                self._observe(Event(kind="request.made", data=data))
        if 200 <= status < 300:
            return bytes(response.data)
        raise failures.refusal(self.server, ask, status, response.data)

    def _send(self, ask: Ask, *, patience: float, **how: Any) -> Any:
        import urllib3

        url, headers = self._addressed(ask)
        body = None if ask.body is None else json.dumps(ask.body)
        timeout = urllib3.Timeout(connect=self.timeout, read=patience)
        pool = self._client.rest_client.pool_manager
        return pool.request(
            ask.method, url, body=body, headers=headers, timeout=timeout, redirect=False, **how
        )

    def _addressed(self, ask: Ask) -> tuple[str, dict[str, str]]:
        """The URL and the headers, with credentials that are fetched anew when they have expired."""
        headers = {"Accept": ask.accept, "Content-Type": ask.content_type}
        _, url, headers, *_ = self._client.param_serialize(
            ask.method, ask.path, header_params=headers, auth_settings=["BearerToken"]
        )
        return f"{url}?{urlencode(ask.query)}" if ask.query else url, headers

    @contextmanager
    def _mapped(self, ask: Ask) -> Iterator[None]:
        """Turn everything the libraries below raise into an error of ours."""
        import urllib3.exceptions as foreign
        from kubernetes.config import ConfigException

        unsent = (
            foreign.ConnectTimeoutError,
            foreign.SSLError,
            foreign.ProxyError,
            foreign.LocationValueError,
        )
        try:
            yield
        except (foreign.HTTPError, OSError, ConfigException) as error:
            cause = error.reason if isinstance(error, foreign.MaxRetryError) and error.reason else error
            if ask.safe or isinstance(cause, (*unsent, ConfigException)):
                raise failures.unreachable(self.server, cause) from error
            raise failures.answer_lost(self.server, ask, cause) from error
