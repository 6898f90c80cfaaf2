"""What somebody may do to records and their log, and what catches it: each attack by its name."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sealed import Shelf, new_signer

from runbooks_lib import records
from runbooks_lib.errors import RecordError, UsageError
from runbooks_lib.records.folder import MANIFEST, PROOF
from runbooks_lib.records.log import head_of, read_head, read_log
from runbooks_lib.records.merkle import leaf_hash
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Json, canonical, digest_bytes


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Three runs, the second of which failed."""
    made = Shelf(tmp_path)
    for outcome in ("done", "failed", "done"):
        made.record(outcome=outcome)
    assert not made.wrong()
    return made


def runs(shelf: Shelf) -> list[Path]:
    return sorted(path.parent for path in shelf.folder.glob(f"*/{MANIFEST}"))


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    path.chmod(0o644)
    path.write_text(change(text))
    assert path.read_text() != text


def resign(shelf: Shelf, lines: list[str]) -> None:
    """A log of these lines with a head that is truly signed by the log's own key."""
    shelf.leaves.write_text("".join(lines))
    hashes = [leaf_hash(line.rstrip("\n").encode()) for line in lines]
    shelf.head.write_text(head_of(json.loads(lines[0])["origin"], hashes, shelf.seal.by).text)


# ---- one record


