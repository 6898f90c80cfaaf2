"""Which state of the project a run is of, as git tells it."""

from pathlib import Path

from runbooks_lib.errors import RunbookError
from runbooks_lib.process import run
from runbooks_lib.results import Json

#: What decides what a run does.
_OURS = ("notebooks", "runbooks_lib", "pyproject.toml")
_SECONDS = 10


def source_of(root: Path) -> Json:
    """The commit of a project, and which of its notebooks and modules are otherwise than in it; empty where git can't tell."""
    told = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", *_OURS)):
        try:
            ended = run(["git", "-C", str(root), *words], timeout=_SECONDS)
        except RunbookError:
            return {}
        if not ended.ok:
            return {}
        told.append(ended.stdout.splitlines())
    return {"commit": told[0][0], "changed": [line[3:] for line in told[1]]}
