"""The log of all runs of one target: one line an entry, and a signed head that vouches for every line before it.

The lines are the leaves of a Merkle tree (RFC 6962); the head is a checkpoint (C2SP tlog-checkpoint, a signed note).
"""

import base64
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from runbooks_lib.records.folder import refused, replace, writing
from runbooks_lib.records.journal import now, write_through
from runbooks_lib.records.merkle import leaf_hash, root_of
from runbooks_lib.results import Json, canonical
from runbooks_lib.signing import Person, Signer, listed, verifies
from runbooks_lib.threads import once

#: Beside the target's records.
FOLDER = "log"
LEAVES = "leaves.jsonl"
HEAD = "checkpoint"
#: What C2SP's signed notes write before the public key of an Ed25519 signature.
_ED25519 = b"\n\x01"


class Checkpoint(NamedTuple):
    """The head of a log at one moment.

    Attributes:
        origin: Which log it is of.
        size: How many entries it vouches for.
        root: The root over them.
        text: The whole signed note.
    """

    origin: str
    size: int
    root: bytes
    text: str

    def signer(self, persons: Mapping[str, Person]) -> Person | None:
        """Who of some persons, by their fingerprints, has signed it."""
        body, _, signatures = self.text.rpartition("\n\n")
        for line in signatures.splitlines():
            with suppress(ValueError):
                _, name, blob = line.split(" ")
                content = base64.b64decode(blob, validate=True)
                for person in persons.values() if name == self.origin else ():
                    mark = _mark(self.origin, person)
                    if content.startswith(mark) and verifies(person, content[len(mark) :], f"{body}\n".encode()):
                        return person
        return None


def head_of(origin: str, leaves: Sequence[bytes], by: Signer) -> Checkpoint:
    """The signed head over the hashes of a log's entries."""
    person, sign = by
    root = root_of(leaves)
    body = f"{origin}\n{len(leaves)}\n{base64.b64encode(root).decode()}\n"
    signature = base64.b64encode(_mark(origin, person) + sign(body.encode())).decode()
    return Checkpoint(origin, len(leaves), root, f"{body}\n\N{EM DASH} {origin} {signature}\n")


def read_head(text: str) -> Checkpoint:
    """A checkpoint as it was written; raises ValueError: it is none."""
    origin, size, root, *rest = text.split("\n")
    if not origin or not size.isdecimal() or not rest or rest[0]:
        raise ValueError("no checkpoint")
    return Checkpoint(origin, int(size), base64.b64decode(root, validate=True), text)


class Log:
    """What is in a log.

    Attributes:
        lines: The entries, each a line of canonical JSON without its end.
        head: The last checkpoint; None: nothing was ever written.
    """

    def __init__(self, lines: list[bytes], head: Checkpoint | None) -> None:
        self.lines = lines
        self.head = head

    @once
    def leaves(self) -> list[bytes]:
        """The hashes of the entries."""
        return [leaf_hash(line) for line in self.lines]

    @once
    def entries(self) -> list[Json]:
        """The entries as data."""
        return [json.loads(line) for line in self.lines]

    @property
    def vouched(self) -> "Log":
        """The same, of the entries that its head vouches for."""
        return Log(self.lines[: self.head.size if self.head else 0], self.head)

    @property
    def origin(self) -> str:
        """Which log it is."""
        return str(self.entries[0]["origin"])


def read_log(shelf: Path) -> Log:
    """The log beside the records of a target; raises RecordError: it can't be read."""
    folder = shelf / FOLDER
    try:
        content = (folder / LEAVES).read_bytes() if (folder / LEAVES).exists() else b""
        head = read_head((folder / HEAD).read_text(encoding="utf-8")) if (folder / HEAD).exists() else None
        # What a writer that was killed has left of a line was never vouched for.
        log = Log(content.split(b"\n")[:-1], head)
        if log.lines and not log.origin:
            raise ValueError("it does not say which log it is")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise refused("log unreadable", folder=folder, error=error) from error
    return log


def persons_of(entries: Iterable[Json]) -> Iterator[Person]:
    """Whose keys sign a log, one after another; raises RecordError: one was not named by the one before it."""
    origin = ""
    present: list[Person] = []
    for entry in entries:
        if "key" in entry:
            origin, new = origin or entry["origin"], listed(entry["key"])
            said = base64.b64decode(entry.get("signature", ""))
            if present and not verifies(present[-1], said, following(origin, entry["key"])):
                raise refused("not named", fingerprint=new.fingerprint)
            present.append(new)
            yield new


def following(origin: str, line: str) -> bytes:
    """What a key signs that hands a log over to another one, which this line names."""
    return canonical({"origin": origin, "key": line}).encode()


@contextmanager
def sequenced(shelf: Path, by: Signer) -> Iterator["Sequencer"]:
    """Hold the log, alone; yields what adds to it. Made by the first one who needs it.

    Raises RecordError: It can't be written, is not what its head vouches for, or another key signs it.
    """
    folder = shelf / FOLDER
    with writing(folder / LEAVES):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LEAVES, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        log = read_log(shelf)
        if log.head and (log.head.size > len(log.lines) or root_of(log.leaves[: log.head.size]) != log.head.root):
            raise refused("log altered", folder=folder, size=log.head.size)
        # What no head vouches for is of a writer that was killed, or of anybody: it is not signed because it stands there.
        log = log.vouched
        os.ftruncate(handle, sum(len(line) + 1 for line in log.lines))
        if log.lines and (present := [*persons_of(log.entries)][-1]).key != by[0].key:
            raise refused("another key", folder=folder, fingerprint=present.fingerprint, given=by[0].fingerprint)
        yield Sequencer(folder, handle, log, by)
    finally:
        os.close(handle)


class Sequencer:
    """Who holds a log: adds entries, and then its head."""

    def __init__(self, folder: Path, handle: int, log: Log, by: Signer) -> None:
        self.folder = folder
        self.log = log
        self._handle = handle
        self._by = by
        if not log.lines:
            self.add({"kind": "log", "origin": f"dataflow-runbooks/{uuid.uuid4()}", "key": by[0].line})

    def add(self, entry: Json) -> int:
        """Add one entry with the time; its number."""
        lines, leaves, entries = self.log.lines, self.log.leaves, self.log.entries
        stamped = {"at": now(), **entry}
        line = canonical(stamped).encode()
        with writing(self.folder / LEAVES):
            write_through(self._handle, line + b"\n")
        lines.append(line)
        leaves.append(leaf_hash(line))
        entries.append(stamped)
        return len(lines) - 1

    def signed(self, by: Signer | None = None) -> Checkpoint:
        """The new head, written; ``by`` another one from now on."""
        self._by = by or self._by
        head = head_of(self.log.origin, self.log.leaves, self._by)
        replace(self.folder / HEAD, head.text)
        return head


def _mark(origin: str, person: Person) -> bytes:
    """By which a signed note names a key."""
    return hashlib.sha256(origin.encode() + _ED25519 + person.key).digest()[:4]
