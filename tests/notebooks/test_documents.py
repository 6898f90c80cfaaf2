"""README, CONTRIBUTING, CHANGELOG and docs name only commands, files, targets and exit codes that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from hints import known, said, titles
from shape import NOTEBOOKS, ROOT

from runbooks_lib import __main__, errors
from runbooks_lib.records import closing, folder

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code(document: str) -> list[str]:
    """Code spans and the lines of shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", document.replace("\n   ", "\n"), re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", document, flags=re.DOTALL))
    return [*spans, *(line for block in blocks for line in block.splitlines())]


def section(document: str, heading: str) -> str:
    return document.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def anchors(document: str) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", document)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def commands() -> Any:
    """The command line with all its subcommands in ``commands``."""
    __main__._plug_in()
    return typer.main.get_command(__main__.app)


def commands_in(document: str) -> list[list[str]]:
    """Each call of ``runbooks`` that is spelt out, as words; placeholders and alternatives left out."""
    calls = [re.sub(r"\s#.*|…", "", line) for line in code(document)]
    return [
        shlex.split(call.replace(".venv/bin/", ""))[1:]
        for call in calls
        if re.match(r"(\.venv/bin/)?runbooks ", call) and "|" not in call
    ]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        file, _, anchor = target.partition("#")
        if not target.startswith("https://"):
            found = path.parent / file if file else path
            assert found.exists(), target
            assert not anchor or anchor in anchors(found.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    (phony,) = re.findall(r"(?m)^\.PHONY: (.+)$", text("Makefile"))
    named = {call.split()[1] for call in code(text(name)) if call.startswith("make ")}
    assert named <= set(phony.split())


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_their_options_exist(name: str, commands: Any) -> None:
    for words in commands_in(text(name)):
        command = commands
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= options | {"--help"}, words


@pytest.mark.parametrize("name", [*NAMES, *(str(path.relative_to(ROOT)) for path in NOTEBOOKS.glob("*.ipynb"))])
def test_files_of_the_project_that_are_named_exist(name: str) -> None:
    made = {"parameters/sandbox.yaml", "parameters/production.yaml", "parameters/mine.yaml", "records/"}
    folders = "notebooks|parameters|runbooks_lib|sandbox|tests|docs"
    for span in re.findall(r"`([^`\n]+)`", text(name)):
        if re.fullmatch(rf"({folders})/[\w./-]*", span) and span not in made:
            assert (ROOT / span).exists(), span


def test_the_commands_of_the_changelog_are_all_there_are(commands: Any) -> None:
    (line,) = re.findall(r"- `runbooks (run`, .*?), with", text("CHANGELOG.md"))
    named = {word.split()[0].strip("`") for word in line.split(", ")}
    assert named | {"sandbox"} == set(commands.commands)


def test_the_table_of_exit_codes_is_complete() -> None:
    table = section(text("README.md"), "Without a front end")
    shown = {int(code) for row in re.findall(r"(?m)^\| ([\d, ]+) \|", table) for code in row.split(",")}
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    raised = {kind.exit_code for kind in kinds if issubclass(kind, errors.RunbookError)}
    assert shown == raised | {0, 129, 143}


def test_the_chinese_readme_says_what_the_english_one_says() -> None:
    """The same order of headings, tables, lists, code and links: what is changed in one is missed in the other."""

    def shape(name: str) -> list[str]:
        found: list[str] = []
        for line in text(name).splitlines():
            start = re.match(r"(\s*)(#+ |\d+\. |- |\||```\w*)", line)
            cells = re.split(r"(?<!\\)\|", line) if line.startswith("|") else []
            found += [f"{start[2]}{len(cells)}"] if start else []
        return found

    def named(name: str) -> set[str]:
        return {re.sub(r"\s*#.*", "", span) for span in code(text(name))} - {""}

    def links(name: str) -> list[str]:
        return sorted(link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text(name)))

    ours, theirs = "README.md", "README.zh-CN.md"
    assert shape(theirs) == shape(ours)
    assert named(theirs) == named(ours)
    assert {*links(theirs), theirs} == {*links(ours), ours}


def test_the_table_of_a_record_names_its_files() -> None:
    shown = set(re.findall(r"(?m)^\| `(\S+)` \|", section(text("README.md"), "Records")))
    fixed = {
        folder.EVENTS,
        folder.INPUT,
        folder.MANIFEST,
        folder.NOTEBOOK,
        folder.PARAMETERS,
        folder.PLAN,
        folder.PROOF,
    }
    assert shown == fixed | {"evidence/", *folder.ENVELOPES.values()}
    assert closing.MANIFEST == folder.MANIFEST


def test_what_set_up_is_said_to_say_is_said() -> None:
    rows = section(text("README.md"), "When set-up does not work").splitlines()
    quotes = [quote for row in rows[3:] for quote in re.findall(r"\*([^*]+)\*", row.split("|")[1])]
    among = {*said(), text("bootstrap.sh")}
    assert len(quotes) >= 6
    assert [quote for quote in quotes if not known(quote, among=among, checks=titles())] == []


def test_the_environment_variables_that_are_named_are_read() -> None:
    source = "".join(
        path.read_text() for package in ("runbooks_lib", "sandbox") for path in (ROOT / package).rglob("*.py")
    )
    named = {name for document in NAMES for name in re.findall(r"`(RUNBOOKS_\w+)`", text(document))}
    assert named
    assert [name for name in named if f'"{name}"' not in source] == []


def test_the_layers_of_the_floor_plan_are_the_contract() -> None:
    contract = re.findall(r"(?m)^layers = \[\n(.*?)\n\]", text("pyproject.toml"), re.DOTALL)[0]
    layers = re.findall(r'"([^"]+)"', contract)
    block = re.findall(r"```\n(.*?)```", section(text("CONTRIBUTING.md"), "The layers"), re.DOTALL)[0]
    assert block.split("\n")[:-1] == layers


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_a_decision_is_short_dated_and_listed(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    title = re.fullmatch(r"# (\d{4}): (.+)", lines[0])
    assert title is not None
    assert path.name.startswith(title.group(1))
    assert f"[{title.group(1)}]({path.name}) | {title.group(2)} |" in text("docs/adr/README.md")
    assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d", lines[2])
    assert [line for line in lines if line.startswith("## ")] == ["## Decision", "## Why", "## What follows"]
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
