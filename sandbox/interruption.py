"""Ctrl-C and SIGTERM: both unwind the command, so that what it started is ended on the way out.

A signal's handler that raises can strike anywhere, also between the end of a block and the release of its
lock, or between the start of a program and the note of its pid. So here a signal is only remembered; it
unwinds the stack at the next :func:`checkpoint`, of which every waiting loop has one. What waits long
without one (a compiler) runs inside :func:`at_once`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from runbooks_lib.errors import Interrupted

_HANDLED = (signal.SIGINT, signal.SIGTERM)


class Terminated(Interrupted):
    """Stopped by SIGTERM, as a pipeline or a scheduler does it."""

    exit_code = 143


class _Gate:
    """The signal that came, and whether it may unwind the stack now."""

    depth: ClassVar[int] = 0
    shields: ClassVar[int] = 0
    at_once: ClassVar[bool] = False
    due: ClassVar[bool] = False
    number: ClassVar[int] = 0

    @classmethod
    def arrive(cls, number: int, frame: FrameType | None) -> None:
        del frame
        cls.number, cls.due = number, True
        if cls.at_once:
            cls.unwind()

    @classmethod
    def unwind(cls) -> None:
        cls.due = cls.at_once = False
        raise KeyboardInterrupt


@contextmanager
def interruptible(next_step: str) -> Iterator[None]:
    """Take Ctrl-C and SIGTERM for the length of a block that cleans up after itself.

    Blocks may be nested; the outermost turns the signal into an error. Outside the main thread (a
    notebook's executor) signals can't be taken, and the block runs as it is.

    Raises:
        Interrupted: At the end of the outermost block, if a signal unwound it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _Gate.depth:
        yield
        return
    _Gate.due = _Gate.at_once = False
    before = {number: signal.signal(number, _Gate.arrive) for number in _HANDLED}
    _Gate.depth = 1
    try:
        yield
    except KeyboardInterrupt as error:
        kind = Terminated if _Gate.number == signal.SIGTERM else Interrupted
        how = "SIGTERM" if kind is Terminated else "Ctrl-C"
        raise kind(f"Stopped by {how}; what had been started was ended.", next_step=next_step) from error
    finally:
        _Gate.depth, _Gate.due = 0, False
        for number, handler in before.items():
            signal.signal(number, handler)


def checkpoint() -> None:
    """A place where a signal that came may unwind the stack."""
    if _Gate.due and not _Gate.shields and threading.current_thread() is threading.main_thread():
        _Gate.unwind()


def interrupted() -> bool:
    """Whether a signal came that has not unwound the stack yet; other threads stop waiting then."""
    return _Gate.due


@contextmanager
def at_once() -> Iterator[None]:
    """Let a signal unwind the stack at any moment: for a long wait that holds nothing of ours."""
    checkpoint()
    _Gate.at_once = _Gate.depth > 0 and not _Gate.shields
    try:
        yield
    finally:
        _Gate.at_once = False


@contextmanager
def shielded() -> Iterator[None]:
    """Clean up without being unwound again: a second Ctrl-C waits for the next checkpoint outside."""
    _Gate.shields += 1
    try:
        yield
    finally:
        _Gate.shields -= 1
