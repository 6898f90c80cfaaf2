"""Where relative paths start: the project's folder, never the current one.

JupyterLab, papermill and a shell have different current folders; a parameters file means the same in all.
"""

from __future__ import annotations

import os
from pathlib import Path

from runbooks_lib.errors import UsageError


def project_root() -> Path:
    """The folder of the nearest ``pyproject.toml`` upwards, or what ``RUNBOOKS_HOME`` names.

    Raises:
        UsageError: Neither is there.
    """
    home = os.environ.get("RUNBOOKS_HOME", "")
    if home:
        root = Path(home).expanduser().resolve()
        if not root.is_dir():
            raise UsageError(
                f"RUNBOOKS_HOME names {home}, which is not a folder.",
                next_step="Set RUNBOOKS_HOME to the folder that holds parameters/, or unset it.",
            )
        return root
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise UsageError(
        f"No project was found: neither {here} nor a folder above it holds a pyproject.toml.",
        next_step="Change to the project's folder, or set RUNBOOKS_HOME to it.",
    )


def resolve_path(path: str | Path) -> Path:
    """An absolute path: ``~`` is the user's home, a relative path starts at the project's folder."""
    expanded = Path(path).expanduser()
    return expanded if expanded.is_absolute() else project_root() / expanded
