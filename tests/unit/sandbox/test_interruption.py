"""Ctrl-C and SIGTERM unwind a command, but never between two steps that belong together."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from runbooks_lib.errors import Interrupted
from sandbox.interruption import at_once, checkpoint, interruptible, shielded


def stopped(work: Callable[[], object], *, next_step: str = "Try again.") -> Interrupted:
    """How a block ends that does this and is signalled on its way."""

    def block() -> None:
        with interruptible(next_step):
            work()

    with pytest.raises(Interrupted) as raised:
        block()
    return raised.value


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "exit_code", "said"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_becomes_a_sentence_with_its_exit_code(number: int, exit_code: int, said: str) -> None:
    error = stopped(lambda: (interrupt(number), checkpoint()))
    assert error.exit_code == exit_code
    assert error.summary == f"Stopped by {said}; what had been started was ended."
    assert error.next_step == "Try again."


def test_it_unwinds_at_the_next_checkpoint_and_not_before() -> None:
    done: list[str] = []

    def work() -> None:
        interrupt()
        done.append("started")
        done.append("written down")
        checkpoint()
        done.append("not reached")

    stopped(work)
    assert done == ["started", "written down"]


def test_it_unwinds_a_long_wait_at_once() -> None:
    def work() -> None:
        with at_once():
            threading.Timer(0.05, interrupt).start()
            threading.Event().wait(30)
        pytest.fail("the wait went on to its end")

    stopped(work)


def test_a_signal_that_came_before_a_long_wait_keeps_it_from_beginning() -> None:
    def work() -> None:
        interrupt()
        with at_once():
            pytest.fail("the wait began")

    stopped(work)


def test_cleaning_up_is_not_unwound_by_a_second_signal() -> None:
    cleaned: list[str] = []

    def work() -> None:
        interrupt()
        try:
            checkpoint()
        finally:
            with shielded():
                interrupt()
                checkpoint()
                cleaned.append("all")

    stopped(work)
    assert cleaned == ["all"]


def test_an_inner_block_leaves_the_sentence_to_the_outer_one() -> None:
    def work() -> None:
        with interruptible("The inner step."):
            interrupt()
            checkpoint()

    assert stopped(work, next_step="The outer step.").next_step == "The outer step."


def test_a_signal_after_the_last_checkpoint_comes_too_late_to_undo_anything() -> None:
    with interruptible(""):
        interrupt()
    checkpoint()


def test_the_handlers_of_the_caller_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(""):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
