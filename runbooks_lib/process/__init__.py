"""Other programs and processes: run, started, ended, told apart."""

from runbooks_lib.process.identity import Started, identify, introduce, private_folder, proved_gone
from runbooks_lib.process.programs import GRACE_SECONDS, Completed, Runner, end_left_over, run, start, stop

__all__ = [
    "GRACE_SECONDS",
    "Completed",
    "Runner",
    "Started",
    "end_left_over",
    "identify",
    "introduce",
    "private_folder",
    "proved_gone",
    "run",
    "start",
    "stop",
]
