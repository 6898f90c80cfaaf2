"""What a text says once it is decoded: the way back from the forms in which :mod:`runbooks_lib.redaction` knows a secret.

A form that nobody thought of, or a rule that was lost, is found all the same: what is looked for here is the value itself.
"""

import base64
import binascii
import html
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote

#: How often what was decoded is decoded again: base64 in a JSON text in a journal is that three times.
_DEPTH = 3
#: Of nine bytes or more of base64, or eight in hexadecimal.
_WORD = re.compile(r"[A-Za-z0-9+/_-]{12,}")
#: Base64 in lines, as programs write it.
_LINES = re.compile(r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{64}(?:[A-Za-z0-9+/]{12})?\r?\n)+[A-Za-z0-9+/]{1,76}")
_HEX = re.compile(r"[0-9a-fA-F]{16,}")
#: What decoding makes of a digest, a name or a picture has hardly ever so many signs in a row.
_READABLE = re.compile(rb"(?:(?:[ -~\t\r\n]|[\xc2-\xf4][\x80-\xbf]+)\0?){6,}")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|((?:\\x[0-9a-fA-F]{2})+)|\\(.)", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_ALPHABET = str.maketrans("-_", "+/", "\r\n")


def readings(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """What a text says, decoded in each way that leaves anything to read; not the text itself."""
    seen = {text}
    # Apart, since what is no URL loses its own signs when it is read as one.
    for ways in (_SIGNS, (*_SIGNS, _url)):
        if ways is not _SIGNS and not any("%" in one for one in seen):
            continue
        said = text
        for _ in range(depth):
            for decode in ways:
                said = decode(said) or said
                if said not in seen:
                    seen.add(said)
                    yield said
    for one in seen if depth > 1 else (text,):
        if inside := _words(one):
            yield inside
            if depth > 1:
                yield from readings(inside, depth - 1)


def _escapes(text: str) -> str:
    """JSON's, Python's and a shell's backslashes."""
    return _ESCAPED.sub(_unescaped, text) if "\\" in text else ""


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2]:
        content = binascii.unhexlify(found[2].replace("\\x", ""))
        with suppress(UnicodeDecodeError):
            return content.decode()
        return content.decode("latin-1")
    return _NAMED.get(found[3], found[3])


def _quotes(text: str) -> str:
    """Quotes within the single quotes of YAML and of a shell."""
    return re.sub(r"""'(?:"'"|\\')?'""", "'", text) if "''" in text or "'\"'" in text else ""


def _url(text: str) -> str:
    return unquote(text.replace("+", " "), errors="replace") if "%" in text else ""


def _html(text: str) -> str:
    return html.unescape(text) if "&" in text else ""


def _halves(text: str) -> str:
    """UTF-16 that was read as something else."""
    return text.replace("\0", "")


def _words(text: str) -> str:
    """All that may be base64, whatever stands before it, and all that may be hexadecimal; one a line."""
    said = []
    for word in [*_WORD.findall(text), *_LINES.findall(text)]:
        for digits in _HEX.findall(word):
            said += [binascii.unhexlify(digits[at : at + (len(digits) - at) // 2 * 2]) for at in range(2)]
        if word.islower() or word.isupper() or word.isdigit():
            # Names, numbers and digests, which are the most; base64 of a few bytes has capitals and small letters.
            continue
        plain = word.translate(_ALPHABET)
        for start in range(4):
            whole = plain[start : start + (len(plain) - start) // 4 * 4]
            rest = plain[start + len(whole) :]
            said.append(base64.b64decode(whole + (rest + "A" * (4 - len(rest)) if len(rest) > 1 else "")))
    found = (part for one in said for part in _READABLE.findall(one))
    return b"\n".join(found).decode("utf-8", "replace")


_SIGNS = (_escapes, _quotes, _html, _halves)
