"""The record of a run: one folder, written as the run goes and closed whatever happens to it.

A record is opened by :func:`create`, written through a :class:`Journal` and :func:`write_json`, and closed by
:func:`close`, which searches it for secrets and leaves a manifest of digests behind::

    folder = records.create(root / "records", target="dataflow.csghub", stage="verify")
    journal = records.Journal(folder, redactor, role="kernel")
    journal(Event(kind="check.answered", data={...}))
    records.close(folder, redactor, outcome="passed", exit_code=0, summary="…", closer="seal cell")

Several processes may write one record: every append is one locked line that names its writer.
"""

from __future__ import annotations

from runbooks_lib.records.capture import Capture
from runbooks_lib.records.closing import close, close_as_proved, notebook_of, sweep
from runbooks_lib.records.folder import (
    RecordClosed,
    create,
    is_closed,
    run_id,
    stage_of,
    write_json,
    write_text,
)
from runbooks_lib.records.journal import Journal, read_events
from runbooks_lib.records.outcome import describe, outcome_of
from runbooks_lib.records.shelf import find, listing, summary_of, verify

__all__ = [
    "Capture",
    "Journal",
    "RecordClosed",
    "close",
    "close_as_proved",
    "create",
    "describe",
    "find",
    "is_closed",
    "listing",
    "notebook_of",
    "outcome_of",
    "read_events",
    "run_id",
    "stage_of",
    "summary_of",
    "sweep",
    "verify",
    "write_json",
    "write_text",
]
