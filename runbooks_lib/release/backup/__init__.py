"""Backups: a database copied at one moment, and the copy proved by restoring it into a server of its own."""

from runbooks_lib.release.backup.copies import Backup, Copy, back_up, require_room
from runbooks_lib.release.backup.programs import Programs, programs
from runbooks_lib.release.backup.steps import CHECK, Around, around
from runbooks_lib.release.backup.writers import start, stop

__all__ = [
    "CHECK",
    "Around",
    "Backup",
    "Copy",
    "Programs",
    "around",
    "back_up",
    "programs",
    "require_room",
    "start",
    "stop",
]
