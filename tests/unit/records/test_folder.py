"""Making a record and putting files into it."""

import re
import stat
from pathlib import Path

import pytest

from runbooks_lib import records
from runbooks_lib.errors import RecordClosed, RecordError
from runbooks_lib.records.folder import stage_of
from runbooks_lib.redaction import Redactor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return records.create(tmp_path / "records", target="dataflow.csghub", stage="verify")


def test_a_record_is_named_by_target_time_stage_and_run_id(folder: Path, tmp_path: Path) -> None:
    assert folder.parent == tmp_path / "records" / "dataflow.csghub"
    assert re.fullmatch(r"\d{8}T\d{6}Z-verify-[0-9a-f]{8}", folder.name)
    assert folder.name.endswith(records.run_id(folder))
    assert stage_of(folder) == "verify"


def test_a_run_takes_the_record_that_the_engine_made_for_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOKS_RUN_FOLDER", str(folder))

    assert records.open_folder(tmp_path / "other", target="t", stage="verify") == folder
    assert not (tmp_path / "other").exists()


def test_an_engine_that_made_no_record_is_told_of_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_RUN_POINTER", str(tmp_path / "pointer"))

    folder = records.open_folder(tmp_path, target="t", stage="verify")

    assert (tmp_path / "pointer").read_text() == str(folder)
    assert folder.parent == tmp_path / "t"


def test_a_stage_may_have_a_hyphen_in_its_name(tmp_path: Path) -> None:
    assert stage_of(records.create(tmp_path, target="t", stage="start-here")) == "start-here"


@pytest.mark.parametrize(
    ("target", "shelf"),
    [("a.b", "a.b"), ("../up", "-up"), ("x/y z", "x-y-z"), ("..", "unnamed"), ("", "unnamed"), ("ä", "-")],
)
def test_a_targets_name_never_leads_out_of_the_records_folder(tmp_path: Path, target: str, shelf: str) -> None:
    folder = records.create(tmp_path, target=target, stage="verify")

    assert folder.parent == tmp_path / shelf


def test_two_records_of_the_same_second_are_two_folders(tmp_path: Path) -> None:
    made = {records.create(tmp_path, target="t", stage="verify") for _ in range(20)}

    assert len(made) == 20


def test_a_folder_that_is_no_record_has_no_run_id(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is not a record: its name is not <UTC time>-<stage>-<run id>"):
        records.run_id(tmp_path)


def test_a_record_that_cannot_be_made_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file in the way")

    with pytest.raises(RecordError, match=r"could not be written: .*records/t/.*: Not a directory") as refused:
        records.create(tmp_path / "records", target="t", stage="verify")

    assert refused.value.exit_code == 8
    assert "name another with output_directory" in refused.value.next_step


def test_files_are_written_redacted_whole_and_in_folders_of_their_own(folder: Path) -> None:
    redactor = Redactor()
    redactor.register("s3cr3t-value", "database password")

    records.write_text(folder, "evidence/pod.log", "login s3cr3t-value ok", redactor)
    records.write_json(folder, "plan.json", {"s3cr3t-value": ["s3cr3t-value", 1, None]}, redactor)

    assert (folder / "evidence/pod.log").read_text() == "login «redacted:database password» ok"
    assert "s3cr3t" not in (folder / "plan.json").read_text()
    assert not list(folder.rglob("*.part"))


def test_an_open_record_lets_a_file_be_written_again(folder: Path) -> None:
    for text in ("first", "second"):
        records.write_text(folder, "plan.json", text, Redactor())

    assert (folder / "plan.json").read_text() == "second"


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hosts", "evidence/../../x", ".", ""])
def test_a_file_outside_of_the_record_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(RecordError, match="is not a path inside the record"):
        records.write_text(folder, path, "text", Redactor())


def test_a_link_that_leads_out_of_the_record_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "evidence").symlink_to(tmp_path)

    with pytest.raises(RecordError, match="is not a path inside the record"):
        records.write_text(folder, "evidence/pods.json", "text", Redactor())


def test_nothing_is_added_to_a_closed_record(folder: Path) -> None:
    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="", closer="seal cell")

    with pytest.raises(RecordClosed, match="is closed; nothing can be added to it") as refused:
        records.write_text(folder, "late.txt", "text", Redactor())

    assert refused.value.next_step == "Start a new run: run the notebook again from its first cell."
    assert not (folder / "late.txt").exists()


def test_files_can_be_read_by_others_and_are_frozen_when_the_record_is_closed(folder: Path) -> None:
    path = records.write_text(folder, "parameters.json", "{}", Redactor())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644

    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="", closer="seal cell")

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes == dict.fromkeys(("events.jsonl", "manifest.json", "parameters.json"), 0o444)
