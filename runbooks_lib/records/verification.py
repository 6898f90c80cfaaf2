"""Whether records are what they were when they were sealed, and whether none is missing: everything that can be proved offline.

Each sentence says what was found; nothing here is believed that no digest, signature or proof vouches for.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache, reduce
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from runbooks_lib import filesystems
from runbooks_lib.errors import RecordError, words
from runbooks_lib.records.folder import ENVELOPES, MANIFEST, PROOF, began_at, is_closed, refused, run_id, stage_of
from runbooks_lib.records.log import FOLDER, Checkpoint, Log, persons_of, read_head, read_log
from runbooks_lib.records.merkle import climbed, leaf_hash, root_of, roots_of
from runbooks_lib.records.sealing import IN_TOTO
from runbooks_lib.records.shelf import altered, content_of, manifest_in, records_of, verify
from runbooks_lib.results import Json, Value, digest_bytes
from runbooks_lib.signing import Person, listed, opened
from runbooks_lib.telling import visible
from runbooks_lib.threads import once

#: How far two clocks may be apart, or one go back.
_SLACK = timedelta(seconds=5)
#: How long it takes at most until a run whose record was made is entered in the log.
_OPENING = timedelta(minutes=5)
#: What a damaged or forged file makes a parser say.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

#: What stands beside the files that a manifest names.
_BESIDE = {"manifest": MANIFEST, "proof": PROOF, **ENVELOPES}

Persons = Mapping[str, Person]


class Verification(Value):
    """What could be proved of some records, what could not be, and what is wrong."""

    proved: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def with_(self, other: "Verification") -> "Verification":
        """Both together."""
        return Verification(
            proved=self.proved + other.proved,
            unproved=self.unproved + other.unproved,
            problems=self.problems + other.problems,
        )

    @property
    def text(self) -> str:
        """For people."""
        named = {"PROVED": self.proved, "NOT PROVED": self.unproved, "WRONG": self.problems}
        lines = (f"{name}: {said}" for name, found in named.items() for said in found)
        # A file may be called so that it moves the cursor.
        return "\n".join(visible(" ".join(line.splitlines())) for line in lines) or "No record is here."


class Given(NamedTuple):
    """What an auditor has from elsewhere: keys that are trusted, and heads of the log that were seen or anchored."""

    persons: tuple[Person, ...] = ()
    heads: tuple[Checkpoint, ...] = ()


def given(keys: str | Path | None, checkpoints: str | Path | None) -> Given:
    """Read both; checkpoints are a file, or a folder or URL with several. Raises UsageError: one is not what it should be."""
    path: str | Path = ""
    try:
        lines = Path(path := keys).read_text(encoding="utf-8").splitlines() if keys else []
        persons = tuple(listed(line) for line in lines if line.strip() and not line.startswith("#"))
        path = checkpoints or ""
        heads = tuple(map(read_head, _heads_at(str(path)))) if path else ()
    except Exception as error:  # also what the library of a URL raises
        raise refused("not given", path=path, error=error) from error
    return Given(persons, heads)


def _heads_at(place: str) -> list[str]:
    """The checkpoints of a file, or of all below a folder; raises ValueError: there is none."""
    files, path = filesystems.opened(place)
    found = (
        [name for name in sorted(files.find(path)) if str(name).endswith("checkpoint")] if files.isdir(path) else [path]
    )
    if not found:
        raise ValueError("no file there is a checkpoint")
    return [files.cat_file(name).decode() for name in found]


def verify_all(records_root: Path, known: Given, only: Path | None = None) -> Verification:
    """Verify the log of each target and every record beside it; ``only`` this one of the records."""
    shelves = [only.parent] if only else sorted(path for path in records_root.glob("*") if path.is_dir())
    kept = [shelf for shelf in shelves if records_of(shelf) or (shelf / FOLDER).exists()]
    found = [_of_shelf(shelf, known, only) for shelf in kept]
    origins = {origin for origin, _ in found}
    gone = [head.origin for head in known.heads if only is None and head.origin not in origins]
    said = "The log {} is not here, of which a checkpoint was given: it was removed."
    unproved = ["Whose keys these are: give those that you trust (--key)."] if not known.persons else []
    given_of = {head.origin for head in known.heads}
    left = [shelf.name for shelf, (origin, _) in zip(kept, found, strict=True) if origin and origin not in given_of]
    if left:
        said_of = f"That no log was rewritten by who has its key ({', '.join(left)})"
        unproved.append(f"{said_of}: give earlier checkpoints (--checkpoint).")
    besides = Verification(unproved=tuple(unproved), problems=tuple(map(said.format, dict.fromkeys(gone))))
    return reduce(Verification.with_, [*(part for _, part in found), besides], Verification())


def _of_shelf(shelf: Path, known: Given, only: Path | None) -> tuple[str, Verification]:
    """Which log the records of one target have, and what can be said of them."""
    origin = ""
    try:
        log = read_log(shelf)
        origin = log.origin if log.lines else ""
        return origin, _of_log(shelf, log, known, only)
    except RecordError as error:
        return origin, Verification(problems=(f"{shelf.name}: {error.summary}",))
    except _UNREADABLE as error:
        return origin, Verification(problems=(f"{shelf.name}: the log is damaged, and can't be read: {words(error)}",))


def _of_log(shelf: Path, log: Log, known: Given, only: Path | None) -> Verification:
    shelved, whole, log = records_of(shelf), log, log.vouched
    keys = list(persons_of(log.entries))
    place = Place(log)
    chosen = [only] if only else [each for each in shelved if is_closed(each) or run_id(each) in place.finished]
    if log.head is None:
        return _unsealed(shelf, whole, chosen, known)
    persons = {person.fingerprint: person for person in keys}
    problems = [*_of_keys(keys, known.persons), *_of_head(whole, log.head, keys)]
    heads = [head for head in known.heads if head.origin == log.origin]
    for head in heads:
        problems += _of_earlier(log, head, persons)
    problems += [*_of_order(log.entries), *_of_presence(log.entries, shelved)] if only is None else []
    problems = [f"{shelf.name}: {said}" for said in problems]
    problems += [f"{visible(folder.name)}: {said}" for folder in chosen for said in of_record(folder, persons, place)]
    strange = [folder for folder in chosen if place.strange(folder) and is_closed(folder)]
    foreign = "anybody could have made it: the log does not know that it was opened."
    problems += [f"{visible(folder.name)}: {foreign}" for folder in strange if not place.older(folder)]
    proved = (
        f"{shelf.name}: {len(chosen) - len(strange)} records are as they were sealed: files, manifest, signature, place in the log.",
        f"{shelf.name}: the log has {len(log.lines)} entries, signed by {keys[-1].name} ({keys[-1].fingerprint}).",
        *(f"{shelf.name}: it goes on from the given checkpoint of {head.size} entries." for head in heads),
    )
    still = [folder for folder in shelved if run_id(folder) not in place.finished and not is_closed(folder)]
    said = [f"{folder.name}: how it ends; it is not closed." for folder in still if only is None]
    said += [f"{folder.name}: who made it; it is older than the log." for folder in strange if place.older(folder)]
    unproved = tuple(map(visible, said))
    return Verification(proved=() if problems else proved, unproved=unproved, problems=tuple(problems))


def held_against(records_root: Path, history: Iterable[tuple[int, str]]) -> Verification:
    """Hold a release's history against the logs: which of its revisions no run has made.

    Args:
        history: The number of each revision, and what Helm says of it: its description.

    Raises RecordError: A log can't be read.
    """
    logs = [read_log(shelf) for shelf in records_root.glob("*") if (shelf / FOLDER).exists()]
    begun = (each for log in logs for each in log.vouched.entries if each["kind"] == "started")
    # Of the others none makes a revision.
    known = {(each["run"], each["plan"]) for each in begun if each["stage"] in ("install", "upgrade", "recover")}
    proved, unproved, problems = [], [], []
    made: dict[str, int] = {}
    for revision, said in history:
        found = re.search(r"\brun ([0-9a-f]{8}) plan (sha256:[0-9a-f]{64})", said)
        if found and made.setdefault(found[1], revision) != revision:
            problems.append(
                f"Revision {revision} says that run {found[1]} made it, which made revision {made[found[1]]}."
            )
        elif found and found.groups() in known:
            proved.append(f"Revision {revision} was made by run {found[1]}, which is in the log with its plan.")
        elif found:
            problems.append(
                f"Revision {revision} says that run {found[1]} made it; no log here has that run with its plan."
            )
        elif said.startswith("Rollback"):
            unproved.append(f"Who made revision {revision}: Helm says {said!r} of it, and takes no other word.")
        else:
            problems.append(f"Revision {revision} was made without a run: Helm says {said!r} of it.")
    return Verification(proved=tuple(proved), unproved=tuple(unproved), problems=tuple(problems))


def signers(records_root: Path) -> Iterator[tuple[str, Person]]:
    """By whose keys the log of each target was signed, one after the other; raises RecordError: a log can't be believed."""
    for shelf in sorted(path for path in records_root.glob("*") if (path / FOLDER).exists()):
        for person in persons_of(read_log(shelf).entries):
            yield shelf.name, person


