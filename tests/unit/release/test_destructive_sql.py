"""What SQL and shell would destroy, read off their texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.release.sql import in_shell, in_sql

SQL = [
    ("TRUNCATE TABLE a, b.c CASCADE;", [("TRUNCATE … CASCADE", "a", True), ("TRUNCATE … CASCADE", "b.c", True)]),
    ("truncate only x restart identity", [("TRUNCATE", "x", True)]),
    ('truncate "My Table"', [("TRUNCATE", "My Table", True)]),
    ("DROP TABLE IF EXISTS a, b CASCADE", [("DROP TABLE", "a", True), ("DROP TABLE", "b", True)]),
    ("DROP SCHEMA s CASCADE", [("DROP SCHEMA", "s", True)]),
    ("DROP DATABASE d", [("DROP DATABASE", "d", True)]),
    ("DROP OWNED BY bob", [("DROP OWNED BY", "bob", False)]),
    ("DELETE FROM a WHERE x=1", [("DELETE", "a", True)]),
    ("DELETE FROM ONLY a USING b", [("DELETE", "a", True)]),
    ("WITH g AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM g", [("DELETE", "a", True)]),
    ("UPDATE a SET x=1", [("UPDATE of every row", "a", True)]),
    ("MERGE INTO a USING b ON a.i=b.i WHEN MATCHED THEN DELETE", [("MERGE … DELETE", "a", True)]),
    ("ALTER TABLE a DROP COLUMN c, ADD COLUMN d int", [("DROP COLUMN", "a", True)]),
    (
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1) THEN TRUNCATE a CASCADE; END IF; END $$",
        [("TRUNCATE … CASCADE", "a", False)],
    ),
    (
        "DO $x$ BEGIN TRUNCATE TABLE a, b.c\n CASCADE; DELETE FROM d; END $x$",
        [("TRUNCATE … CASCADE", "a", False), ("TRUNCATE … CASCADE", "b.c", False), ("DELETE", "d", False)],
    ),
    ("CREATE FUNCTION f() RETURNS void AS $$ BEGIN DELETE FROM a; END $$ LANGUAGE plpgsql", [("DELETE", "a", False)]),
    ("\\set ON_ERROR_STOP on\nTRUNCATE t;", [("TRUNCATE", "t", True)]),
    ("broken ((( -- TRUNCATE no\nTRUNCATE x", [("TRUNCATE", "x", False)]),
    # What only looks like it.
    ("UPDATE a SET x=1 WHERE y=2", []),
    ("CREATE TABLE x AS SELECT * FROM y; -- truncate z\nSELECT 'DROP TABLE q';", []),
    ("CREATE TABLE IF NOT EXISTS a (id int); INSERT INTO a VALUES (1)", []),
    ("DROP VIEW v; DROP INDEX i; VACUUM FULL; GRANT DELETE ON a TO b", []),
    ("", []),
]
SHELL = [
    ('rm -rf /data/x && psql -U a -c "TRUNCATE t"', [("rm -r", "/data/x"), ("TRUNCATE", "t")]),
    ("psql --command='DELETE FROM q'", [("DELETE", "q")]),
    ("psql -h db <<EOF\nDROP TABLE x;\nEOF\n", [("DROP TABLE", "x")]),
    ("redis-cli -h x FLUSHALL", [("redis", "FLUSHALL")]),
    ("mongosh --eval 'db.dropDatabase()'", [("mongo drop", "db")]),
    ("find /x -name y -delete", [("find -delete", "/x")]),
    ("dropdb --if-exists foo", [("dropdb", "foo")]),
    ("pg_restore --clean -d x dump", [("pg_restore", "--clean")]),
    ("ls -r; rm file; until psql -c 'SELECT 1'; do sleep 1; done", []),
]


@pytest.mark.parametrize(("text", "found"), SQL)
def test_what_sql_destroys(text: str, found: list[tuple[str, str, bool]]) -> None:
    assert [(each.does, each.what, each.certain) for each in in_sql(text)] == found


@pytest.mark.parametrize(("text", "found"), SHELL)
def test_what_a_shell_destroys_and_nobody_is_certain_of(text: str, found: list[tuple[str, str]]) -> None:
    assert [(each.does, each.what) for each in in_shell(text)] == found
    assert not any(each.certain for each in in_shell(text))


@given(st.text())
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    in_sql(text)
    in_shell(text)


@given(
    st.sampled_from(["", "begin;", "select 1;", "-- x\n", "/* y */", "do $$ begin ", "\\set a b\n"]),
    st.text(";( '", max_size=9),
)
def test_a_truncate_is_seen_whatever_stands_before_it(before: str, odd: str) -> None:
    text = f"{before}\n{odd}; TRUNCATE jobs; " if odd.count("'") % 2 == 0 else f"{before}\nTRUNCATE jobs;"
    assert ("TRUNCATE", "jobs") in {(each.does, each.what) for each in in_sql(text)}
