"""The executed notebook: where each execution goes."""

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.records import notebook
from runbooks_lib.records.notebook import Execution
from runbooks_lib.results import Json


def stream(text: str, name: str = "stdout") -> Json:
    return {"output_type": "stream", "name": name, "text": text}


def code(cell_id: str, source: Any) -> Json:
    return {
        "id": cell_id,
        "cell_type": "code",
        "metadata": {},
        "source": source,
        "execution_count": 9,
        "outputs": [stream("old")],
    }


def template(*cells: Json) -> Json:
    return {"cells": list(cells), "metadata": {"kernelspec": {"name": "python3", "display_name": "x"}, "widgets": {}}}


def ran(source: str, count: int, cell_id: str = "") -> Execution:
    return Execution(source, cell_id, count, [stream(f"{count}")])


def layout(made: Json) -> list[tuple[str, Any]]:
    """Each code cell's source, and the number of its last execution."""
    nbformat.validate(nbformat.from_dict(made))
    return [(cell["source"], cell["execution_count"]) for cell in made["cells"] if cell["cell_type"] == "code"]


INPUT = template(
    code("p", "x = 1"),
    {"id": "m", "cell_type": "markdown", "metadata": {}, "source": "# T"},
    code("a", "go()"),
    code("b", "go()"),
)


@pytest.mark.parametrize(
    ("executions", "expected"),
    [
        ([], [("x = 1", None), ("go()", None), ("go()", None)]),
        ([ran("x = 1", 1), ran("go()", 2), ran("go()", 3)], [("x = 1", 1), ("go()", 2), ("go()", 3)]),
        ([ran("go()", 1, "b")], [("x = 1", None), ("go()", None), ("go()", 1)]),
        ([ran("go()", 1, "b"), ran("go()", 2, "b")], [("x = 1", None), ("go()", None), ("go()", 2)]),
        ([ran("x = 1", 1), ran("# Parameters\nx = 2", 2), ran("go()", 3)],
         [("x = 1", 1), ("# Parameters\nx = 2", 2), ("go()", 3), ("go()", None)]),
        ([ran("adhoc", 1), ran("x = 1\n", 2)], [("adhoc", 1), ("x = 1", 2), ("go()", None), ("go()", None)]),
        ([ran("go()", 1), ran("go()", 2), ran("go()", 3)], [("x = 1", None), ("go()", 3), ("go()", 2)]),
        ([ran("go()", 1), ran("x = 1", 2), ran("y", 3)], [("x = 1", 2), ("y", 3), ("go()", 1), ("go()", None)]),
    ],
)  # fmt: skip
def test_each_execution_goes_to_its_cell_and_others_after_the_cell_that_ran_before(
    executions: list[Execution], expected: list[tuple[str, Any]]
) -> None:
    assert layout(notebook.executed(INPUT, executions)) == expected


def test_old_outputs_and_widgets_of_the_input_are_not_taken_for_new_ones() -> None:
    made = notebook.executed(INPUT, [])

    assert "old" not in json.dumps(made)
    assert "widgets" not in made["metadata"]
    assert made["metadata"]["kernelspec"]["name"] == "python3"


def test_links_to_other_notebooks_which_a_record_does_not_hold_become_their_names() -> None:
    text = "Run [03 Verify](03_verify.ipynb), see [the guide](https://example.com/x.ipynb) and `[a](b)`."
    cell = {"id": "m", "cell_type": "markdown", "metadata": {}, "source": text}
    (made,) = notebook.executed(template(cell), [])["cells"]
    assert made["source"] == "Run 03 Verify, see [the guide](https://example.com/x.ipynb) and `[a](b)`."


def test_a_notebook_of_what_was_run_is_made_without_an_input() -> None:
    assert layout(notebook.executed(notebook.read(""), [ran("a", 1), ran("b", 2)])) == [("a", 1), ("b", 2)]


def test_sources_in_lists_of_lines_are_understood() -> None:
    cell = code("a", ["go(\n", ")"])

    assert layout(notebook.executed(template(cell), [ran("go(\n)", 4)])) == [("go(\n)", 4)]


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"cells": 1}', "no JSON"])
def test_a_file_that_is_no_notebook_is_an_empty_one(content: str) -> None:
    assert notebook.read(content) == {"cells": [], "metadata": {}}


SOURCES = st.sampled_from(["x = 1", "go()", "other", "", "x = 1 \n"])
IDS = st.sampled_from(["", "p", "a", "unknown"])


@given(st.lists(st.tuples(SOURCES, IDS), max_size=8))
def test_the_last_execution_of_every_source_is_kept_and_the_notebook_stays_valid(steps: list[tuple[str, str]]) -> None:
    executions = [ran(source, number, cell_id) for number, (source, cell_id) in enumerate(steps, start=1)]

    made = layout(notebook.executed(INPUT, executions))

    counts = [count for _, count in made if count is not None]
    assert len(counts) == len(set(counts))
    if executions:
        assert executions[-1].count in counts
    assert [source for source, _ in made if source in {"x = 1", "go()"}].count("go()") >= 2
