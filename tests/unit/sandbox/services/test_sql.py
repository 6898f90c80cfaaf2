"""psql's arguments are understood as psql understands them."""

from __future__ import annotations

import getopt

import pytest

from sandbox.services.sql import login_of, understood


def test_actions_keep_their_order_and_options_may_be_joined() -> None:
    asked = understood(["-Xqtc", "SELECT 1", "--file=/a.sql", "-vON_ERROR_STOP=1", "-c", "SELECT 2"], {})
    assert asked.actions == (("command", "SELECT 1"), ("file", "/a.sql"), ("command", "SELECT 2"))
    assert {"--quiet", "--tuples-only"} <= asked.flags
    assert asked.stops


@pytest.mark.parametrize(("value", "stops"), [("on", True), ("1", True), ("off", False), ("0", False)])
def test_on_error_stop_is_a_switch(value: str, stops: bool) -> None:
    assert understood(["--set", f"ON_ERROR_STOP={value}"], {}).stops is stops


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("pg", 5432, "env", "db")),
        (["-h", "other", "-p", "6000", "-U", "me", "-d", "x"], ("other", 6000, "me", "x")),
        (["x", "me"], ("pg", 5432, "me", "x")),
        (["postgresql://me:pw@other:6000/x?sslmode=require"], ("other", 6000, "me", "x")),
        (["-d", "host=other dbname=x"], ("other", 5432, "env", "x")),
    ],
)
def test_a_connection_comes_from_arguments_before_the_environment(
    words: list[str], expected: tuple[str, int, str, str]
) -> None:
    login = login_of(understood(words, {"PGHOST": "pg", "PGUSER": "env", "PGDATABASE": "db"}).settings)
    assert (login.host, login.port, login.user, login.database) == expected


def test_further_settings_of_a_url_are_kept() -> None:
    login = login_of(understood(["postgresql://me:pw@h/x?sslmode=require"], {}).settings)
    assert (login.password, dict(login.options)) == ("pw", {"sslmode": "require"})


def test_the_database_is_called_as_its_user_when_nothing_else_is_said() -> None:
    assert login_of(understood(["-U", "me"], {}).settings).database == "me"


@pytest.mark.parametrize("words", [["--nonsense"], ["-c"], ["-l"], ["-o", "/file", "-c", "x"], ["-p", "x"]])
def test_what_psql_has_not_or_nothing_here_does_is_an_error(words: list[str]) -> None:
    with pytest.raises(getopt.GetoptError):
        understood(words, {})
