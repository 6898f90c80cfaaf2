"""One connection to one API server: requests, their repetition, and what went wrong as our errors.

Answers are plain JSON; nothing is turned into the client's models, which would drop fields they don't know.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.failures import Ask
from runbooks_lib.results import Event, Json, Observe

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration


class Connection:
    """Asks one API server; as for a :class:`runbooks_lib.cluster.Cluster`."""

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
        self.tell = observe
        self.pause = pause
        self._timeout = timeout
        parts = urlsplit(settings.host)
        self.server: str = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._repeats = urllib3.Retry(
            3,
            connect=0,
            read=1,
            other=0,
            allowed_methods=None,
            raise_on_status=False,
            status_forcelist={429, 500, 502, 503, 504},
            retry_after_max=int(timeout),
            backoff_factor=pause,
        )

    def close(self) -> None:
        """Close every open socket; a later question opens new ones."""
        self._client.close()

    def json(self, ask: Ask) -> Json:
        """The answer as a JSON object; raises as :meth:`content` does."""
        content = self.content(ask)
        with failures.readable(self.server, ask):
            return {**json.loads(content)}

    def content(self, ask: Ask) -> bytes:
        """The answer. A question is repeated after a passing fault; a write never is, and is told."""
        # No answer came.
        status = 0
        try:
            with self._mapped(ask):
                response = self._send(ask, patience=self._timeout, retries=self._repeats if ask.safe else False)
                status = response.status
        finally:
            if not ask.safe:
                told = {key: getattr(ask, key) for key in ("verb", "resource", "name", "namespace")}
                self.tell(Event(kind="request.made", data=told | {"status": status}))
        if 200 <= status < 300:
            return bytes(response.data)
        raise failures.refusal(self.server, ask, status, response.data)

    def clock(self, ask: Ask) -> tuple[datetime, datetime]:
        """When the server answered, by its own clock and by ours; asked once, since a repetition takes its time."""
        before = datetime.now(UTC)
        with self._mapped(ask):
            response = self._send(ask, patience=self._timeout, retries=False)
        middle = before + (datetime.now(UTC) - before) / 2
        if not 200 <= response.status < 300:
            raise failures.refusal(self.server, ask, response.status, response.data)
        with failures.readable(self.server, ask):
            return parsedate_to_datetime(response.headers["Date"]), middle

    @contextmanager
    def lines(self, ask: Ask, *, patience: float) -> Iterator[Iterator[bytes]]:
        """A long answer, line by line, as it comes; after ``patience`` silent seconds it counts as broken off."""
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

    def _send(self, ask: Ask, *, patience: float, **how: Any) -> Any:
        import urllib3

        url, headers = self._addressed(ask)
        body = None if ask.body is None else json.dumps(ask.body)
        how |= {"body": body, "headers": headers, "redirect": False}
        timeout = urllib3.Timeout(connect=self._timeout, read=patience)
        return self._client.rest_client.pool_manager.request(ask.method, url, timeout=timeout, **how)

    def _addressed(self, ask: Ask) -> tuple[str, dict[str, str]]:
        """The URL and the headers, with credentials that are fetched anew when they have expired."""
        headers = {"Accept": ask.accept, "Content-Type": ask.content_type}
        how = {"header_params": headers, "auth_settings": ["BearerToken"]}
        _, url, headers, *_ = self._client.param_serialize(ask.method, ask.path, **how)
        return f"{url}?{urlencode(ask.query, doseq=True)}" if ask.query else url, headers

    @contextmanager
    def _mapped(self, ask: Ask) -> Iterator[None]:
        """Turn everything the libraries below raise into an error of ours."""
        import urllib3.exceptions as foreign
        from kubernetes.config import ConfigException

        unsent = (foreign.ConnectTimeoutError, foreign.SSLError, foreign.ProxyError, ConfigException)
        try:
            yield
        except (foreign.HTTPError, OSError, ConfigException) as error:
            cause = error.reason if isinstance(error, foreign.MaxRetryError) and error.reason else error
            lost = None if ask.safe or isinstance(cause, unsent) else ask
            raise failures.unreachable(self.server, cause, lost=lost) from error
