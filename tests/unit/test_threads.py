"""What several threads ask for at the same time is worked out once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbooks_lib.threads import once


class Subject:
    def __init__(self) -> None:
        self.asked = 0
        self.broken = 0

    @once
    def slow(self) -> int:
        """Slow."""
        self.asked += 1
        time.sleep(0.05)
        return self.asked

    @once
    def both(self) -> int:
        return self.slow + 1

    @once
    def fails(self) -> int:
        self.broken += 1
        raise LookupError(self.broken)


def test_eight_threads_ask_once_and_get_the_same() -> None:
    subject, start = Subject(), threading.Barrier(8)

    def ask(_: int) -> int:
        start.wait()
        return subject.both + subject.slow

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {3}
    assert subject.asked == 1


def test_each_object_has_its_own() -> None:
    first, second = Subject(), Subject()
    assert (first.slow, second.slow, first.asked, second.asked) == (1, 1, 1, 1)
    assert Subject.slow.__doc__ == "Slow."


def test_an_error_is_not_kept() -> None:
    subject = Subject()
    for number in (1, 2):
        with pytest.raises(LookupError, match=str(number)):
            assert subject.fails
