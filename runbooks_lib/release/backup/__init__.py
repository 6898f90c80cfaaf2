"""Backups: databases copied, each at one moment, the copy proved by restoring it into a server of its own, and put back."""

from runbooks_lib.release.backup.anytime import of_release
from runbooks_lib.release.backup.copies import Backup, Copy, back_up, made_by, seen
from runbooks_lib.release.backup.programs import Programs, programs
from runbooks_lib.release.backup.restores import pairs, read, restore
from runbooks_lib.release.backup.steps import (
    CHECK,
    Around,
    around,
    at_stake,
    before_removal,
    copied,
    named,
    starting,
    stopping,
)
from runbooks_lib.release.backup.writers import left_stopped, start, stop, unstopped

__all__ = [
    "CHECK",
    "Around",
    "Backup",
    "Copy",
    "Programs",
    "around",
    "at_stake",
    "back_up",
    "before_removal",
    "copied",
    "left_stopped",
    "made_by",
    "named",
    "of_release",
    "pairs",
    "programs",
    "read",
    "restore",
    "seen",
    "start",
    "starting",
    "stop",
    "stopping",
    "unstopped",
]
