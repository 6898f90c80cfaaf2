"""Where a kernel lives: its sockets in a short, private folder, and what it is told by its environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager

from runbooks_lib.errors import UsageError

#: A path of a Unix socket may have 107 bytes (103 on macOS); the longest here is `<folder>/k-ipc-5`.
_LONGEST_FOLDER = 90


@contextmanager
def workplace() -> Iterator[Path]:
    """A short, private folder for the kernel's sockets: a network port could be read by others."""
    places = [place for place in (tempfile.gettempdir(), "/tmp") if len(place) < _LONGEST_FOLDER - 12]  # noqa: S108 - mkdtemp makes it private
    if not places:
        raise UsageError(
            f"The folder for temporary files has too long a path: {tempfile.gettempdir()}.",
            next_step="Set TMPDIR to a shorter one.",
        )
    with tempfile.TemporaryDirectory(prefix="rb-", dir=places[0]) as folder:
        yield Path(folder)


def kernel_manager(kernel_name: str, place: Path) -> AsyncKernelManager:
    """A kernel that listens on sockets in a private folder."""
    return AsyncKernelManager(kernel_name=kernel_name, transport="ipc", connection_file=str(place / "k.json"))


def kernel_environment(**ours: str) -> dict[str, str]:
    """The kernel's environment: this process's own and what we tell it."""
    # Without it a kernel of Python 3.11 and later warns that debugging may miss breakpoints.
    return {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1", **ours}
