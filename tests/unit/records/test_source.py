"""Which state of the project a run is of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runbooks_lib import process, records

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is needed")


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    assert process.run(["git", "-C", str(root), *who, *words], timeout=30).ok


def test_the_commit_and_what_is_otherwise_than_in_it(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01.ipynb").write_text("{}")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    clean = records.source_of(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["changed"] == []
    (tmp_path / "notebooks" / "01.ipynb").write_text("{ }")
    (tmp_path / "elsewhere").write_text("not ours")
    assert records.source_of(tmp_path) == {"commit": clean["commit"], "changed": ["notebooks/01.ipynb"]}


def test_without_git_or_a_repository_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert records.source_of(tmp_path) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert records.source_of(tmp_path) == {}
