"""Ctrl-C and SIGTERM unwind a command, but never between two steps that belong together."""

from __future__ import annotations

import os
import signal

import pytest

from runbooks_lib.errors import Interrupted
from sandbox.interruption import interruptible, shielded


@pytest.mark.parametrize(
    ("number", "exit_code", "said"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_becomes_a_sentence_with_its_exit_code(number: int, exit_code: int, said: str) -> None:
    cleaned: list[str] = []

    def work() -> None:
        with interruptible("Try again."):
            try:
                os.kill(os.getpid(), number)
            finally:
                cleaned.append("cleaned")

    with pytest.raises(Interrupted) as stopped:
        work()
    assert cleaned == ["cleaned"]
    assert stopped.value.exit_code == exit_code
    assert stopped.value.summary == f"Stopped by {said}; what had been started was ended."
    assert stopped.value.next_step == "Try again."


def test_a_signal_in_a_shielded_block_comes_at_its_end() -> None:
    done: list[str] = []

    def work() -> None:
        with interruptible("Try again."):
            with shielded():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("both steps")
            done.append("not reached")

    with pytest.raises(Interrupted):
        work()
    assert done == ["both steps"]


def test_the_handlers_of_the_caller_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(""):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
