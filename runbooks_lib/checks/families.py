"""Which checks each stage asks: the one place that lists them all."""

from typing import Any

from runbooks_lib.checks import (
    absence,
    capacity,
    certificates,
    external,
    images,
    install,
    names,
    permissions,
    prerequisites,
    release,
    server,
    services,
    values,
)
from runbooks_lib.checks.catalogue import Check
from runbooks_lib.results import Row

Checks = tuple[Check[Any], ...]

PREREQUISITES: Checks = (
    *prerequisites.CHECKS,
    *permissions.CHECKS,
    *capacity.CHECKS,
    *server.CHECKS,
    *values.CHECKS,
    *external.CHECKS,
    *images.CHECKS,
    *certificates.CHECKS,
    *names.CHECKS,
)
#: What is looked at besides before a change.
INSTALL: Checks = install.CHECKS
UPGRADE: Checks = (*install.CHECKS, *services.PASSWORDS)
UNINSTALL: Checks = release.PRESENT
VERIFY: Checks = (*release.CHECKS, *services.CHECKS)
ABSENCE: Checks = absence.CHECKS

#: By the stage that asks them; a changing one asks those of 01 or 03, too.
FAMILIES: dict[str, Checks] = {
    "prerequisites": PREREQUISITES,
    "install": INSTALL,
    "upgrade": UPGRADE,
    "verify": VERIFY,
    "verify (absent)": ABSENCE,
    "uninstall": UNINSTALL,
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
