"""What can go wrong between here and an API server, as sentences.

::

    OutcomeUnknown
    ├── Unreachable        no answer
    │   └── Untrusted      no trust in its certificate, or it has none in our credentials
    └── (itself)           a write whose answer was lost; a server that failed or was too busy
    CheckFailed
    └── Rejected           the server understood the request and would not do it; it changed nothing
        ├── Forbidden      403
        ├── NotFound       404, where it matters (reading one object gives ``None`` instead)
        ├── NotServed      the cluster has no such kind
        ├── Conflict       409
        ├── Expired        410
        └── Invalid        400, 422 and what an admission check denied

No sentence holds a request's body. A server's own words are used, without the values that they echo.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runbooks_lib.errors import CheckFailed, OutcomeUnknown, Unreachable
from runbooks_lib.results import Json


class Untrusted(Unreachable):
    """The server's certificate is not trusted, or it does not accept the credentials: waiting does not help."""


class Rejected(CheckFailed):
    """The API server understood a request and would not carry it out; the request changed nothing."""


class Forbidden(Rejected):
    """The credentials in use may not do this."""


class NotFound(Rejected):
    """What the request is about does not exist, for example its namespace."""


class NotServed(Rejected):
    """The cluster serves no such kind: a custom resource definition or an API version is missing."""


class Conflict(Rejected):
    """It exists already, or someone else changed it in the meantime."""


class Expired(Rejected):
    """The server no longer has the version of the list that was asked for."""


class Invalid(Rejected):
    """The API server finds the object or the request wrong."""


@dataclass(frozen=True)
class Ask:
    """One request, with the words that a sentence about it needs.

    Attributes:
        verb: As permissions name it: get, list, watch, create, patch, delete.
        resource: The plural, as permissions name it; a path for requests that are about no resource.
        safe: It changes nothing, so that it may be asked again: reads, reviews and dry runs.
    """

    verb: str
    path: str
    resource: str = ""
    name: str = ""
    namespace: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    method: str = "GET"
    content_type: str = "application/json"
    accept: str = "application/json"
    safe: bool = True

    def __str__(self) -> str:
        """In words: ``get secrets/mine in the namespace csghub``."""
        kind, _, subresource = self.resource.partition("/") if self.resource else (self.path, "", "")
        what = "/".join(part for part in (kind, self.name, subresource) if part)
        place = f" in the namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{place}"


LOOK_FIRST = (
    "Look at the object before anything is tried again: 03_verify shows the release, 06_diagnose why."
)
LOGIN = "Sign in to the cluster again, or name other credentials in target.kubeconfig and target.context."
CERTIFICATE = (
    "Compare certificate-authority-data of the kubeconfig with the cluster's; after a change of the cluster's "
    "certificate fetch its kubeconfig again. Do not switch the verification off."
)

#: Clauses for a connection that failed, by what the exceptions behind it say, and what to do. First match wins.
CONNECTION_CLAUSES: tuple[tuple[str, str, str], ...] = (
    ("certificate required", "it asks for a client certificate, and got none", LOGIN),
    ("alert bad certificate", "it does not accept the client certificate", LOGIN),
    ("alert certificate expired", "the client certificate has expired", LOGIN),
    ("alert unknown ca", "it does not know who signed the client certificate", LOGIN),
    ("certificate has expired", "its certificate has expired", CERTIFICATE),
    ("not valid for", "its certificate is for another host name or address", CERTIFICATE),
    ("doesn't match", "its certificate is for another host name or address", CERTIFICATE),
    ("certificate verify failed", "its certificate is not trusted", CERTIFICATE),
    ("wrong version number", "it does not speak TLS on this port", ""),
    ("record layer failure", "it does not speak TLS on this port", ""),
    ("failed to resolve", "its name does not resolve", ""),
    ("name or service not known", "its name does not resolve", ""),
    ("connection refused", "connection refused", ""),
    ("no route to host", "no route to host", ""),
    ("network is unreachable", "the network is unreachable", ""),
    ("timed out", "no answer in time", ""),
    ("time-out", "no answer in time", ""),
    ("proxy", "the proxy did not let the request through", "Look at HTTPS_PROXY, NO_PROXY and proxy-url."),
    ("connection reset", "the connection was reset", ""),
    ("without response", "the connection was closed without an answer", ""),
    ("incompleteread", "the answer broke off", ""),
    ("connection broken", "the answer broke off", ""),
)


def connection_clause(error: BaseException) -> tuple[str, str]:
    """Why a connection failed, as one clause, and what to do about it (may be empty)."""
    said = " ".join(f"{type(each).__name__} {each}" for each in _chain(error)).lower()
    for pattern, clause, advice in CONNECTION_CLAUSES:
        if pattern in said:
            return clause, advice
    return f"the connection failed ({type(error).__name__})", ""


def unreachable(server: str, error: BaseException) -> Unreachable:
    """No answer came from the server, and nothing was sent that could have changed anything."""
    clause, advice = connection_clause(error)
    if advice == CERTIFICATE:
        return Untrusted(f"The cluster at {server} can't be trusted: {clause}.", next_step=advice)
    if advice == LOGIN:
        return Untrusted(
            f"The cluster at {server} does not accept the credentials: {clause}.", next_step=advice
        )
    return Unreachable(
        f"The cluster at {server} did not answer: {clause}.", next_step=advice or _look(server)
    )


def answer_lost(server: str, ask: Ask, error: BaseException) -> OutcomeUnknown:
    """A write was sent, and its answer never came."""
    clause, _ = connection_clause(error)
    return OutcomeUnknown(
        f"It is not known whether the cluster at {server} carried out «{ask}»: {clause}.",
        next_step=LOOK_FIRST,
    )


def malformed(server: str, ask: Ask) -> Unreachable:
    """What answered is no API server, or a proxy answered in its place."""
    return Unreachable(
        f"What answers at {server} is not a Kubernetes API server: its answer to «{ask}» can't be read.",
        next_step="Look at the server's address in the kubeconfig, and at HTTPS_PROXY and NO_PROXY.",
    )


def not_served(api_version: str, kind: str) -> NotServed:
    """The cluster has no such kind."""
    return NotServed(
        f"The cluster does not serve the kind {kind} of {api_version}.",
        next_step="01_prerequisites lists the custom resource definitions and versions that are needed.",
    )


def _look(server: str) -> str:
    parts = urlsplit(server)
    place = parts.netloc.rpartition("@")[2]
    if parts.hostname in {"127.0.0.1", "localhost", "::1"}:
        return f"Does it run? It is on this machine ({place}); for a sandbox: runbooks sandbox status."
    return f"Is the cluster up, and may this machine reach {place} (VPN, firewall, HTTPS_PROXY)?"


def _chain(error: BaseException) -> Sequence[BaseException]:
    """An exception and those behind it, outermost first; urllib3 keeps some as ``reason`` or an argument."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting and len(found) < 10:
        each = waiting.pop(0)
        if each is None or each in found:
            continue
        found.append(each)
        held = [getattr(each, "reason", None), *each.args] if not isinstance(each, ssl.SSLError) else []
        waiting += [inner for inner in held if isinstance(inner, BaseException)]
        waiting += [each.__cause__, each.__context__]
    return found
