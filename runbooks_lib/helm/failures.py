"""Helm's error texts and what they mean, by the table in ``failures.yaml``."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources

import yaml

from runbooks_lib import errors
from runbooks_lib.errors import OutcomeUnknown, RunbookError
from runbooks_lib.process import Completed

#: Characters of Helm's words in an error or an event: a schema error may repeat all values.
LONGEST = 2000

_KNOWN: list[dict[str, str]] = yaml.safe_load(
    resources.files(__package__).joinpath("failures.yaml").read_text(encoding="utf-8")
)


def failure(done: Completed, redacted: Callable[[str], str]) -> RunbookError:
    """The error for a helm call that did not end well.

    Args:
        redacted: Takes the secrets out of a text.
    """
    verb = next((word for word in done.argv[1:] if not word.startswith("-")), "")
    if done.timed_out:
        return OutcomeUnknown(
            f"`helm {verb}` did not end within {done.seconds:.0f} s and was stopped (SIGTERM).",
            next_step="Run notebook 03_verify to see what is there.",
        )
    said = error_text(done.stderr)
    known = next(row for row in _KNOWN if re.search(row["pattern"], said, re.IGNORECASE))
    error: type[RunbookError] = getattr(errors, known["error"])
    # Redacted while its lines are as they came: a secret may hold white space.
    text = shortened(" ".join(error_text(redacted(done.stderr)).split()))
    return error(f"{known['summary'].format(verb=verb)} Helm says: {text}", next_step=known["next_step"])


def error_text(stderr: str) -> str:
    """Helm's ``Error:`` and what follows; Helm 4 logs other lines before it, which may speak of other things."""
    found = re.search(r"^Error: (.*)", stderr, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else stderr


def shortened(text: str) -> str:
    """A text of bounded length."""
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
