"""Running a notebook without a front end: the same notebook, the same record, an exit code that is true.

``run_stage`` is what ``runbooks run`` and the rehearsal call. :class:`RunbooksEngine` is papermill's engine
``runbooks``, for pipelines that call papermill themselves. This package alone imports papermill.
"""

from __future__ import annotations

import importlib
from typing import Any

from runbooks_lib.headless.stage import preview, run_stage

__all__ = ["preview", "run_stage"]


def __getattr__(name: str) -> Any:
    # papermill loads all engines while it is itself half imported. So the module that imports papermill waits
    # until it is asked for, and papermill goes first: it asks for the engine itself then.
    if name == "RunbooksEngine":
        importlib.import_module("papermill.engines")
        from runbooks_lib.headless.engine import RunbooksEngine

        return RunbooksEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
