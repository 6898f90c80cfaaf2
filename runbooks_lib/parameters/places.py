"""Where relative paths start: the project's folder, since JupyterLab, papermill and a shell differ in theirs."""

from __future__ import annotations

import os
from pathlib import Path

from runbooks_lib.errors import UsageError


def project_root() -> Path:
    """The folder of the nearest ``pyproject.toml`` upwards, or what ``RUNBOOKS_HOME`` names.

    Raises:
        UsageError: Neither is there.
    """
    if home := os.environ.get("RUNBOOKS_HOME", ""):
        root = Path(home).expanduser().resolve()
        if root.is_dir():
            return root
        why = f"RUNBOOKS_HOME names {home}, which is not a folder"
    else:
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / "pyproject.toml").is_file():
                return folder
        why = f"neither {here} nor a folder above it holds a pyproject.toml"
    raise UsageError(f"No project was found: {why}.", next_step="Set RUNBOOKS_HOME to the project's folder.")


def resolve_path(path: str | Path) -> Path:
    """An absolute path: ``~`` is the user's home, a relative path starts at the project's folder."""
    expanded = Path(path).expanduser()
    return expanded if expanded.is_absolute() else project_root() / expanded
