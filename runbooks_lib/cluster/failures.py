"""What can go wrong between here and an API server, as sentences.

No sentence holds a request's body. A server's own words are used, without the values that they echo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runbooks_lib.errors import CheckFailed, OutcomeUnknown, RunbookError, Unreachable
from runbooks_lib.results import Json


class Untrusted(Unreachable):
    """The server's certificate is not trusted, or it does not accept the credentials: waiting does not help."""


class Forbidden(CheckFailed):
    """The credentials in use may not do this, or a policy of the cluster forbids it."""


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
    query: Mapping[str, str] = field(default_factory=dict)
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


AGAIN = "Try again in a minute."
LOOK_FIRST = "Look at the object before anything is tried again: 03_verify shows it."
LOGIN = "Sign in to the cluster again, or name other credentials in target.kubeconfig and target.context."
CERTIFICATE = "Compare the kubeconfig's certificate-authority-data with the cluster's, or fetch it again."
TRUST = {CERTIFICATE: "can't be trusted", LOGIN: "does not accept the credentials"}
PROXY = "Look at the kubeconfig's server and proxy-url, and at HTTPS_PROXY and NO_PROXY."

#: Why a connection failed, by what the exception says, and what to do. The first match wins.
CLAUSES: tuple[tuple[str, str, str], ...] = (
    ("connect to proxy|tunnel connection", "the proxy did not let the request through", PROXY),
    ("certificate required|alert (bad|unknown|certificate)", "it does not accept the client certificate", LOGIN),
    ("certificate has expired", "its certificate has expired", CERTIFICATE),
    ("not valid for|doesn't match", "its certificate is for another host name or address", CERTIFICATE),
    ("certificate verify failed", "its certificate is not trusted", CERTIFICATE),
    ("wrong version number|record layer failure", "it does not speak TLS on this port", ""),
    ("failed to resolve|name or service not known", "its name does not resolve", ""),
    ("connection refused", "connection refused", ""),
    ("no route to host|network is unreachable", "there is no route to it", ""),
    ("timed out", "no answer in time", ""),
    ("without response", "the connection was closed without an answer", ""),
    ("incompleteread|connection broken|reset by peer", "the answer broke off", ""),
)

INVALID = (Invalid, "The cluster finds «{ask}» invalid", "Correct what it names.")
#: What a status means, as class, sentence and next step; 403 and 5xx have functions of their own.
REFUSALS: dict[int, tuple[type[RunbookError], str, str]] = {
    400: INVALID,
    401: (Untrusted, "The cluster at {server} does not accept the credentials", LOGIN),
    404: (NotFound, "The cluster can't «{ask}»", "03_verify shows what is there."),
    409: (Conflict, "The cluster can't «{ask}»: it exists already, or someone changed it", "Plan again."),
    410: (Expired, "The cluster no longer has what «{ask}» asked for", "Ask again."),
    422: INVALID,
    429: (OutcomeUnknown, "The cluster at {server} was too busy for «{ask}»", AGAIN),
}


def connection_clause(error: BaseException) -> tuple[str, str]:
    """Why a connection failed, as one clause, and what to do about it (may be empty)."""
    said = str(error).lower()
    for pattern, clause, advice in CLAUSES:
        if re.search(pattern, said):
            return clause, advice
    return f"the connection failed ({type(error).__name__})", ""


def unreachable(server: str, error: BaseException) -> Unreachable:
    """No answer came from the server, and nothing was sent that could have changed anything."""
    clause, advice = connection_clause(error)
    if advice in TRUST:
        return Untrusted(f"The cluster at {server} {TRUST[advice]}: {clause}.", next_step=advice)
    parts = urlsplit(server)
    look = f"Is the cluster up, and may this machine reach {parts.netloc} (VPN, firewall, HTTPS_PROXY)?"
    if parts.hostname in {"127.0.0.1", "localhost", "::1"}:
        look = f"Does it run? It is on this machine ({parts.netloc}); for a sandbox: runbooks sandbox status."
    return Unreachable(f"The cluster at {server} did not answer: {clause}.", next_step=advice or look)


