"""What a data service said, or why it said nothing: in words of ours, since a driver's may repeat what it was given."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.results import Value
from runbooks_lib.tables import table

#: How the name of everything begins that a probe writes.
PREFIX = "runbooks_probe_"


def name_of(run: str, number: int) -> str:
    """The name of what a run writes with one of its questions."""
    mark = re.sub(r"\W", "_", run)
    return f"{PREFIX}{mark}_{number}"


def run_of(name: str) -> str:
    """The run that has written what has this name."""
    return name.removeprefix(PREFIX).rpartition("_")[0]


class Answered(Value):
    """What a data service said to a user.

    Attributes:
        facts: What else was seen, in clauses.
        doubts: What is not as it should be, or could not be seen, though the user may work there.
        lacks: Why the user can't work there.
        wrote: What was written, read and removed, if anything.
    """

    product: str
    version: str
    user: str = ""
    database: str = ""
    facts: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    wrote: str = ""

    @property
    def says(self) -> str:
        """All of it, for people."""
        lets = f" lets {self.user} into {self.database}" if self.user and self.database else " answers"
        wrote = (f"{self.wrote} was written, read and removed",) if self.wrote else ()
        return "; ".join((f"{self.product} {self.version}{lets}", *self.facts, *self.doubts, *self.lacks, *wrote))


class NotFromHere(CheckFailed):
    """Nothing answered at that address, or whoever asks from this one is not let in: from elsewhere it may differ."""


class Seen(LookupError):
    """What a probe saw to be wrong: a pattern of the table ``services``, and what else its row is filled with."""

    def __init__(self, pattern: str, **filling: object) -> None:
        super().__init__(pattern)
        self.filling = filling


@cache
def _clauses() -> dict[str, dict[str, Any]]:
    return dict(table(__package__, "clauses.yaml"))


def clause(table: str, error: BaseException) -> Any:
    """What a table has for an exception and all that caused it; its last row is for any other."""
    said = ""
    each: BaseException | None = error
    while each is not None:
        said += f" {type(each).__name__} {each}".lower()
        each = each.__cause__ or each.__context__
    return row(table, said)


def row(table: str, said: str) -> Any:
    """The first row of a table whose pattern is found."""
    return next(found for pattern, found in _clauses()[table].items() if re.search(pattern, said))


@contextmanager
def asking(product: str, access: Access, *errors: type[Exception]) -> Iterator[None]:
    """What a driver raises in this block, as one of these or as the operating system's, becomes a ``CheckFailed``.

    It is a ``NotFromHere`` where another place might get another answer.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, (*errors, Seen, OSError)):
            raise
        filling = {"product": product, "user": access.user or "its default user"}
        filling |= {"database": access.database or "it", "error": type(error).__name__} | getattr(error, "filling", {})
        found = clause("services", error)
        # Only a client has a host; a service is asked as its own user wherever it is.
        next_step = found["client"] if access.host and "client" in found else found["next"]
        says, step = found["says"].format(**filling), next_step.format(**filling)
        raise (NotFromHere if found.get("elsewhere") else CheckFailed)(f"{says}.", next_step=step) from error
