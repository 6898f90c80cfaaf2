"""No secret is ever stored: texts and data lose every secret that is known, and what looks like one.

A secret is known in every form it may be printed in, also inside of a longer text in base64 and line by
line; a few anchored patterns find those that nobody registered. Each hit becomes ``«redacted:NAME»``.
"""

import base64
import html
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

import ahocorasick_rs
import yaml

from runbooks_lib.decoding import readings
from runbooks_lib.tables import table

#: Shorter ones would turn ordinary words into markers.
SHORTEST = 4
#: Shorter ones, and words such as `password`, stand in records by coincidence: they are put out of what is written, and not
#: searched for afterwards.
_SOUGHT = re.compile(r"(?![a-z]{,11}$|[A-Z]{,11}$).{8,}", re.DOTALL)
#: Of the lines of a multi-line value; shorter ones are `data:` and `true`.
SHORTEST_LINE = 8
#: Of a longer value, such as a bundle of certificates, single lines are searched for as they stand only.
MANY_LINES = 100

#: Of texts that are remembered, and how many these are at most.
_SHORT, _MANY = 100, 10_000

#: Characters by which two pieces of a text overlap, apart from what a secret takes.
_OVERLAP = 2**12

_MARKER = re.compile("(«redacted:[^«»]*»)")
_HIDDEN = "«redacted:Secret»"
#: Digests and UUIDs name things; a short secret inside of one is a coincidence.
_IDENTITY = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{64}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?![0-9A-Za-z])"
)
#: Halves of characters, which no UTF-8 has: Python reads bytes that are no text as such.
_SURROGATE = re.compile("[\ud800-\udfff]")
_ARMOUR = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")

#: What looks like a secret; each pattern's group ``secret`` is what goes.
_PATTERNS = {name: re.compile(look) for name, look in table("runbooks_lib", "redaction.yaml").items()}


