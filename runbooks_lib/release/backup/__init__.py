"""Backups: a database copied at one moment, the copy proved by restoring it into a server of its own, and put back."""

from runbooks_lib.release.backup.copies import Backup, Copy, back_up, require_room
from runbooks_lib.release.backup.programs import Programs, programs
from runbooks_lib.release.backup.restores import pairs, read, restore
from runbooks_lib.release.backup.steps import CHECK, Around, around, before_removal, stopping
from runbooks_lib.release.backup.writers import start, stop

__all__ = [
    "CHECK",
    "Around",
    "Backup",
    "Copy",
    "Programs",
    "around",
    "back_up",
    "before_removal",
    "pairs",
    "programs",
    "read",
    "require_room",
    "restore",
    "start",
    "stop",
    "stopping",
]
