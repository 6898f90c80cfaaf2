"""Records on the shelf: finding, listing and checking those that are there."""

import json
import os
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from runbooks_lib.errors import RecordError, words
from runbooks_lib.records.folder import ENVELOPES, MANIFEST, PROOF, is_closed, is_record, refused, run_id, stage_of
from runbooks_lib.records.journal import now, read_events
from runbooks_lib.results import Json, RunSummary, digest_of_file

NO_FILE = "{} is no file of its own: what a link leads to can change."


def folders(records_root: Path) -> list[Path]:
    """Every record under a root, oldest first."""
    found = [folder for shelf in records_root.glob("*") for folder in records_of(shelf)]
    return sorted(found, key=lambda folder: (folder.name, folder.parent.name))


def records_of(shelf: Path) -> list[Path]:
    """Every record of one target, oldest first."""
    return sorted(folder for folder in shelf.glob("*") if is_record(folder))


def listing(records_root: Path) -> list[RunSummary]:
    """How each run ended, oldest first; one that is not closed yet is ``open``, a damaged one ``unknown``."""
    return [_summary_or_damage(folder) for folder in folders(records_root)]


def _summary_or_damage(folder: Path) -> RunSummary:
    try:
        return summary_of(folder)
    except (RecordError, ValueError, KeyError, TypeError, RecursionError) as error:
        # Also what is JSON, and says what no record can.
        told: Json = {"outcome": "unknown", "exit_code": 8, "started": "(damaged)", "summary": words(error)}
        return _summary(folder, told, seconds=0.0)


def find(records_root: Path, run_id_prefix: str) -> Path:
    """The record whose run id begins with these digits, or whose folder this is.

    Raises UsageError: There is none, or more than one.
    """
    prefix = Path(run_id_prefix).name.rpartition("-")[2]
    found = [folder for folder in folders(records_root) if run_id(folder).startswith(prefix)]
    if not found:
        raise refused("none", prefix=run_id_prefix, root=records_root)
    if len(found) > 1:
        raise refused("several", prefix=run_id_prefix, number=len(found), names=", ".join(map(run_id, found)))
    return found[0]


def last_change(records_root: Path, target: Json, until: str) -> str:
    """Which run was the last to begin a change of a target until then, and when; empty where no record tells."""
    for folder in reversed(folders(records_root)):
        events = {event["kind"]: event for event in read_events(folder)}
        opened = events.get("run.opened", {"data": {}})["data"].get("target", {})
        began = events.get("change.started", {"at": ""})["at"]
        known = began and "change.refused" not in events and target.items() <= opened.items()
        if known and not _later(began, until):
            return f"run {run_id(folder)} of {stage_of(folder)}, begun at {began}"
    return ""


def _later(one: str, other: str) -> bool:
    """Whether one time is after another; one that can't be read is not."""
    with suppress(ValueError, TypeError):
        return datetime.fromisoformat(one) > datetime.fromisoformat(other)
    return False


def summary_of(folder: Path) -> RunSummary:
    """One record: from its manifest, or, while it is open, from its journal.

    Raises RecordError: The manifest or the journal can't be read.
    """
    if is_closed(folder):
        told = read_manifest(folder)
    else:
        times = [event["at"] for event in read_events(folder)] or [now()]
        told = {"outcome": "open", "exit_code": 6, "started": times[0], "ended": times[-1]}
        told["summary"] = "The run has not ended, or nobody has closed its record yet."
    return _summary(folder, told, seconds=_seconds(told))


def _summary(folder: Path, told: Json, *, seconds: float) -> RunSummary:
    known: Json = {key: told[key] for key in ("outcome", "exit_code", "started", "summary")}
    known |= {"run_id": run_id(folder), "stage": stage_of(folder), "target": folder.parent.name, "folder": str(folder)}
    return RunSummary(**known, seconds=seconds)


def verify(folder: Path) -> list[str]:
    """What is wrong with a closed record: files that are missing, altered, or were added later.

    Returns:
        One sentence a problem; none when every file is as it was when the record was closed.

    Raises RecordError: The manifest can't be read.
    """
    if not is_closed(folder):
        return [f"{folder.name} has no {MANIFEST}: it was never closed."]
    return altered(folder, read_manifest(folder)["files"])


def altered(folder: Path, expected: Json) -> list[str]:
    """The same, of a record whose manifest names these files."""
    found = _names_of(folder)
    problems = [f"{name} is missing." for name in expected if name not in found]
    for name, path in found.items():
        if name not in expected:
            # A folder is only empty where its files are missing.
            gone = any(each.startswith(f"{name}/") for each in expected)
            problems += [] if gone else [f"{name} was added after the record was closed."]
        elif not stat.S_ISREG(os.lstat(path).st_mode):
            problems.append(NO_FILE.format(name))
        elif digest_of_file(path) != expected[name]["sha256"]:
            problems.append(f"{name} was altered after the record was closed.")
    return problems


def files_of(folder: Path) -> list[Path]:
    """Every file of a record but what its closing and sealing add, by name; links and empty folders count as files."""
    return sorted(map(Path, _names_of(folder).values()))


def _names_of(folder: Path) -> dict[str, str]:
    """The same by their names in the record. As texts: a path costs more than the reading of a small file."""
    root, added = str(folder), {MANIFEST, PROOF, *ENVELOPES.values()}
    found = sorted(path for where, inner, names in os.walk(root) for path in _entries(where, inner, names))
    return {name: path for path in found if (name := path[len(root) + 1 :]) and name not in added}


def _entries(where: str, inner: list[str], names: list[str]) -> list[str]:
    """What stands in a folder: files, links to folders, and it itself where it is empty."""
    links = [name for name in inner if os.path.islink(f"{where}/{name}")]  # noqa: PTH114 - as above
    return [f"{where}/{name}" for name in names + links] if names or inner else [where]


def read_manifest(folder: Path) -> Json:
    """The manifest of a closed record; raises RecordError: it can't be read, or is not a manifest."""
    try:
        return manifest_in(content_of(folder / MANIFEST) or b"")
    except (OSError, ValueError) as error:
        raise refused("manifest", record=folder.name, error=error) from error


def content_of(path: Path) -> bytes | None:
    """What is in a file; None: there is none. Raises ValueError: it is a link, or a pipe that would be waited for."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError(NO_FILE.format(path.name))
    except FileNotFoundError:
        return None
    return path.read_bytes()


def manifest_in(content: bytes) -> Json:
    """What a manifest says; raises ValueError: it is none."""
    try:
        manifest: Json = json.loads(content)
        manifest["files"], manifest["outcome"], manifest["exit_code"], manifest["summary"], _seconds(manifest)
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    return manifest


def _seconds(told: Json) -> float:
    """How long the run took; a clock that went back makes it 0."""
    began, ended = (datetime.fromisoformat(told[key]) for key in ("started", "ended"))
    return max(0.0, (ended - began).total_seconds())
