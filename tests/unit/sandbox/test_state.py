"""What is known about a sandbox, and how it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks_lib import process
from runbooks_lib.errors import RunbookError, UsageError
from sandbox import state
from sandbox.state import Part, State


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    saved = State("try", str(tmp_path), ports={"etcd": 1}, parts={"etcd": Part(2, 3.5, ["etcd", "--x"])})
    saved.save()
    assert state.load("try", tmp_path) == saved


def test_a_part_is_alive_only_as_the_same_process() -> None:
    me = process.identify()
    assert Part(me.pid, me.start_time).started.alive
    assert not Part(me.pid, me.start_time - 60).started.alive


def test_an_unknown_sandbox_is_none(tmp_path: Path) -> None:
    assert state.load("try", tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"parts": {"etcd": {"what": 1}}}'])
def test_a_damaged_state_file_is_a_sentence_with_a_way_out(tmp_path: Path, content: str) -> None:
    folder = state.folder_of("try", tmp_path)
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(content)
    with pytest.raises(RunbookError, match="What is known about the sandbox try can't be read") as refused:
        state.load("try", tmp_path)
    assert str(folder) in refused.value.next_step


@pytest.mark.parametrize("name", ["", "Big", "a/b", "..", "-x", "x-", "a" * 41, "ä"])
def test_a_name_that_can_be_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="can't be called"):
        state.folder_of(name, tmp_path)


@pytest.mark.parametrize(("name", "file"), [("sandbox", "sandbox.yaml"), ("try-1", "sandbox-try-1.yaml")])
def test_each_sandbox_has_a_parameters_file_of_its_own(tmp_path: Path, name: str, file: str) -> None:
    assert State(name, str(tmp_path)).parameters_file == tmp_path / "parameters" / file