class Redactor:
    """The secrets of one run, and how they are taken out. Safe to share between threads.

    Attributes:
        counts: How often each name was put in place of something.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._forms: dict[str, str] = {}
        #: What finds them all in one reading of a text, however many there are; made when it is first needed.
        self._finder: _Finder | None = None
        self._weak: set[str] = set()
        #: Of all that were registered, those too short for any form among them.
        self._names: dict[str, None] = {}
        self._whole: set[str] = set()
        #: Short texts without anything in them: the same keys and words stand in every object.
        self._clean: set[str] = set()
        self._lock = threading.Lock()

    def register(self, value: str, name: str) -> None:
        """Know a secret by its value, in every form, from :data:`SHORTEST` characters on; the first name stays."""
        if value in self._whole:
            return
        label = name.replace("«", "").replace("»", "")
        forms = forms_of(value)
        with self._lock:
            self._names[label] = None
            self._weak.update(() if _SOUGHT.match(value.strip()) else forms)
            new = [form for form in forms if form not in self._forms]
            self._forms = self._forms | dict.fromkeys(new, label)
            self._whole.add(value)
            # Last: who has the old one looks at it no more.
            self._clean = set()

    def redact(self, text: str) -> str:
        """The text with ``«redacted:NAME»`` for each secret; redacting it again changes nothing."""
        clean = self._clean
        if text in clean:
            return text
        # Again until nothing changes: what was next to a secret may look like one when that is gone.
        while True:
            parts = _MARKER.split(text)
            redacted = "".join(part if _MARKER.match(part) else self._between_markers(part) for part in parts)
            if redacted == text:
                if len(text) <= _SHORT and len(clean) < _MANY:
                    clean.add(text)
                return text
            text = redacted

    def redact_data(self, data: Any) -> Any:
        """A copy of plain data, redacted in its texts and keys; the values of a Kubernetes Secret go whole."""
        if isinstance(data, str):
            return self.redact(data)
        if isinstance(data, Mapping):
            return self._mapping(data)
        if isinstance(data, list | tuple):
            return type(data)(self.redact_data(item) for item in data)
        if isinstance(data, int | float) and not isinstance(data, bool):
            # YAML makes a number of a password of digits.
            text = self.redact(str(data))
            return data if text == str(data) else text
        return data

    @property
    def searched(self) -> dict[str, int]:
        """For how many values, in how many forms, a record is searched; and how many values are too short for that."""
        forms = len(self._forms.keys() - self._weak)
        return {"values": len(self._sought), "forms": forms, "too_short": len(self.too_weak)}

    @property
    def too_weak(self) -> tuple[str, ...]:
        """The names of the secrets for which no record can be searched, in the order they were registered."""
        sought = self._sought
        return tuple(name for name in self._names if name not in sought)

    @property
    def _sought(self) -> set[str]:
        """The names of those for which records are searched."""
        return {name for form, name in self._forms.items() if form not in self._weak}

    def hits(self, text: str) -> tuple[str, ...]:
        """The names of the registered secrets in a text, each once, in the order they were registered.

        Short ones and plain words are left out.
        """
        parts = _MARKER.split(text)[::2]
        found = {name for part in parts for at, end, name in self._known(part) if part[at:end] not in self._weak}
        return tuple(name for name in dict.fromkeys(self._forms.values()) if name in found)

    @property
    def overlap(self) -> int:
        """By how many bytes two pieces of a text must overlap, so that no secret that is searched for stands in neither."""
        return _OVERLAP + 4 * max(map(len, self._forms), default=0)

    def located(self, text: str) -> dict[str, int]:
        """The same, each with the character at which it is first found; also where only the decoded text tells it."""
        return {name: self._first(text, name) for name in dict.fromkeys(self._read_in(text))}

    def _read_in(self, text: str) -> Iterator[str]:
        yield from self.hits(text)
        for said in readings("\n".join(_MARKER.split(text)[::2])):
            yield from self.hits(said)

    def _first(self, text: str, name: str) -> int:
        """The first half after half of a text in which a secret still is."""
        start = 0
        while (half := len(text) // 2) > _OVERLAP:
            late = name not in self._read_in(text[: half + _OVERLAP])
            start, text = start + late * half, text[half:] if late else text[: half + _OVERLAP]
        spans = [at for at, _, known in self._known(text) if known == name]
        return start + min(spans, default=0)

    def _between_markers(self, text: str) -> str:
        looks = [(*found.span("secret"), name) for name, look in _PATTERNS.items() for found in look.finditer(text)]
        parts: list[str] = []
        end = 0
        for start, stop, name in sorted([*self._known(text), *looks], key=lambda hit: (hit[0], -hit[1])):
            # Where secrets overlap, what they cover goes as one, under the first one's name.
            if start >= end:
                parts += [text[end:start], f"«redacted:{name}»"]
                with self._lock:
                    self.counts[name] += 1
            end = max(end, stop)
        return "".join([*parts, text[end:]])

    def _known(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, stop and name of every known form in a text, also where they overlap."""
        # Another thread may register one meanwhile, which replaces the forms and never changes them.
        forms, finder = self._forms, self._finder
        if finder is None or finder.forms is not forms:
            self._finder = finder = _Finder(forms)
        for start, stop, name in finder.hits(text):
            if not _names_a_thing(text, start, stop):
                yield start, stop, name

    def _mapping(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        plain: dict[Any, Any] = {}
        for key, value in data.items():
            inner = value
            if data.get("kind") == "Secret" and key in {"data", "stringData"} and isinstance(value, Mapping):
                inner = dict.fromkeys(value, _HIDDEN)
            elif data.get("kind") == "SecretList" and key == "items" and isinstance(value, list):
                # A list of the API does not repeat the kind in its items.
                inner = [{**item, "kind": "Secret"} for item in value if isinstance(item, Mapping)]
            elif str(key).endswith("last-applied-configuration"):
                inner = _HIDDEN
            redacted = self.redact(key) if isinstance(key, str) else key
            while redacted in plain:
                # Two keys that become the same stay apart.
                redacted += "'"
            plain[redacted] = self.redact_data(inner)
        return plain


class _Finder:
    """Finds every one of some forms in a text, also where they overlap."""

    def __init__(self, forms: Mapping[str, str]) -> None:
        self.forms = forms
        self._names = list(forms.values())
        self._automaton = ahocorasick_rs.AhoCorasick(map(_as_unicode, forms))

    def hits(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, stop and name of each."""
        for number, start, stop in self._automaton.find_matches_as_indexes(_as_unicode(text), overlapping=True):
            yield start, stop, self._names[number]


def _as_unicode(text: str) -> str:
    """The text in as many characters, each of which is one."""
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def is_masked(text: str) -> bool:
    """Whether a secret was taken out of a text: it may be read, and must not be applied, since the mask would be the secret."""
    return _MARKER.search(text) is not None


@lru_cache(maxsize=1024)  # a plan looks at the same Secrets from several sides
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
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        # Go's encoder, and so Kubernetes and Helm, also escape these three.
        html_safe = once.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
        for escaped in (once, html_safe):
            yield from (escaped, json.dumps(escaped, ensure_ascii=ascii_only)[1:-1])
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(content)[2:-1], value.replace("'", "''"))
    # Within a shell's single quotes, as shlex and as bash write it, and without quotes, as `printf %q` does.
    yield from (value.replace("'", "'\"'\"'"), value.replace("'", r"'\''"), re.sub(r"([^\w@%+=:,./-])", r"\\\1", value))
    for wide in ("utf-16-le", "utf-16-be"):
        # As it is read from a file that is taken for UTF-8; the first or last byte is its neighbour's.
        yield value.encode(wide, "surrogatepass").decode("utf-8", "replace").strip("\0")
    for letters in (True, False):
        written = yaml.safe_dump(value, default_style='"', allow_unicode=letters, width=sys.maxsize)
        yield written.rstrip("\n")[1:-1]
    for quotes in (True, False):
        escaped = html.escape(value, quote=quotes)
        yield from (escaped, escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))


def _names_a_thing(text: str, start: int, stop: int) -> bool:
    """Whether a hit is a part, but not all, of a digest or a UUID."""
    around = (found.span() for found in _IDENTITY.finditer(text, max(0, start - 64), stop + 65))
    return any(left <= start and stop <= right and right - left > stop - start for left, right in around)
