"""Does an address answer over HTTP? The only importer of ``httpx``, which it loads when it asks."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

from runbooks_lib.results import Value

REDIRECTS = 5


class HttpAnswer(Value):
    """What came back: a status and the seconds until it came, or (status 0) an error, as one clause."""

    url: str
    status: int = 0
    seconds: float = 0.0
    error: str = ""


#: Clauses by what the exceptions of the network say; the first match wins.
CLAUSES: tuple[tuple[str, str], ...] = (
    ("certificate has expired", "its certificate has expired"),
    ("not valid for|(hostname|ip address) mismatch", "its certificate is for another host name or address"),
    ("certificate", "its certificate is not trusted"),
    ("wrong.version.number|record.layer.failure", "it does not speak TLS on this port"),
    ("name or service not known|name resolution|nodename nor|no address", "its name does not resolve"),
    ("connection refused|all connection attempts failed", "connection refused"),
    ("no route to host|network is unreachable", "there is no route to it"),
    ("toomanyredirects", f"more than {REDIRECTS} redirects"),
    ("timeout|timed out", "no answer in time"),
    ("proxy", "the proxy did not let the request through"),
    ("unsupportedprotocol|invalidurl|valueerror", "it is no http or https address"),
    ("disconnected|reset by peer", "the connection was closed without an answer"),
    ("remoteprotocolerror", "what it answers is not HTTP"),
)


def answer(url: str, *, timeout: float = 10) -> HttpAnswer:
    """Ask once with GET, following at most five redirects; a failing network is an answer too.

    Proxies of the environment are used, but never for this machine. ``timeout`` is seconds, for connecting and again
    for each answer's beginning; a body is not waited for.
    """
    import httpx

    started = time.monotonic()
    try:
        parts = urlsplit(url)
        # A port out of range is an error here; the system would take it modulo 65536.
        here = parts.port != 0 and parts.hostname in {"127.0.0.1", "localhost", "::1"}
        client = httpx.Client(max_redirects=REDIRECTS, timeout=timeout, trust_env=not here)
        with client, client.stream("GET", url, follow_redirects=True) as response:
            return HttpAnswer(url=url, status=response.status_code, seconds=time.monotonic() - started)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return HttpAnswer(url=url, seconds=time.monotonic() - started, error=_clause(error))


def _clause(error: BaseException) -> str:
    other = f"the connection failed ({type(error).__name__})"
    said = ""
    each: BaseException | None = error
    while each is not None:
        said += f" {type(each).__name__} {each}".lower()
        each = each.__cause__ or each.__context__
    return next((clause for pattern, clause in CLAUSES if re.search(pattern, said)), other)
