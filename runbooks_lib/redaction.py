"""No secret is ever stored: texts and data lose every secret that is known, and what looks like one.

A secret is known in every form it may be printed in: raw, in base64 (also inside a longer encoded text),
quoted for a URL, escaped by JSON, Python, YAML or HTML, and line by line. A few anchored patterns find
secrets that nobody registered. Each hit becomes ``«redacted:NAME»``.
"""

from __future__ import annotations

import base64
import bisect
import html
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, quote_plus

import yaml

#: Shorter ones would turn ordinary words into markers.
SHORTEST = 4
#: Of the lines of a multi-line value; shorter ones are `data:` and `true`.
SHORTEST_LINE = 8
#: Of a longer value, such as a bundle of certificates, single lines are searched for as they stand only.
MANY_LINES = 100

#: Start, stop, name, and 0 for a registered secret, 1 for what only looks like one.
Hit = tuple[int, int, str, int]

_MARKER = re.compile("«redacted:[^«»]*»")
#: Digests and UUIDs name things; a short secret inside of one is a coincidence.
_IDENTITY = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{64}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?![0-9A-Za-z])"
)
_ARMOUR = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
_KEY_KINDS = ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")
#: How a private key begins when all of it stands in base64, as in a kubeconfig.
_ENCODED_KEYS = [
    base64.b64encode(armour[: len(armour) // 3 * 3]).decode()
    for armour in (f"-----BEGIN {kind}PRIVATE KEY".encode() for kind in _KEY_KINDS)
]

#: Name and pattern; the group ``secret`` is what goes, the rest stays for the reader.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private key",
        re.compile(
            r"(?P<secret>-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[^-]|-(?!----)){0,20000}"
            r"(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?)"
        ),
    ),
    ("private key", re.compile(rf"(?P<secret>(?:{'|'.join(_ENCODED_KEYS)})[A-Za-z0-9+/=]*)")),
    ("token", re.compile(r"(?<![\w-])(?P<secret>eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})")),
    # docker://image:tag@sha256:… has the shape of a login, but is none.
    ("password", re.compile(r"""://[^\s:/@'"]*:(?P<secret>[^\s/'"?#]+)@(?!sha256:)""")),
    ("AWS key", re.compile(r"(?<![A-Z0-9])(?P<secret>(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Z0-9])")),
    (
        "AWS key",
        re.compile(r"""(?i:aws_?secret_?access_?key)["']?\s{0,3}[=:]\s{0,3}["']?(?P<secret>[\w/+=]{40})"""),
    ),
    (
        "authorization",
        re.compile(
            r"""(?i:authorization)\\?["']?\s{0,3}[:=]\s{0,3}\\?["']?(?i:bearer|basic|token)\s{1,3}"""
            r"""(?P<secret>[^\s"',;\\]+)"""
        ),
    ),
)

#: What was next to a secret may look like one when that is gone.
_ROUNDS = 4
_LAST_APPLIED = "last-applied-configuration"


