"""Helm's error texts and what they mean, by the table in ``failures.yaml``."""

import re
from collections.abc import Callable

from runbooks_lib import errors
from runbooks_lib.errors import RunbookError, sentences
from runbooks_lib.process import Completed
from runbooks_lib.tables import table

#: Characters of Helm's words in an error or an event: a schema error may repeat all values.
LONGEST = 2000

_KNOWN: list[dict[str, str]] = table(__package__, "failures.yaml")
refused = sentences(__package__, "refusals.yaml")


def failure(done: Completed, redacted: Callable[[str], str]) -> RunbookError:
    """The error for a helm call that did not end well.

    Args:
        redacted: Takes the secrets out of a text.
    """
    verb = next((word for word in done.argv[1:] if not word.startswith("-")), "")
    if done.timed_out:
        return refused("too slow", verb=verb, seconds=done.seconds)
    if done.returncode < 0:
        return refused("killed", verb=verb, number=-done.returncode)
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
