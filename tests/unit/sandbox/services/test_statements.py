"""A file of SQL is taken apart where psql would do it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.services.statements import NotSql, statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-- nothing; at all", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';';;SELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; so'; x", ["SELECT 'it''s; so'", "x"]),
        (r"SELECT E'\';'; x", [r"SELECT E'\';'", "x"]),
        (r"SELECT 'C:\'; x", [r"SELECT 'C:\'", "x"]),
        ('SELECT "a;""b"; x', ['SELECT "a;""b"', "x"]),
        ("DO $$ BEGIN a; END $$; x", ["DO $$ BEGIN a; END $$", "x"]),
        ("DO $a$ $$;$$ ; $a$; x", ["DO $a$ $$;$$ ; $a$", "x"]),
        ("DO $$ never closed; x", ["DO $$ never closed; x"]),
        ("a /* ; /* ; */ ; */ b; c", ["a   b", "c"]),
        ("a -- ;'\n b; c", ["a  \n b", "c"]),
        ("SELECT $1; x", ["SELECT $1", "x"]),
        ("BEGIN; COMMIT; SELECT CASE WHEN a THEN b END; x", ["BEGIN", "COMMIT", "SELECT CASE WHEN a THEN b END", "x"]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN b END; SELECT 1; END; x",
            ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN b END; SELECT 1; END", "x"],
        ),
    ],
)
def test_statements_end_where_psql_ends_them(text: str, expected: list[str]) -> None:
    assert list(statements(text, {})) == expected


def test_variables_are_put_in_as_value_literal_and_name() -> None:
    text = """SELECT :n, :'n', :"n", x::n, ':n', :other, a[1:2]"""
    assert list(statements(text, {"n": "it's"})) == ["""SELECT it's, 'it''s', "it's", x::n, ':n', :other, a[1:2]"""]


def test_a_backslash_command_is_told_and_what_stands_before_it_is_not_lost() -> None:
    found = statements("SELECT 1;\n\\copy t from x", {})
    assert next(found) == "SELECT 1"
    with pytest.raises(NotSql, match=r"\\copy is a command of psql itself"):
        next(found)


@pytest.mark.parametrize("text", ["COPY t TO PROGRAM 'id'", "copy t from/**/\nprogram 'id'"])
def test_a_copy_with_a_program_is_told(text: str) -> None:
    with pytest.raises(NotSql, match="would start a command"):
        list(statements(text, {}))


def test_a_copy_of_a_table_called_program_is_none() -> None:
    assert len(list(statements("COPY program TO '/x'; COPY t TO 'to program'", {}))) == 2


@given(st.text(alphabet="ab;'\"$-/*\n :eE", max_size=40))
def test_no_text_is_a_crash_and_nothing_is_invented(text: str) -> None:
    joined = "".join(statements(text, {}))
    assert set(joined) <= set(text) | {" "}