class Place:
    """Where the records of a log stand in it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.finished = {entry["run"]: at for at, entry in enumerate(log.entries) if entry["kind"] == "finished"}

    @once
    def opened(self) -> dict[str, Json]:
        """What was entered of a run when it was opened."""
        return {entry["run"]: entry for entry in self.log.entries if entry["kind"] == "opened"}

    def older(self, folder: Path) -> bool:
        """Whether a record says that it is of a time before the log was begun; one that names no time does not."""
        with suppress(ValueError):
            return began_at(folder) < datetime.fromisoformat(self.log.entries[0]["at"]) - _SLACK
        return False

    def strange(self, folder: Path) -> bool:
        """Whether a record that has no proof is of a run of which the log knows nothing: anybody could have made it."""
        run = run_id(folder)
        return run not in self.opened and run not in self.finished and not (folder / PROOF).exists()

    @once
    def roots(self) -> dict[int, bytes]:
        """The root over each number of entries, from none on."""
        return roots_of(self.log.leaves, range(len(self.log.leaves) + 1))


def of_record(folder: Path, persons: Persons, place: Place | None) -> Iterator[str]:
    """What is wrong with one record; nothing where it is as it was.

    Args:
        place: Of the log; None: there is no log, and its files alone can be told.
    """
    known = place is not None and run_id(folder) in place.finished
    try:
        if folder.is_symlink():
            yield "it is a link: what it leads to can change."
        if not is_closed(folder):
            yield from (
                [f"the log has its end, and {MANIFEST} is not here: it was removed."] if known else verify(folder)
            )
            return
        # Each is read once: what is digested is what is believed.
        read = {kind: content_of(folder / name) for kind, name in _BESIDE.items()}
        kept = {kind: content for kind, content in read.items() if content is not None}
        manifest = manifest_in(kept["manifest"])
        yield from _of_name(folder, manifest)
        if wrong := altered(folder, manifest["files"]):
            yield from wrong
        elif place is None or place.strange(folder):
            return
        elif "proof" not in kept:
            yield f"{PROOF} is missing." if known else "it is closed, and was never sealed."
        elif not known:
            yield "it is not in the log: its proof is of another one."
        else:
            yield from _of_envelopes(manifest, kept, persons)
            yield from _of_proof(folder, manifest, kept, persons, place)
    except (RecordError, *_UNREADABLE) as error:
        yield f"it can't be read: {error.summary if isinstance(error, RecordError) else error}"


def _of_name(folder: Path, manifest: Json) -> Iterator[str]:
    """What the name of a folder says otherwise than its manifest, for which the signature vouches."""
    if (named := (run_id(folder), stage_of(folder))) != (said := (manifest["run_id"], manifest["stage"])):
        yield f"it was renamed: it is run {said[0]} of {said[1]}, not {named[0]} of {named[1]}."
    if abs(began_at(folder) - datetime.fromisoformat(manifest["started"])) > _SLACK:
        yield f"it was renamed: it began at {manifest['started']}."


def _unsealed(shelf: Path, log: Log, chosen: list[Path], known: Given) -> Verification:
    problems = [f"{visible(folder.name)}: {said}" for folder in chosen for said in of_record(folder, {}, None)]
    signs = [folder.name for folder in chosen if any((folder / name).exists() for name in (PROOF, *ENVELOPES.values()))]
    if log.lines or signs:
        problems.append(
            f"{shelf.name}: the log's checkpoint is gone, and there is what it vouched for: it was removed."
        )
    elif known.persons:
        problems.append(f"{shelf.name}: its records are not signed, so by none of the keys that were given.")
    said = f"{shelf.name}: {len(chosen)} records have the files that their manifests name."
    nobody = f"{shelf.name}: who made them, and that none is missing or rewritten: they are not signed (records.key)."
    return Verification(proved=() if problems else (said,), unproved=(nobody,), problems=tuple(problems))


def _of_keys(keys: list[Person], trusted: Iterable[Person]) -> Iterator[str]:
    wanted = {person.fingerprint for person in trusted}
    # The later ones were named by it, each by the one before.
    if wanted and keys[0].fingerprint not in wanted:
        yield f"The log begins with the key {keys[0].fingerprint}, which is none of those given."


def _of_head(log: Log, head: Checkpoint, keys: list[Person]) -> Iterator[str]:
    present = keys[-1]
    if head.origin != log.origin:
        yield f"The checkpoint is of another log, {head.origin}."
    if not head.signer({present.fingerprint: present}):
        yield f"The checkpoint is not signed by the log's key, {present.fingerprint}."
    if len(log.lines) < head.size:
        yield f"The log was cut: it has {len(log.lines)} entries, and its checkpoint vouches for {head.size}."
    elif root_of(log.leaves[: head.size]) != head.root:
        yield f"The log was altered: its {head.size} entries are not those that its checkpoint vouches for."
    elif len(log.lines) > head.size:
        yield f"{len(log.lines) - head.size} entries were added that no checkpoint vouches for."


def _of_earlier(log: Log, head: Checkpoint, persons: Persons) -> Iterator[str]:
    named = f"the given checkpoint of {head.size} entries"
    if not head.signer(persons):
        yield f"No key of this log has signed {named}."
    elif len(log.lines) < head.size:
        yield f"The log was rolled back: it has {len(log.lines)} entries, fewer than {named} vouches for."
    elif root_of(log.leaves[: head.size]) != head.root:
        yield f"The log was rewritten or forked: its first {head.size} entries are not those of {named}."


def _of_order(entries: list[Json]) -> Iterator[str]:
    times = [datetime.fromisoformat(entry["at"]) for entry in entries]
    for number, (before, after) in enumerate(pairwise(times), start=1):
        if after < before - _SLACK:
            yield f"Entry {number} of the log says {entries[number]['at']}, before the one ahead of it."


def _of_presence(entries: list[Json], shelf: list[Path]) -> Iterator[str]:
    runs = {
        kind: Counter(each["run"] for each in entries if each["kind"] == kind)
        for kind in ("opened", "started", "finished")
    }
    there = {run_id(folder): folder for folder in shelf}
    for run, times in Counter(map(run_id, shelf)).items():
        if times > 1:
            yield f"Run {run} has {times} records here: it has one."
    for run, times in runs["finished"].items():
        if times > 1:
            yield f"Run {run} was entered {times} times as finished."
        if run not in there:
            yield f"Run {run} is in the log, and its record is not here: it was removed."
    for run in runs["opened"].keys() - runs["finished"].keys() - runs["started"].keys():
        if run not in there:
            yield f"Run {run} was opened, and its record is not here: it was removed before it was sealed."
    for run in runs["started"].keys() - runs["finished"].keys():
        if run not in there:
            yield f"Run {run} began a change, and its record is not here: it was removed before it was sealed."
        elif is_closed(there[run]):
            yield f"Run {run} began a change, and the log does not say how it ended, though its record is closed."


def _of_envelopes(manifest: Json, kept: Mapping[str, bytes], persons: Persons) -> Iterator[str]:
    """What is wrong with the signed statements. The second one is only compared by digest: the first one, and the log, vouch."""
    name = ENVELOPES["record"]
    signed = opened(kept["record"], IN_TOTO, persons)
    if signed is None:
        yield f"{name} is not signed by a key of the log."
        return
    subjects = {each["name"]: f"sha256:{each['digest']['sha256']}" for each in json.loads(signed[1])["subject"]}
    files = {name: told["sha256"] for name, told in manifest["files"].items()}
    if subjects != files | {MANIFEST: digest_bytes(kept["manifest"])}:
        yield f"{name} is about other files than are here."


def _of_proof(folder: Path, manifest: Json, kept: Mapping[str, bytes], persons: Persons, place: Place) -> Iterator[str]:
    proof = json.loads(kept["proof"])
    leaf, head = str(proof["leaf"]).encode(), read_head(proof["checkpoint"])
    hashes = [base64.b64decode(each, validate=True) for each in proof["hashes"]]
    if climbed(leaf_hash(leaf), proof["index"], head.size, hashes) != head.root:
        yield f"{PROOF} does not lead to its checkpoint."
    if not _signed_by(head, tuple(persons.values())):
        yield f"The checkpoint in {PROOF} is not signed by a key of the log."
    said = json.loads(leaf)
    opened = place.opened.get(run_id(folder), {})
    if (opened.get("stage"), said.get("stage")) != (manifest["stage"], manifest["stage"]):
        yield f"the log has its run as one of {opened.get('stage', 'nothing')}, and ended as {said.get('stage')}."
    elif not -_SLACK < datetime.fromisoformat(opened["at"]) - datetime.fromisoformat(manifest["started"]) < _OPENING:
        yield f"it says that it began at {manifest['started']}, and was opened at {opened['at']}."
    if (at := place.finished[run_id(folder)]) != proof["index"] or leaf != place.log.lines[at]:
        yield f"{PROOF} is of another entry than the log has for this run."
    if head.size > len(place.log.lines):
        yield f"the log was rolled back: it has {len(place.log.lines)} entries, and {PROOF} a checkpoint of {head.size}."
    elif place.roots.get(head.size) != head.root:
        yield f"the log was rewritten or forked: {PROOF} has a checkpoint of other entries."
    if said["run"] != run_id(folder) or said["target"] != folder.parent.name:
        yield f"the log's entry is of run {said['run']} of {said['target']}, not of this one."
    for kind, name in _BESIDE.items():
        if kind != "proof" and said.get(kind) != (digest_bytes(kept[kind]) if kind in kept else None):
            yield f"{name} is not the one that was entered in the log."
    if datetime.fromisoformat(manifest["ended"]) > datetime.fromisoformat(said["at"]) + _SLACK:
        yield f"it says that it ended at {manifest['ended']}, after it was entered in the log at {said['at']}."


@lru_cache(maxsize=4096)
def _signed_by(head: Checkpoint, persons: tuple[Person, ...]) -> bool:
    """Many records may have the proof of one head."""
    return head.signer({person.fingerprint: person for person in persons}) is not None
