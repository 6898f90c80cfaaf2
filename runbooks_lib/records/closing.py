"""Closing a record: searched for secrets, its end event written, its files digested and made read-only."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runbooks_lib.errors import Outcome, RecordClosed, RecordError, words
from runbooks_lib.process import end_left_over, proved_gone
from runbooks_lib.records.canary import remove_canary
from runbooks_lib.records.folder import (
    MANIFEST,
    PART,
    RUN_VARIABLE,
    is_closed,
    locked,
    replace,
    run_id,
    stage_of,
    writing,
)
from runbooks_lib.records.journal import append, now, read_events
from runbooks_lib.records.notebook import write_notebook
from runbooks_lib.records.outcome import outcome_of
from runbooks_lib.records.shelf import files_of, folders, summary_of
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, RunSummary, digest_of_file

#: Registers the secrets of a record that somebody else wrote; False when one of them can't be looked up.
Resolve = Callable[[Path, Redactor], bool]

#: Seconds after which a record in which nobody has written, on a full disk perhaps, has no writer any more.
_STILLBORN_SECONDS = 600
#: Bytes that are searched at once.
_PIECE = 2**20
_REMOVED = "This file held a secret that could not be taken out of it, and was removed when the record was closed.\n"


def close(
    folder: Path, redactor: Redactor, *, outcome: Outcome, exit_code: int, summary: str, closer: str
) -> RunSummary:
    """Close a record; idempotent: the second closer gets what the first one wrote.

    The executed notebook is made of ``input.ipynb`` and the journal. Then every file is searched for the
    values that the redactor knows: one that is found is replaced, and the outcome becomes ``quarantined``,
    since it was on the disk, and somebody has to look at it.

    Args:
        closer: Who closes it: ``seal cell``, ``open``, ``kernel shutdown``, ``engine``, ``sweep``.

    Raises RecordError: The record can't be written; it stays open, and the next command closes it.
    """
    with suppress(RecordClosed), locked(folder) as handle, writing(folder):
        write_notebook(folder, redactor, read_events(folder), sealed=closer == "seal cell")
        found = _search(folder, redactor)
        told: Json = {"outcome": outcome, "exit_code": exit_code, "summary": summary, "closer": closer}
        # A closer that was killed may have told the end already.
        ends = [event["data"] for event in read_events(folder) if event["kind"] == "run.ended"]
        ended = ends[0] if ends else redactor.redact_data(told)
        if found:
            said = f"The record was quarantined, since it held what it must not: {'; '.join(found)}. It was taken out."
            ended = _quarantined(ended, said)
        append(handle, folder, writer=f"closer:{os.getpid()}", sequence=1, kind="run.ended", data=ended)
        _write_manifest(folder, ended, redactor.searched)
        if ended["outcome"] == "quarantined":
            folder.chmod(0o700)
    remove_canary(folder)
    return summary_of(folder)


def _quarantined(ended: Json, said: str) -> Json:
    """How a run is told whose record is for nobody to see before somebody has looked at it; its own end is kept."""
    own = f"The run itself: {ended['outcome']} (exit code {ended['exit_code']}): {ended['summary']}"
    return {**ended, "outcome": "quarantined", "exit_code": 8, "summary": f"{said} {own}"}


#: What a journal proves that simply ends.
_STOPS = "The journal stops in the middle: the run was killed, or could not write any more."


def close_as_proved(folder: Path, redactor: Redactor, *, closer: str, resolve: Resolve | None = None) -> RunSummary:
    """Close a record that no Seal cell did: the outcome is what the journal proves.

    Args:
        resolve: For a redactor that does not know yet what the run could have used. If it can't know either, the
            record is quarantined, since nobody can tell whether it holds a secret.

    Raises RecordError: The record can't be written.
    """
    events = read_events(folder)
    outcome, exit_code, summary = outcome_of(events)
    if closer == "sweep" and not any(event["kind"] in {"error.raised", "run.ended"} for event in events):
        outcome, summary = "abandoned", f"{_STOPS} {summary}"
    told: Json = {"outcome": outcome, "exit_code": exit_code, "summary": summary}
    if resolve and not resolve(folder, redactor):
        said = "The record was quarantined: its secrets can't be looked up to search it for them."
        told = _quarantined(told, said)
    return close(folder, redactor, closer=closer, **told)


def sweep(records_root: Path, resolve: Resolve) -> list[Event]:
    """Close the records whose every writer is proved gone; a running one is left alone.

    What is left of a run whose maker is gone, its kernel and its helm, is ended first. An error in the journal
    stays the outcome; otherwise it is ``abandoned``. A record that can't be closed keeps nobody from working.

    Returns:
        What was done, as events for the person whose command found it: ``run.swept``.
    """
    left = [folder for folder in folders(records_root) if not is_closed(folder) and _unattended(folder, first=1)]
    ended = {folder: end_left_over(RUN_VARIABLE, str(folder)) for folder in left}
    return [_swept(folder, ended[folder], resolve) for folder in left if _unattended(folder)]


def ended(records_root: Path, run: str) -> bool:
    """Whether the record of a run proves that it is over: it is closed, or whoever wrote it is gone."""
    return any(is_closed(folder) or _unattended(folder) for folder in folders(records_root) if run_id(folder) == run)


def _swept(folder: Path, ended: list[str], resolve: Resolve) -> Event:
    told: Json = {"run": run_id(folder), "stage": stage_of(folder), "folder": str(folder)}
    told["ended"] = f" What it had left at work was ended: {', '.join(ended)}." if ended else ""
    try:
        # One redactor a record: what is secret in one may be a plain word in another.
        with suppress(RecordClosed), locked(folder) as handle:
            if ended:
                append(
                    handle,
                    folder,
                    writer=f"closer:{os.getpid()}",
                    sequence=0,
                    kind="left.ended",
                    data={"programs": ended},
                )
        closed = close_as_proved(folder, Redactor(), closer="sweep", resolve=resolve)
        told["outcome"] = f"is closed as {closed.outcome}: {closed.summary}"
    except Exception as error:  # noqa: BLE001 - whatever somebody's record holds, it must not keep others from working
        told["outcome"] = f"can't be closed: {words(error).rstrip('.')}; if nobody needs it, remove {folder}"
    return Event(kind="run.swept", data=told)


def _unattended(folder: Path, first: int | None = None) -> bool:
    """Whether all who write a record (or the ``first`` ones) are proved gone, or nobody has ever written in it."""
    try:
        writers = [event["data"] for event in read_events(folder) if event["kind"] == "writer.joined"]
        if not writers:
            return time.time() - folder.stat().st_mtime > _STILLBORN_SECONDS
    except (RecordError, OSError):
        # Whoever may read it closes it.
        return False
    return all(map(proved_gone, writers[:first]))


def _search(folder: Path, redactor: Redactor) -> list[str]:
    """Look for secrets in every file, and take them out; says which were found, and where."""
    found = []
    for path in files_of(folder):
        name = path.relative_to(folder)
        if path.name.endswith(PART):
            # What a killed writer left; the file it was to become is there in full or not at all.
            path.unlink()
        elif hits := redactor.located(str(name)):
            # Whoever has made it did not ask how it may be called.
            found.append(f"{', '.join(hits)} in the name of a file")
            _take_away(path, folder)
        elif path.is_symlink():
            # Its content is elsewhere and may change; what was meant can't be kept.
            found.append(f"a link in {name}")
            path.unlink()
        elif path.is_dir():
            _take_away(path, folder)
        elif located := _located(path, redactor):
            places = (f"{secret} at or after byte {at}" for secret, at in located.items())
            found.append(f"{', '.join(places)} of {name}")
            _replace_secret(path, redactor)
    return found


def _take_away(path: Path, folder: Path) -> None:
    """Remove a file or an empty folder, and the folders that are empty then."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()
    if path.parent != folder and not any(path.parent.iterdir()):
        _take_away(path.parent, folder)


