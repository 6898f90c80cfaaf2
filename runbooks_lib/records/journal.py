"""The journal: one JSON line an event, appended under a lock and synced before the next thing happens."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbooks_lib import process
from runbooks_lib.records.folder import EVENTS, open_events, refuse_closed, writing
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json

#: macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


class Journal:
    """An observer that keeps every event; safe to call from several threads and several processes.

    Args:
        folder: The record, still open.
        redactor: Takes the secrets out of each event before it is written.
        role: Who writes: ``kernel``, ``engine``, ``creator``, ``closer``.

    Raises:
        RecordError: An event could not be written, or the record is closed.
    """

    def __init__(self, folder: Path, redactor: Redactor, *, role: str) -> None:
        self.folder = folder
        self._redactor = redactor
        self._writer = f"{role}:{os.getpid()}"
        self._sequence = 0
        self._lock = threading.Lock()
        with writing(folder / EVENTS):
            self._handle: int | None = open_events(folder)
        try:
            self(Event(kind="writer.joined", data=identity(role)))
        except BaseException:
            self.close()
            raise

    def __call__(self, event: Event) -> None:
        """Append one event; when this returns it is on the disk."""
        data = self._redactor.redact_data(event.data)
        with self._lock:
            if self._handle is None:
                refuse_closed(self.folder)
                with writing(self.folder / EVENTS):
                    self._handle = open_events(self.folder)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            try:
                refuse_closed(self.folder)
                self._sequence += 1
                append(self._handle, self.folder, line_of(self._writer, self._sequence, event.kind, data))
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; a later event opens it again."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None


def identity(role: str) -> Json:
    """What tells this process from every other, also after it is gone."""
    myself = process.identify()
    return {"role": role, "pid": myself.pid, "start_time": myself.start_time, "host": platform.node()}


def line_of(writer: str, sequence: int, kind: str, data: Json) -> bytes:
    """One event as a line of JSON, with the time and the writer."""
    event = {"at": now(), "seq": sequence, "writer": writer, "kind": kind, "data": data}
    # A lone surrogate (a broken file name, a binary log) must not keep an event from being written.
    return (json.dumps(event, ensure_ascii=False, default=str) + "\n").encode("utf-8", "backslashreplace")


def append(handle: int, folder: Path, line: bytes) -> None:
    """Append a line to the journal and sync it. The caller holds the lock.

    A writer that was killed may have left half a line: the next line starts on a line of its own.
    """
    with writing(folder / EVENTS):
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        while line:
            line = line[os.write(handle, line) :]
        _sync(handle)


def read_events(folder: Path) -> list[Json]:
    """Every event of a record in order; a torn line (its writer was killed) is left out.

    Raises:
        RecordError: The journal exists and can't be read.
    """
    path = folder / EVENTS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        from runbooks_lib.errors import RecordError

        raise RecordError(
            f"The journal {path} can't be read: {error.strerror}.",
            next_step="Look at the file's owner and mode.",
            evidence=str(path),
        ) from error
    return [event for line in content.split(b"\n") if (event := _parse(line)) is not None]


def _parse(line: bytes) -> Json | None:
    try:
        event: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
        return None
    if not isinstance(event.get("data"), dict):
        return None
    return event


def now() -> str:
    """The time in UTC to the millisecond, as records spell it: ``2026-11-22T16:15:00.123Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
