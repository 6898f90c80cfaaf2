"""An API server's refusals as sentences, in its own words but without the values that they echo."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from runbooks_lib.cluster.failures import (
    LOGIN,
    LOOK_FIRST,
    Ask,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Untrusted,
)
from runbooks_lib.errors import OutcomeUnknown, RunbookError

AGAIN = "Try again in a minute."


class _Refusal(NamedTuple):
    """An error, its sentence up to the server's own words, and the next step."""

    kind: type[RunbookError]
    sentence: str
    next_step: str


#: By status; 403 and everything from 500 on have functions of their own.
REFUSALS: dict[int, _Refusal] = {
    400: _Refusal(Invalid, "The cluster finds «{ask}» invalid ({status})", "Correct what it names."),
    401: _Refusal(Untrusted, "The cluster at {server} does not accept the credentials ({status})", LOGIN),
    404: _Refusal(NotFound, "The cluster can't «{ask}» ({status})", "03_verify shows what is there."),
    409: _Refusal(
        Conflict,
        "The cluster can't «{ask}»: it exists already, or someone else changed it meanwhile ({status})",
        "Look at it, then plan again.",
    ),
    410: _Refusal(Expired, "The cluster no longer has what «{ask}» asked for ({status})", "Ask again."),
    422: _Refusal(Invalid, "The cluster finds «{ask}» invalid ({status})", "Correct what it names."),
    429: _Refusal(OutcomeUnknown, "The cluster at {server} was too busy for «{ask}» ({status})", AGAIN),
}


def refusal(server: str, ask: Ask, status: int, content: bytes) -> RunbookError:
    """The error for an answer that is not a success."""
    message, details = _read_status(content)
    said = spoken(message, details, secret=ask.resource == "secrets" and status not in {404, 409})
    tail = f": {said}" if said else "."
    if status == 403:
        return _forbidden(server, ask, message, tail)
    known = REFUSALS.get(422 if _is_typed_patch_fault(status, message) else status)
    if known is not None:
        sentence = known.sentence.format(server=server, ask=ask, status=status)
        return known.kind(sentence + tail, next_step=known.next_step)
    if status < 500:
        sentence = f"The cluster at {server} answered {status} to «{ask}»"
        return RunbookError(sentence + tail, next_step="The API server's own log says more.")
    if ask.safe:
        return OutcomeUnknown(f"The cluster at {server} failed on «{ask}» ({status}){tail}", next_step=AGAIN)
    return OutcomeUnknown(
        f"It is not known whether the cluster at {server} carried out «{ask}»: it answered {status}{tail}",
        next_step=LOOK_FIRST,
    )


def is_passing(status: int, content: bytes) -> bool:
    """Whether a later answer to the same question may be another one."""
    return status in {429, 500, 502, 503, 504} and not _is_typed_patch_fault(status, _read_status(content)[0])


_ECHO = re.compile(
    r"\b(Invalid|Unsupported|Duplicate) value: "
    r'(?!"?null"?\b)'
    r'("(?:[^"\\]|\\.)*"|[\w.*\[\]]*\{.*\}|[^\s:"{][^:\n]*)',
    re.DOTALL,
)
_STRUCT = re.compile(r"&?\w[\w.*\[\]]*\{.*\}", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_RBAC = re.compile(r'User "([^"]*)" cannot (\w+) ')
LONGEST = 600


def spoken(message: str, details: Mapping[str, Any], *, secret: bool = False) -> str:
    """The server's own words without the values they echo; for a Secret only which fields are wrong, and how.

    A value that a server rejects may be a password in the wrong place.
    """
    causes = [cause for cause in details.get("causes") or [] if isinstance(cause, Mapping)]
    if secret:
        fields = [f"{cause.get('field', 'a field')} ({cause.get('reason', 'invalid')})" for cause in causes]
        return _sentence(", ".join(fields))
    if causes and all(cause.get("field") for cause in causes):
        message = "; ".join(f"{cause['field']}: {cause.get('message', '')}" for cause in causes)
    text = _ECHO.sub(r"\1 value", message)
    # What a decoder could not read it may show whole, as Go writes a value or quoted.
    text = _STRUCT.sub("…", text)
    text = _QUOTED.sub(lambda hit: hit[0] if len(hit[0]) <= 100 else '"…"', text)
    text = " ".join(text.split())
    return _sentence(text if len(text) <= LONGEST else text[:LONGEST] + "…")


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".…" else text + "."


def _read_status(content: bytes) -> tuple[str, Mapping[str, Any]]:
    """Message and details of a ``Status``; anything else (a proxy's page) has nothing to say."""
    try:
        status = json.loads(content)
    except ValueError:
        return "", {}
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return "", {}
    details = status.get("details")
    return str(status.get("message") or ""), details if isinstance(details, dict) else {}


def _forbidden(server: str, ask: Ask, message: str, tail: str) -> Forbidden:
    found = _RBAC.search(message)
    if found is None:
        return Forbidden(
            f"The cluster does not let «{ask}» happen (403){tail}",
            next_step="Quotas, Pod Security and admission policies of the namespace can forbid it; its owner knows.",
        )
    who = found[1]
    if who == "system:anonymous":
        return Forbidden(
            f"The cluster at {server} was asked without credentials: it may not {ask}.", next_step=LOGIN
        )
    return Forbidden(
        f"{who} may not {ask}.",
        next_step="Ask the cluster's administrator for a Role or ClusterRole that allows it; "
        "01_prerequisites lists every permission that is needed.",
    )


def _is_typed_patch_fault(status: int, message: str) -> bool:
    """Server-side apply answers 500 for an object that its schema can't hold; that is the object's fault."""
    return status == 500 and "failed to create typed patch object" in message
