"""One command at a time: advisory locks that the operating system lets go when their holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.interruption import checkpoint

Say = Callable[[str], None]

#: Seconds between two lines that tell a person who waits that we still wait.
REMINDER_SECONDS = 20.0
_POLL_SECONDS = 0.1


@contextmanager
def locked(path: Path, *, waiting_for: str, say: Say) -> Iterator[None]:
    """Hold a lock file for the length of a block, and remove it afterwards.

    Args:
        path: The lock file; its folder is made.
        waiting_for: What the other holder does, as the end of "Waiting for …".
        say: Gets a line when we have to wait, and one every :data:`REMINDER_SECONDS`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(path, waiting_for, say)
    try:
        yield
    finally:
        # Removed while it is held: whoever waits on the old file notices in _is_current.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, waiting_for: str, say: Say) -> int:
    started = time.monotonic()
    told = -REMINDER_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            waited = time.monotonic() - started
            if waited - told >= REMINDER_SECONDS:
                told = waited
                say(f"Waiting for {waiting_for} ({waited:.0f} s).")
            checkpoint()
            time.sleep(_POLL_SECONDS)
            continue
        if _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at this path: its last holder may have removed it."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
