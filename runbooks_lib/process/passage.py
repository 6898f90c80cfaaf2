"""PostgreSQL and root: it refuses to run as root, so it runs as another user, who must reach its files.

Its programs in an environment of root's own are copied to where that user can read them.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runbooks_lib.errors import UsageError

#: Users that exist on every machine and own nothing there.
_NOBODIES = ("nobody", "daemon")
#: A file of a copy that says what it is a copy of.
_SOURCE = ".copied-from"


@dataclass(frozen=True)
class User:
    """A user of this machine, by number."""

    uid: int
    gid: int


def unprivileged() -> User | None:
    """The user that stands in for root; None when we are not root.

    Raises:
        UsageError: We are root and there is no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in _NOBODIES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid:
            return User(found.pw_uid, found.pw_gid)
    raise UsageError(
        f"PostgreSQL does not run as root, and this machine has no user {' or '.join(_NOBODIES)}.",
        next_step="Run this as a user of your own, or add the user nobody.",
    )


def barrier(path: Path, user: User) -> Path | None:
    """The first folder on the way to a path that this user can't pass; None when all are open."""
    for folder in reversed(path.resolve().parents):
        if not folder.exists():
            return None
        status = folder.stat()
        shift = 6 if status.st_uid == user.uid else 3 if status.st_gid == user.gid else 0
        if not status.st_mode >> shift & 0o1:
            return folder
    return None


def open_folder(preferred: Path) -> Path:
    """A folder for data that every program can reach.

    It is the preferred one, except for root, when the way to it is closed to the user who stands in (a home
    of root is): then it is one of that name's own below :func:`_open_root`, which its user must remove.
    """
    user = unprivileged()
    if user is None or not barrier(preferred / "any", user):
        return preferred
    return _open_root() / hashlib.sha256(str(preferred).encode()).hexdigest()[:16]


def open_copy(install: Path) -> Path:
    """A program's folder that the user who stands in can reach: itself, or a copy that is made once."""
    user = unprivileged()
    if user is None or not barrier(install / "bin" / "postgres" / "any", user):
        return install
    made = (install / "bin").stat()
    mark = hashlib.sha256(f"{install} {made.st_mtime_ns} {made.st_ino}".encode()).hexdigest()[:16]
    copy = _open_root() / f"{install.name}-{mark}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=copy.parent))
        shutil.copytree(install, partial / "copy", symlinks=True)
        (partial / "copy" / _SOURCE).write_text(str(install))
        for path in (partial / "copy", *(partial / "copy").rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
        # Another sandbox may have been quicker; a copy that is not there is told by whoever uses it.
        with suppress(OSError):
            (partial / "copy").rename(copy)
        shutil.rmtree(partial)
        _remove_outdated(copy, install)
    return copy


def _remove_outdated(copy: Path, install: Path) -> None:
    """Remove the copies of programs that are gone, or were replaced by those that this copy is of."""
    for other in copy.parent.glob(f"{install.name}-*"):
        with suppress(OSError):
            source = (other / _SOURCE).read_text()
            if other != copy and (source == str(install) or not Path(source).exists()):
                shutil.rmtree(other, ignore_errors=True)


def _open_root() -> Path:
    """A folder of root's that everybody can pass and nobody else can write."""
    root = Path("/var/tmp") / "dataflow-runbooks-root"  # noqa: S108 - its owner and mode are looked at below
    root.mkdir(mode=0o755, exist_ok=True)
    status = root.lstat()
    if status.st_uid != 0 or root.is_symlink() or status.st_mode & 0o022:
        raise UsageError(
            f"The folder {root} is not root's alone; PostgreSQL's files can't be kept there.",
            next_step=f"Look who made {root}, then remove it.",
        )
    root.chmod(0o755)
    return root
