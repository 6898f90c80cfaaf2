"""Ctrl-C and SIGTERM: both unwind the command, so that what it started is ended on the way out."""

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
    """Whether a signal may unwind the stack now, and the one that came while it might not."""

    shielded: ClassVar[int] = 0
    pending: ClassVar[int] = 0

    @classmethod
    def arrive(cls, number: int, frame: FrameType | None) -> None:
        del frame
        cls.pending = number
        if not cls.shielded:
            raise KeyboardInterrupt


@contextmanager
def interruptible(next_step: str) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into :class:`Interrupted` at the end of a block that cleans up after itself.

    Inside the block both arrive as ``KeyboardInterrupt``: an error of ours could be caught by mistake on
    its way out. Outside the main thread (a notebook's executor) signals can't be handled and the block
    runs as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _Gate.arrive) for number in _HANDLED}
    _Gate.pending = 0
    try:
        yield
    except KeyboardInterrupt as error:
        kind = Terminated if _Gate.pending == signal.SIGTERM else Interrupted
        how = "SIGTERM" if kind is Terminated else "Ctrl-C"
        raise kind(f"Stopped by {how}; what had been started was ended.", next_step=next_step) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Let no signal in between two steps that belong together, such as starting and writing down the pid.

    It is a matter of milliseconds; the signal is delivered at the end of the block. The signal mask would
    not do: a child inherits it, and could then not be ended by SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Gate.shielded += 1
    before = _Gate.pending
    try:
        yield
    finally:
        _Gate.shielded -= 1
    if _Gate.pending != before and not _Gate.shielded:
        raise KeyboardInterrupt
