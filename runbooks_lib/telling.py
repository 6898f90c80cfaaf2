"""What a person is told in plain lines: of an event as it happens, of a plan, and of how a run ended.

Kinds of events that are not in ``telling.yaml`` are for the journal only.
"""

import re
from functools import reduce
from typing import Any

from runbooks_lib.results import Event, Plan, RunSummary
from runbooks_lib.tables import table

_TOLD: dict[str, str] = table("runbooks_lib", "telling.yaml")
#: What stands below the title of an answer.
_INDENT = " " * 8
#: Of an answer that keeps a run from going on, all that a notebook shows of it; of a warning, what to do.
_SHOWN = {"fail": ("remedy", "evidence"), "unknown": ("remedy", "evidence"), "warn": ("remedy",)}
#: Everything but the letters that most texts are made of.
_UNCOMMON = re.compile("[^ -~\\n\\t\N{NO-BREAK SPACE}]")


def telling(event: Event) -> str:
    """The lines for a person about an event; empty for those that are for the journal only."""
    data = event.data
    lines = _TOLD.get(event.kind, "").format_map(_Blanks(data)).split("\n")
    if event.kind == "check.answered":
        shown = _SHOWN.get(str(data.get("status")), ())
        lines += [line for key in shown for line in _below(key, str(data.get(key) or ""))]
    indent = _INDENT if event.kind == "check.answered" else ""
    told = f"\n{indent}".join(line for line in lines if line not in {"Next: ", "Evidence: "})
    return "\n".join([*data.get("impact", ()), told]) if event.kind == "plan.made" else told


def _below(key: str, text: str) -> list[str]:
    """A remedy or an evidence, on the line of its word where it is one line."""
    word, lines = "Next" if key == "remedy" else "Evidence", text.splitlines()
    return [f"{word}:", *lines] if lines[1:] else [f"{word}: {line}" for line in lines]


def plan_text(made: Plan) -> str:
    """A plan as plain lines; what its digest does not cover stands below it."""
    lines = list(made.impact)
    lines += [f"  {number}. {step.title}" for number, step in enumerate(made.steps, start=1)]
    lines += ["The same by hand:", *(f"  {command}" for command in made.commands)] if made.commands else []
    for change in made.changes:
        lines.append(f"  {change.action:<7} {change.name}")
        lines += [f"          {detail}" for detail in change.detail]
    notes = ["As it was seen when this was planned, and no part of the digest:", *made.notes] if made.notes else []
    return "\n".join([*lines, f"digest: {made.digest}", *notes])


def ending(summary: RunSummary, heard: list[str]) -> str:
    """The last lines of a run: outcome, what of its sentence was not told already, record."""
    rest = reduce(lambda said, told: said.replace(told, "") if told else said, heard, summary.summary).strip()
    why = f" {rest}" if rest else ""
    return f"{summary.stage}: {summary.outcome} (exit code {summary.exit_code}).{why}\nrecord: {summary.folder}"


def visible(text: str) -> str:
    """A text in which nothing moves the cursor, turns the direction of writing or hides what stands beside it."""
    return _UNCOMMON.sub(lambda found: found[0] if found[0].isprintable() else "\N{REPLACEMENT CHARACTER}", text)


class _Blanks(dict[str, Any]):
    """Keys that an event lacks are blank: an older journal is told too."""

    def __missing__(self, key: str) -> Any:
        return _Blanks()

    def __str__(self) -> str:
        return ""
