"""Rows of a real PostgreSQL: counted, estimated, taken along by a CASCADE, and the same or not on two sides."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from servers import Postgres, login

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes import rows

#: One worker runs them all: they share their databases.
pytestmark = pytest.mark.xdist_group("probes")

TABLES = (
    "CREATE TABLE job (id int PRIMARY KEY, note text, made timestamptz, data bytea, share float8)",
    "INSERT INTO job SELECT i, 'ß' || i, now(), decode('00ff', 'hex'), i / 3.0 FROM generate_series(1, 5) AS i",
    "CREATE TABLE part (id int PRIMARY KEY, job int REFERENCES job)",
    "CREATE TABLE piece (part int REFERENCES part)",
    "INSERT INTO part VALUES (1, 1), (2, 1)",
    "CREATE SCHEMA other",
    'CREATE TABLE other."Odd name" (id int)',
    "CREATE TABLE by_day (day date) PARTITION BY RANGE (day)",
    "CREATE TABLE by_day_1 PARTITION OF by_day FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "INSERT INTO by_day VALUES ('2026-11-25')",
)


def filled(postgres: Postgres) -> Access:
    name = f"rows_{secrets.token_hex(4)}"
    postgres.do(f"CREATE DATABASE {name}")
    postgres.do(*TABLES, database=name)
    return login("owner", postgres.password, name)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Access]:
    access = filled(postgres)
    yield access
    postgres.do(f"DROP DATABASE {access.database} WITH (FORCE)")


def counted(postgres: Postgres, database: Access, *names: str, cascade: bool = False) -> dict[str, object]:
    found = rows.counts(postgres.address, database, names, cascade=cascade, seconds=10)
    return {f"{each.schema}.{each.name}": (each.rows, each.along) for each in found}


def test_tables_are_counted_by_the_names_of_a_statement(postgres: Postgres, database: Access) -> None:
    found = counted(postgres, database, "job", 'other."Odd name"', "by_day", "nowhere", "a.b.c.d.e", "odd;name")
    assert found == {"public.job": (5, False), "other.Odd name": (0, False), "public.by_day": (1, False)}


def test_a_cascade_takes_along_whatever_refers_to_a_table(postgres: Postgres, database: Access) -> None:
    found = counted(postgres, database, "job", "part", cascade=True)
    assert found == {"public.job": (5, False), "public.part": (2, False), "public.piece": (0, True)}


def test_what_takes_too_long_to_count_is_estimated_where_somebody_has_looked(
    postgres: Postgres, database: Access
) -> None:
    postgres.do(
        "ANALYZE job",
        "CREATE FUNCTION slow() RETURNS bool LANGUAGE sql AS 'SELECT pg_sleep(60) IS NULL'",
        "ALTER TABLE job ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE part ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY wait ON job USING (slow())",
        "CREATE POLICY wait ON part USING (slow())",
        database=database.database,
    )
    name = f"reader_{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(12)
    postgres.do(f"CREATE USER {name} PASSWORD '{password}'")
    postgres.do(f"GRANT SELECT ON job, part TO {name}", database=database.database)
    reader = login(name, password, database.database)
    found = rows.counts(postgres.address, reader, ["job", "part"], cascade=False, seconds=3)
    assert [(each.name, each.rows, each.estimated) for each in found] == [("job", 5, True), ("part", None, True)]
    postgres.do(f"DROP OWNED BY {name}", database=database.database)
    postgres.do(f"DROP USER {name}")


def contents(postgres: Postgres, database: Access) -> dict[str, rows.Contents]:
    with rows.snapshot(postgres.address, database, seconds=10) as moment:
        return {each.name: each for each in moment.contents}


def test_equal_rows_in_another_order_written_by_another_setting_are_equal(postgres: Postgres, database: Access) -> None:
    before = contents(postgres, database)
    assert {name: each.rows for name, each in before.items()} == {
        "other.Odd name": 0,
        "public.by_day_1": 1,
        "public.job": 5,
        "public.part": 2,
        "public.piece": 0,
    }
    postgres.do(
        "CREATE TABLE turned AS SELECT * FROM job ORDER BY id DESC",
        "DELETE FROM part; DELETE FROM job; INSERT INTO job SELECT * FROM turned; DROP TABLE turned",
        "INSERT INTO part VALUES (2, 1), (1, 1)",
        f"ALTER DATABASE {database.database} SET timezone = 'Asia/Shanghai'",
        f"ALTER DATABASE {database.database} SET datestyle = 'German'",
        f"ALTER DATABASE {database.database} SET bytea_output = 'escape'",
        f"ALTER DATABASE {database.database} SET extra_float_digits = -15",
        database=database.database,
    )
    assert contents(postgres, database) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE job SET note = 'other' WHERE id = 3",
        "UPDATE part SET id = id + 10",
        "DELETE FROM part WHERE id = 1",
        "INSERT INTO piece VALUES (1)",
        "DROP TABLE piece",
    ],
)
def test_any_other_row_is_seen(postgres: Postgres, database: Access, statement: str) -> None:
    before = contents(postgres, database)
    postgres.do(statement, database=database.database)
    assert contents(postgres, database) != before


def test_a_row_that_policies_hide_is_an_error_and_not_an_empty_table(postgres: Postgres, database: Access) -> None:
    name, password = f"blind_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    postgres.do(f"CREATE USER {name} PASSWORD '{password}'")
    postgres.do(
        "ALTER TABLE job ENABLE ROW LEVEL SECURITY",
        f"GRANT USAGE ON SCHEMA other TO {name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public, other TO {name}",
        database=database.database,
    )
    blind = login(name, password, database.database)
    with pytest.raises(CheckFailed, match="hides rows"), rows.snapshot(postgres.address, blind, seconds=10):
        pass
    postgres.do(f"DROP OWNED BY {name}", database=database.database)
    postgres.do(f"DROP USER {name}")
