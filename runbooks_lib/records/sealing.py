"""Sealing a closed record: signed, entered in the log, with the proof beside it; and the copy of the log's head elsewhere."""

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from runbooks_lib.errors import RecordError
from runbooks_lib.filesystems import opened
from runbooks_lib.records.folder import ENVELOPES, MANIFEST, PROOF, is_closed, refused, replace, run_id, stage_of
from runbooks_lib.records.log import Checkpoint, Sequencer, following, read_head, read_log, sequenced
from runbooks_lib.records.merkle import inclusion, roots_of
from runbooks_lib.records.shelf import read_manifest, records_of
from runbooks_lib.records.statement import statements
from runbooks_lib.results import Json, canonical, digest_bytes
from runbooks_lib.signing import Signer, sealed

#: How the copy of a head is called at the anchor, after the number of entries it vouches for.
_ANCHORED = ".checkpoint"
#: The kind of an in-toto Statement in its envelope.
IN_TOTO = "application/vnd.in-toto+json"


class Seal(NamedTuple):
    """With what records are sealed.

    Attributes:
        by: Whose key signs them, and the log.
        anchor: The folder or URL that gets a copy of every head of the log; empty: none.
        required: Whether a change may not begin while the anchor can't be reached.
    """

    by: Signer
    anchor: str = ""
    required: bool = False


def enter(seal: Seal, *folders: Path) -> None:
    """Enter in the log that runs were opened: only of such are the records sealed when they are closed; idempotent.

    Raises RecordError: They can't be entered.
    """
    with sequenced(folders[0].parent, seal.by) as held:
        known = {entry["run"] for entry in held.log.entries if entry["kind"] == "opened"}
        if new := [folder for folder in folders if run_id(folder) not in known]:
            for folder in new:
                held.add(_entry("opened", folder))
            held.signed()


def announce(folder: Path, plan_digest: str, seal: Seal) -> None:
    """Enter in the log that a run is about to change something.

    Raises RecordError: It can't be entered, or its anchor, which the parameters require, can't be reached.
    """
    with sequenced(folder.parent, seal.by) as held:
        held.add(_entry("started", folder) | {"plan": plan_digest})
        head = held.signed()
        with suppress(*(() if seal.required else (RecordError,))):
            anchor(held, head, seal)


def seal_closed(shelf: Path, seal: Seal) -> list[Path]:
    """Seal every record of a target that is closed and not sealed yet, the oldest first; idempotent.

    One whose run the log does not know as opened is left: whoever can write here could have made it.

    Raises RecordError: One can't be sealed, or the head can't be copied to the anchor.
    """
    left = [folder for folder in records_of(shelf) if is_closed(folder) and not (folder / PROOF).exists()]
    if not left:
        return []
    with sequenced(shelf, seal.by) as held:
        log = held.log
        # Before anything is signed: a log that was rolled back is not gone on with.
        last = _last_anchored(held, seal)
        known = {entry["run"] for entry in log.entries if entry["kind"] == "opened"}
        left = [folder for folder in left if run_id(folder) in known]
        entered = {entry["run"]: at for at, entry in enumerate(log.entries) if entry["kind"] == "finished"}
        numbers = [
            entered[run] if (run := run_id(folder)) in entered else held.add(_signed(folder, seal.by))
            for folder in left
        ]
        head = held.signed()
        for folder, number in zip(left, numbers, strict=True):
            beside = [base64.b64encode(each).decode() for each in inclusion(log.leaves, number)]
            proof = {"index": number, "leaf": log.lines[number].decode(), "hashes": beside, "checkpoint": head.text}
            replace(folder / PROOF, json.dumps(proof, indent=1, ensure_ascii=False) + "\n", mode=0o444)
        _copy(held, head, seal, last)
    return left


def rotate(shelf: Path, seal: Seal, new: Signer) -> Checkpoint:
    """Let another key sign the log of a target from now on; the present one vouches for it.

    Raises RecordError: There is no log, another key signs it, or it can't be written.
    """
    if not read_log(shelf).lines:
        raise refused("no log", folder=shelf)
    with sequenced(shelf, seal.by) as held:
        said = following(held.log.origin, new[0].line)
        held.add({"kind": "key", "key": new[0].line, "signature": base64.b64encode(seal.by[1](said)).decode()})
        head = held.signed(new)
        anchor(held, head, seal)
    return head


def anchor(held: Sequencer, head: Checkpoint, seal: Seal) -> None:
    """Copy a head to where the operator can't rewrite it; never over one that is there, nor behind a later one.

    Raises RecordError: It can't be copied, or the log does not go on from what was copied before.
    """
    _copy(held, head, seal, _last_anchored(held, seal))


def _copy(held: Sequencer, head: Checkpoint, seal: Seal, last: int) -> None:
    """Copy a head that goes on from the one over ``last`` entries, which was copied; the same one is there already."""
    if not seal.anchor or last == head.size:
        return
    try:
        files, place = _anchored(held, seal)
        files.makedirs(place, exist_ok=True)
        files.pipe_file(f"{place}/{head.size:08}{_ANCHORED}", head.text.encode())
    except Exception as error:
        raise refused("no anchor", anchor=seal.anchor, error=error) from error


def _last_anchored(held: Sequencer, seal: Seal) -> int:
    """How many entries the last head vouches for that was copied; 0: none was.

    Raises RecordError: It can't be read, or the log does not go on from it.
    """
    if not seal.anchor:
        return 0
    try:
        files, place = _anchored(held, seal)
        there = max((path for path in _listed(files, place) if path.endswith(_ANCHORED)), default="")
        last = read_head(files.cat_file(there).decode()) if there else None
    except Exception as error:
        raise refused("no anchor", anchor=seal.anchor, error=error) from error
    if last and (last.origin, last.root) != (held.log.origin, roots_of(held.log.leaves, [last.size]).get(last.size)):
        raise refused("another anchored", anchor=there, size=last.size, folder=held.folder)
    return last.size if last else 0


def _anchored(held: Sequencer, seal: Seal) -> tuple[Any, str]:
    """The file system of the anchor, and the folder of this log in it."""
    return opened(f"{seal.anchor.rstrip('/')}/{held.log.origin.rpartition('/')[2]}")


def _listed(files: Any, place: str) -> list[str]:
    """What is in a folder; in a bucket there is none before something is in it."""
    with suppress(FileNotFoundError):
        return [str(path) for path in files.ls(place, detail=False)]
    return []


def _signed(folder: Path, by: Signer) -> Json:
    """Sign a record's statements; what the log says of it."""
    manifest = read_manifest(folder)
    said: Json = {"outcome": manifest["outcome"], "exit_code": manifest["exit_code"]}
    said["manifest"] = digest_bytes((folder / MANIFEST).read_bytes())
    for name, statement in statements(folder).items():
        envelope = sealed(canonical(statement).encode(), IN_TOTO, by)
        replace(folder / ENVELOPES[name], envelope + "\n", mode=0o444)
        said[name] = digest_bytes(f"{envelope}\n".encode())
    return _entry("finished", folder) | said


def _entry(kind: str, folder: Path) -> Json:
    return {"kind": kind, "run": run_id(folder), "stage": stage_of(folder), "target": folder.parent.name}
