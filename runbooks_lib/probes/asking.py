"""What a data service said, or why it said nothing: in words of ours, since a driver's may repeat what it was given."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.results import Value
from runbooks_lib.tables import table

#: How the name of everything begins that a probe writes.
PREFIX = "runbooks_probe_"


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


@cache
def _clauses() -> dict[str, dict[str, str]]:
    return dict(table(__package__, "clauses.yaml"))


def clause(table: str, error: BaseException, other: str) -> str:
    """The clause of a table for an exception and all that caused it."""
    said = ""
    each: BaseException | None = error
    while each is not None:
        said += f" {type(each).__name__} {each}".lower()
        each = each.__cause__ or each.__context__
    return next((found for pattern, found in _clauses()[table].items() if re.search(pattern, said)), other)


@contextmanager
def asking(product: str, access: Access, *errors: type[Exception]) -> Iterator[None]:
    """What a driver raises in this block, as one of these or as the operating system's, becomes a ``CheckFailed``; a ``NotFromHere`` where another place may matter."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (*errors, OSError)):
            raise
        said, kind = clause("services", error, ""), CheckFailed
        if not said and (said := clause("from_here", error, "")):
            kind = NotFromHere
        said = said or f"{{product}} failed in a way that is not known ({type(error).__name__})"
        user, database = access.user or "a user without a name", access.database or "it"
        summary = f"{said.format(product=product, user=user, database=database)}."
        raise kind(summary, next_step="Look at the pod's log, and at what its clients were given.") from error
