"""Sealing a closed record: signed, entered in the log, with the proof beside it; and the copy of the log's head elsewhere."""

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from runbooks_lib.errors import RecordError
from runbooks_lib.filesystems import is_url, opened
from runbooks_lib.records.folder import ENVELOPES, MANIFEST, PROOF, is_closed, refused, replace, run_id, stage_of
from runbooks_lib.records.log import Checkpoint, following, read_log, sequenced
from runbooks_lib.records.merkle import inclusion
from runbooks_lib.records.shelf import read_manifest, records_of
from runbooks_lib.records.statement import statements
from runbooks_lib.results import Json, canonical, digest_bytes
from runbooks_lib.signing import Signer, sealed

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


def announce(folder: Path, plan_digest: str, seal: Seal) -> None:
    """Enter in the log that a run is about to change something.

    Raises RecordError: It can't be entered, or its anchor, which the parameters require, can't be reached.
    """
    with sequenced(folder.parent, seal.by) as held:
        held.add(_entry("started", folder) | {"plan": plan_digest})
        head = held.signed()
    with suppress(*(() if seal.required else (RecordError,))):
        anchor(head, seal)


def seal_closed(shelf: Path, seal: Seal) -> list[Path]:
    """Seal every record of a target that is closed and not sealed yet, the oldest first; idempotent.

    Raises RecordError: One can't be sealed, or the head can't be copied to the anchor.
    """
    left = [folder for folder in records_of(shelf) if is_closed(folder) and not (folder / PROOF).exists()]
    if not left:
        return []
    with sequenced(shelf, seal.by) as held:
        log = held.log
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
    anchor(head, seal)
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
    anchor(head, seal)
    return head


def anchor(head: Checkpoint, seal: Seal) -> None:
    """Copy a head to where the operator can't rewrite it; never over one that is there.

    Raises RecordError: It can't be copied.
    """
    if not seal.anchor:
        return
    name = f"{head.origin.rpartition('/')[2]}/{head.size:08}.checkpoint"
    try:
        if is_url(seal.anchor):
            _upload(f"{seal.anchor.rstrip('/')}/{name}", head.text)
        else:
            place = Path(seal.anchor) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("x", encoding="utf-8") as file:
                file.write(head.text)
    except FileExistsError:
        return
    except Exception as error:
        raise refused("no anchor", anchor=seal.anchor, error=error) from error


def _upload(url: str, text: str) -> None:
    files, path = opened(url)
    if files.exists(path):
        raise FileExistsError(path)
    files.makedirs(files._parent(path), exist_ok=True)
    files.pipe_file(path, text.encode())


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
