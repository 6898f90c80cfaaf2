"""docs/auditors.md as an auditor follows it: its own text is what is run, with openssl, sha256sum and a bare Python."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from sealed import Shelf, new_signer

from runbooks_lib import process, records
from runbooks_lib.records.folder import MANIFEST

TEXT = (Path(__file__).parents[3] / "docs" / "auditors.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
(PAGE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("sha256sum")), reason="openssl and sha256sum are needed"
)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path / "records")
    made.seal = made.seal._replace(anchor=str(tmp_path / "anchor"))
    for outcome in ("done", "failed"):
        made.record(outcome=outcome)
    return made


def environment(shelf: Shelf, work: Path) -> dict[str, str]:
    # A bare Python: nothing of this project's on its path.
    return {"PATH": os.environ["PATH"], "KEY": shelf.first_key, "WORK": str(work)}


def followed(shelf: Shelf, record: Path, work: Path) -> list[str]:
    """What went wrong in the steps about one record."""
    ended = [
        process.run(["bash", "-e", "-o", "pipefail", "-c", step], timeout=60, env=environment(shelf, work), cwd=record)
        for step in SHELL
    ]
    return [each.stderr + each.stdout for each in ended if not each.ok]


def page(shelf: Shelf, work: Path, *kept: Path) -> process.Completed:
    argv = [sys.executable, "-I", "-c", PAGE, str(shelf.folder), *map(str, kept)]
    return process.run(argv, timeout=120, env=environment(shelf, work))


def test_a_record_as_it_was_sealed_passes_every_step(shelf: Shelf, tmp_path: Path) -> None:
    assert len(SHELL) == 2
    for record in shelf.folder.glob("2*"):
        assert followed(shelf, record, tmp_path) == []


def test_the_page_of_python_checks_the_whole_log(shelf: Shelf, tmp_path: Path) -> None:
    kept = sorted((tmp_path / "anchor").rglob("*.checkpoint"))
    ended = page(shelf, tmp_path, *kept)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert ended.stdout == "2 manifests in a log of 7 entries: none is missing, none was altered.\n"


def test_the_page_follows_a_key_that_was_handed_over(shelf: Shelf, tmp_path: Path) -> None:
    new = new_signer("next")
    records.rotate(shelf.folder, shelf.seal, new)
    shelf.seal = shelf.seal._replace(by=new)
    shelf.record()
    ended = page(shelf, tmp_path, *sorted((tmp_path / "anchor").rglob("*.checkpoint")))
    assert (ended.stderr, ended.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("name", "step"), [("events.jsonl", "events.jsonl"), (MANIFEST, MANIFEST), ("record.dsse.json", "Signature")]
)
def test_what_was_altered_is_found_by_the_steps(shelf: Shelf, tmp_path: Path, name: str, step: str) -> None:
    record = next(iter(shelf.folder.glob("2*")))
    (record / name).chmod(0o644)
    content = (record / name).read_text()
    altered = content.replace('"sig": "', '"sig": "AAAA', 1) if step == "Signature" else content + " "
    (record / name).write_text(altered)
    (wrong, *_) = followed(shelf, record, tmp_path)
    assert step in wrong


def test_what_stands_beside_the_files_and_a_renamed_record_are_found_by_the_steps(shelf: Shelf, tmp_path: Path) -> None:
    first, second = sorted(shelf.folder.glob("2*"))
    (first / "evidence").mkdir()
    (first / "evidence" / "approval.txt").write_text("forged")
    assert "not in the manifest: {'evidence/approval.txt'}" in followed(shelf, first, tmp_path)[0]
    renamed = second.rename(second.with_name(f"20200101T000000Z-install-{second.name[-8:]}"))
    assert "it was renamed" in followed(shelf, renamed, tmp_path)[0]


def test_a_record_that_somebody_made_is_told_by_the_page(shelf: Shelf, tmp_path: Path) -> None:
    first = next(iter(shelf.folder.glob("2*")))
    shutil.copytree(first, first.with_name(f"{first.name[:-8]}deadbeef"))
    ended = page(shelf, tmp_path)
    assert "run deadbeef: anybody could have made it" in ended.stdout
    shutil.copytree(first, first.with_name(f"20200101T000000Z-verify-{first.name[-8:]}"))
    assert "is there twice" in page(shelf, tmp_path).stderr


def test_what_was_dropped_altered_or_rolled_back_is_found_by_the_page(shelf: Shelf, tmp_path: Path) -> None:
    kept = sorted((tmp_path / "anchor").rglob("*.checkpoint"))[-1]
    (tmp_path / "copy").mkdir()
    lines = shelf.lines
    shelf.leaves.write_text("".join(lines[:-1]))
    assert "the log was altered" in page(shelf, tmp_path).stderr
    shelf.leaves.write_text("".join(lines))
    record = next(iter(shelf.folder.glob("2*")))
    (record / MANIFEST).chmod(0o644)
    (record / MANIFEST).write_text((record / MANIFEST).read_text() + " ")
    assert "was altered" in page(shelf, tmp_path).stderr
    shutil.rmtree(record)
    assert "was removed, or its manifest" in page(shelf, tmp_path).stderr
    other = Shelf(tmp_path / "other")
    other.record()
    assert (
        "not the log that" in page(other, tmp_path, kept).stderr or "another key" in page(other, tmp_path, kept).stderr
    )
