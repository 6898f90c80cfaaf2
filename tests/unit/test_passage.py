"""Root and PostgreSQL: who can reach a folder, and where a copy goes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks_lib.process import passage
from runbooks_lib.process.passage import User

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="Only root needs another user for PostgreSQL.")
STRANGER = User(65500, 65500)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = tmp_path / "closed"
    (folder / "inside").mkdir(parents=True)
    folder.chmod(0o700)
    return folder


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where copies go: a folder of this test's own, since other tests and sandboxes make copies at the same time."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setattr(passage, "_open_root", lambda: folder)
        yield folder


def test_the_first_folder_that_a_user_cannot_pass_is_named(closed: Path) -> None:
    above = [folder for folder in closed.resolve().parents if not folder.stat().st_mode & 0o001]
    expected = (above or [closed.resolve()])[-1]
    assert passage.barrier(closed / "inside", STRANGER) == expected
    closed.chmod(0o701)
    assert passage.barrier(closed / "inside", STRANGER) == (above[-1] if above else None)


def test_owner_and_group_have_bits_of_their_own(closed: Path) -> None:
    closed.chmod(0o107)
    status = closed.stat()
    owner, group = User(status.st_uid, STRANGER.gid), User(STRANGER.uid, status.st_gid)
    assert passage.barrier(closed / "inside", owner) != closed.resolve()
    assert passage.barrier(closed / "inside", group) is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="Root has another user for PostgreSQL.")
def test_who_is_not_root_keeps_folders_and_programs_where_they_are(closed: Path) -> None:
    assert passage.unprivileged() is None
    assert passage.open_folder(closed) == closed
    assert passage.open_copy(closed) == closed


@AS_ROOT
def test_root_keeps_claims_where_the_other_user_can_reach_them(closed: Path) -> None:
    user = passage.unprivileged()
    assert user is not None
    assert user.uid != 0
    folder = passage.open_folder(closed / "inside")
    assert folder != closed / "inside"
    assert folder == passage.open_folder(closed / "inside")
    assert passage.barrier(folder, user) is None


@AS_ROOT
def test_a_program_that_root_alone_can_reach_is_copied_once(closed: Path, copies: Path) -> None:
    user = passage.unprivileged()
    assert user is not None
    copy = passage.open_copy(installed(closed / "install"))
    assert copy == passage.open_copy(closed / "install")
    assert passage.barrier(copy / "bin" / "postgres" / "any", user) is None
    assert list(copies.iterdir()) == [copy]


@AS_ROOT
def test_the_copy_of_programs_that_were_replaced_or_are_gone_is_removed(closed: Path, copies: Path) -> None:
    replaced, kept = (passage.open_copy(installed(closed / name / "install")) for name in ("a", "b"))
    gone = passage.open_copy(installed(closed / "c" / "install"))
    shutil.rmtree(closed / "c")
    shutil.rmtree(closed / "a")
    newer = passage.open_copy(installed(closed / "a" / "install"))
    assert {*copies.iterdir()} == {kept, newer} - {replaced, gone}


def installed(folder: Path) -> Path:
    """Programs that root alone can reach."""
    program = folder / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("program")
    program.chmod(0o700)
    return folder
