"""The rules that every notebook keeps: each a function that says, in sentences, where one is broken."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"

#: Sections in their order, each with the ids of its code cells.
READING: dict[str, tuple[str, ...]] = {
    "What this does": (),
    "What you need": (),
    "Parameters": ("parameters",),
    "Open": ("open",),
    "Look": ("look",),
    "Seal": ("seal",),
    "If it fails": (),
    "Next": (),
}
MUTATING: dict[str, tuple[str, ...]] = {
    "What this does": (),
    "What you need": (),
    "Parameters": ("parameters",),
    "Open": ("open",),
    "Look": ("look",),
    "Plan": ("plan",),
    "Approve": ("approve",),
    "Act — this changes the cluster": ("act",),
    "Confirm": ("confirm",),
    "Seal": ("seal",),
    "If it fails": (),
    "Next": (),
}
START: dict[str, tuple[str, ...]] = {
    "How to read a notebook": (),
    "A cluster to practise on": ("parameters", "start"),
    "When you are done": (),
    "On your own cluster": (),
    "If it fails": (),
    "Next": (),
}
MUTATING_STAGES = frozenset({"install", "upgrade", "uninstall", "recover"})
PARAMETERS = ("parameters_file", "overrides", "approve", "output_directory")
START_PARAMETERS = ("start_sandbox",)
TAGS = frozenset({"parameters", "mutates", "probes"})
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
LONGEST_CELL = 8
HINTS_HEADER = "| What you see | Why | What to do |"

_FORBIDDEN: dict[str, tuple[type[ast.AST], ...]] = {
    "a def": (ast.FunctionDef, ast.AsyncFunctionDef),
    "a class": (ast.ClassDef,),
    "a loop": (*(ast.For, ast.AsyncFor, ast.While), *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)),
    "a try": (ast.Try, ast.TryStar),
}

Problems = Iterator[str]


@dataclass(frozen=True)
class Notebook:
    """One notebook: its path, its text as it is in git, and its content."""

    path: Path
    text: str
    content: Any

    @property
    def stage(self) -> str:
        """The name without its number."""
        return self.path.stem[3:]

    @property
    def sections(self) -> dict[str, tuple[str, ...]]:
        """The sections it must have."""
        if self.stage == "start_here":
            return START
        return MUTATING if self.stage in MUTATING_STAGES else READING

    @cached_property
    def cells(self) -> list[Any]:
        """All cells, each source as one text."""
        return [cell | {"source": "".join(cell["source"])} for cell in self.content["cells"]]

    @property
    def code(self) -> list[Any]:
        """The code cells."""
        return [cell for cell in self.cells if cell["cell_type"] == "code"]

    @property
    def prose(self) -> str:
        """All prose, one text."""
        return "\n\n".join(cell["source"] for cell in self.cells if cell["cell_type"] == "markdown")

    def tagged(self, tag: str) -> list[Any]:
        """The cells that have a tag."""
        return [cell for cell in self.cells if tag in cell["metadata"].get("tags", ())]

    def section(self, heading: str) -> str:
        """The prose below a second-level heading."""
        found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", self.prose, re.MULTILINE | re.DOTALL)
        return found.group(1).strip() if found else ""


def valid(notebook: Notebook) -> Problems:
    """It is nbformat 4.5, spelt as JupyterLab saves it: a difference in git shows what a person changed."""
    content = notebook.content
    if (content.get("nbformat"), content.get("nbformat_minor")) != (4, 5):
        yield f"is nbformat {content.get('nbformat')}.{content.get('nbformat_minor')}, not 4.5"
    try:
        nbformat.validate(content)
    except nbformat.ValidationError as error:
        yield f"is no valid notebook: {error.message}"
        return
    if nbformat.writes(nbformat.from_dict(content)) + "\n" != notebook.text:  # type: ignore[no-untyped-call]
        yield "is not spelt as JupyterLab saves it"


def clean(notebook: Notebook) -> Problems:
    """No outputs, counts or personal metadata are in git."""
    if notebook.content["metadata"] != METADATA:
        yield f"has other metadata than {METADATA}"
    for cell in notebook.cells:
        if cell.get("outputs") or cell.get("execution_count") is not None:
            yield f"keeps outputs or a count in the cell {cell['id']}"
        if cell.get("attachments"):
            yield f"keeps attachments in the cell {cell['id']}"
        if set(cell["metadata"]) - {"tags"} or set(cell["metadata"].get("tags", ())) - TAGS:
            yield f"has metadata in the cell {cell['id']} that no rule knows: {cell['metadata']}"


def ids(notebook: Notebook) -> Problems:
    """Ids are words that stay: records and links name cells by them."""
    names = [cell.get("id", "") for cell in notebook.cells]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"has two cells with the id {name!r}"
    for name in names:
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name):
            yield f"has a cell with the id {name!r}, which is no word"
    wanted = [cell_id for section in notebook.sections.values() for cell_id in section]
    if (found := [cell.get("id", "") for cell in notebook.code]) != wanted:
        yield f"has the code cells {found}, not {wanted}"


def order(notebook: Notebook) -> Problems:
    """One title, then the sections of its kind in their order, each code cell below its heading."""
    if len(re.findall(r"^# .", notebook.prose, re.MULTILINE)) != 1 or not notebook.prose.startswith("# "):
        yield "does not begin with its one title"
    headings = re.findall(r"^## (.+)$", notebook.prose, re.MULTILINE)
    if headings != list(notebook.sections):
        yield f"has the sections {headings}, not {list(notebook.sections)}"
    current = ""
    for cell in notebook.cells:
        if cell["cell_type"] == "markdown":
            current = (re.findall(r"^## (.+)$", cell["source"], re.MULTILINE) or [current])[-1]
        elif cell["id"] not in notebook.sections.get(current, ()):
            yield f"has the cell {cell['id']} below the heading {current!r}"


def prose(notebook: Notebook) -> Problems:
    """Before each code cell stands what it will do, and what will be seen."""
    before = None
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            text = before["source"] if before and before["cell_type"] == "markdown" else ""
            words = re.sub(r"^#.*$", "", text, flags=re.MULTILINE).strip()
            if not words:
                yield f"has no prose before the cell {cell['id']}"
            elif cell["id"] != "parameters" and "you should see" not in words.lower():
                yield f"does not say before the cell {cell['id']} what you should see"
        before = cell
    for heading in notebook.sections:
        if not notebook.section(heading):
            yield f"says nothing below the heading {heading!r}"


def parameters(notebook: Notebook) -> Problems:
    """One cell holds the parameters: literals, each with a comment, known by the same names everywhere."""
    cells = notebook.tagged("parameters")
    if len(cells) != 1 or cells[0]["cell_type"] != "code":
        yield f"has {len(cells)} cells tagged parameters, not one"
        return
    source = cells[0]["source"]
    names = []
    for line in source.splitlines():
        try:
            (statement,) = ast.parse(line).body
            assert isinstance(statement, ast.Assign)
            (name,) = statement.targets
            assert isinstance(name, ast.Name)
            ast.literal_eval(statement.value)
        except (SyntaxError, ValueError, AssertionError):
            yield f"has a line among its parameters that sets no name to a literal: {line}"
            continue
        names.append(name.id)
        tokens = tokenize.generate_tokens(io.StringIO(line).readline)
        if not any(token.type == tokenize.COMMENT and len(token.string) > 5 for token in tokens):
            yield f"does not explain the parameter {name.id}"
    wanted = START_PARAMETERS if notebook.stage == "start_here" else PARAMETERS
    if tuple(names) != wanted:
        yield f"has the parameters {names}, not {list(wanted)}"


def mutation(notebook: Notebook) -> Problems:
    """Exactly the cell act changes something, and only it calls apply; a reading notebook has none."""
    tagged = [cell["id"] for cell in notebook.tagged("mutates")]
    wanted = ["act"] if notebook.stage in MUTATING_STAGES else []
    if tagged != wanted:
        yield f"has {tagged or 'no cell'} tagged mutates, not {wanted or 'none'}"
    for cell in notebook.code:
        if (".apply(" in cell["source"]) != (cell["id"] in wanted):
            yield f"calls apply in the wrong place: the cell {cell['id']}"
        if cell["id"] in wanted and "run.approval(plan)" not in cell["source"]:
            yield f"does not ask for the approval in the cell {cell['id']}"


def probing(notebook: Notebook) -> Problems:
    """Exactly the cells that verify an installed release, which may write probes, are tagged so."""
    cells = {"verify": ["look"], "diagnose": ["look"], "uninstall": [], "prerequisites": [], "start_here": []}.get(
        notebook.stage, ["confirm"]
    )
    if (tagged := [cell["id"] for cell in notebook.tagged("probes")]) != cells:
        yield f"has {tagged or 'no cell'} tagged probes, not {cells or 'none'}"


def short(notebook: Notebook) -> Problems:
    """A code cell has few lines and no logic: logic is in the library, typed and tested."""
    for cell in notebook.code:
        name, lines = cell["id"], cell["source"].splitlines()
        if len(lines) > LONGEST_CELL:
            yield f"has {len(lines)} lines in the cell {name}"
        if any(line.lstrip().startswith(("!", "%")) for line in lines):
            yield f"has a shell command or a magic in the cell {name}"
            continue
        nodes = list(ast.walk(ast.parse(cell["source"])))
        for what, kinds in _FORBIDDEN.items():
            if any(isinstance(node, kinds) for node in nodes):
                yield f"has {what} in the cell {name}"
    sources = [cell["source"] for cell in notebook.code]
    for cell in notebook.code:
        if sources.count(cell["source"]) > 1:
            yield f"has the source of the cell {cell['id']} twice: a record could not tell them apart"


def imports(notebook: Notebook) -> Problems:
    """Only the first notebook knows the sandbox; each stage's notebook imports the module of its name."""
    found = set()
    for cell in notebook.code:
        for node in ast.walk(ast.parse(re.sub(r"(?m)^\s*[!%].*$", "", cell["source"]))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    knows = any(name.split(".")[0] == "sandbox" for name in found)
    if notebook.stage == "start_here":
        return
    if knows:
        yield "imports the sandbox"
    if f"runbooks_lib.stages.{notebook.stage}" not in found:
        yield f"does not import runbooks_lib.stages.{notebook.stage}"


def links(notebook: Notebook) -> Problems:
    """What a link leads to is there, and *Next* leads somewhere."""
    for target in re.findall(r"\]\(([^)\s]+)\)", notebook.prose):
        if not re.match(r"[a-z]+:", target) and not (NOTEBOOKS / target.partition("#")[0]).exists():
            yield f"links to {target}, which is not there"
    if "](" not in notebook.section("Next"):
        yield "does not link from Next to another notebook"


def table(notebook: Notebook) -> Problems:
    """*If it fails* is a table of three columns, no cell empty."""
    rows = notebook.section("If it fails").splitlines()
    if len(rows) < 4 or rows[:2] != [HINTS_HEADER, "|---|---|---|"]:
        yield "has no table below If it fails"
        return
    for row in rows[2:]:
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) != 5 or not all(cells[1:-1]):
            yield f"has a row that is not three filled cells: {row}"


RULES: tuple[Callable[[Notebook], Problems], ...] = (
    *(valid, clean, ids, order, prose, parameters, mutation, probing, short, imports, links, table),
)
