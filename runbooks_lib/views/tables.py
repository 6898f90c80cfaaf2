"""Reports, plans and results as tables: HTML in JupyterLab and on paper, plain text everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from runbooks_lib.results import ChangeResult, Plan, Report, Row, RunSummary, columns

if TYPE_CHECKING:
    import pandas as pd

#: Colour is never the only sign: the word stands in the cell too. Dark enough on white for WCAG AA.
_COLOURS = {"pass": "#1b6e3c", "warn": "#8a5a00", "fail": "#b3261e", "unknown": "#6a3fa0", "skip": "#5f6368"}
_COLOURS |= {"add": "#1b6e3c", "change": "#8a5a00", "remove": "#b3261e", "keep": "#5f6368"}
_STYLE = "style='text-align:left;white-space:pre-line;vertical-align:top;max-width:46em'"

Shown = Report | Plan | ChangeResult | RunSummary


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a pandas frame, to sort and filter by hand: ``frame(report.tables[0].rows)``."""
    import pandas as pd  # here, since it would be a third of the time that a short run takes

    return pd.DataFrame(list(rows))


def show(value: Shown) -> None:
    """Display a result below the cell."""
    from IPython.display import display

    html, text = _blocks(value)
    display({"text/html": "\n".join(html), "text/plain": "\n".join(text)}, raw=True)


def _blocks(value: Shown) -> tuple[list[str], list[str]]:
    """The parts of a result as HTML and as plain text."""
    html: list[str] = []
    text: list[str] = []
    for part in _parts(value):
        if isinstance(part, str):
            html.append(f"<p>{escape(part)}</p>")
            text.append(part)
        else:
            title, rows = part
            html.append(f"<h4>{escape(title)}</h4>{_html(rows)}")
            text += [title, columns(rows) or "(none)", ""]
    return html, text


def _parts(value: Shown) -> Iterator[str | tuple[str, Sequence[Row]]]:
    """What is shown of a result: sentences, and rows with their title."""
    if isinstance(value, Report):
        yield from ((look.title, look.rows) for look in value.tables)
        yield f"{value.title}: {value.verdict}", value.rows()
        yield from _by_hand(value.commands)
    elif isinstance(value, Plan):
        yield from value.impact
        yield from value.notes
        yield "Steps", [{"step": str(n), "does": step.title} for n, step in enumerate(value.steps, start=1)]
        yield from _by_hand(value.commands)
        yield "Objects", value.rows()
        yield f"Digest of this plan: {value.digest}"
    elif isinstance(value, RunSummary):
        yield f"{value.stage} {value.run_id}: {value.outcome}, exit code {value.exit_code}. {value.summary.rstrip('.')}."
        yield f"Record: {value.folder}"
    elif value.changed:
        yield f"Done in {value.seconds:.1f} s", value.rows()
    else:
        yield "Nothing was to be done, and nothing was done."


def _by_hand(commands: Sequence[str]) -> Iterator[tuple[str, Sequence[Row]]]:
    if commands:
        yield "The same by hand", [{"command": command} for command in commands]


def _html(rows: Sequence[Row]) -> str:
    if not rows:
        return "<p>(none)</p>"
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    head = "".join(f"<th {_STYLE}>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cell(row[name]) for name in names)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    colour = _COLOURS.get(text)
    inner = f"<b style='color:{colour}'>{escape(text)}</b>" if colour else escape(text)
    return f"<td {_STYLE}>{inner}</td>"
