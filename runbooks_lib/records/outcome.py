"""What a journal proves about how a run ended, when nobody said it in the Seal cell."""

from collections.abc import Sequence
from typing import Any, get_args

from runbooks_lib.errors import Interrupted, Outcome, OutcomeUnknown, RunbookError, words
from runbooks_lib.results import Json

#: Exit codes that promise that nothing was changed; after a change they would be untrue.
NOTHING_CHANGED = frozenset({2, 3, 4, 7, 129, 130, 143})

#: What the last word about a change proves, unless an error after it says something that can be believed.
_PROVED: dict[str, tuple[Outcome, int, str]] = {
    "": ("unknown", 6, "Not every cell of the notebook was run."),
    "change.started": ("unknown", 6, "A change was begun, and it is not known how it ended."),
    "change.failed": ("failed", 5, "The change failed."),
    "change.ended": ("unknown", 6, "The change was made, but not every cell of the notebook was run."),
}
_CHECK_AFTER: tuple[Outcome, int, str] = ("failed", 5, "The change was made, and a check failed after it.")


def describe(error: BaseException) -> Json:
    """An uncaught error as the data of an ``error.raised`` event: its type, and what our errors carry."""
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("The run was interrupted.")
    name = type(error).__name__
    step = "Look at the cell in the record's notebook; `git status notebooks/` says whether it is the project's own."
    told = error if isinstance(error, RunbookError) else RunbookError(words(error), next_step=step)
    if isinstance(error, SystemExit):
        call = f"sys.exit({'' if error.code is None else repr(error.code)})"
        told = OutcomeUnknown(f"A cell ended the notebook with {call} before its Seal cell.", next_step=step)
    return {"type": name, **told.data()}


def outcome_of(events: Sequence[Json]) -> tuple[Outcome, int, str]:
    """The outcome, exit code and summary that the journal proves, or says itself.

    An error that was raised before the last change began says nothing about it, and an error that promises
    that nothing was changed is not believed after a change.
    """
    change, error = "", None
    for event in events:
        kind, data = event["kind"], event["data"]
        if kind == "run.ended":
            return _told(data)
        if kind == "change.refused":
            change, error = "", None
        elif kind in _PROVED:
            change, error = kind, None if kind == "change.started" else error
        elif kind == "error.raised":
            error = data
    if error is None:
        return _PROVED[change]
    told = _told(error)
    if not change:
        return told
    if change != "change.started" and told[1] not in NOTHING_CHANGED:
        return told if change == "change.failed" or "change was made" in told[2] else _after_a_change(told)
    proved = _CHECK_AFTER if (change, told[1]) == ("change.ended", 3) else _PROVED[change]
    return (*proved[:2], f"{proved[2]} {told[2]}")


def _after_a_change(told: tuple[Outcome, int, str]) -> tuple[Outcome, int, str]:
    """How a run ends whose change was made and told, and that ended early in a later cell."""
    return told[0], max(told[1], 5), f"The change was made. {told[2]}"


def _told(data: Json) -> tuple[Outcome, int, str]:
    """What an event says of itself; anything unreadable is unknown, never a success."""
    outcome: Any = data.get("outcome")
    exit_code = data.get("exit_code")
    summary = str(data.get("summary", ""))
    if outcome not in get_args(Outcome) or type(exit_code) is not int:
        return "unknown", 6, summary or "The journal does not say how the run ended."
    return outcome, exit_code, summary
