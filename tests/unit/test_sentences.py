"""Errors whose sentences are data."""

from __future__ import annotations

import string

import pytest

from runbooks_lib import errors
from runbooks_lib.cluster import failures
from runbooks_lib.errors import RunbookError, error_of, sentences
from runbooks_lib.tables import table

ROOMS = ("runbooks_lib", "runbooks_lib.release", "runbooks_lib.helm", "runbooks_lib.records")
ROWS = [(room, case, row) for room in ROOMS for case, row in table(room, "refusals.yaml").items()]
ROWS += [
    ("runbooks_lib.cluster", case, row) for case, row in table("runbooks_lib.cluster", "failures.yaml")["cases"].items()
]


@pytest.mark.parametrize(("room", "case", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_case_is_an_error_with_a_sentence_and_a_next_step(room: str, case: str, row: dict[str, str]) -> None:
    assert issubclass({**vars(errors), **vars(failures)}[row["error"]], RunbookError)
    assert row["summary"][0] in string.ascii_uppercase + "{`"
    assert row["summary"].endswith(".")
    assert row["next_step"]
    assert set(row) == {"error", "summary", "next_step"}, f"{room}: {case}"


def test_the_sentences_are_filled_in_with_words_that_may_hold_braces() -> None:
    row = {"error": "CheckFailed", "summary": "It says {said}.", "next_step": "Ask {who}."}
    error = error_of(row, vars(errors), said="{x}", who="Jo")
    assert type(error) is errors.CheckFailed
    assert (error.summary, error.next_step) == ("It says {x}.", "Ask Jo.")


def test_a_table_of_a_package_gives_the_errors_of_its_cases() -> None:
    refused = sentences("runbooks_lib.helm", "refusals.yaml")
    assert refused("no chart", path="/x").summary == "There is no chart at /x."
