"""What a run writes down of itself, and how its record is closed and sealed by whoever comes last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib import records, secrets, signing
from runbooks_lib.errors import RecordError, UsageError
from runbooks_lib.headless import stage
from runbooks_lib.parameters import Parameters, RecordsSettings
from runbooks_lib.recording import Recording
from runbooks_lib.records import CANARY_VARIABLE
from runbooks_lib.records.folder import PROOF
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event

ROOT = Path(__file__).parents[2]
PASSPHRASE = "correct horse battery"
PARAMETERS = {
    "target": {"namespace": "csghub"},
    "chart": {"version": "1.16.0"},
    "csghub": {"external_url": "https://csghub.example.com"},
    "gateway": {"domain": "example.com"},
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The section of a parameters file, with a key that is really there."""
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    monkeypatch.setenv("KEY_PASSPHRASE", PASSPHRASE)
    (tmp_path / "key.pem").write_bytes(signing.new_key(PASSPHRASE.encode()))
    (tmp_path / "key.pem").chmod(0o600)
    return {"key": "key.pem", "passphrase": {"from": "env:KEY_PASSPHRASE"}}


def seal(settings: dict[str, Any], redactor: Redactor) -> records.Seal:
    made = secrets.seal_of(RecordsSettings.model_validate(settings), redactor)
    assert made is not None
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return records.create(tmp_path / "records", target="prod", stage="verify")


def test_the_passphrase_is_a_secret_of_the_run_and_the_anchor_a_path_of_the_project(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    redactor = Redactor()
    made = seal(settings | {"anchor": "kept"}, redactor)
    assert made.anchor == str(tmp_path / "kept")
    assert redactor.redact(f"it is {PASSPHRASE}") == "it is «redacted:env:KEY_PASSPHRASE»"
    assert seal(settings | {"anchor": "s3://bucket/runs"}, redactor).anchor == "s3://bucket/runs"


def test_without_a_key_nothing_is_sealed() -> None:
    assert secrets.seal_of(RecordsSettings(), Redactor()) is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"passphrase": {"from": "env:OTHER"}}, "The secret env:OTHER is missing or empty."),
        ({"key": "none.pem"}, "The file {root}/none.pem can't be read: No such file or directory."),
        ({"key": "word"}, "{root}/word is no Ed25519 key that this passphrase opens."),
        ({"passphrase": {"from": "env:WRONG"}}, "{root}/key.pem is no Ed25519 key that this passphrase opens."),
    ],
)
def test_a_key_that_can_not_be_used_is_told_before_anything_begins(
    settings: dict[str, Any], more: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG", "not the passphrase")
    (tmp_path / "word").write_text("no key")
    (tmp_path / "word").chmod(0o600)
    with pytest.raises(UsageError) as caught:
        seal(settings | more, Redactor())
    assert caught.value.summary == said.format(root=tmp_path)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"key": "k"}, "passphrase is missing: what unlocks the key"),
        ({"anchor_required": True}, "anchor_required needs key and anchor"),
    ],
)
def test_half_a_section_is_refused(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RecordsSettings.model_validate(chosen)


def entered(settings: dict[str, Any], folder: Path) -> Recording:
    """What a run writes that the log knows as opened."""
    by = seal(settings, Redactor())
    assert by is not None
    records.enter(by, folder)
    return Recording(folder, Redactor(), by)


def test_the_seal_cell_closes_and_seals(settings: dict[str, Any], folder: Path) -> None:
    recording = entered(settings, folder)
    recording.observe(Event(kind="run.opened"))
    assert recording.close("passed", "It passed.").outcome == "passed"
    assert not records.verify_all(recording.root, records.Given()).problems
    assert (folder / PROOF).exists()


def test_a_kernel_that_ends_without_its_seal_cell_seals_what_is_proved(settings: dict[str, Any], folder: Path) -> None:
    entered(settings, folder).close_as_proved("kernel shutdown")
    assert json.loads((folder / "manifest.json").read_text())["outcome"] == "unknown"
    assert (folder / PROOF).exists()


def test_a_change_is_announced_before_it_begins(settings: dict[str, Any], folder: Path) -> None:
    recording = entered(settings, folder)
    recording.announce("sha256:" + "0" * 64)
    log = (folder.parent / "log" / "leaves.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in log] == ["log", "opened", "started"]
    recording.close("done", "It ended.")
    assert not records.verify_all(recording.root, records.Given()).problems


def test_a_preview_announces_and_closes_nothing() -> None:
    recording = Recording(None, Redactor())
    recording.announce("sha256:0")
    with pytest.raises(UsageError, match="A preview has no record to seal"):
        recording.close("passed", "It passed.")


def test_what_can_not_be_sealed_is_told_and_its_code_is_not_0(
    settings: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    blocked = seal(settings | {"anchor": "file"}, Redactor())
    recording = Recording(folder, Redactor(), blocked)
    with pytest.raises(RecordError, match="could not be copied to the anchor"):
        recording.close("passed", "It passed.")
    other = records.create(tmp_path / "records", target="prod", stage="verify")
    Recording(other, Redactor(), None).close("passed", "It passed.")
    ended = stage.sealed(records.summary_of(other), blocked)
    assert (ended.outcome, ended.exit_code) == ("passed", 8)
    assert "Its record is closed, and could not be sealed: The log's checkpoint could not be copied" in ended.summary


def test_what_is_written_past_the_redactor_is_found_by_the_canary_that_each_run_plants(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(ROOT))
    monkeypatch.delenv(CANARY_VARIABLE, raising=False)
    monkeypatch.setattr(records.Capture, "install", lambda _: None)
    recording = Recording(folder, Redactor())
    recording.begin("backup", Parameters.model_validate(PARAMETERS))
    canary = os.environ[CANARY_VARIABLE]
    recording.save("evidence/environment.txt", f"{CANARY_VARIABLE}={canary}\n")
    assert (folder / "evidence/environment.txt").read_text() == (
        f"{CANARY_VARIABLE}=«redacted:env:{CANARY_VARIABLE}»\n"
    )
    (folder / "evidence" / "dump").write_text(f"{CANARY_VARIABLE}={canary}\n")
    ended = recording.close("done", "It ended.")
    assert (ended.outcome, ended.exit_code) == ("quarantined", 8)
    assert f"env:{CANARY_VARIABLE} at or after byte 16 of evidence/dump" in ended.summary
    assert canary not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())

    other = Recording(records.create(tmp_path / "records", target="prod", stage="verify"), Redactor())
    other.begin("backup", Parameters.model_validate(PARAMETERS))
    assert os.environ[CANARY_VARIABLE] != canary
    other.close("done", "It ended.")
