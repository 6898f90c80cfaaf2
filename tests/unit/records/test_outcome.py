"""What a journal proves: one row of the table a test."""

import signal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib import records
from runbooks_lib.errors import (
    ApprovalError,
    ChangeFailed,
    CheckFailed,
    Interrupted,
    Outcome,
    RecordError,
    RunbookError,
    TargetRefused,
    Unreachable,
    UsageError,
)
from runbooks_lib.records.outcome import outcome_of


def events(*steps: Any) -> list[Any]:
    """A journal in short: kinds as text, errors as the exceptions that were raised."""
    return [
        {"kind": step, "data": {}}
        if isinstance(step, str)
        else {"kind": "error.raised", "data": records.describe(step)}
        if isinstance(step, BaseException)
        else {"kind": "run.ended", "data": step}
        for step in steps
    ]


BEGAN, ENDED, FAILED = "change.started", "change.ended", "change.failed"
SEALED = {"outcome": "passed", "exit_code": 0, "summary": "ok"}


@pytest.mark.parametrize(
    ("steps", "outcome", "exit_code", "summary"),
    [
        ([], "unknown", 6, "Not every cell of the notebook was run."),
        (["cell.started", "report.made"], "unknown", 6, "Not every cell of the notebook was run."),
        ([SEALED], "passed", 0, "ok"),
        ([UsageError("late"), SEALED], "passed", 0, "ok"),
        ([{"outcome": "odd", "exit_code": 0}], "unknown", 6, "The journal does not say how the run ended."),
        ([{"outcome": "passed"}], "unknown", 6, "The journal does not say how the run ended."),
        ([{"outcome": "passed", "exit_code": True}], "unknown", 6, "The journal does not say"),
        ([CheckFailed("Too old.")], "failed", 3, "Too old."),
        ([ApprovalError("Not yet.")], "refused", 4, "Not yet."),
        ([Unreachable("No answer.")], "unknown", 6, "No answer."),
        ([ValueError("odd")], "failed", 1, "ValueError: odd"),
        ([KeyboardInterrupt()], "failed", 130, "The run was interrupted."),
        ([SystemExit(0)], "unknown", 6, "sys.exit(0) before its Seal cell."),
        ([SystemExit()], "unknown", 6, "sys.exit() before its Seal cell."),
        ([CheckFailed("first"), ApprovalError("last")], "refused", 4, "last"),
        ([BEGAN], "unknown", 6, "A change was begun, and it is not known how it ended."),
        ([BEGAN, KeyboardInterrupt()], "unknown", 6, "not known how it ended. The run was interrupted."),
        ([BEGAN, RunbookError("died")], "unknown", 6, "not known how it ended. died"),
        ([BEGAN, FAILED], "failed", 5, "The change failed."),
        ([BEGAN, FAILED, ChangeFailed("Pods crash.")], "failed", 5, "Pods crash."),
        ([BEGAN, FAILED, KeyboardInterrupt()], "failed", 5, "The change failed. The run was interrupted."),
        ([BEGAN, FAILED, Unreachable("gone")], "unknown", 6, "gone"),
        ([BEGAN, ENDED], "unknown", 6, "The change was made, but not every cell of the notebook was run."),
        ([BEGAN, ENDED, CheckFailed("Not ready.")], "failed", 5, "a check failed after it. Not ready."),
        ([BEGAN, ENDED, ChangeFailed("Not ready.")], "failed", 5, "Not ready."),
        ([BEGAN, ENDED, Interrupted("Stopped.")], "unknown", 6, "not every cell of the notebook was run. Stopped."),
        ([BEGAN, ENDED, ApprovalError("Again?")], "unknown", 6, "not every cell of the notebook was run. Again?"),
        ([BEGAN, ENDED, ValueError("odd")], "failed", 5, "The change was made. ValueError: odd"),
        (
            [BEGAN, ENDED, SystemExit(0)],
            "unknown",
            6,
            "The change was made. A cell ended the notebook with sys.exit(0)",
        ),
        ([BEGAN, ENDED, RecordError("No space.")], "failed", 8, "The change was made. No space."),
        ([ApprovalError("Not yet."), BEGAN, ENDED], "unknown", 6, "The change was made, but"),
        ([BEGAN, "change.refused", TargetRefused("Busy.")], "refused", 7, "Busy."),
        ([BEGAN, "change.refused"], "unknown", 6, "Not every cell of the notebook was run."),
        ([BEGAN, FAILED, ChangeFailed("x"), BEGAN], "unknown", 6, "A change was begun"),
        ([BEGAN, FAILED, ChangeFailed("x"), BEGAN, ENDED], "unknown", 6, "The change was made, but"),
    ],
)
def test_the_journal_proves_how_a_run_ended(steps: list[Any], outcome: str, exit_code: int, summary: str) -> None:
    found = outcome_of(events(*steps))

    assert found[:2] == (outcome, exit_code)
    assert summary in found[2]


STEPS = st.sampled_from(
    [
        BEGAN,
        ENDED,
        FAILED,
        "cell.started",
        CheckFailed("a"),
        ApprovalError("b"),
        ChangeFailed("c"),
        Unreachable("d"),
        KeyboardInterrupt(),
        ValueError("e"),
    ]
)


@given(st.lists(STEPS, max_size=10))
def test_no_journal_without_an_end_proves_a_success_or_hides_a_change(steps: list[Any]) -> None:
    outcome, exit_code, summary = outcome_of(events(*steps))

    assert outcome in get_args(Outcome)
    assert outcome not in {"passed", "done"}
    assert exit_code != 0
    assert summary
    if BEGAN in steps:
        assert exit_code not in {2, 3, 4, 7, 130, 143}, "these promise that nothing was changed"


def test_an_error_is_described_with_its_next_step() -> None:
    assert records.describe(CheckFailed("Too old.", next_step="Upgrade it.")) == {
        "type": "CheckFailed",
        "exit_code": 3,
        "outcome": "failed",
        "summary": "Too old.",
        "next_step": "Upgrade it.",
        "evidence": "",
    }


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_code_that_promises_that_nothing_was_changed_is_not_believed_after_a_change(number: int) -> None:
    """Whichever signal it was."""
    told = records.describe(Interrupted("Stopped.")) | {"exit_code": 128 + number}
    for change in ([BEGAN], [BEGAN, ENDED]):
        outcome, exit_code, _ = outcome_of([*events(*change), {"kind": "error.raised", "data": told}])
        assert (outcome, exit_code) == ("unknown", 6)
