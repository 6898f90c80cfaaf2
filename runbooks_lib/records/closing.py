"""Closing a record: searched for secrets, its end event written, its files digested and made read-only."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

from runbooks_lib.errors import Outcome
from runbooks_lib.process import Started
from runbooks_lib.records import notebook as notebooks
from runbooks_lib.records.folder import (
    EVENTS,
    INPUT,
    MANIFEST,
    NOTEBOOK,
    PART,
    is_closed,
    locked,
    replace,
    run_id,
    stage_of,
    writing,
)
from runbooks_lib.records.journal import append, line_of, now, read_events
from runbooks_lib.records.outcome import outcome_of
from runbooks_lib.records.shelf import files_of, folders, started_at, summary_of
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Json, RunSummary, digest_bytes

#: Registers the secrets of a record that somebody else wrote; False when one of them can't be resolved.
Resolve = Callable[[Path, Redactor], bool]

_REMOVED = (
    "This file held a secret that could not be taken out of it, and was removed when the record was closed.\n"
)


def close(
    folder: Path,
    redactor: Redactor,
    *,
    outcome: Outcome,
    exit_code: int,
    summary: str,
    closer: str,
    notebook: bytes | None = None,
) -> RunSummary:
    """Close a record; idempotent: the second closer gets what the first one wrote.

    Every file is searched for the values that the redactor knows. One that is found is replaced, and the
    outcome becomes ``quarantined``: it was on the disk, and somebody has to look at it.

    Args:
        closer: Who closes it: ``seal cell``, ``kernel``, ``engine``, ``sweep``.
        notebook: The executed notebook, redacted; left out, it is made of ``input.ipynb`` and the journal.

    Raises:
        RecordError: The record can't be written; it stays open, and the next command closes it.
    """
    with locked(folder) as handle:
        if is_closed(folder):
            return summary_of(folder)
        _write_notebook(folder, redactor, notebook)
        with writing(folder):
            found = _search(folder, redactor)
        ended = next((event["data"] for event in read_events(folder) if event["kind"] == "run.ended"), None)
        if ended is None:
            ended = redactor.redact_data(
                {"outcome": outcome, "exit_code": exit_code, "summary": summary, "closer": closer}
            )
        if found:
            ended = {**ended, "outcome": "quarantined", "exit_code": 8, "summary": _quarantine(found)}
        line = line_of(f"closer:{os.getpid()}", 1, "run.ended", ended)
        append(handle, folder, line)
        _write_manifest(folder, ended)
    return summary_of(folder)


def notebook_of(folder: Path, redactor: Redactor) -> bytes | None:
    """The executed notebook as the journal knows it, redacted; None when nothing was executed."""
    executions = notebooks.executions_of(read_events(folder))
    source = folder / INPUT
    if not source.exists() and not executions:
        return None
    template = notebooks.read(source.read_bytes()) if source.exists() else None
    return notebooks.dump(redactor.redact_data(notebooks.executed(template, executions)))


def sweep(records_root: Path, redactor: Redactor, *, resolve: Resolve | None = None) -> list[RunSummary]:
    """Close the records whose every writer is proved gone; a running one is left alone.

    A conclusive error in the journal stays the outcome; otherwise it is ``abandoned``.

    Args:
        resolve: Registers a record's secrets again, so that it can be searched for them; where it can't,
            the record is quarantined.
    """
    closed = []
    for folder in folders(records_root):
        if not is_closed(folder) and _writers_gone(folder):
            # One redactor a record: what is secret in one may be a plain word in another.
            knows = redactor if resolve is None else Redactor()
            searchable = resolve is None or resolve(folder, knows)
            closed.append(close_as_proved(folder, knows, closer="sweep", searchable=searchable))
    return closed


def close_as_proved(
    folder: Path, redactor: Redactor, *, closer: str, searchable: bool, notebook: bytes | None = None
) -> RunSummary:
    """Close a record that its run did not: the outcome is what the journal proves.

    Args:
        searchable: The redactor knows every secret that the run could have used; otherwise the record is
            quarantined, since nobody can tell whether it holds one.

    Raises:
        RecordError: The record can't be written.
    """
    events = read_events(folder)
    outcome, exit_code, summary = outcome_of(events)
    if closer == "sweep" and not any(event["kind"] in {"error.raised", "run.ended"} for event in events):
        outcome, summary = "abandoned", f"The run was killed. {summary}"
    if not searchable:
        outcome, exit_code = "quarantined", 8
        summary = (
            f"The record was quarantined: its secrets can't be looked up to search it for them. {summary}"
        )
    return close(
        folder,
        redactor,
        outcome=outcome,
        exit_code=exit_code,
        summary=summary,
        closer=closer,
        notebook=notebook,
    )


def _writers_gone(folder: Path) -> bool:
    """Whether each process that ever wrote to the record ran on this machine and has ended."""
    writers = [event["data"] for event in read_events(folder) if event["kind"] == "writer.joined"]
    return bool(writers) and all(_gone(writer) for writer in writers)


def _gone(writer: Json) -> bool:
    try:
        started = Started(int(writer["pid"]), float(writer["start_time"]))
    except (KeyError, TypeError, ValueError):
        return False
    return writer.get("host") == platform.node() and not started.alive


def _write_notebook(folder: Path, redactor: Redactor, notebook: bytes | None) -> None:
    path = folder / NOTEBOOK
    if path.exists():
        return
    content = notebook if notebook is not None else notebook_of(folder, redactor)
    if content is not None:
        replace(path, content)


def _search(folder: Path, redactor: Redactor) -> dict[str, tuple[str, ...]]:
    """Look for secrets in every file, and take them out; the names of those found, by file."""
    found: dict[str, tuple[str, ...]] = {}
    for path in files_of(folder):
        if path.name.endswith(PART):
            # What a killed writer left; the file it was to become is there in full or not at all.
            path.unlink()
            continue
        if path.is_symlink():
            # Its content is elsewhere and may change; what was meant can't be kept.
            found[str(path.relative_to(folder))] = ("a link",)
            path.unlink()
            continue
        content = path.read_bytes()
        hits = redactor.hits(content.decode("utf-8", "replace"))
        if hits:
            found[str(path.relative_to(folder))] = hits
            _replace_secret(path, content, redactor)
    return found


def _replace_secret(path: Path, content: bytes, redactor: Redactor) -> None:
    """Put the redacted text in place of a file's content, or a sentence where that is not enough."""
    try:
        redacted = redactor.redact(content.decode("utf-8"))
    except UnicodeDecodeError:
        redacted = _REMOVED
    if redactor.hits(redacted) or (path.name == EVENTS and not _still_json(redacted)):
        redacted = _REMOVED
    # In place, since the journal is open and locked.
    with path.open("r+b") as file:
        file.write(redacted.encode())
        file.truncate()
        os.fsync(file.fileno())


