"""Every way to fail has one exit code, a sentence, and says what to do next."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from runbooks_lib import errors
from runbooks_lib.errors import RunbookError

#: Design: 0 done · 2 usage · 3 check · 4 approval · 5 change · 6 unknown · 7 target · 8 record · 1 else · 130.
CODES = [
    (errors.RunbookError, 1, "failed"),
    (errors.UsageError, 2, "failed"),
    (errors.ParametersError, 2, "failed"),
    (errors.CheckFailed, 3, "failed"),
    (errors.ApprovalError, 4, "refused"),
    (errors.ChangeFailed, 5, "failed"),
    (errors.OutcomeUnknown, 6, "unknown"),
    (errors.Unreachable, 6, "unknown"),
    (errors.TargetRefused, 7, "refused"),
    (errors.RecordError, 8, "failed"),
    (errors.RecordClosed, 8, "failed"),
    (errors.Interrupted, 130, "failed"),
]


def test_the_table_names_every_error_there_is() -> None:
    made = {item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, RunbookError)}
    assert made == {error for error, _, _ in CODES}


@pytest.mark.parametrize(("error", "code", "outcome"), CODES)
def test_an_error_has_the_exit_code_and_the_outcome_of_its_kind(
    error: type[RunbookError], code: int, outcome: str
) -> None:
    assert (error.exit_code, error.outcome) == (code, outcome)


@pytest.mark.parametrize("error", [error for error, _, _ in CODES])
def test_each_can_be_caught_as_the_root(error: type[RunbookError]) -> None:
    with pytest.raises(RunbookError, match="It broke"):
        raise error("It broke.")


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({}, ["It broke."]),
        ({"next_step": "Mend it."}, ["It broke.", "Next: Mend it."]),
        ({"evidence": "evidence/"}, ["It broke.", "Evidence: evidence/"]),
        ({"next_step": "Mend it.", "evidence": "evidence/"}, ["It broke.", "Next: Mend it.", "Evidence: evidence/"]),
    ],
)
def test_the_sentence_has_one_thought_a_line(given: dict[str, str], lines: list[str]) -> None:
    error = RunbookError("It broke.", **given)
    assert error.lines() == lines
    assert str(error) == "\n".join(lines)


@pytest.mark.parametrize(("error", "code", "outcome"), CODES)
def test_a_notebook_shows_the_sentence_and_its_last_line_names_the_exit_code(
    error: type[RunbookError], code: int, outcome: str
) -> None:
    shown = error("It broke.", next_step="Mend it.")._render_traceback_()
    assert shown[:2] == ["It broke.", "Next: Mend it."]
    assert shown[-1] == f"{error.__name__}: exit code {code}"
    assert not any("Traceback" in line for line in shown)


def test_ipython_uses_the_sentence_instead_of_a_stack_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    shell = InteractiveShell(config=settings, ipython_dir=str(tmp_path))
    shell.run_cell("from runbooks_lib.errors import CheckFailed\nraise CheckFailed('No.', next_step='Look.')")
    said = capsys.readouterr().out.strip().splitlines()
    assert said == ["No.", "Next: Look.", "CheckFailed: exit code 3"]
