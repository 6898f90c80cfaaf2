"""Where the project's files are, and where relative paths start: JupyterLab, papermill and a shell differ in theirs."""

import difflib
import json
import os
from pathlib import Path

from runbooks_lib.errors import UsageError


def project_root() -> Path:
    """The folder of the nearest ``pyproject.toml`` upwards, or what ``RUNBOOKS_HOME`` names.

    Raises UsageError: Neither is there.
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
    """An absolute path: ``~`` is the user's home, a relative path starts at the project's folder.

    Raises UsageError: It begins with the home folder of somebody who has none.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        step = "Write the whole path; ~ alone is the home of whoever runs it."
        raise UsageError(f"Nobody knows the home folder that {path} begins with.", next_step=step) from error
    return expanded if expanded.is_absolute() else project_root() / expanded


def code_of(stage: str) -> list[str]:
    """The source of each code cell of a stage's notebook but the parameters; raises UsageError: see :func:`notebook_path`."""
    cells = json.loads(notebook_path(stage).read_text(encoding="utf-8"))["cells"]
    code = (cell for cell in cells if cell["cell_type"] == "code")
    return ["".join(cell["source"]) for cell in code if "parameters" not in cell["metadata"].get("tags", ())]


def notebook_path(stage: str) -> Path:
    """The notebook of a stage in this project.

    Raises UsageError: There is none of this name; the sentence names the nearest.
    """
    folder = project_root() / "notebooks"
    stages = {path.stem[3:]: path for path in sorted(folder.glob("[0-9][1-9]_*.ipynb"))}  # 00 is no stage
    if stage in stages:
        return stages[stage]
    near = difflib.get_close_matches(stage, stages, n=1, cutoff=0.55)
    step = f"Did you mean {near[0]}?" if near else f"Stages are: {', '.join(stages) or 'none'}."
    raise UsageError(f"There is no stage {stage!r}: {folder} holds no notebook NN_{stage}.ipynb.", next_step=step)