def _still_json(text: str) -> bool:
    try:
        return all(isinstance(json.loads(line), dict) for line in text.splitlines() if line)
    except ValueError:
        return False


def _quarantine(found: dict[str, tuple[str, ...]]) -> str:
    where = "; ".join(f"{', '.join(names)} in {file}" for file, names in sorted(found.items()))
    return f"The record was quarantined, since it held what it must not: {where}. It was taken out."


def _write_manifest(folder: Path, ended: Json) -> None:
    """Digest every file and write the manifest: with it the record is closed."""
    files: Json = {}
    with writing(folder):
        for path in files_of(folder):
            content = path.read_bytes()
            files[str(path.relative_to(folder))] = {"sha256": digest_bytes(content), "size": len(content)}
    manifest = {
        "run_id": run_id(folder),
        "stage": stage_of(folder),
        "target": folder.parent.name,
        "outcome": ended["outcome"],
        "exit_code": ended["exit_code"],
        "summary": ended["summary"],
        "started": started_at(folder, read_events(folder)),
        "ended": now(),
        "files": files,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    replace(folder / MANIFEST, text.encode("utf-8", "backslashreplace"), mode=0o444)
    with writing(folder):
        # Only now: had the closer died before, a read-only journal could not be closed by the next one.
        for path in files_of(folder):
            path.chmod(0o444)
        for directory in {path.parent for path in files_of(folder)} | {folder, folder.parent}:
            _sync_directory(directory)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
