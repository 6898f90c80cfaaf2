"""Does an address answer over HTTP, and what? The only importer of ``httpx``, which it loads when it asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbooks_lib.results import Value

if TYPE_CHECKING:
    import httpx

REDIRECTS = 5
BODY_START = 200
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class HttpAnswer(Value):
    """What came back.

    Attributes:
        url: What was asked.
        status: 0 where no answer came.
        seconds: Until the answer's beginning, redirects included.
        content_type: Without its parameters, for example ``text/html``.
        body_start: The first 200 characters.
        error: Empty, or why no answer came, as one clause.
        final_url: Where the redirects led, at most five.
    """

    url: str
    status: int = 0
    seconds: float = 0.0
    content_type: str = ""
    body_start: str = ""
    error: str = ""
    final_url: str = ""

    @property
    def ok(self) -> bool:
        """Whether it answered with success."""
        return 200 <= self.status < 300


#: Clauses by what the exceptions of the network say; the first match wins.
CLAUSES: tuple[tuple[str, str], ...] = (
    ("certificate has expired", "its certificate has expired"),
    ("not valid for", "its certificate is for another host name"),
    ("hostname mismatch", "its certificate is for another host name"),
    ("ip address mismatch", "its certificate is for another address"),
    ("certificate", "its certificate is not trusted"),
    ("wrong_version_number", "it does not speak TLS on this port"),
    ("wrong version number", "it does not speak TLS on this port"),
    ("record_layer_failure", "it does not speak TLS on this port"),
    ("record layer failure", "it does not speak TLS on this port"),
    ("name or service not known", "its name does not resolve"),
    ("name resolution", "its name does not resolve"),
    ("nodename nor servname", "its name does not resolve"),
    ("no address associated", "its name does not resolve"),
    ("connection refused", "connection refused"),
    ("all connection attempts failed", "connection refused"),
    ("no route to host", "no route to host"),
    ("network is unreachable", "the network is unreachable"),
    ("toomanyredirects", f"more than {REDIRECTS} redirects"),
    ("timeout", "no answer in time"),
    ("timed out", "no answer in time"),
    ("proxy", "the proxy did not let the request through"),
    ("unsupportedprotocol", "it is no http or https address"),
    ("invalidurl", "it is no http or https address"),
    ("disconnected", "the connection was closed without an answer"),
    ("reset by peer", "the connection was reset"),
    ("remoteprotocolerror", "what it answers is not HTTP"),
    ("valueerror", "it is no http or https address"),
)


def answer(url: str, *, timeout: float = 10, verify: bool = True) -> HttpAnswer:
    """Ask once with GET, following at most five redirects; a failing network is an answer too.

    Proxies of the environment are used, but never for this machine.

    Args:
        timeout: Seconds for connecting, and again for each answer; a body that trickles in is not waited for.
        verify: Whether the certificate has to be trusted.
    """
    import httpx

    started = time.monotonic()
    try:
        parts = urlsplit(url)
        # A port out of range is an error here; the system would take it modulo 65536.
        here = parts.port != 0 and parts.hostname in LOOPBACK
        with (
            httpx.Client(
                verify=verify,
                follow_redirects=True,
                max_redirects=REDIRECTS,
                timeout=timeout,
                trust_env=not here,
            ) as client,
            client.stream("GET", url) as response,
        ):
            seconds = time.monotonic() - started
            return HttpAnswer(
                url=url,
                status=response.status_code,
                seconds=seconds,
                content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
                body_start=_beginning(response, started + timeout),
                final_url=str(response.url),
            )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return HttpAnswer(url=url, seconds=time.monotonic() - started, error=_clause(error))


def _beginning(response: httpx.Response, deadline: float) -> str:
    """The first characters, without waiting for the rest; an answer that breaks off here has still answered."""
    import httpx

    text = ""
    try:
        for part in response.iter_text():
            text += part
            if len(text) >= BODY_START or time.monotonic() > deadline:
                break
    except httpx.HTTPError:
        pass
    return text[:BODY_START]


def _clause(error: BaseException) -> str:
    said = ""
    each: BaseException | None = error
    while each is not None:
        said += f" {type(each).__name__} {each}".lower()
        each = each.__cause__ or each.__context__
    for pattern, clause in CLAUSES:
        if pattern in said:
            return clause
    return f"the connection failed ({type(error).__name__})"
