"""Every notebook has the same shape, and each rule of that shape notices when it is broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hints import hints, known, sentences
from shape import (
    MUTATING_STAGES,
    NOTEBOOKS,
    ROOT,
    RULES,
    Notebook,
    clean,
    ids,
    imports,
    links,
    mutation,
    order,
    parameters,
    probing,
    prose,
    short,
    table,
    valid,
)

ALL = sorted(NOTEBOOKS.glob("*.ipynb"))
EVERY_RULE = (*RULES, hints)


def read(path: Path) -> Notebook:
    text = path.read_text(encoding="utf-8")
    return Notebook(path, text, nbformat.reader.reads(text))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_notebook_keeps_the_rule(path: Path, rule: Any) -> None:
    assert list(rule(read(path))) == [], f"{path.name}: {rule.__doc__}"


def test_each_stage_has_a_notebook_and_each_notebook_a_stage() -> None:
    modules = {path.stem for path in (ROOT / "runbooks_lib" / "stages").glob("[a-z]*.py")}
    assert {path.stem[3:] for path in ALL} - {"start_here"} == modules


def test_stages_that_apply_something_are_the_mutating_ones() -> None:
    folder = ROOT / "runbooks_lib" / "stages"
    applying = {path.stem for path in folder.glob("*.py") if "def apply(" in path.read_text()}
    assert applying == {path.stem[3:] for path in ALL} & MUTATING_STAGES


def test_the_numbers_of_the_notebooks_are_their_order() -> None:
    assert [path.stem[:2] for path in ALL] == [f"{number:02}" for number in range(len(ALL))]


# ---- the rules themselves, on notebooks that break them


def cell(content: Any, cell_id: str) -> Any:
    return next(item for item in content["cells"] if item["id"] == cell_id)


def sourced(cell_id: str, old: str, new: str) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        found = cell(content, cell_id)
        source = "".join(found["source"])
        assert old in source
        found["source"] = source.replace(old, new)

    return change


def added(cell_id: str, line: str) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        found = cell(content, cell_id)
        found["source"] = "".join(found["source"]) + "\n" + line

    return change


def updated(cell_id: str, **fields: Any) -> Callable[[Any], None]:
    return lambda content: cell(content, cell_id).update(fields)


def without(cell_id: str) -> Callable[[Any], None]:
    return lambda content: content["cells"].remove(cell(content, cell_id))


def moved(cell_id: str, places: int) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        found = cell(content, cell_id)
        index = content["cells"].index(found)
        content["cells"].remove(found)
        content["cells"].insert(index + places, found)

    return change


BROKEN: list[tuple[Any, Callable[[Any], None], str]] = [
    (valid, lambda content: content.update(nbformat_minor=4), "is nbformat 4.4"),
    (valid, lambda content: cell(content, "open").pop("outputs"), "is no valid notebook"),
    (valid, lambda content: None, "is not spelt as JupyterLab saves it"),
    (clean, updated("look", outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}]), "outputs or a count"),
    (clean, updated("look", execution_count=3), "outputs or a count in the cell look"),
    (clean, updated("look", metadata={"collapsed": True}), "metadata in the cell look that no rule knows"),
    (clean, updated("look", metadata={"tags": ["mine"]}), "metadata in the cell look that no rule knows"),
    (clean, lambda content: content["metadata"].update(authors=[{"name": "A"}]), "has other metadata"),
    (ids, updated("look", id="open"), "two cells with the id 'open'"),
    (ids, updated("look-prose", id="3f2a9c1b"), "which is no word"),
    (ids, updated("look", id="see"), "has the code cells"),
    (ids, without("seal"), "has the code cells"),
    (order, sourced("title", "# Install", "Install"), "does not begin with its one title"),
    (order, added("needs", "# Another"), "does not begin with its one title"),
    (order, sourced("plan-prose", "## Plan", "## Plans"), "has the sections"),
    (order, moved("confirm-prose", -2), "has the sections"),
    (order, without("next"), "has the sections"),
    (order, moved("plan", 1), "has the cell plan below the heading 'Approve'"),
    (prose, without("plan-prose"), "has no prose before the cell plan"),
    (prose, updated("plan-prose", source="## Plan\n"), "has no prose before the cell plan"),
    (prose, updated("plan-prose", source="## Plan\n\nPlans it."), "before the cell plan what you should see"),
    (prose, updated("needs", source="## What you need\n"), "says nothing below the heading 'What you need'"),
    (parameters, updated("parameters", metadata={}), "has 0 cells tagged parameters"),
    (parameters, updated("plan", metadata={"tags": ["parameters"]}), "has 2 cells tagged parameters"),
    (parameters, sourced("parameters", 'approve = ""', "approve = str()"), "no name to a literal"),
    (parameters, sourced("parameters", "  # the target;", "  "), "no name to a literal"),
    (parameters, added("parameters", 'more = "x"'), "does not explain the parameter more"),
    (parameters, added("parameters", 'more = "x"  # and what for'), "has the parameters"),
    (parameters, sourced("parameters", "overrides = {}", "changes = {}"), "has the parameters"),
    (mutation, updated("act", metadata={}), "has no cell tagged mutates"),
    (mutation, updated("look", metadata={"tags": ["mutates"]}), "tagged mutates, not ['act']"),
    (mutation, added("look", "install.apply(run, plan, run.approval(plan))"), "the wrong place: the cell look"),
    (probing, updated("confirm", metadata={}), "has no cell tagged probes, not ['confirm']"),
    (probing, updated("look", metadata={"tags": ["probes"]}), "['look', 'confirm'] tagged probes, not ['confirm']"),
    (mutation, sourced("act", "run.approval(plan)", "yes"), "does not ask for the approval"),
    (short, added("open", "1\n2\n3"), "has 9 lines in the cell open"),
    (short, added("look", "!kubectl get pods"), "a shell command or a magic in the cell look"),
    (short, added("look", "%time"), "a shell command or a magic in the cell look"),
    (short, added("look", "def f(): pass"), "has a def in the cell look"),
    (short, added("look", "class A: pass"), "has a class in the cell look"),
    (short, added("look", "for x in y: x"), "has a loop in the cell look"),
    (short, added("look", "while True: pass"), "has a loop in the cell look"),
    (short, added("look", "[x for x in y]"), "has a loop in the cell look"),
    (short, added("look", "try:\n    x\nfinally:\n    y"), "has a try in the cell look"),
    (short, updated("confirm", source="ask(run, plan)"), "has the source of the cell confirm twice"),
    (imports, added("open", "from sandbox import lifecycle"), "imports the sandbox"),
    (imports, added("open", "import sandbox.api"), "imports the sandbox"),
    (imports, sourced("open", "stages import install", "stages import upgrade"), "does not import"),
    (links, sourced("next", "03_verify.ipynb", "03_check.ipynb"), "links to 03_check.ipynb"),
    (links, updated("next", source="## Next\n\nVerify it."), "does not link from Next"),
    (table, updated("if-it-fails", source="## If it fails\n\nAsk."), "has no table below If it fails"),
    (table, added("if-it-fails", "| *This plan was not approved* | | press |"), "not three filled cells"),
    (hints, added("if-it-fails", "| *The moon is made of cheese* | x | y |"), "The moon is made of cheese"),
    (hints, added("if-it-fails", "| *Moons* fails | x | y |"), "no check is called and no sentence says: Moons"),
]


@pytest.mark.parametrize(("rule", "broken", "says"), BROKEN, ids=[f"{r.__name__}-{s}" for r, _, s in BROKEN])
def test_a_rule_notices_a_broken_notebook(rule: Any, broken: Callable[[Any], None], says: str) -> None:
    good = read(NOTEBOOKS / "02_install.ipynb")
    content = copy.deepcopy(good.content)
    broken(content)
    text = good.text if rule is not valid else good.text.replace("\n ", "\n  ")
    problems = list(rule(Notebook(good.path, text, content)))
    assert any(says in problem for problem in problems), problems


def test_a_reading_notebook_with_an_act_is_noticed() -> None:
    act = read(NOTEBOOKS / "02_install.ipynb")
    problems = list(mutation(Notebook(NOTEBOOKS / "03_verify.ipynb", act.text, act.content)))
    assert "has ['act'] tagged mutates, not none" in problems


@pytest.mark.parametrize(
    ("quote", "is_known"),
    [
        ("Storage for sheep", True),
        ("The cluster at … did not answer", True),
        ("The cluster at … answered", False),
        ("did not answer at … The cluster", False),
        ("said in a docstring", False),
        ("cluster", False),
        ("…", False),
        ("Helm is … old", True),
    ],
)
def test_a_quotation_is_known_by_its_title_or_by_a_sentence_that_is_said(quote: str, is_known: bool) -> None:
    source = '"""Said in a docstring, said in a docstring."""\nx = f"The cluster at {y} did " f"not answer: {z}."\n'
    among = sentences(source + 'row = "Helm is {much} too old"\n')
    assert known(quote, among=among, checks={"Storage for sheep"}) is is_known
