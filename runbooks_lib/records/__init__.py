"""The record of a run: one folder, written as the run goes and closed whatever happens to it.

Opened by :func:`open_folder`, written through a :class:`Journal` and :func:`write_json`, closed by :func:`close`.
"""

from runbooks_lib.records.canary import VARIABLE as CANARY_VARIABLE
from runbooks_lib.records.canary import plant_canary, register_canary
from runbooks_lib.records.capture import Capture
from runbooks_lib.records.closing import close, close_as_proved, ended, sweep
from runbooks_lib.records.folder import create, is_closed, open_folder, run_id, write_json, write_text
from runbooks_lib.records.journal import Journal, read_events
from runbooks_lib.records.outcome import describe
from runbooks_lib.records.sealing import Seal, announce, enter, rotate, seal_closed
from runbooks_lib.records.shelf import find, last_change, listing, summary_of, verify
from runbooks_lib.records.source import source_of
from runbooks_lib.records.verification import Given, Verification, given, held_against, signers, verify_all

__all__ = ["CANARY_VARIABLE", "plant_canary", "register_canary"]
__all__ += ["Capture", "Journal", "describe", "read_events"]
__all__ += ["create", "is_closed", "open_folder", "run_id", "write_json", "write_text"]
__all__ += [
    "Given",
    "Seal",
    "Verification",
    "announce",
    "enter",
    "given",
    "held_against",
    "rotate",
    "seal_closed",
    "signers",
    "source_of",
    "verify_all",
]
__all__ += ["close", "close_as_proved", "ended", "find", "last_change", "listing", "summary_of", "sweep", "verify"]
