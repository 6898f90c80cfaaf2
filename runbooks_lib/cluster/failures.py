"""What can go wrong between here and an API server, by the table in ``failures.yaml``.

No sentence holds a request's body. A server's own words are used, without the values that they echo.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from runbooks_lib import errors
from runbooks_lib.errors import CheckFailed, RunbookError, Unreachable, error_of
from runbooks_lib.results import Json
from runbooks_lib.tables import table


class Untrusted(Unreachable):
    """The server's certificate is not trusted, or it does not accept the credentials: waiting does not help."""


class Forbidden(CheckFailed):
    """The credentials in use may not do this, or a policy of the cluster forbids it."""


class Unpermitted(Forbidden):
    """These credentials may not do it; others may."""


class NotFound(CheckFailed):
    """What the request is about does not exist: its namespace, or the whole kind."""


class Conflict(CheckFailed):
    """It exists already, or someone else changed it in the meantime."""


class Expired(CheckFailed):
    """The server no longer has the version of the list that was asked for."""


class Invalid(CheckFailed):
    """The API server finds the object or the request wrong."""


@dataclass(frozen=True)
class Ask:
    """One request, with the words that a sentence about it needs.

    Attributes:
        verb, resource: As permissions name them: ``get``, ``pods/log``; the resource may be empty.
        safe: It changes nothing, so that it may be asked again: reads, reviews and dry runs.
    """

    verb: str
    path: str
    resource: str = ""
    name: str = ""
    namespace: str = ""
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = "application/json"
    accept: str = "application/json, */*"
    safe: bool = True

    @property
    def method(self) -> str:
        """As HTTP names it."""
        return {"create": "POST", "patch": "PATCH", "delete": "DELETE"}.get(self.verb, "GET")

    def __str__(self) -> str:
        """In words: ``get secrets/mine in the namespace csghub``."""
        kind, _, subresource = self.resource.partition("/") if self.resource else (self.path, "", "")
        what = "/".join(part for part in (kind, self.name, subresource) if part)
        place = f" in the namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{place}"


#: Characters of a server's words.
LONGEST = 600
#: How an address names this machine.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

#: What a row may name: the classes above, and those of all rooms.
_ERRORS: dict[str, Any] = {**vars(errors), **globals()}
_TABLE: dict[str, Any] = table(__package__, "failures.yaml")


def told(case: str, **words: object) -> RunbookError:
    """The error of a case of the table, its sentences filled in with these words."""
    return error_of(_TABLE["cases"][case], _ERRORS, **words)


def unreachable(server: str, error: BaseException, *, lost: Ask | None = None) -> RunbookError:
    """No answer came from the server; ``lost`` was sent all the same, and could have changed something."""
    reason = _reason(error)
    parts = urlsplit(server)
    place = "here" if parts.hostname in LOOPBACK else "away"
    case = "lost" if lost else reason.get("case", place)
    return told(case, server=server, address=parts.netloc, clause=reason["clause"], ask=lost)


@contextmanager
def readable(server: str, ask: Ask) -> Iterator[None]:
    """What can't be read as it should comes from no API server, or from a proxy that answered in its place."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise told("malformed", server=server, ask=ask) from error


def refusal(server: str, ask: Ask, status: int, content: bytes) -> RunbookError:
    """The error for an answer that is not a success."""
    answer = _read_status(content)
    said = spoken(answer, secret=ask.resource == "secrets" and status not in {404, 409})
    message = str(answer.get("message"))
    row, found = next(
        (row, found)
        for row in _TABLE["refusals"]
        if re.fullmatch(row["status"], str(status)) and row.get("safe", ask.safe) == ask.safe
        if (found := re.search(row.get("message", ""), message))
    )
    words = {"server": server, "ask": ask, "status": status, "said": f": {said}" if said else "."}
    return error_of(row, _ERRORS, **words, **found.groupdict())


def _reason(error: BaseException) -> dict[str, str]:
    """Why a connection failed: a clause, and the case that it is (may be missing)."""
    row: dict[str, str] = next(row for row in _TABLE["connections"] if re.search(row["pattern"], str(error).lower()))
    return row | {"clause": row["clause"].format(kind=type(error).__name__)}


def spoken(status: Json, *, secret: bool = False) -> str:
    """What a ``Status`` says, without the values it echoes (a password in the wrong place?); of a Secret only fields."""
    text = str(status.get("message") or "")
    if secret:
        causes = (status.get("details") or {}).get("causes") or []
        text = ", ".join(f"{cause.get('field', 'a field')} ({cause.get('reason')})" for cause in causes)
    for echo in _TABLE["echoes"]:
        text = re.sub(echo["pattern"], echo["told"], text, flags=re.DOTALL)
    text = " ".join(text.split())
    if len(text) > LONGEST:
        return text[:LONGEST] + "…"
    return text if not text or text[-1] in ".…" else text + "."


def _read_status(content: bytes) -> Json:
    """A ``Status``; anything else (a proxy's page) has nothing to say."""
    with suppress(ValueError):
        status = json.loads(content)
        if isinstance(status, dict) and status.get("kind") == "Status":
            return status
    return {}
