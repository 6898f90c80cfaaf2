"""The journal: one JSON line an event, appended under a lock and synced before the next thing happens."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbooks_lib import process
from runbooks_lib.records.folder import EVENTS, locked, refused, writing
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json

#: macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


class Journal:
    """An observer that keeps every event; safe to call from several threads and several processes.

    Args:
        role: Who writes: ``kernel``, ``engine``, ``creator``.

    Raises RecordError: An event could not be written, or the record is closed.
    """

    def __init__(self, folder: Path, redactor: Redactor, *, role: str) -> None:
        self.folder = folder
        self._redactor = redactor
        self._writer = f"{role}:{os.getpid()}"
        self._sequence = 0
        self(Event(kind="writer.joined", data={"role": role, **process.introduce()}))

    def __call__(self, event: Event) -> None:
        """Append one event; when this returns it is on the disk."""
        data = self._redactor.redact_data(event.data)
        with locked(self.folder) as handle:
            self._sequence += 1
            append(handle, self.folder, writer=self._writer, sequence=self._sequence, kind=event.kind, data=data)


def append(handle: int, folder: Path, *, writer: str, sequence: int, kind: str, data: Json) -> None:
    """Append an event to the journal and sync it; the caller holds the lock."""
    event = {"at": now(), "seq": sequence, "writer": writer, "kind": kind, "data": data}
    # A lone surrogate (a broken file name, a binary log) must not keep an event from being written.
    line = (json.dumps(event, ensure_ascii=False, default=str) + "\n").encode("utf-8", "backslashreplace")
    with writing(folder / EVENTS):
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            # A writer that was killed has left half a line.
            line = b"\n" + line
        write_through(handle, line)


def write_through(handle: int, content: bytes) -> None:
    """Write all of it, and return when it is on the disk."""
    while content:
        content = content[os.write(handle, content) :]
    _sync(handle)


def read_events(folder: Path) -> list[Json]:
    """Every event of a record in order; a torn line (its writer was killed) is left out.

    Raises RecordError: The journal exists and can't be read.
    """
    path = folder / EVENTS
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refused("journal", path=path, error=error.strerror) from error
    events = []
    for line in lines:
        with suppress(ValueError):
            event: Any = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("kind"), str) and isinstance(event.get("data"), dict):
                events.append(event)
    return events


def now() -> str:
    """The time in UTC to the millisecond, as records spell it: ``2026-11-22T16:15:00.123Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