def _located(path: Path, redactor: Redactor) -> dict[str, int]:
    """Which secrets are in a file, and at which byte; read piece by piece, however large it is."""
    found: dict[str, int] = {}
    at, kept, overlap = 0, b"", redactor.overlap
    with path.open("rb") as file:
        while chunk := file.read(_PIECE):
            piece = kept + chunk
            text = piece.decode("utf-8", "replace")
            for name, where in redactor.located(text).items():
                found.setdefault(name, at - len(kept) + len(text[:where].encode()))
            at, kept = at + len(chunk), piece[-overlap:]
    return found


def _replace_secret(path: Path, redactor: Redactor) -> None:
    """Put the redacted text in place of a file's content, or a sentence where that is not enough."""
    redacted = _REMOVED
    with suppress(UnicodeDecodeError):
        redacted = redactor.redact(path.read_text(encoding="utf-8"))
    # In place, since the journal is open and locked.
    with path.open("r+b") as file:
        file.write((_REMOVED if redactor.located(redacted) else redacted).encode())
        file.truncate()
        os.fsync(file.fileno())


def _write_manifest(folder: Path, ended: Json, searched: Json) -> None:
    """Digest every file and write the manifest: with it the record is closed."""
    opened = summary_of(folder).model_dump(include={"run_id", "stage", "target", "started"})
    told = {key: ended[key] for key in ("outcome", "exit_code", "summary")}
    files: Json = {}
    for path in files_of(folder):
        files[str(path.relative_to(folder))] = {"sha256": digest_of_file(path), "size": path.stat().st_size}
    manifest = {**opened, **told, "ended": now(), "searched": searched, "files": files}
    replace(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", mode=0o444)
    # Only now: had the closer died before, a read-only journal could not be closed by the next one.
    for path in files_of(folder):
        path.chmod(0o444)
    for directory in {path.parent for path in files_of(folder)} | {folder, folder.parent}:
        handle = os.open(directory, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
