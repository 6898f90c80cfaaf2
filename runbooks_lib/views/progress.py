"""What a change is doing, line by line, below the cell that does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runbooks_lib.results import Event, telling
from runbooks_lib.run import Run


@contextmanager
def told(run: Run) -> Iterator[None]:
    """Print the steps of a change and each workload's progress while the block runs."""

    def tell(event: Event) -> None:
        if event.kind in {"change.step", "change.progress"}:
            print(telling(event), flush=True)

    with run.listening(tell):
        yield
