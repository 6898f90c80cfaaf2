"""What a journal proves about how a run ended, when nobody said it in the Seal cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from runbooks_lib.errors import Interrupted, Outcome, RunbookError
from runbooks_lib.results import Json

#: Exit codes that promise that nothing was changed; after a change they would be untrue.
NOTHING_CHANGED = frozenset({2, 3, 4, 7, 130, 143})

#: What is known of the change that was begun last.
NONE, OPEN, ENDED, FAILED = "none", "open", "ended", "failed"

_CHANGE = {"change.started": OPEN, "change.ended": ENDED, "change.failed": FAILED}

#: Without an error there is no exit code.
NO_ERROR = None

_ANY = frozenset({NO_ERROR, *range(256)})
_NOT_BELIEVED = NOTHING_CHANGED | {NO_ERROR}

#: The state of the change, the exit codes of the last error after it began, and what that proves. Where no
#: row fits, the error is taken at its word.
_ROWS: tuple[tuple[str, frozenset[int | None], Outcome, int, str], ...] = (
    (NONE, frozenset({NO_ERROR}), "unknown", 6, "The notebook ended before its Seal cell."),
    (OPEN, _ANY, "unknown", 6, "A change was begun, and it is not known how it ended."),
    (FAILED, _NOT_BELIEVED, "failed", 5, "The change failed."),
    (ENDED, frozenset({3}), "failed", 5, "The change was made, and a check failed after it."),
    (ENDED, _NOT_BELIEVED, "unknown", 6, "The change was made, but the run did not reach its Seal cell."),
)


def describe(error: BaseException) -> Json:
    """An uncaught error as the data of an ``error.raised`` event.

    Returns:
        ``type``, ``exit_code``, ``outcome``, ``summary`` and ``next_step``.
    """
    if isinstance(error, RunbookError):
        return _data(
            type(error).__name__, error.exit_code, error.outcome, error.summary, next_step=error.next_step
        )
    if isinstance(error, KeyboardInterrupt):
        return _data("Interrupted", Interrupted.exit_code, Interrupted.outcome, "The run was interrupted.")
    if isinstance(error, SystemExit):
        call = f"sys.exit({'' if error.code is None else repr(error.code)})"
        return _data(
            "SystemExit", 6, "unknown", f"A cell ended the notebook with {call} before its Seal cell."
        )
    return _data(type(error).__name__, 1, "failed", f"{type(error).__name__}: {error}")


def outcome_of(events: Sequence[Json]) -> tuple[Outcome, int, str]:
    """The outcome, exit code and summary that the journal proves: what it says itself, else the table.

    An error that was raised before the last change began says nothing about it, and an error that promises
    that nothing was changed is not believed after a change.
    """
    change, error = NONE, None
    for event in events:
        kind, data = event["kind"], event["data"]
        if kind == "run.ended":
            return _told(data)
        if kind == "change.started":
            error = None
        change = _CHANGE.get(kind, change)
        if kind == "error.raised":
            error = data
    outcome, exit_code, summary = _told(error or {})
    raised = NO_ERROR if error is None else exit_code
    for state, codes, proved, code, sentence in _ROWS:
        if state == change and raised in codes:
            return proved, code, sentence if error is None else f"{sentence} {summary}"
    return outcome, exit_code, summary


def _told(data: Json) -> tuple[Outcome, int, str]:
    """What an event says of itself; anything unreadable is unknown, never a success."""
    outcome: Any = data.get("outcome")
    exit_code = data.get("exit_code")
    summary = str(data.get("summary", ""))
    if outcome not in get_args(Outcome) or not isinstance(exit_code, int) or isinstance(exit_code, bool):
        return "unknown", 6, summary or "The journal does not say how the run ended."
    return outcome, exit_code, summary


def _data(kind: str, exit_code: int, outcome: Outcome, summary: str, *, next_step: str = "") -> Json:
    return {
        "type": kind,
        "exit_code": exit_code,
        "outcome": outcome,
        "summary": summary,
        "next_step": next_step,
    }