class Redactor:
    """The secrets of one run, and how they are taken out. Safe to share between threads."""

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def register(self, value: str, name: str) -> None:
        """Know a secret by its value, in every form; a value that is known already keeps its first name.

        Args:
            value: Shorter than :data:`SHORTEST` characters it is not searched for.
            name: What stands in its place; not secret.
        """
        label = name.replace("«", "").replace("»", "")
        with self._lock:
            fresh = {form: label for form in forms_of(value) if form not in self._forms}
            self._forms = {**self._forms, **fresh}

    def redact(self, text: str) -> str:
        """The text with ``«redacted:NAME»`` for each secret; redacting it again changes nothing."""
        for _ in range(_ROUNDS):
            spans = self._spans(text)
            if not spans:
                break
            parts: list[str] = []
            end = 0
            for start, stop, name in spans:
                parts += [text[end:start], f"«redacted:{name}»"]
                end = stop
            text = "".join([*parts, text[end:]])
            with self._lock:
                self._counts.update(name for _, _, name in spans)
        return text

    def redact_data(self, data: Any) -> Any:
        """A copy of plain data, redacted in its texts and keys; the values of a Kubernetes Secret go whole."""
        if isinstance(data, str):
            return self.redact(data)
        if isinstance(data, Mapping):
            return self._mapping(data)
        for kind in (list, tuple, set, frozenset):
            if isinstance(data, kind):
                return kind(self.redact_data(item) for item in data)
        if isinstance(data, int | float) and not isinstance(data, bool):
            # YAML makes a number of a password of digits.
            text = self.redact(str(data))
            return data if text == str(data) else text
        return data

    def hits(self, text: str) -> tuple[str, ...]:
        """The names of the registered secrets in a text, each once, in the order they were registered."""
        found = {name for _, _, name in self._known(text)}
        return tuple(name for name in dict.fromkeys(self._forms.values()) if name in found)

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each name was put in place of something."""
        return MappingProxyType(dict(self._counts))

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        ranked = chain(((*hit, 0) for hit in self._known(text)), ((*hit, 1) for hit in _looks(text)))
        return _joined(_beside(ranked, _spans_of(_MARKER, text)))

    def _known(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Every place of every known form, also where they overlap."""
        identities: list[tuple[int, int]] | None = None
        for form, name in self._forms.items():
            start = text.find(form)
            while start >= 0:
                stop = start + len(form)
                if identities is None:
                    identities = _spans_of(_IDENTITY, text)
                around = _around(start, stop, identities)
                if around is None or around == (start, stop):
                    yield start, stop, name
                start = text.find(form, start + 1)

    def _mapping(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        plain: dict[Any, Any] = {}
        kind = data.get("kind")
        for key, value in data.items():
            if kind == "Secret" and key in {"data", "stringData"} and isinstance(value, Mapping):
                value = dict.fromkeys(value, "«redacted:Secret»")  # noqa: PLW2901
            elif kind == "SecretList" and key == "items" and isinstance(value, list):
                # A list of the API does not repeat the kind in its items.
                value = [{"kind": "Secret", **item} if isinstance(item, Mapping) else item for item in value]  # noqa: PLW2901
            elif kind == "Secret" and key == "metadata":
                value = _without_last_applied(value)  # noqa: PLW2901
            plain[self._key(key, plain)] = self.redact_data(value)
        return plain

    def _key(self, key: Any, taken: Mapping[Any, Any]) -> Any:
        """The key, redacted, and still a key of its own when two become the same."""
        redacted = self.redact(key) if isinstance(key, str) else key
        while isinstance(redacted, str) and redacted in taken:
            redacted += "'"
        return redacted


def forms_of(value: str) -> tuple[str, ...]:
    """Every form of a secret that is searched for, the longest first."""
    lines = [line.strip() for line in value.strip().splitlines()]
    telling = [line for line in lines if len(line) >= SHORTEST_LINE] or lines
    secret_lines = {line for line in telling if not _ARMOUR.fullmatch(line)}
    values = {value, value.strip()} | (secret_lines if len(lines) <= MANY_LINES else set())
    forms = {form for one in values if len(one.strip()) >= SHORTEST for form in _encoded(one)}
    found = (form for form in forms | secret_lines if len(form) >= SHORTEST)
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _encoded(value: str) -> Iterator[str]:
    yield value
    content = value.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(content).decode()
        yield from (whole, whole.rstrip("="))
        for offset in range(3):
            # The characters that share no bit with a neighbour stand in any longer encoded text.
            shifted = encode(b"\0" * offset + content).decode()
            first, last = -(-offset * 8 // 6), (offset + len(content)) * 8 // 6
            yield shifted[first:last]
    for quoted in (quote(content), quote(content, safe=""), quote_plus(content)):
        yield from (quoted, re.sub("%..", lambda found: found[0].lower(), quoted))
    yield from _escaped(value, content)


def _escaped(value: str, content: bytes) -> Iterator[str]:
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        # Go's encoder, and so Kubernetes and Helm, also escape these three.
        html_safe = once.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
        for escaped in (once, html_safe):
            yield from (escaped, json.dumps(escaped, ensure_ascii=ascii_only)[1:-1])
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(content)[2:-1])
    yield value.encode("unicode_escape").decode()
    yield value.replace("'", "''")
    for letters in (True, False):
        written = yaml.safe_dump(value, default_style='"', allow_unicode=letters, width=sys.maxsize)
        yield written.rstrip("\n")[1:-1]
    for quotes in (True, False):
        escaped = html.escape(value, quote=quotes)
        yield from (escaped, escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))


def _looks(text: str) -> Iterator[tuple[int, int, str]]:
    for name, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            yield found.start("secret"), found.end("secret"), name


def _beside(hits: Iterable[Hit], markers: list[tuple[int, int]]) -> Iterator[Hit]:
    """The hits that are no part of a marker; one that cuts a marker takes the whole of it."""
    for start, stop, name, rank in hits:
        if _around(start, stop, markers) is not None:
            continue
        cut = [marker for marker in markers if marker[0] < stop and start < marker[1]] if markers else []
        yield min([start, *(one for one, _ in cut)]), max([stop, *(other for _, other in cut)]), name, rank


def _joined(hits: Iterable[Hit]) -> list[tuple[int, int, str]]:
    """Spans that do not overlap: where secrets do, what they cover goes as one, under a known name."""
    joined: list[Hit] = []
    for start, stop, name, rank in sorted(hits, key=lambda hit: (hit[0], -hit[1], hit[3])):
        if joined and start < joined[-1][1]:
            first, last, before, best = joined[-1]
            joined[-1] = (first, max(last, stop), name if rank < best else before, min(rank, best))
        else:
            joined.append((start, stop, name, rank))
    return [(start, stop, name) for start, stop, name, _ in joined]


def _spans_of(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    return [found.span() for found in pattern.finditer(text)]


def _around(start: int, stop: int, spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The one of some sorted spans that a hit lies in."""
    at = bisect.bisect_right(spans, (start, sys.maxsize)) - 1
    return spans[at] if at >= 0 and stop <= spans[at][1] else None


def _without_last_applied(metadata: Any) -> Any:
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("annotations"), Mapping):
        return metadata
    annotations = {
        key: "«redacted:Secret»" if str(key).endswith(_LAST_APPLIED) else value
        for key, value in metadata["annotations"].items()
    }
    return {**metadata, "annotations": annotations}
