"""A file of SQL taken apart as psql does it: statements, variables, and lines that only psql understands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* )
  | (?P<block> /\* )
  | (?P<dollar> \$(?P<tag>[^\W\d]\w*)?\$ )
  | (?P<escaped> \b[eE]'(?:[^'\\]|\\.|'')*' )
  | (?P<string> '(?:[^']|'')*' )
  | (?P<name> "(?:[^"]|"")*" )
  | (?P<cast> :: )
  | (?P<variable> :(?:'(?P<literal>\w+)'|"(?P<identifier>\w+)"|(?P<plain>[^\W\d]\w*)) )
  | (?P<command> \\ )
  | (?P<word> [^\W\d][\w$]* )
  | (?P<end> ; )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")


class NotSql(Exception):
    """What psql would do itself, or with a shell; nothing here does."""


#: Runs a program on the machine of the server, which is the user's own here.
_PROGRAM = re.compile(r"\s*COPY\b.*\b(?:FROM|TO)\s+PROGRAM\b", re.IGNORECASE | re.DOTALL)


def statements(text: str, variables: Mapping[str, str]) -> Iterator[str]:
    """The statements of a file, in order, without the semicolons that end them.

    Args:
        variables: Values for ``:name``, ``:'name'`` and ``:"name"``; others stay as they are written.

    Raises:
        NotSql: There is a backslash command, or a ``COPY`` with a program; what stands before it has been yielded.
    """
    parts: list[str] = []
    at = depth = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise NotSql(f"this is not understood: {text[at : at + 40]!r}")
        at, piece = token.end(), token.group()
        if token["command"]:
            line = text[token.start() :].split("\n", 1)[0]
            raise NotSql(f"{line.split()[0]} is a command of psql itself; only SQL is run here")
        if token["comment"]:
            piece = " "
        elif token["block"]:
            at, piece = _past_block(text, at), " "
        elif token["dollar"]:
            end = text.find(piece, at)
            at = len(text) if end < 0 else end + len(piece)
            piece = text[token.start() : at]
        elif token["variable"]:
            piece = _substituted(token, variables)
        elif token["word"]:
            depth = _depth(piece.upper(), depth, "".join(parts))
        if token["end"] and not depth:
            yield from _whole(parts)
            parts = []
            continue
        parts.append(piece)
    yield from _whole(parts)


def _whole(parts: list[str]) -> Iterator[str]:
    statement = "".join(parts).strip()
    if _PROGRAM.match(re.sub(r"'(?:[^']|'')*'", "", statement)):
        raise NotSql("COPY with PROGRAM would start a command on this machine; only SQL is run here")
    if statement:
        yield statement


def _past_block(text: str, at: int) -> int:
    """The end of a block comment; they may be nested."""
    depth = 1
    while depth:
        found = _BLOCK.search(text, at)
        if found is None:
            return len(text)
        depth += 1 if found.group() == "/*" else -1
        at = found.end()
    return at


def _depth(word: str, depth: int, before: str) -> int:
    """How deep we are in the body of a function in SQL's own words, where a semicolon ends no statement."""
    if not depth and not re.match(r"\s*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", before, re.IGNORECASE):
        return 0
    if word == "BEGIN" or (word == "CASE" and depth):
        return depth + 1
    return depth - 1 if word == "END" and depth else depth


def _substituted(token: re.Match[str], variables: Mapping[str, str]) -> str:
    for kind, quote in (("literal", "'"), ("identifier", '"'), ("plain", "")):
        name = token[kind]
        if name is not None and name in variables:
            value = variables[name]
            return quote + value.replace(quote, quote * 2) + quote if quote else value
    return token.group()
