"""What an operation's own SQL and scripts would destroy of what is stored, and how much that is now."""

from collections.abc import Iterator
from typing import NamedTuple

from runbooks_lib.errors import RunbookError
from runbooks_lib.helm import Release
from runbooks_lib.probes import rows
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import hook_objects, objects_of
from runbooks_lib.release.scripts import Carried, carried, only_in_image, runners
from runbooks_lib.release.stores import Store, reached, stores

#: Seconds in which the rows of one database's tables are counted; what takes longer is estimated.
_COUNTING = 10.0
#: Deeds whose object is a table.
_OF_TABLES = ("TRUNCATE", "DELETE", "DROP TABLE", "DROP COLUMN", "UPDATE", "MERGE")


class Losses(NamedTuple):
    """What would be destroyed, what can't be seen, and the databases that the release works with.

    Attributes:
        verb: As Helm's hooks have it: ``install``, ``upgrade`` or ``delete``.
        hidden: The runners of which only their image tells what they do, with that image.
    """

    verb: str
    found: tuple[Carried, ...]
    hidden: tuple[tuple[str, str], ...]
    stores: tuple[Store, ...]

    def says(self) -> Iterator[str]:
        """All of it, for people; a statement's words may hold a secret."""
        deeds: dict[tuple[str, str, str, bool], list[str]] = {}
        for each in self.found:
            deeds.setdefault((each.runner.name, each.place, each.does, each.certain), []).append(each.what)
        for (name, place, does, certain), whats in deeds.items():
            seen = "" if certain else ", by its words: when and whether it does so was not understood"
            yield f"DESTROYS DATA: {name} runs {does} on {', '.join(dict.fromkeys(whats))} ({place}{seen})."
        for name, image in self.hidden:
            yield f"Not visible: what {name} does; that is in its image alone ({image})."
        if self.verb == "upgrade":
            gone = "what was destroyed does not come back"
            why = gone if self.found else "applications may change their data when they start"
            yield f"Rollback safe: {'no' if self.found else 'unknown'}; {why}."


def losses_of(
    boundaries: Boundaries, new: Release, verb: str, old: Release | None = None, *, fresh: bool = False
) -> Losses:
    """What an operation would destroy.

    Args:
        old: What is there already: init containers that it has as well are nothing new. A hook runs every time.
        fresh: None of its volumes is there yet, so that an init container finds nothing in them.
    """
    known = {_deed(each) for each in _carried(old, verb) if not each.runner.hook} if old else set()
    new_ones = [each for each in _carried(new, verb) if each.runner.hook or not fresh]
    found = tuple(each for each in new_ones if _deed(each) not in known)
    unseen = (each for each in runners((), hook_objects(new), verb) if only_in_image(each))
    hidden = ((each.name, str(each.container.get("image"))) for each in unseen)
    # A hook may be the only one that says which database it works in.
    there = [*objects_of(old.manifest), *hook_objects(new)] if old else []
    return Losses(verb, found, tuple(hidden), tuple(stores(boundaries, there, ["postgresql"])) if found else ())


class Tables(NamedTuple):
    """Which tables would lose rows, which is part of what is approved, and how many these are now, which changes by the minute."""

    impact: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def tables_of(boundaries: Boundaries, losses: Losses) -> Tables:
    """The tables that would lose rows, with what a CASCADE takes along; asks each database."""
    of_tables = [each for each in losses.found if each.does.startswith(_OF_TABLES)]
    if not of_tables:
        return Tables()
    names, cascade = [each.what for each in of_tables], any("CASCADE" in each.does for each in of_tables)
    if not losses.stores:
        return Tables(("Which tables lose rows is not known: which database is meant can't be told.",))
    impact, notes = [], []
    for store in losses.stores:
        try:
            with reached(boundaries, store) as address:
                found = rows.counts(address, store.access, names, cascade=cascade, seconds=_COUNTING)
        except RunbookError as error:
            impact.append(f"Which tables of {store.name} lose rows is not known: {error.summary}")
            continue
        impact += _meant(store, found)
        notes += [_told(store, each) for each in found]
    return Tables(tuple(impact), tuple(notes))


def _meant(store: Store, tables: list[rows.Counted]) -> Iterator[str]:
    named, along = ([f"{each.schema}.{each.name}" for each in tables if each.along is taken] for taken in (False, True))
    besides = f"; taken along, since they refer to these: {', '.join(along)}" if along else ""
    if named:
        yield f"Lose their rows in {store.name}: {', '.join(named)}{besides}."


def _told(store: Store, table: rows.Counted) -> str:
    about = "about " if table.estimated else ""
    many = "an unknown number of" if table.rows is None else f"{about}{table.rows}"
    return f"Now: table {table.schema}.{table.name} of {store.access.database} has {many} rows."


def _carried(release: Release, verb: str) -> list[Carried]:
    objects, hooks = objects_of(release.manifest), hook_objects(release)
    started = runners(objects if verb != "delete" else (), hooks, verb)
    return [one for runner in started for one in carried(runner, [*objects, *hooks])]


def _deed(each: Carried) -> tuple[str, ...]:
    return each.runner.name, each.place, each.does, each.what, str(each.certain)
