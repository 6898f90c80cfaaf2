"""Where copies are kept: a folder of this machine, or a URL that fsspec knows (``s3://…``), to which they go once they are proved."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runbooks_lib.filesystems import is_url, opened
from runbooks_lib.parameters import resolve_path
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import digest_of_file

MANIFEST = "backup.json"
#: Below the project: where copies are made that go elsewhere, and to where they are fetched to be put back.
_STAGING = ".runbooks/backups"


def workplace(folder: str) -> Path:
    """Where on this machine copies are made: in the folder that is meant, or in one of ours where that is a URL."""
    folder = _named(folder)
    return resolve_path(_STAGING if is_url(folder) else folder)


@contextmanager
def making(folder: str, name: str) -> Iterator[tuple[Path, str]]:
    """Yield where the copies of one run are made, and where they will be kept; nothing stays of those that were not proved.

    Raises CheckFailed: They can't be sent to where they should be; they stay where they were made.
    """
    folder = _named(folder)
    made = workplace(folder) / name
    made.mkdir(parents=True, mode=0o700)
    kept = f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(made)
    try:
        yield made, kept
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    if kept != str(made):
        try:
            _send(made, kept)
        except Exception as error:
            raise refused("not sent", folder=made, place=kept, why=_words(error)) from error
        shutil.rmtree(made, ignore_errors=True)


def require_reached(folder: str) -> None:
    """Raise CheckFailed unless whoever keeps copies elsewhere answers: they take hours to make."""
    if is_url(_named(folder)):
        try:
            files, path = opened(folder)
            # Of a bucket, which is not made here; an empty one is not found by some.
            with suppress(FileNotFoundError):
                files.ls(path.strip("/").partition("/")[0])
        except Exception as error:
            raise refused("no answer", place=folder, why=_words(error)) from error


class Kept:
    """The copies of one run, wherever they are.

    Args:
        folder: A folder, or a URL.

    Raises CheckFailed: Nobody here knows such a URL.
    """

    def __init__(self, folder: str) -> None:
        folder = _named(folder)
        self.place = folder.rstrip("/") if is_url(folder) else str(resolve_path(folder))
        self.name = self.place.rpartition("/")[2]
        try:
            self._files, self._path = opened(self.place)
        except Exception as error:
            raise refused("no answer", place=folder, why=_words(error)) from error

    def text(self, largest: int) -> str:
        """The manifest; raises OSError or ValueError: there is none, or it is larger than any of ours.

        Raises CheckFailed: Whoever keeps it does not answer.
        """
        where = f"{self._path}/{MANIFEST}"
        try:
            if self._files.size(where) >= largest:
                raise ValueError("too large")
            return str(self._files.cat_file(where).decode())
        except (OSError, ValueError):
            raise
        except Exception as error:
            raise refused("no answer", place=self.place, why=_words(error)) from error

    def require(self, file: str, digest: str) -> None:
        """Raise CheckFailed unless a file is as it was written."""
        try:
            same = _digest(self._files, f"{self._path}/{Path(file).name}") == digest
        except Exception:  # noqa: BLE001 - whatever is raised by the library of a store
            same = False
        if not same:
            raise refused("altered backup", file=f"{self.place}/{Path(file).name}")

    @contextmanager
    def fetched(self, file: str, digest: str) -> Iterator[Path]:
        """Yield a file on this machine; raises CheckFailed: it is not as it was written."""
        if not is_url(self.place):
            self.require(file, digest)
            yield Path(self.place) / Path(file).name
            return
        workplace(self.place).mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="fetched-", dir=workplace(self.place)) as folder:
            there = Path(folder) / Path(file).name
            # What the library of a store raises is told as a file that is not there.
            with suppress(Exception):
                self._files.get_file(f"{self._path}/{there.name}", str(there))
            if not there.exists() or digest_of_file(there) != digest:
                raise refused("altered backup", file=f"{self.place}/{there.name}")
            yield there


def _send(made: Path, kept: str) -> None:
    """Copy every file and read it back; the manifest last, without which nothing is a backup."""
    files, path = opened(kept)
    files.makedirs(path, exist_ok=True)
    for file in sorted(made.iterdir(), key=lambda each: (each.name == MANIFEST, each.name)):
        files.put_file(str(file), f"{path}/{file.name}")
        if _digest(files, f"{path}/{file.name}") != digest_of_file(file):
            raise ValueError(f"{file.name} is another one there")


def _digest(files: Any, path: str) -> str:
    with files.open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _named(folder: str) -> str:
    """A place as it is known here: a folder of this machine, whose copies nobody else may read, is one under any name."""
    return folder.removeprefix("file://")


def _words(error: Exception) -> str:
    """What a library says, without what it shows to those who mend it."""
    said, _, _ = str(error).partition("Debug source:")
    return f"{type(error).__name__}: {' '.join(said.split())[:300]}"
