"""The canary: a secret that nothing uses, a new one for each run, put where secrets come from, into the environment.

Whatever dumps the environment past the redactor puts the record into quarantine. It is kept beside the records as well,
where whoever closes the record of a run that was killed finds it.
"""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe

from runbooks_lib.parameters import project_root
from runbooks_lib.records.folder import run_id
from runbooks_lib.redaction import Redactor

VARIABLE = "RUNBOOKS_CANARY"
_BYTES = 24


def plant_canary(folder: Path, redactor: Redactor) -> None:
    """Put a new one into this process' environment; a folder that can't be written keeps no run from working."""
    os.environ[VARIABLE] = canary = token_urlsafe(_BYTES)
    redactor.register(canary, f"env:{VARIABLE}")
    with suppress(OSError):
        _place(folder).parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(_place(folder), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(canary)


def register_canary(folder: Path, redactor: Redactor) -> None:
    """Know the one of a run that is gone."""
    with suppress(OSError):
        redactor.register(_place(folder).read_text(encoding="utf-8"), f"env:{VARIABLE}")


def remove_canary(folder: Path) -> None:
    """Forget it, once the record is closed."""
    with suppress(OSError):
        _place(folder).unlink()


def _place(folder: Path) -> Path:
    return project_root() / ".runbooks" / "canaries" / run_id(folder)
