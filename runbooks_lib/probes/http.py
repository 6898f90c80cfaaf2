"""Does an address answer over HTTP, and with what? With ``registry`` the only importer of ``httpx``, loaded when it asks."""

import json
import os
import re
import ssl
import time
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Page
from runbooks_lib.probes.asking import clause, row
from runbooks_lib.results import Value

REDIRECTS = 5
#: This machine, which no proxy leads to.
HERE = frozenset({"127.0.0.1", "localhost", "::1"})
#: Bytes of a page that is read as a whole.
LARGEST = 16 * 1024 * 1024


class HttpAnswer(Value):
    """What came back: a status and the seconds until it came, or (status 0) an error, as one clause."""

    url: str
    status: int = 0
    seconds: float = 0.0
    error: str = ""


def answer(url: str, *, timeout: float = 10) -> HttpAnswer:
    """Ask once with GET, following at most five redirects; a failing network is an answer too.

    Proxies of the environment are used, but never for this machine. ``timeout`` is seconds, for connecting and again
    for each answer's beginning; a body is not waited for.
    """
    return _get(url, timeout)[0]


def ask(address: tuple[str, int], page: Page, *, seconds: float = 5) -> HttpAnswer:
    """Ask a server for a page; a redirect is not followed, since it may lead away from that server.

    Raises CheckFailed: It does not answer as it should; the sentence says what it answered instead.
    """
    found, body = _get("http://{}:{}{}".format(*address, page.path), seconds, whole=True)
    problem = "" if found.status == 404 and page.optional else _problem(found, body, page)
    if problem:
        raise CheckFailed(f"{page.path} {problem}.", next_step=row("pages", problem))
    return found


def trusted() -> ssl.SSLContext:
    """Whose certificates are trusted: those of the environment's ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, else the library's.

    Reading them takes longer than most pages, so it is done once.
    """
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(*_: str | None) -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


def _problem(found: HttpAnswer, body: bytes, page: Page) -> str:
    """What is wrong with a page, in one clause; empty when nothing is."""
    if found.error:
        return f"can't be had: {found.error}"
    plain = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", body.decode(errors="replace"), flags=re.DOTALL)
    said = f": {' '.join(plain.split())[:120]}" if plain.strip() else ""
    if found.status != 200:
        return f"answered {found.status}{said}"
    if page.at is None:
        return ""
    try:
        value: Any = json.loads(body)
    except ValueError:
        return f"is no JSON{said}"
    for key in filter(None, page.at.split(".")):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None or not (value or page.empty):
        return f"has nothing in {page.at or 'it'}{said}"
    return f"says {page.at} is {value!r}, not {page.equals!r}" if page.equals and value != page.equals else ""


def _get(url: str, timeout: float, *, whole: bool = False) -> tuple[HttpAnswer, bytes]:
    import httpx

    started, body = time.monotonic(), b""
    try:
        parts = urlsplit(url)
        # A port out of range is an error here; the system would take it modulo 65536.
        here = parts.port != 0 and parts.hostname in HERE
        client = httpx.Client(max_redirects=REDIRECTS, timeout=timeout, trust_env=not here, verify=trusted())
        with client, client.stream("GET", url, follow_redirects=not whole) as response:
            found = HttpAnswer(url=url, status=response.status_code, seconds=time.monotonic() - started)
            for chunk in response.iter_bytes() if whole else ():
                body += chunk
                if len(body) > LARGEST or time.monotonic() - started > timeout:
                    raise TimeoutError
            return found, body
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        said = clause("http", error).format(error=type(error).__name__)
        return HttpAnswer(url=url, seconds=time.monotonic() - started, error=said), b""
