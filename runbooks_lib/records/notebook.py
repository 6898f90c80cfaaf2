"""The executed notebook: the input's cells with what they put out last, and what else was run."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbooks_lib.records.folder import INPUT, NOTEBOOK, replace
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Json

# nbformat is not used here: with jsonschema's optional formats installed its import takes a second, and this
# module is imported in every kernel. A test holds what is made here against nbformat's schema.

_LINK = re.compile(r"\[([^\[\]]+)\]\([^()\s:]+\.ipynb\)")
_DEAD = "The kernel ended while this cell ran. Only the kernel could tell its secrets, so its output is not kept."


@dataclass
class Execution:
    """One execution of one cell, with its outputs as nbformat keeps them, in the order in which they came.

    Attributes:
        cell_id: The cell's id where the front end tells it, else empty.
        count: The number in ``In [3]``.
    """

    source: str
    cell_id: str
    count: int | None
    outputs: list[Json] = field(default_factory=list)
    ended: bool = False


def write_notebook(folder: Path, redactor: Redactor, events: Iterable[Json], *, sealed: bool) -> None:
    """Make the executed notebook of ``input.ipynb`` and the journal, if there is anything to make it of.

    Args:
        sealed: The cell that has not ended is the one that closes the record; otherwise its kernel is dead.
    """
    executions, source = executions_of(events, sealed=sealed), folder / INPUT
    if source.exists() or executions:
        template = read(source.read_text(encoding="utf-8") if source.exists() else "")
        notebook = redactor.redact_data(executed(template, executions))
        replace(folder / NOTEBOOK, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def executions_of(events: Iterable[Json], *, sealed: bool) -> list[Execution]:
    """The executions that a journal tells of, in the order in which they began; see :func:`write_notebook`."""
    executions: dict[int | None, Execution] = {}
    for event in events:
        kind, data = event["kind"], event["data"]
        count = data.get("count")
        if kind == "cell.started":
            executions[count] = Execution(data.get("source", ""), data.get("id", ""), count)
        elif kind in {"cell.ended", "cell.changed"} and count in executions:
            executions[count].outputs = data.get("outputs", [])
            executions[count].ended = True
    for execution in executions.values():
        if not execution.ended and not sealed:
            execution.outputs = [{"output_type": "stream", "name": "stderr", "text": _DEAD + "\n"}]
    return list(executions.values())


def executed(template: Json, executions: Sequence[Execution]) -> Json:
    """The executed notebook, valid nbformat 4.5.

    Args:
        template: The input notebook; its cells keep their order, ids and tags.
        executions: In the order in which they ran. Each goes to the cell of its id, else to the next cell
            with its source; one that has no cell is put after the cell that ran before it.
    """
    cells = [_blank(cell) for cell in template["cells"]]
    last = -1
    for number, execution in enumerate(executions):
        place = _place(cells, execution, last)
        last = last + 1 if place is None else place
        if place is None:
            tag = "injected-parameters" if execution.source.startswith("# Parameters\n") else "not-in-the-notebook"
            cell = {"id": f"executed-{number}", "cell_type": "code", "metadata": {"tags": [tag]}}
            cells.insert(last, {**cell, "source": execution.source})
        cells[last] |= {"execution_count": execution.count, "outputs": execution.outputs}
    metadata = {key: value for key, value in template["metadata"].items() if key != "widgets"}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def read(content: str) -> Json:
    """A notebook file as plain data; what is not a notebook counts as an empty one."""
    with suppress(ValueError):
        notebook: Any = json.loads(content)
        if isinstance(notebook, dict) and not unreadable(notebook.get("cells")):
            return {"cells": notebook["cells"], "metadata": notebook.get("metadata") or {}}
    return {"cells": [], "metadata": {}}


def unreadable(cells: Any) -> str:
    """Why the cells of a notebook can't be read; empty where they can."""
    if not isinstance(cells, list):
        return "it has no list of cells"
    sound = (
        isinstance(cell, dict) and cell.get("cell_type") and isinstance(cell.get("source"), str | list)
        for cell in cells
    )
    broken = [number for number, is_sound in enumerate(sound, start=1) if not is_sound]
    return f"its cell {broken[0]} has no type or no source" if broken else ""


def _blank(cell: Json) -> Json:
    """A cell as it was before anything ran."""
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        # A record has no other notebook beside it: their names stay, not the links.
        source = _LINK.sub(r"\1", source)
    ran: Json = {"execution_count": None, "outputs": []} if cell["cell_type"] == "code" else {}
    return {**cell, "source": source, **ran}


def _place(cells: list[Json], execution: Execution, last: int) -> int | None:
    """Where an execution belongs: by id; else by source, the cells after the last one first."""
    code = [index for index, cell in enumerate(cells) if cell["cell_type"] == "code"]
    known = [index for index in code if execution.cell_id and cells[index].get("id") == execution.cell_id]
    # Spaces at the end don't count: front ends and `In` differ in them.
    same = [index for index in code if cells[index]["source"].rstrip() == execution.source.rstrip()]
    return next(iter([*known, *(index for index in same if index > last), *same]), None)
