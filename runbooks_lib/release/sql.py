"""What a piece of SQL, or of a shell's script, would destroy: it is read, never run. The only importer of ``sqlglot``."""

import logging
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

#: What is destroyed by words alone, where nobody can tell more: in a body of procedural code, or in what can't be read.
_WORDS = re.compile(
    r"\b(?P<does>TRUNCATE|DELETE\s+FROM|DROP\s+(?:TABLE|SCHEMA|DATABASE|MATERIALIZED\s+VIEW|OWNED\s+BY))\s+"
    r"(?:TABLE\s+)?(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<tables>[\w\".]+(?:\s*,\s*[\w\".]+)*)(?P<cascade>[^;]*\bCASCADE\b)?",
    re.IGNORECASE,
)
#: Of what a shell is told: pattern, and what it does.
_SHELL = (
    (r"\brm\s+(?:-\w*\s+)*-\w*r\w*\s+(?:-\w+\s+)*(?P<what>[^\s;|&]+)", "rm -r"),
    (r"\bfind\s+(?P<what>[^\s;|&]+)[^;|&]*\s-delete\b", "find -delete"),
    (r"\bdropdb\s+(?:-\S+\s+)*(?P<what>[^\s;|&]+)", "dropdb"),
    (r"\b(?P<what>flushall|flushdb)\b", "redis"),
    (r"\bpg_restore\b[^;|&]*\s(?P<what>--clean|-c)\b", "pg_restore"),
    (r"(?P<what>\w+(?:\.\w+)*)\.(?:dropDatabase|drop|deleteMany)\s*\(", "mongo drop"),
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LONGEST = 160


class Destruction(NamedTuple):
    """One thing that would be destroyed.

    Attributes:
        does: ``TRUNCATE``, ``DROP TABLE``, ``rm -r``, …
        what: The table, with its schema where that is named; for others what is meant.
        text: The statement in one line; it may hold a secret.
        certain: Whether it was understood; else only its words were seen.
    """

    does: str
    what: str
    text: str
    certain: bool = True


def in_sql(text: str) -> list[Destruction]:
    """What some SQL of PostgreSQL would destroy, in its order; psql's own lines are left out."""
    import sqlglot
    from sqlglot import errors, exp

    # It would warn of every statement that it only takes as words.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)

    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("\\"))
    try:
        trees = [tree for tree in sqlglot.parse(plain, read="postgres") if tree is not None]
    except (errors.SqlglotError, RecursionError):
        return list(by_words(plain))
    found: list[Destruction] = []
    for tree in trees:
        for node in tree.walk():
            found += _of_node(exp, node, tree.sql(dialect="postgres", comments=False))
    return found


def in_shell(text: str) -> list[Destruction]:
    """What a shell's script would destroy, by its words, with the SQL that it hands to psql."""
    found = [
        Destruction(does, each["what"], _short(each.group()), certain=False)
        for pattern, does in _SHELL
        for each in re.finditer(pattern, text, re.IGNORECASE)
    ]
    for statement in _handed_to_psql(text):
        found += [each._replace(certain=False) for each in in_sql(statement)]
    for body in re.findall(r"<<-?\s*['\"]?(\w+)['\"]?\n(.*?)\n\s*\1", text, re.DOTALL):
        found += [each._replace(certain=False) for each in in_sql(body[1])]
    return found


def _of_node(exp: Any, node: Any, text: str) -> Iterator[Destruction]:
    """What one part of a statement destroys."""
    if isinstance(node, exp.TruncateTable):
        cascade = " … CASCADE" if node.args.get("cascade") or re.search(r"\bCASCADE\b", text, re.IGNORECASE) else ""
        yield from (Destruction(f"TRUNCATE{cascade}", _name(table), _short(text)) for table in node.expressions)
    elif isinstance(node, exp.Drop) and node.args.get("kind") in {"TABLE", "SCHEMA", "DATABASE", "COLUMN"}:
        tables = list(node.find_all(exp.Table)) or [node.this]
        if node.args["kind"] == "COLUMN":
            tables = [node.find_ancestor(exp.Alter).this]
        yield from (Destruction(f"DROP {node.args['kind']}", _name(table), _short(text)) for table in tables)
    elif isinstance(node, exp.Delete):
        yield Destruction("DELETE", _name(node.this), _short(text))
    elif isinstance(node, exp.Update) and node.args.get("where") is None:
        yield Destruction("UPDATE of every row", _name(node.this), _short(text))
    elif isinstance(node, exp.Merge) and any(node.find_all(exp.Var)) and "DELETE" in text.upper():
        yield Destruction("MERGE … DELETE", _name(node.this), _short(text))
    elif isinstance(node, exp.Command):
        yield from by_words(f"{node.name} {getattr(node.expression, 'name', node.expression)}")
    elif isinstance(node, exp.Create) and node.args.get("kind") in {"FUNCTION", "PROCEDURE"}:
        # Whether and when it is called is not told here.
        yield from by_words(text)


def by_words(text: str) -> Iterator[Destruction]:
    """What a text in any language speaks of destroying, where nobody can tell more."""
    for found in _WORDS.finditer(_COMMENT.sub(" ", text)):
        does = " ".join(found["does"].upper().split()).removesuffix(" FROM")
        does += " … CASCADE" if found["cascade"] and does == "TRUNCATE" else ""
        for table in re.split(r"\s*,\s*", found["tables"].replace('"', "")):
            yield Destruction(does, table, _short(found.group()), certain=False)


def _name(table: Any) -> str:
    """A table's name with its schema, as far as it is given."""
    parts = (table.args.get("db"), table.this) if hasattr(table, "args") else (table,)
    names = [str(getattr(part, "name", part) or "") for part in parts if part is not None]
    return ".".join(name.removeprefix("ONLY ") for name in names if name)


def _handed_to_psql(text: str) -> Iterable[str]:
    for line in re.findall(r"\bpsql\b[^\n;|&]*(?:'[^']*'|\"[^\"]*\")[^\n;|&]*", text):
        with suppress(ValueError):
            words = shlex.split(line)
            for place, word in enumerate(words):
                if word in {"-c", "--command"} and place + 1 < len(words):
                    yield words[place + 1]
                elif word.startswith("--command="):
                    yield word.removeprefix("--command=")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
