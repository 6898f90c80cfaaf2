"""The executed notebook: the input's cells with what they put out last, and what else was run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbooks_lib.results import Json

# nbformat is not used here: with jsonschema's optional formats installed its import takes a second, and this
# module is imported in every kernel. A test holds what is made here against nbformat's schema.

_CELL_ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_DEAD = (
    "The kernel ended while this cell ran. Only the kernel could tell its secrets, so its output is not kept."
)


@dataclass
class Execution:
    """One execution of one cell.

    Attributes:
        cell_id: The cell's id where the front end tells it, else empty.
        count: The number in ``In [3]``.
        outputs: As nbformat keeps them, in the order in which they came.
        ended: Whether the cell came to its end.
    """

    source: str
    cell_id: str = ""
    count: int | None = None
    outputs: list[Json] = field(default_factory=list)
    ended: bool = True


def executions_of(events: Iterable[Json]) -> list[Execution]:
    """The executions that a journal tells of; one that never ended has a note for its output."""
    executions: list[Execution] = []
    for event in events:
        data = event["data"]
        if event["kind"] == "cell.started":
            note = {"output_type": "stream", "name": "stderr", "text": _DEAD + "\n"}
            executions.append(
                Execution(data.get("source", ""), data.get("id", ""), data.get("count"), [note], ended=False)
            )
        elif event["kind"] == "cell.ended" and executions:
            executions[-1].outputs = data.get("outputs", [])
            executions[-1].ended = True
    return executions


def executed(template: Json | None, executions: Sequence[Execution], *, widgets: Json | None = None) -> Json:
    """The executed notebook, valid nbformat 4.5.

    Args:
        template: The input notebook; its cells keep their order, ids and tags. None: only what was executed.
        executions: In the order in which they ran. Each goes to the cell of its id, else to the next cell
            with its source; one that has no cell is put after the cell that ran before it.
        widgets: The state of the widgets, by model.
    """
    notebook = template or {"cells": [], "metadata": {}}
    cells = [_blank(cell, number) for number, cell in enumerate(notebook["cells"])]
    taken: set[str] = set()
    last = -1
    for number, execution in enumerate(executions):
        place = _place(cells, execution, last, taken)
        if place is None:
            last += 1
            cells.insert(last, _inserted(execution, number))
        else:
            last = place
        taken.add(cells[last]["id"])
        cells[last]["execution_count"] = execution.count
        cells[last]["outputs"] = coalesced(execution.outputs)
    metadata = {key: value for key, value in notebook["metadata"].items() if key != "widgets"}
    if widgets:
        metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": widgets}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def coalesced(outputs: Iterable[Json]) -> list[Json]:
    """Outputs with neighbouring pieces of one stream put together.

    A secret that was printed in two pieces is whole again, so that it can be found.
    """
    merged: list[Json] = []
    for output in outputs:
        previous = merged[-1] if merged else {}
        if output["output_type"] == "stream" and previous.get("name") == output["name"]:
            merged[-1] = {**previous, "text": text_of(previous["text"]) + text_of(output["text"])}
        else:
            merged.append(output)
    return merged


def read(content: bytes) -> Json:
    """A notebook file as plain data; what is not a notebook counts as an empty one."""
    try:
        notebook: Any = json.loads(content)
    except ValueError:
        notebook = None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        return {"cells": [], "metadata": {}}
    return {"cells": notebook["cells"], "metadata": notebook.get("metadata") or {}}


def dump(notebook: Json) -> bytes:
    """A notebook as the bytes of its file, spelt as nbformat spells it but for its multi-line lists."""
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode(
        "utf-8", "backslashreplace"
    )


def text_of(value: Any) -> str:
    """Multi-line text, which a notebook file may hold as a list of lines."""
    return "".join(value) if isinstance(value, list) else str(value)


def _blank(cell: Json, number: int) -> Json:
    """A cell as it was before anything ran."""
    wanted = str(cell.get("id", ""))
    blank = {
        "id": wanted if _CELL_ID.match(wanted) else f"cell-{number}",
        "cell_type": cell["cell_type"],
        "metadata": cell.get("metadata", {}),
        "source": text_of(cell.get("source", "")),
    }
    if cell["cell_type"] == "code":
        blank |= {"execution_count": None, "outputs": []}
    elif "attachments" in cell:
        blank["attachments"] = cell["attachments"]
    return blank


def _inserted(execution: Execution, number: int) -> Json:
    tag = "injected-parameters" if execution.source.startswith("# Parameters\n") else "not-in-the-notebook"
    return {
        "id": f"executed-{number}",
        "cell_type": "code",
        "metadata": {"tags": [tag]},
        "source": execution.source,
    }


def _place(cells: list[Json], execution: Execution, last: int, taken: set[str]) -> int | None:
    """Where an execution belongs: by id; else by source, the cells after the last one first."""
    code = [index for index, cell in enumerate(cells) if cell["cell_type"] == "code"]
    for index in code:
        if execution.cell_id and cells[index]["id"] == execution.cell_id:
            return index
    # Spaces at the end don't count: front ends and `In` differ in them.
    wanted = execution.source.rstrip()
    same = [index for index in code if cells[index]["source"].rstrip() == wanted]
    order = [index for index in same if index > last] + [index for index in same if index <= last]
    return next((index for index in order if cells[index]["id"] not in taken), order[0] if order else None)
