"""Ending what was begun: a signal stops the running cell first, then its kernel."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

#: Seconds for a cell to end after it was interrupted: it ends its own helm first, with patience (twice
#: GRACE_SECONDS at most), and saves evidence. Then the kernel is killed; so it is on a second signal.
PATIENCE_SECONDS = 60.0


class Stop:
    """SIGINT, SIGTERM and SIGHUP (a terminal that is gone) while notebooks run: a wish, answered between two steps.

    Nothing is raised from the handler: the cell's own program would outlive an exception here. Outside the
    main thread signals can't be taken, and the caller's handling stays.

    Attributes:
        signal: The first signal that came; 0 while none has.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._send: Callable[[int], None] | None = None
        self._timer: threading.Timer | None = None
        self._before: dict[int, Any] = {}

    @property
    def wanted(self) -> bool:
        """Whether a signal came."""
        return self.signal != 0

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # Ignored (nohup) it stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_raised: object) -> None:
        self.leave_cell()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def enter_cell(self, send: Callable[[int], None]) -> None:
        """A cell has begun, and this sends it signals: also one that came before (an idle kernel ignores it)."""
        self._send = send
        if self.wanted:
            self._interrupt(send)

    def leave_cell(self) -> None:
        """No cell runs any more."""
        self._send = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, number: int, _frame: FrameType | None) -> None:
        again = self.wanted
        self.signal = self.signal or number
        if self._send and again:
            self._send(signal.SIGKILL)
        elif self._send:
            self._interrupt(self._send)

    def _interrupt(self, send: Callable[[int], None]) -> None:
        if self._timer is None:
            self._timer = threading.Timer(PATIENCE_SECONDS, send, [signal.SIGKILL])
            self._timer.daemon = True
            self._timer.start()
            send(signal.SIGINT)


def signal_group(pid: int, number: int) -> None:
    """Signal a kernel, which leads a group of its own; one that has gone is no error."""
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(pid), number)
