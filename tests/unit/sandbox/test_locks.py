"""Two commands, one lock."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandbox.locks import locked


def test_a_second_holder_waits_and_says_for_what(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "it.lock"
    said: list[str] = []
    told = threading.Event()
    order: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        told.set()

    def second() -> None:
        with locked(lock, waiting_for="the first one", say=say):
            order.append("second")

    with locked(lock, waiting_for="nobody", say=said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert said == ["Waiting for the first one (0 s)."]


def test_a_lock_that_nobody_holds_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "it.lock", waiting_for="nobody", say=pytest.fail):
        assert (tmp_path / "it.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_lets_the_lock_go(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            pytest.raises(ValueError, match="inside"),
            locked(tmp_path / "it.lock", waiting_for="nobody", say=pytest.fail),
        ):
            raise ValueError("inside")


def test_a_file_left_by_a_killed_holder_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "it.lock").touch()
    with locked(tmp_path / "it.lock", waiting_for="nobody", say=pytest.fail):
        pass
