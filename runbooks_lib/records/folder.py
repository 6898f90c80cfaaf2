"""The folder of one run: its name, and how files get into it."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from runbooks_lib.errors import sentences
from runbooks_lib.redaction import Redactor

EVENTS = "events.jsonl"
INPUT = "input.ipynb"
MANIFEST = "manifest.json"
NOTEBOOK = "notebook.ipynb"
PARAMETERS = "parameters.json"
PLAN = "plan.json"
#: What vouches for the manifest, and so comes after it.
ENVELOPES = {"record": "record.dsse.json", "report": "report.dsse.json"}
PROOF = "proof.json"

#: How our engine tells a kernel which record to write, and where it wants to be told of one made there.
FOLDER_VARIABLE = "RUNBOOKS_RUN_FOLDER"
POINTER_VARIABLE = "RUNBOOKS_RUN_POINTER"
#: By which the processes of a run are known, whoever made its record.
RUN_VARIABLE = "RUNBOOKS_RUN"

#: What a file is called while it is being written; `close` clears away those of a killed writer.
PART = ".part"

refused = sentences(__package__, "refusals.yaml")
_NAME = re.compile(r"(?P<at>[0-9]{8}T[0-9]{6}Z)-(?P<stage>[!-.0-~]+)-(?P<run>[0-9a-f]{8})")


def open_folder(records_root: Path, *, target: str, stage: str) -> Path:
    """The record that our engine made for this process, else a new one (:func:`create`), of which it is told."""
    if given := os.environ.get(FOLDER_VARIABLE):
        return Path(given)
    folder = create(records_root, target=target, stage=stage)
    os.environ[RUN_VARIABLE] = str(folder)
    if pointer := os.environ.get(POINTER_VARIABLE):
        Path(pointer).write_text(str(folder), encoding="utf-8")
    return folder


def create(records_root: Path, *, target: str, stage: str) -> Path:
    """Make ``<records_root>/<target>/<UTC time>-<stage>-<run id>/``; never an existing one.

    Raises RecordError: The folder can't be made (read-only, disk full, a file in the way).
    """
    from runbooks_lib.records.journal import Journal

    shelf = re.sub(r"[^A-Za-z0-9._-]+", "-", target).strip(".") or "unnamed"
    folder = records_root / shelf / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{stage}-{os.urandom(4).hex()}"
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    # The first writer: should it die before anyone else has written, a sweep can tell.
    Journal(folder, Redactor(), role="creator")
    return folder


def is_record(folder: Path) -> bool:
    """Whether a folder is named as a record is."""
    return _NAME.fullmatch(folder.name) is not None and folder.is_dir()


def run_id(folder: Path) -> str:
    """The eight hexadecimal digits at the end of the folder's name."""
    return _parts(folder)["run"]


def stage_of(folder: Path) -> str:
    """The stage that the run is of."""
    return _parts(folder)["stage"]


def began_at(folder: Path) -> datetime:
    """When the record was made, by its name; raises ValueError: there is no such time."""
    return datetime.fromisoformat(_parts(folder)["at"])


def is_closed(folder: Path) -> bool:
    """Whether the record has its manifest; from then on nothing in it may change."""
    return (folder / MANIFEST).exists()


def write_json(folder: Path, relative: str, content: Any, redactor: Redactor) -> Path:
    """Write plain data, redacted leaf by leaf, as indented JSON; see :func:`write_text`."""
    text = json.dumps(redactor.redact_data(content), indent=1, ensure_ascii=False, default=str)
    return write_text(folder, relative, text + "\n", redactor)


def write_text(folder: Path, relative: str, content: str, redactor: Redactor) -> Path:
    """Write a file of an open record, redacted, whole or not at all.

    Args:
        relative: The path inside the record, for example ``evidence/pods.json``; it may be named after something secret.

    Raises RecordError: The record is closed, the path leaves it, or the file can't be written.
    """
    path = folder / redactor.redact(relative)
    if folder.resolve() not in path.resolve().parents:
        raise refused("outside", relative=relative, record=folder.name)
    with locked(folder):
        replace(path, redactor.redact(content))
    return path


def replace(path: Path, content: str, *, mode: int = 0o644) -> None:
    """Write a file durably and at once: a reader sees the old content or the new; the caller holds the lock."""
    temporary = path.with_name(f".{path.name}{PART}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the lock of an open record; yields its journal's file descriptor, for appending.

    Raises RecordError: The record can't be written, or (:class:`RecordClosed`) is closed.
    """
    # Before it is opened too: the journal of a closed record is read-only.
    _refuse_closed(folder)
    with writing(folder / EVENTS):
        handle = os.open(folder / EVENTS, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _refuse_closed(folder)
        yield handle
    finally:
        os.close(handle)


def _refuse_closed(folder: Path) -> None:
    if is_closed(folder):
        raise refused("closed", record=folder.name)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says into a sentence about the record."""
    try:
        yield
    except OSError as error:
        raise refused("unwritten", path=path, error=error.strerror or error) from error


def _parts(folder: Path) -> dict[str, str]:
    if parts := _parts_of(folder.name):
        return parts
    raise refused("no record", folder=folder)


@lru_cache(maxsize=4096)  # thousands of records are verified, each asked for several times
def _parts_of(name: str) -> dict[str, str]:
    match = _NAME.fullmatch(name)
    return match.groupdict() if match else {}
