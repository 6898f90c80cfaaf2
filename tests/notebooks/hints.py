"""What the program says, read off its source; so that no notebook quotes a sentence that is not said any more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache

from shape import ROOT, Notebook, Problems

from runbooks_lib.checks.families import FAMILIES

#: Stands in a sentence for what the program fills in.
HOLE = "…"


def quotes(notebook: Notebook) -> list[str]:
    """The italics in the first column of *If it fails*: what the program is said to say.

    What other programs say (Helm, Kubernetes) stands there as code.
    """
    rows = notebook.section("If it fails").splitlines()[2:]
    return [quote for row in rows for quote in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", row.split("|")[1])]


def sentences(source: str) -> set[str]:
    """Every text in a Python source but its docstrings; what is filled in becomes a hole."""
    tree = ast.parse(source)
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = set()
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else HOLE for part in node.values]
            inside |= {id(part) for part in node.values}
            found.add("".join(str(part) for part in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inside:
            found.add(re.sub(r"\{\w+\}", HOLE, node.value))
    return found


@cache
def said() -> frozenset[str]:
    """All sentences of both packages; a table of texts has one a line."""
    packages = [ROOT / "runbooks_lib", ROOT / "sandbox"]
    sources = (path.read_text(encoding="utf-8") for package in packages for path in package.rglob("*.py"))
    tables = (path.read_text(encoding="utf-8") for path in packages[0].rglob("*.yaml"))
    lines = (
        re.sub(r"\{\w+\}", HOLE, line.partition(": ")[2].strip("'")) for table in tables for line in table.splitlines()
    )
    return frozenset([*(sentence for source in sources for sentence in sentences(source)), *lines])


@cache
def titles() -> frozenset[str]:
    """The titles of all checks."""
    return frozenset(check.title for checks in FAMILIES.values() for check in checks)


def known(quote: str, *, among: Iterable[str], checks: Iterable[str]) -> bool:
    """Whether a check has this title, or one sentence says all parts of the quote in their order.

    A single word is in too many sentences to prove anything: it can only be a title.
    """
    if quote in checks:
        return True
    parts = [part.strip() for part in quote.split(HOLE)]
    if len(quote.replace(HOLE, " ").split()) < 2 or not all(parts[:1]):
        return False
    pattern = re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
    return any(pattern.search(sentence) for sentence in among)


def hints(notebook: Notebook) -> Problems:
    """Each quotation below *If it fails* is a check's title or is said somewhere in the source."""
    found = quotes(notebook)
    if not found:
        yield "quotes nothing that the program says below If it fails"
    for quote in found:
        if not known(quote, among=said(), checks=titles()):
            yield f"quotes what no check is called and no sentence says: {quote}"
