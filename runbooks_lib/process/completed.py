"""What running a program looks like from outside: its arguments, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Completed:
    """How a program ended.

    Attributes:
        returncode: As the operating system gives it; negative for a signal.
        seconds: Wall time.
        timed_out: It was ended by us because its time was up.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.returncode == 0 and not self.timed_out


class Runner(Protocol):
    """What boundaries call to run a program; tests hand in a fake of this."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: OnLine | None = None,
    ) -> Completed:
        """See :func:`runbooks_lib.process.run`."""
        ...
