"""Finding, listing and checking records."""

import json
from pathlib import Path

import pytest

from runbooks_lib import records
from runbooks_lib.errors import RecordError, UsageError
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = records.create(tmp_path, target="t", stage="verify")
    records.write_text(folder, "evidence/pod.log", "fine", Redactor())
    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="ok", closer="seal cell")
    return folder


def unlock(path: Path) -> Path:
    path.chmod(0o644)
    return path


def test_the_list_has_open_and_closed_runs_oldest_first(tmp_path: Path, closed: Path) -> None:
    opened = records.create(tmp_path, target="other", stage="install")
    (tmp_path / "t" / "not-a-record").mkdir()
    (tmp_path / "stray.txt").touch()
    older = closed.rename(closed.with_name(closed.name.replace("20", "19", 1)))

    first, second = records.listing(tmp_path)

    assert (first.folder, first.outcome, first.stage, first.target) == (str(older), "passed", "verify", "t")
    assert (second.folder, second.outcome, second.exit_code) == (str(opened), "open", 6)
    assert second.started.endswith("Z")


def test_a_root_that_does_not_exist_has_no_records(tmp_path: Path) -> None:
    assert records.listing(tmp_path / "none") == []


def test_a_run_takes_as_long_as_from_its_first_event_to_its_manifest(closed: Path) -> None:
    assert 0 <= records.summary_of(closed).seconds < 60


def test_a_clock_that_goes_back_leaves_a_record_whole_and_a_run_of_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = records.create(tmp_path, target="t", stage="verify")
    for module in ("journal", "closing"):
        monkeypatch.setattr(f"runbooks_lib.records.{module}.now", lambda: "2001-01-01T00:00:00.000Z")
    records.Journal(folder, Redactor(), role="kernel")(Event(kind="check.answered", data={"id": "later"}))

    assert records.summary_of(folder).seconds == 0
    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="ok", closer="seal cell")

    assert records.summary_of(folder).seconds == 0
    assert records.verify(folder) == []
    assert [event["kind"] for event in records.read_events(folder)][-2:] == ["check.answered", "run.ended"]


def test_a_record_is_found_by_the_beginning_of_its_run_id(tmp_path: Path, closed: Path) -> None:
    assert records.find(tmp_path, records.run_id(closed)[:6]) == closed


def test_a_run_id_that_fits_none_or_several_is_a_sentence(tmp_path: Path, closed: Path) -> None:
    records.create(tmp_path, target="t", stage="verify")

    with pytest.raises(UsageError, match="There is no record 'xyz'") as none:
        records.find(tmp_path, "xyz")
    with pytest.raises(UsageError, match="'' is the beginning of 2 records: ") as several:
        records.find(tmp_path, "")

    assert none.value.next_step == "List the records with `runbooks records list`."
    assert several.value.next_step == "Give more of the run id."


def test_a_record_that_nobody_touched_has_no_problem(closed: Path) -> None:
    assert records.verify(closed) == []


def test_a_record_that_was_never_closed_is_a_problem(tmp_path: Path) -> None:
    folder = records.create(tmp_path, target="t", stage="verify")

    assert records.verify(folder) == [f"{folder.name} has no manifest.json: it was never closed."]


def test_a_missing_an_altered_and_an_added_file_are_each_told(closed: Path) -> None:
    unlock(closed / "events.jsonl").write_text("")
    (closed / "evidence" / "pod.log").unlink()
    (closed / "late.txt").touch()
    (closed / "link").symlink_to("events.jsonl")

    assert sorted(records.verify(closed)) == [
        "events.jsonl was altered after the record was closed.",
        "evidence/pod.log is missing.",
        "late.txt was added after the record was closed.",
        "link was added after the record was closed.",
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": {}}', "{"])
def test_a_broken_manifest_is_an_error_with_exit_code_8(closed: Path, content: str) -> None:
    unlock(closed / "manifest.json").write_text(content)

    with pytest.raises(RecordError, match=r"The manifest of the record .* can't be read") as refused:
        records.verify(closed)

    assert refused.value.exit_code == 8


def test_a_damaged_record_is_listed_as_unknown_and_hides_no_other(tmp_path: Path, closed: Path) -> None:
    other = records.create(tmp_path, target="t", stage="install")
    manifest = closed / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("garbage")
    told = {summary.run_id: (summary.outcome, summary.exit_code) for summary in records.listing(closed.parent.parent)}
    told |= {summary.run_id: (summary.outcome, summary.exit_code) for summary in records.listing(tmp_path)}
    assert told[records.run_id(closed)] == ("unknown", 8)
    assert told[records.run_id(other)] == ("open", 6)


def test_a_record_is_found_by_its_folder_too(closed: Path) -> None:
    root = closed.parent.parent
    assert records.find(root, str(closed)) == closed
    assert records.find(root, closed.name) == closed


def test_a_manifest_that_lists_less_does_not_hide_a_file(closed: Path) -> None:
    manifest = json.loads((closed / "manifest.json").read_text())
    del manifest["files"]["evidence/pod.log"]
    unlock(closed / "manifest.json").write_text(json.dumps(manifest))

    assert records.verify(closed) == ["evidence/pod.log was added after the record was closed."]


CSGHUB = {"cluster_uid": "u", "namespace": "csghub", "release": "dataflow"}


def begun(root: Path, at: str, target: Json, *kinds: str) -> Path:
    """A run of this time that told these events."""
    folder = records.create(root, target="t", stage="upgrade")
    journal = records.Journal(folder, Redactor(), role="kernel")
    journal(Event(kind="run.opened", data={"target": target | {"server": "https://here"}}))
    for kind in kinds:
        journal(Event(kind=kind))
    return folder.rename(folder.with_name(f"{at}-{folder.name.partition('-')[2]}"))


def test_the_last_change_of_a_target_is_found_among_runs_that_changed_nothing_or_another(tmp_path: Path) -> None:
    begun(tmp_path, "20260101T000000Z", CSGHUB, "change.started")
    last = begun(tmp_path, "20260102T000000Z", CSGHUB, "change.started", "change.failed")
    begun(tmp_path, "20260103T000000Z", CSGHUB)
    begun(tmp_path, "20260104T000000Z", CSGHUB, "change.started", "change.refused")
    begun(tmp_path, "20260105T000000Z", CSGHUB | {"namespace": "other"}, "change.started")

    told = records.last_change(tmp_path, CSGHUB, "")

    assert told.startswith(f"run {records.run_id(last)} of upgrade, begun at 20")
    assert records.last_change(tmp_path, CSGHUB | {"release": "other"}, "") == ""


def test_a_run_that_began_later_has_not_left_a_release_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = iter(f"2026-01-01T00:{minute:02}:00.000Z" for minute in range(60))
    monkeypatch.setattr("runbooks_lib.records.journal.now", lambda: next(at))
    first = begun(tmp_path, "20260101T000000Z", CSGHUB, "change.started")
    between = next(at).replace("Z", "123456Z")  # as Helm writes it
    last = begun(tmp_path, "20260102T000000Z", CSGHUB, "change.started")

    found = {until: records.last_change(tmp_path, CSGHUB, until) for until in (between, next(at), "no time")}

    assert [told.split()[1] for told in found.values()] == [records.run_id(each) for each in (first, last, last)]