def answer_lost(server: str, ask: Ask, error: BaseException) -> OutcomeUnknown:
    """A write was sent, and its answer never came."""
    clause, _ = connection_clause(error)
    summary = f"It is not known whether the cluster at {server} carried out «{ask}»: {clause}."
    return OutcomeUnknown(summary, next_step=LOOK_FIRST)


def malformed(server: str, ask: Ask) -> Unreachable:
    """What answered is no API server, or a proxy answered in its place."""
    what = f"What answers at {server} is not a Kubernetes API server"
    return Unreachable(f"{what}: its answer to «{ask}» can't be read.", next_step=PROXY)


def refusal(server: str, ask: Ask, status: int, content: bytes) -> RunbookError:
    """The error for an answer that is not a success."""
    answer = _read_status(content)
    message = str(answer.get("message"))
    said = spoken(answer, secret=ask.resource == "secrets" and status not in {404, 409})
    tail = f": {said}" if said else "."
    if status == 403:
        return _forbidden(server, ask, message, tail)
    if status == 500 and "failed to create typed patch object" in message:
        # How server-side apply says that the object does not fit its schema.
        status = 422
    if status in REFUSALS:
        kind, sentence, next_step = REFUSALS[status]
        return kind(f"{sentence.format(server=server, ask=ask)} ({status}){tail}", next_step=next_step)
    if status < 500:
        sentence = f"The cluster at {server} answered {status} to «{ask}»{tail}"
        return RunbookError(sentence, next_step="The API server's own log says more.")
    if ask.safe:
        return OutcomeUnknown(f"The cluster at {server} failed on «{ask}» ({status}){tail}", next_step=AGAIN)
    unknown = f"It is not known whether the cluster at {server} carried out «{ask}»"
    return OutcomeUnknown(f"{unknown}: it answered {status}{tail}", next_step=LOOK_FIRST)


def _forbidden(server: str, ask: Ask, message: str, tail: str) -> Forbidden:
    found = re.search(r'User "([^"]*)" cannot (\w+) ', message)
    if found is None:
        summary = f"The cluster does not let «{ask}» happen (403){tail}"
        next_step = "A quota, Pod Security or a policy of the namespace forbids it; its owner knows more."
    elif found[1] == "system:anonymous":
        summary = f"The cluster at {server} was asked without credentials: it may not {ask}."
        next_step = LOGIN
    else:
        summary = f"{found[1]} may not {ask}."
        next_step = "Ask the cluster's administrator for it; 01_prerequisites lists all that is needed."
    return Forbidden(summary, next_step=next_step)


LONGEST = 600
#: How a server echoes what it was given: after a field's verdict, as Go writes a value, or quoted at length.
_ECHO = re.compile(
    r"\b(Invalid|Unsupported|Duplicate) value: "
    r'(?!"?null"?\b)'
    r'("(?:[^"\\]|\\.)*"|[\w.*\[\]]*\{.*\}|[^\s:"{][^:\n]*)',
    re.DOTALL,
)
_STRUCT = re.compile(r"&?\w[\w.*\[\]]*\{.*\}", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.){99,}"', re.DOTALL)


def spoken(status: Json, *, secret: bool = False) -> str:
    """What a ``Status`` says, without the values it echoes (a password in the wrong place?); of a Secret only fields."""
    text = str(status.get("message") or "")
    if secret:
        causes = (status.get("details") or {}).get("causes") or []
        text = ", ".join(f"{cause.get('field', 'a field')} ({cause.get('reason')})" for cause in causes)
    text = _STRUCT.sub("…", _ECHO.sub(r"\1 value", text))
    text = " ".join(_QUOTED.sub('"…"', text).split())
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