def test_an_edited_file_is_named(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    rewrite(first / "events.jsonl", lambda text: text.replace("li.wei", "nobody"))
    (wrong,) = shelf.wrong()
    assert wrong == f"{first.name}: events.jsonl was altered after the record was closed."


def test_an_edited_file_with_its_digest_is_caught_by_signature_and_log(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    before = digest_bytes((first / "events.jsonl").read_bytes())
    rewrite(first / "events.jsonl", lambda text: text.replace("li.wei", "nobody"))
    size = (first / "events.jsonl").stat().st_size

    def told(text: str) -> str:
        manifest = json.loads(text)
        assert manifest["files"]["events.jsonl"]["sha256"] == before
        manifest["files"]["events.jsonl"] = {
            "sha256": digest_bytes((first / "events.jsonl").read_bytes()),
            "size": size,
        }
        return json.dumps(manifest)

    rewrite(first / MANIFEST, told)
    assert shelf.wrong() == (
        f"{first.name}: record.dsse.json is about other files than are here.",
        f"{first.name}: manifest.json is not the one that was entered in the log.",
    )


@pytest.mark.parametrize("field", ["outcome", "exit_code", "summary", "ended"])
def test_an_edited_manifest_is_caught(shelf: Shelf, field: str) -> None:
    failed = runs(shelf)[0]
    value = "2020-01-01T00:00:00.000Z" if field == "ended" else 0 if field == "exit_code" else "passed"
    rewrite(failed / MANIFEST, lambda text: json.dumps(json.loads(text) | {field: value}, indent=2))
    assert f"{failed.name}: manifest.json is not the one that was entered in the log." in shelf.wrong()


def test_a_file_added_or_removed_is_named(shelf: Shelf) -> None:
    first, second, _ = runs(shelf)
    (first / "evidence").mkdir()
    (first / "evidence" / "alibi.txt").write_text("It was not me.")
    (second / "plan.json").unlink()
    assert set(shelf.wrong()) == {
        f"{first.name}: evidence/alibi.txt was added after the record was closed.",
        f"{second.name}: plan.json is missing.",
    }


def test_a_link_to_the_same_content_is_no_file(shelf: Shelf, tmp_path: Path) -> None:
    (first, *_) = runs(shelf)
    elsewhere = tmp_path / "elsewhere"
    shutil.copy(first / "plan.json", elsewhere)
    (first / "plan.json").unlink()
    (first / "plan.json").symlink_to(elsewhere)
    assert shelf.wrong() == (f"{first.name}: plan.json is no file of its own: what a link leads to can change.",)


def test_a_pipe_in_a_record_is_not_waited_for(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    (first / "plan.json").unlink()
    os.mkfifo(first / "plan.json")
    assert "plan.json is no file of its own" in shelf.wrong()[0]


@pytest.mark.parametrize("name", [MANIFEST, PROOF, "record.dsse.json"])
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("events.jsonl")], ids=["a pipe", "a link"])
def test_what_stands_beside_the_files_must_be_a_file_too(
    shelf: Shelf, name: str, put: Callable[[Path], object]
) -> None:
    (first, *_) = runs(shelf)
    (first / name).unlink()
    put(first / name)
    assert shelf.wrong() == (
        f"{first.name}: it can't be read: {name} is no file of its own: what a link leads to can change.",
    )


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a\n/b", "x" * 4000])
def test_a_manifest_that_names_files_elsewhere_reads_none_of_them(shelf: Shelf, name: str) -> None:
    (first, *_) = runs(shelf)

    def told(text: str) -> str:
        manifest = json.loads(text)
        manifest["files"][name] = {"sha256": "sha256:00", "size": 0}
        return json.dumps(manifest)

    rewrite(first / MANIFEST, told)
    assert f"{first.name}: {name} is missing." in shelf.wrong()


@pytest.mark.parametrize("name", [MANIFEST, PROOF, "record.dsse.json", "report.dsse.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"files": 1}', "[" * 100_000, "\0", '"x"', "{}"])
def test_malformed_files_are_sentences(shelf: Shelf, name: str, content: str) -> None:
    (first, *_) = runs(shelf)
    rewrite(first / name, lambda _: content)
    wrong = shelf.wrong()
    assert wrong
    assert all(said.startswith(f"{first.name}: ") for said in wrong)


def test_a_proof_taken_away_is_named(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    (first / PROOF).unlink()
    assert shelf.wrong() == (f"{first.name}: proof.json is missing.",)


def test_the_proof_of_another_run_is_none(shelf: Shelf) -> None:
    first, second, _ = runs(shelf)
    (first / PROOF).unlink()
    shutil.copy(second / PROOF, first / PROOF)
    assert any("is of another entry than the log has for this run" in said for said in shelf.wrong())


def test_a_whole_record_in_the_place_of_another_is_named(shelf: Shelf) -> None:
    first, second, _ = runs(shelf)
    shutil.rmtree(first)
    shutil.copytree(second, first)
    assert any(said.startswith(f"{first.name}: ") for said in shelf.wrong())


@pytest.mark.parametrize("change", [lambda hashes: hashes[1:], lambda hashes: [*hashes, hashes[0]], lambda _: ["AAAA"]])
def test_a_proof_that_leads_elsewhere_is_none(shelf: Shelf, change: Any) -> None:
    (first, *_) = runs(shelf)
    rewrite(
        first / PROOF,
        lambda text: json.dumps((proof := json.loads(text)) | {"hashes": change(proof["hashes"] or ["AAAA"])}),
    )
    assert any(said.startswith(f"{first.name}: ") for said in shelf.wrong())


def test_a_record_signed_by_another_key_is_named(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    other = Shelf(shelf.root.parent / "forged")
    forged = other.record()
    for name in ("record.dsse.json", "report.dsse.json"):
        (first / name).unlink()
        shutil.copy(forged / name, first / name)
    assert {
        f"{first.name}: record.dsse.json is not signed by a key of the log.",
        f"{first.name}: record.dsse.json is not the one that was entered in the log.",
        f"{first.name}: report.dsse.json is not the one that was entered in the log.",
    } <= set(shelf.wrong())


# ---- the log


def test_an_edited_entry_is_caught_by_the_head(shelf: Shelf) -> None:
    rewrite(shelf.leaves, lambda text: text.replace('"outcome":"failed"', '"outcome":"done"'))
    said = shelf.wrong()
    assert re.fullmatch(
        r"prod: The log was altered: its \d+ entries are not those that its checkpoint vouches for.", said[0]
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("delete", lambda lines: [*lines[:2], *lines[3:]]),
        ("reorder", lambda lines: [*lines[:1], lines[2], lines[1], *lines[3:]]),
        ("insert", lambda lines: [*lines[:2], lines[1].replace("T", "U"), *lines[2:]]),
        ("truncate", lambda lines: lines[:-1]),
    ],
)
def test_a_log_whose_lines_are_others_is_caught_by_the_head(shelf: Shelf, name: str, change: Any) -> None:
    shelf.leaves.write_text("".join(change(shelf.lines)))
    assert any("log was cut" in said or "log was altered" in said for said in shelf.wrong()), name


def test_nothing_is_added_to_an_altered_log(shelf: Shelf) -> None:
    shelf.leaves.write_text("".join(shelf.lines[:-1]))
    with pytest.raises(RecordError, match="is not what its checkpoint vouches for: one of its first 10 entries"):
        shelf.record()


def test_an_entry_that_no_head_vouches_for_is_named(shelf: Shelf) -> None:
    with shelf.leaves.open("a") as log:
        log.write(shelf.lines[1])
    assert "prod: 1 entries were added that no checkpoint vouches for." in shelf.wrong()


def test_a_head_of_another_key_is_named(shelf: Shelf) -> None:
    log = read_log(shelf.folder)
    shelf.head.chmod(0o644)
    shelf.head.write_text(head_of(log.origin, log.leaves, new_signer()).text)
    assert any("The checkpoint is not signed by the log's key" in said for said in shelf.wrong())
    shelf.record(seal=False, changes=False)
    with pytest.raises(RecordError, match="is signed by the key"):
        records.seal_closed(shelf.folder, records.Seal(new_signer()))


def test_a_dropped_failed_run_is_named(shelf: Shelf) -> None:
    failed = next(folder for folder in runs(shelf) if '"outcome": "failed"' in (folder / MANIFEST).read_text())
    shutil.rmtree(failed)
    run = failed.name[-8:]
    assert f"prod: Run {run} is in the log, and its record is not here: it was removed." in shelf.wrong()


def test_a_run_that_was_begun_and_whose_record_was_removed_before_its_end_is_named(shelf: Shelf) -> None:
    folder = records.create(shelf.root, target="prod", stage="upgrade")
    records.announce(folder, "sha256:" + "1" * 64, shelf.seal)
    assert not shelf.wrong(), "it may still be at work"
    assert f"{folder.name}: how it ends; it is not closed." in shelf.verified().unproved
    shutil.rmtree(folder)
    said = "began a change, and its record is not here: it was removed before it was sealed."
    assert f"prod: Run {folder.name[-8:]} {said}" in shelf.wrong()


def test_a_record_that_was_never_entered_is_named(shelf: Shelf) -> None:
    folder = shelf.record(seal=False, changes=False)
    assert shelf.wrong() == (f"{folder.name}: it is closed, and was never sealed.",)
    records.seal_closed(shelf.folder, shelf.seal)
    assert not shelf.wrong(), "the next run has sealed it"


GONE = "prod: the log's checkpoint is gone, and there is what it vouched for: it was removed."


def test_the_checkpoint_taken_away_is_named(shelf: Shelf) -> None:
    shelf.head.unlink()
    assert shelf.wrong() == (GONE,)


def test_the_whole_log_taken_away_is_named_where_a_checkpoint_was_kept(shelf: Shelf) -> None:
    kept = read_head(shelf.head.read_text())
    shutil.rmtree(shelf.head.parent)
    gone = f"The log {kept.origin} is not here, of which a checkpoint was given: it was removed."
    assert shelf.wrong(heads=(kept,)) == (GONE, gone)
    assert shelf.wrong() == (GONE,)
    for path in (*shelf.folder.glob("*/proof.json"), *shelf.folder.glob("*/*.dsse.json")):
        path.unlink()
    assert shelf.wrong(heads=(kept,)) == (gone,)
    assert shelf.wrong(persons=(shelf.seal.by[0],)) == (
        "prod: its records are not signed, so by none of the keys that were given.",
    )
    shutil.rmtree(shelf.folder)
    assert shelf.wrong(heads=(kept,))


# ---- an insider with the log's key; only what was kept elsewhere catches these


def test_a_log_signed_anew_is_a_log_and_the_kept_checkpoint_says_that_it_is_another(shelf: Shelf) -> None:
    kept = read_head(shelf.head.read_text())
    failed = next(folder for folder in runs(shelf) if '"outcome": "failed"' in (folder / MANIFEST).read_text())
    rewrite(failed / MANIFEST, lambda text: text.replace('"outcome": "failed"', '"outcome": "done"'))
    origin = json.loads(shelf.lines[0])["origin"]
    begun = [line for line in shelf.lines if '"kind":"started"' in line or '"kind":"opened"' in line]
    first = shelf.lines[0]
    shelf.forget_log()
    shelf.leaves.parent.mkdir()
    resign(shelf, [first, *begun])
    records.seal_closed(shelf.folder, shelf.seal)
    assert not shelf.wrong(), "the insider is good at it"
    (wrong,) = shelf.wrong(heads=(kept,))
    assert wrong == (
        f"prod: The log was rewritten or forked: its first {kept.size} entries are not those of the given checkpoint of "
        f"{kept.size} entries."
    )
    assert json.loads(shelf.lines[0])["origin"] == origin


def test_a_log_rolled_back_is_named(shelf: Shelf) -> None:
    kept = read_head(shelf.head.read_text())
    last = runs(shelf)[-1] if '"done"' in (runs(shelf)[-1] / MANIFEST).read_text() else runs(shelf)[0]
    gone = json.loads(shelf.lines[-1])["run"]
    last = next(folder for folder in runs(shelf) if folder.name.endswith(gone))
    shutil.rmtree(last)
    whole, left = shelf.lines, [line for line in shelf.lines if gone not in line]
    resign(shelf, left)
    assert not shelf.wrong()
    said = shelf.wrong(heads=(kept,))
    assert said == (
        f"prod: The log was rolled back: it has {len(left)} entries, fewer than the given checkpoint of {len(whole)} entries "
        "vouches for.",
    )


def test_a_log_rolled_back_to_an_older_checkpoint_is_named_by_the_proofs_of_later_records(shelf: Shelf) -> None:
    """Without the key: the checkpoint in the proof of an earlier record is a good one."""
    first, *_, last = sorted(runs(shelf), key=lambda folder: json.loads((folder / PROOF).read_text())["index"])
    proof = json.loads((first / PROOF).read_text())
    head = read_head(proof["checkpoint"])
    shelf.head.chmod(0o644)
    shelf.head.write_text(head.text)
    shelf.leaves.write_text("".join(shelf.lines[: head.size]))
    said = shelf.wrong()
    assert f"{last.name}: it is not in the log: its proof is of another one." in said


def test_a_back_dated_entry_is_out_of_order(shelf: Shelf) -> None:
    late = json.loads(shelf.lines[-1]) | {"at": "2020-01-01T00:00:00.000Z"}
    resign(shelf, [*shelf.lines[:-1], canonical(late) + "\n"])
    said = shelf.wrong()
    assert "prod: Entry 9 of the log says 2020-01-01T00:00:00.000Z, before the one ahead of it." in said
    assert any("after it was entered in the log at 2020-01-01" in each or "another entry" in each for each in said)


@pytest.mark.parametrize("entry", [{"kind": "finished"}, {"kind": "started", "run": "x"}, {}, [], "text", None])
def test_an_entry_that_is_none_is_a_sentence(shelf: Shelf, entry: Any) -> None:
    resign(shelf, [*shelf.lines, json.dumps(entry) + "\n"])
    (said, *_) = shelf.wrong()
    assert said.startswith("prod: ")


def test_a_log_that_names_no_key_is_a_sentence(shelf: Shelf) -> None:
    first = {name: said for name, said in json.loads(shelf.lines[0]).items() if name != "key"}
    resign(shelf, [canonical(first) + "\n", *shelf.lines[1:]])
    (said,) = shelf.wrong()
    assert said.startswith("prod: ")


def test_a_run_entered_twice_is_named(shelf: Shelf) -> None:
    again: Json = json.loads(shelf.lines[-1])
    resign(shelf, [*shelf.lines, canonical(again) + "\n"])
    assert f"prod: Run {again['run']} was entered 2 times as finished." in shelf.wrong()


def test_a_log_that_begins_with_a_key_that_nobody_trusts_is_named(shelf: Shelf, tmp_path: Path) -> None:
    trusted, stranger = shelf.seal.by[0], new_signer("li.wei")[0]
    assert not shelf.wrong(persons=(trusted, stranger))
    (wrong,) = shelf.wrong(persons=(stranger,))
    assert wrong == f"prod: The log begins with the key {trusted.fingerprint}, which is none of those given."


# ---- another key, handed over


def test_a_key_handed_over_goes_on_and_the_old_one_vouches_for_it(shelf: Shelf) -> None:
    kept, old, new = read_head(shelf.head.read_text()), shelf.seal, new_signer("next")
    records.rotate(shelf.folder, old, new)
    assert not shelf.wrong(heads=(kept,), persons=(old.by[0],))
    with pytest.raises(RecordError, match="is signed by the key"):
        shelf.record()
    shelf.seal = records.Seal(new)
    records.seal_closed(shelf.folder, shelf.seal)
    shelf.record()
    shutil.rmtree(next(folder for folder in shelf.folder.glob("2*") if not (folder / MANIFEST).exists()))
    assert not shelf.wrong(heads=(kept,), persons=(old.by[0],))
    assert [person.name for _, person in records.signers(shelf.root)] == ["runbooks", "next"]


def test_a_key_that_the_one_before_has_not_named_is_refused(shelf: Shelf) -> None:
    thief = new_signer("thief")
    entry = {"at": json.loads(shelf.lines[-1])["at"], "kind": "key", "key": thief[0].line, "signature": "AAAA"}
    lines = [*shelf.lines, canonical(entry) + "\n"]
    shelf.leaves.write_text("".join(lines))
    hashes = [leaf_hash(line.rstrip("\n").encode()) for line in lines]
    shelf.head.write_text(head_of(json.loads(lines[0])["origin"], hashes, thief).text)
    (wrong,) = shelf.wrong()
    assert wrong == f"prod: The key {thief[0].fingerprint} signs the log, and was not named by the one before it."


def test_what_is_no_log_can_not_be_handed_over(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No log of records is in"):
        records.rotate(tmp_path / "prod", records.Seal(new_signer()), new_signer())


# ---- killed writers


def test_half_an_entry_of_a_killed_writer_is_cut_off_by_the_next(shelf: Shelf) -> None:
    with shelf.leaves.open("a") as log:
        log.write('{"at":"2026-')
    assert not shelf.wrong()
    shelf.record()
    assert not shelf.wrong()
    assert all(json.loads(line) for line in shelf.lines)


def test_a_record_entered_before_its_writer_was_killed_is_not_entered_again(shelf: Shelf) -> None:
    folder = shelf.record()
    (folder / PROOF).unlink()
    size = len(shelf.lines)
    assert records.seal_closed(shelf.folder, shelf.seal) == [folder]
    assert len(shelf.lines) == size
    assert not shelf.wrong()


def test_sealing_again_changes_nothing(shelf: Shelf) -> None:
    before = shelf.leaves.read_bytes()
    assert records.seal_closed(shelf.folder, shelf.seal) == []
    assert shelf.leaves.read_bytes() == before


# ---- without the key


def test_a_record_that_somebody_made_is_never_signed_by_the_next_run(shelf: Shelf) -> None:
    real = next(folder for folder in runs(shelf) if '"done"' in (folder / MANIFEST).read_text())
    forged = shelf.folder / f"20260101T000000Z-upgrade-{'deadbeef'}"
    shutil.copytree(real, forged)
    for name in (PROOF, "record.dsse.json", "report.dsse.json"):
        (forged / name).unlink()
    shelf.record()
    assert not (forged / PROOF).exists()
    found = shelf.verified()
    assert f"{forged.name}: who made it; it is older than the log." in found.unproved
    assert (
        f"{forged.name}: it was renamed: it is run {real.name[-8:]} of install, not deadbeef of upgrade."
        in found.problems
    )


def test_a_record_of_now_that_the_log_does_not_know_is_wrong(shelf: Shelf) -> None:
    folder = records.create(shelf.root, target="prod", stage="verify")
    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="It passed.", closer="seal cell")
    shelf.record()
    said = f"{folder.name}: anybody could have made it: the log does not know that it was opened."
    assert shelf.wrong() == (said,)


def forged_record(shelf: Shelf, stage: str, run: str) -> Path:
    """What somebody without the key can make: a record with a manifest, of a time long ago."""
    folder = shelf.folder / f"20260101T000000Z-{stage}-{run}"
    folder.mkdir()
    (folder / "events.jsonl").write_text("")
    files = {"events.jsonl": {"sha256": digest_bytes(b""), "size": 0}}
    told = {"run_id": run, "stage": stage, "target": "prod", "started": "2026-01-01T00:00:00.000Z", "files": files}
    told |= {
        "outcome": "done",
        "exit_code": 0,
        "summary": "forged",
        "ended": "2026-01-01T00:01:00.000Z",
        "searched": {},
    }
    (folder / MANIFEST).write_text(json.dumps(told))
    return folder


def test_a_line_that_somebody_adds_to_the_log_is_not_signed_by_the_next_run(shelf: Shelf) -> None:
    folder = forged_record(shelf, "upgrade", "deadbeef")
    entry = {"at": json.loads(shelf.lines[-1])["at"], "kind": "opened", "run": "deadbeef", "stage": "upgrade"}
    with shelf.leaves.open("a") as log:
        log.write(canonical(entry | {"target": "prod"}) + "\n" + '{"kind":"opened"}\n')
    shelf.record()
    assert not (folder / PROOF).exists()
    assert not any("deadbeef" in line for line in shelf.lines)


def test_a_log_whose_head_was_taken_away_is_not_signed_anew(shelf: Shelf) -> None:
    """Nor are the records, which somebody has stripped of their proofs and altered."""
    before = runs(shelf)
    shelf.head.unlink()
    shelf.leaves.write_text("".join(line for line in shelf.lines if '"kind":"finished"' not in line))
    for folder in before:
        for name in (PROOF, "record.dsse.json", "report.dsse.json"):
            (folder / name).unlink()
    shelf.record()
    assert not [folder for folder in before if (folder / PROOF).exists()]
    told = shelf.verified()
    # They are as old as the new log to within seconds, or older: none of them is proved.
    assert all(any(folder.name in said for said in told.problems + told.unproved) for folder in before)


def test_the_record_of_an_opened_run_that_is_replaced_by_another_is_named(shelf: Shelf) -> None:
    real = shelf.record(seal=False, changes=False)
    shutil.rmtree(real)
    other = forged_record(shelf, "verify", records.run_id(real))
    same = shelf.record(seal=False, changes=False)
    shutil.rmtree(same)
    late = forged_record(shelf, "install", records.run_id(same))
    records.seal_closed(shelf.folder, shelf.seal)
    wrong = shelf.wrong()
    assert f"{other.name}: the log has its run as one of install, and ended as verify." in wrong
    assert any(
        said.startswith(f"{late.name}: it says that it began at 2026-01-01T00:00:00.000Z, and was opened at")
        for said in wrong
    )


def test_a_record_that_was_sealed_in_another_log_is_not_in_this_one(shelf: Shelf, tmp_path: Path) -> None:
    """Also with the key: the checkpoint of another log proves nothing here."""
    other = Shelf(tmp_path / "aside")
    other.seal = shelf.seal
    forged = other.record()
    shutil.copytree(forged, shelf.folder / forged.name)
    assert f"{forged.name}: it is not in the log: its proof is of another one." in shelf.wrong()


@pytest.mark.parametrize("emptied", [False, True])
def test_a_sealed_record_that_was_opened_again_is_named(shelf: Shelf, emptied: bool) -> None:
    (first, *_) = runs(shelf)
    for path in first.iterdir():
        if emptied or path.name in {MANIFEST, PROOF, "record.dsse.json", "report.dsse.json"}:
            path.unlink()
    said = f"{first.name}: the log has its end, and manifest.json is not here: it was removed."
    assert shelf.wrong() == (said,)
    assert records.verify_all(shelf.root, records.Given(), first).problems == (said,)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("20200101T000000Z-install-{run}", "it was renamed: it began at"),
        ("{at}-verify-{run}", "it was renamed: it is run {run} of install, not {run} of verify."),
    ],
)
def test_a_renamed_record_is_named(shelf: Shelf, name: str, said: str) -> None:
    (first, *_) = runs(shelf)
    run, at = records.run_id(first), first.name.split("-")[0]
    first.rename(first.with_name(name.format(run=run, at=at)))
    assert any(said.format(run=run) in each for each in shelf.wrong())


def test_a_record_that_is_there_twice_is_named(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    shutil.copytree(first, first.with_name(f"20260101T000000Z-install-{records.run_id(first)}"))
    assert f"prod: Run {records.run_id(first)} has 2 records here: it has one." in shelf.wrong()


def test_folders_in_a_record_are_looked_at_too(shelf: Shelf) -> None:
    first, second, third = runs(shelf)
    (first / "more").symlink_to("/etc")
    (second / "empty" / "inner").mkdir(parents=True)
    third.rename(shelf.root / "elsewhere")
    third.symlink_to(shelf.root / "elsewhere")
    assert {
        f"{first.name}: more was added after the record was closed.",
        f"{second.name}: empty/inner was added after the record was closed.",
        f"{third.name}: it is a link: what it leads to can change.",
    } <= set(shelf.wrong())


@pytest.mark.parametrize("name", ["\u0662\u0660260101T000000Z-install-deadbeef", "20260101T000000Z-install-deadbeef\n"])
def test_a_folder_with_such_a_name_is_no_record(shelf: Shelf, name: str) -> None:
    shutil.copytree(runs(shelf)[0], shelf.folder / name)
    assert len(records.listing(shelf.root)) == 3


def test_a_file_that_is_called_so_that_it_says_something_else_does_not(shelf: Shelf) -> None:
    (first, *_) = runs(shelf)
    (first / "x\n\x1b[2JPROVED: all good").write_text("")
    said = shelf.verified().text
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith("PROVED")]


# ---- without a key


def test_records_without_a_key_prove_their_files_and_nothing_else(tmp_path: Path) -> None:
    folder = records.create(tmp_path, target="t", stage="verify")
    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="It passed.", closer="seal cell")
    found = records.verify_all(tmp_path, records.Given())
    assert found.proved == ("t: 1 records have the files that their manifests name.",)
    assert (
        "t: who made them, and that none is missing or rewritten: they are not signed (records.key)." in found.unproved
    )
    rewrite(folder / "events.jsonl", lambda text: text + "\n")
    assert records.verify_all(tmp_path, records.Given()).problems == (
        f"{folder.name}: events.jsonl was altered after the record was closed.",
    )


# ---- what an auditor brings


def test_checkpoints_are_a_file_or_a_folder_of_them(shelf: Shelf, tmp_path: Path) -> None:
    anchored = tmp_path / "anchor"
    shelf.seal = shelf.seal._replace(anchor=str(anchored))
    shelf.record()
    shelf.record()
    copies = sorted(anchored.rglob("*.checkpoint"))
    # The first of three entries, that a run was opened, is vouched for by the next ones.
    assert [path.name for path in copies] == [f"{size:08}.checkpoint" for size in (12, 13, 15, 16)]
    assert [head.size for head in records.given(None, anchored).heads] == [12, 13, 15, 16]
    keys = tmp_path / "keys"
    keys.write_text(f"# trusted\n{shelf.seal.by[0].line}\n")
    known = records.given(keys, copies[0])
    assert not records.verify_all(shelf.root, known).problems
    assert len(records.verify_all(shelf.root, known).unproved) == 0


@pytest.mark.parametrize("content", ["", "no checkpoint", "a\nb\nc\n", "o\n1\n!!\n\n"])
def test_what_is_no_checkpoint_is_refused(shelf: Shelf, tmp_path: Path, content: str) -> None:
    (tmp_path / "c").write_text(content)
    with pytest.raises(UsageError, match="holds no keys or checkpoints as they should be"):
        records.given(None, tmp_path / "c")
    with pytest.raises(UsageError, match="holds no keys or checkpoints"):
        records.given(tmp_path / "missing", None)


# ---- the anchor


def test_a_required_anchor_that_cannot_be_written_keeps_a_change_from_beginning(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelf.seal = shelf.seal._replace(anchor=str(tmp_path / "file"), required=True)
    folder = records.create(shelf.root, target="prod", stage="upgrade")
    with pytest.raises(RecordError, match="could not be copied to the anchor"):
        records.announce(folder, "sha256:0", shelf.seal)
    records.announce(folder, "sha256:0", shelf.seal._replace(required=False))


@pytest.mark.parametrize("required", [True, False])
def test_a_log_that_does_not_go_on_from_what_was_anchored_is_refused(
    shelf: Shelf, tmp_path: Path, required: bool
) -> None:
    anchored = tmp_path / "anchor"
    shelf.seal = shelf.seal._replace(anchor=f"file://{anchored}", required=required)
    last = shelf.record()
    copies = {path: path.read_text() for path in anchored.rglob("*.checkpoint")}
    resign(shelf, [line for line in shelf.lines if last.name[-8:] not in line])
    shutil.rmtree(last)
    with pytest.raises(RecordError, match=r"does not go on from the checkpoint of 13 entries that was anchored"):
        shelf.record()
    assert {path: path.read_text() for path in anchored.rglob("*.checkpoint")} == copies
    # Required, the change does not begin; else its record is not signed.
    assert '"kind":"started"' in shelf.lines[-1]
    unsigned = [folder for folder in runs(shelf) if not (folder / PROOF).exists()]
    assert bool(unsigned) != required


# ---- the cluster's own history


def test_a_revision_that_no_run_made_is_named(shelf: Shelf) -> None:
    (run,) = [json.loads(line)["run"] for line in shelf.lines if '"kind":"started"' in line][:1]
    plan = "sha256:" + "0" * 64
    history = [
        (1, f"run {run} plan {plan}"),
        (2, "Upgrade complete"),
        (3, "Rollback to 1"),
        (4, f"run ffffffff plan {plan}"),
        (5, f"run {run} plan sha256:{'1' * 64}"),
    ]
    found = records.held_against(shelf.root, history)
    assert found.proved == (f"Revision 1 was made by run {run}, which is in the log with its plan.",)
    assert found.unproved == ("Who made revision 3: Helm says 'Rollback to 1' of it, and takes no other word.",)
    assert found.problems == (
        "Revision 2 was made without a run: Helm says 'Upgrade complete' of it.",
        "Revision 4 says that run ffffffff made it; no log here has that run with its plan.",
        f"Revision 5 says that run {run} made it, which made revision 1.",
    )
