"""Tables and lists of Markdown that show what they were given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.markdown import bullets, table


def test_a_table_has_all_columns_in_the_order_they_are_met() -> None:
    assert table([{"a": "1"}, {"b": "3", "a": "2"}]) == "| a | b |\n| --- | --- |\n| 1 |  |\n| 2 | 3 |\n"


def test_no_rows_are_no_table() -> None:
    assert table([]) == ""


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a|b", r"a\|b"),
        ("one\ntwo", "one<br>two"),
        ("one\r\ntwo\r", "one<br>two"),
        ("<release>", "&lt;release>"),
        ("  x  ", "x"),
    ],
)
def test_a_cell_cannot_break_its_table(text: str, cell: str) -> None:
    assert table([{"a": text}]).splitlines()[2] == f"| {cell} |"


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(), min_size=1), min_size=1))
def test_every_row_is_one_line(rows: list[dict[str, str]]) -> None:
    assert table(rows).count("\n") == len(rows) + 2
    assert len(table(rows).splitlines()) == len(rows) + 2


def test_a_list_keeps_the_lines_of_an_item_together() -> None:
    assert bullets(["one", "two\nlines"]) == "- one\n- two\n  lines\n"
