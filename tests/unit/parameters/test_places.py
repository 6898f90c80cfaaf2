"""Relative paths start at the project's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks_lib.errors import UsageError
from runbooks_lib.parameters import project_root, resolve_path


def test_the_project_is_found_upwards(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = project / "notebooks" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert project_root() == project
    assert resolve_path("parameters/x.yaml") == project / "parameters" / "x.yaml"


def test_a_named_home_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = project / "elsewhere"
    home.mkdir()
    monkeypatch.setenv("RUNBOOKS_HOME", str(home))
    assert project_root() == home


def test_absolute_paths_and_the_users_home_are_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    assert resolve_path("/etc/hosts") == Path("/etc/hosts")
    assert resolve_path("~/x") == project / "x"


@pytest.mark.parametrize(
    ("home", "sentence"), [("", "No project was found"), ("gone", "RUNBOOKS_HOME names gone, which is not a folder")]
)
def test_no_project_is_a_sentence(project: Path, monkeypatch: pytest.MonkeyPatch, home: str, sentence: str) -> None:
    (project / "pyproject.toml").unlink()
    monkeypatch.setenv("RUNBOOKS_HOME", home)
    with pytest.raises(UsageError, match=sentence) as caught:
        project_root()
    assert "RUNBOOKS_HOME" in caught.value.next_step
