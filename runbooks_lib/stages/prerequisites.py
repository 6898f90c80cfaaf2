"""01_prerequisites: is everything there that an install needs? Reads only."""

from collections.abc import Iterable
from typing import Any

from runbooks_lib.checks import prerequisites
from runbooks_lib.checks.catalogue import Check
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.release.values import given
from runbooks_lib.results import Report
from runbooks_lib.run import Run


def look(run: Run, *, besides: Iterable[Check[Any]] = ()) -> Report:
    """Ask all prerequisites, and what a mutating stage asks besides."""
    # What a reference names must be there before anything else is asked: else every answer would be about it.
    given(run.boundaries)
    subject = prerequisites.Subject(run.boundaries)
    return run.ask("Prerequisites", (*FAMILIES["prerequisites"], *besides), subject)
