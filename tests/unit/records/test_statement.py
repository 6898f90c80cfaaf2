"""What a record's statements say, in in-toto's own terms."""

from __future__ import annotations

import json
from pathlib import Path

from sealed import Shelf

from runbooks_lib import records
from runbooks_lib.records.sealing import IN_TOTO
from runbooks_lib.records.statement import statements
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, digest_bytes
from runbooks_lib.signing import opened


def signed(shelf: Shelf, folder: Path, name: str) -> Json:
    person = shelf.seal.by[0]
    found = opened((folder / name).read_bytes(), IN_TOTO, {person.fingerprint: person})
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_provenance_has_every_file_as_a_subject_and_says_who_what_and_when(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    folder = shelf.record()
    said = signed(shelf, folder, "record.dsse.json")
    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    files = {path.name for path in folder.iterdir()} - {"record.dsse.json", "report.dsse.json", "proof.json"}
    subjects = {each["name"]: each["digest"]["sha256"] for each in said["subject"]}
    assert subjects.keys() == files
    assert all(digest_bytes((folder / name).read_bytes()) == f"sha256:{digest}" for name, digest in subjects.items())
    definition, details = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert definition["externalParameters"] == {"stage": "install"}
    assert definition["internalParameters"]["who"] == {"cluster": "li.wei"}
    assert (definition["internalParameters"]["outcome"], details["builder"]["version"]) == ("done", {"helm": "3.19"})
    assert details["metadata"]["invocationId"] == records.run_id(folder)
    assert details["metadata"]["startedOn"] <= details["metadata"]["finishedOn"]


def test_the_report_is_a_test_result_about_the_manifest(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    folder = records.create(tmp_path, target="prod", stage="verify")
    records.enter(shelf.seal, folder)
    journal = records.Journal(folder, Redactor(), role="kernel")
    for number, status in enumerate(("pass", "warn", "fail", "unknown", "skip")):
        journal(Event(kind="check.answered", data={"id": f"c.{number}", "status": status}))
    records.close(folder, Redactor(), outcome="failed", exit_code=3, summary="It failed.", closer="seal cell")
    records.seal_closed(shelf.folder, shelf.seal)
    said = signed(shelf, folder, "report.dsse.json")
    assert said["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert [each["name"] for each in said["subject"]] == ["manifest.json"]
    assert said["predicate"] == {
        "result": "FAILED",
        "configuration": [{"name": "c.3"}, {"name": "c.4"}],
        "passedTests": ["c.0"],
        "warnedTests": ["c.1"],
        "failedTests": ["c.2"],
    }


def test_a_check_that_could_not_be_made_is_no_passed_report(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    folder = shelf.record(seal=False)
    assert statements(folder)["report"]["predicate"]["result"] == "PASSED"
    other = records.create(tmp_path, target="prod", stage="verify")
    journal = records.Journal(other, Redactor(), role="kernel")
    journal(Event(kind="check.answered", data={"id": "a", "status": "unknown"}))
    records.close(other, Redactor(), outcome="unknown", exit_code=6, summary="?", closer="seal cell")
    assert statements(other)["report"]["predicate"]["result"] == "WARNED"


def test_a_run_without_checks_has_no_report(tmp_path: Path) -> None:
    folder = records.create(tmp_path, target="prod", stage="verify")
    records.close(folder, Redactor(), outcome="abandoned", exit_code=6, summary="?", closer="sweep")
    assert statements(folder).keys() == {"record"}
