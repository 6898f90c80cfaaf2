"""Which checks each stage asks, by ``catalogue.yaml``."""

from importlib import import_module
from typing import Any

from runbooks_lib.checks.catalogue import WORDS, Check
from runbooks_lib.results import Row

Checks = tuple[Check[Any], ...]


def _check(name: str, ask: str, **words: Any) -> Check[Any]:
    module, _, function = ask.partition(".")
    return Check(id=name, ask=getattr(import_module(f"{__package__}.{module}"), function), **words)


#: By the stage that asks them; a changing one asks those of 01 or 03, too.
FAMILIES: dict[str, Checks] = {
    stage: tuple(_check(name, **row) for name, row in rows.items()) for stage, rows in WORDS.items()
}


def rows(*columns: str) -> list[Row]:
    """One row a check, of the columns stage, id, check, expected, why, remedy and waiver."""
    found = []
    for stage, checks in FAMILIES.items():
        for check in checks:
            row = {"stage": stage, "id": check.id, "check": check.title, "expected": check.expected, "why": check.why}
            row |= {"remedy": check.remedy, "waiver": "yes" if check.waivable else "no"}
            found.append({column: row[column] for column in columns})
    return found
