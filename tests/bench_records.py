"""The part of ``make bench`` that is about records: redaction, closing and sealing, verifying."""

from __future__ import annotations

import secrets
import tempfile
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from runbooks_lib import records, signing
from runbooks_lib.errors import RunbookError
from runbooks_lib.records.folder import PROOF
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, RunSummary

#: Prints one line: what, measured, reference, unit, and what the reference is.
Told = Callable[[str, float, float, str, str], None]
Best = Callable[[Callable[[], object]], float]

#: What the project allows itself: bytes and records a second, and a share of a stage's time.
REDACTED, VERIFIED, SEALING = 20e6, 1500.0, 0.05
FORMS, RECORDS = 200, 10_000
#: How many evidence files of a megabyte a small and a large record have.
SMALL, LARGE = 5, 100
LINE = (
    '{"at":"2026-11-30T14:11:26.123456+00:00","kind":"command.ended","data":{"argv":["helm","upgrade"],"seconds":0.31,'
    '"stdout":"pod/dataflow-%d Running 10.0.3.17 restarts=0 image=registry.example.com/csghub/dataflow:1.16.0"}}\n'
)


def measured(told: Told, best: Best) -> None:
    """Everything that needs no cluster."""
    redaction(told, best)
    memory(told)
    verifying(told, best)


def redaction(told: Told, best: Best) -> None:
    """Logs, searched for some secrets, each in all its forms."""
    redactor = Redactor()
    while redactor.searched["forms"] < FORMS:
        redactor.register(secrets.token_urlsafe(18) + "&<'\" ", f"env:SECRET_{redactor.searched['values']}")
    text = "".join(LINE % number for number in range(40_000))
    for what, work in (("redacted", redactor.redact), ("searched", redactor.hits)):
        speed = len(text) / best(lambda work=work: work(text)) / 1e6  # type: ignore[misc]
        told(
            f"logs {what}, {redactor.searched['forms']} forms",
            speed,
            REDACTED / 1e6,
            "MB/s",
            "the least that it may be",
        )


def memory(told: Told) -> None:
    """The memory that the closing of a record takes, by the record's size."""
    peaks = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for files in (SMALL, LARGE):
            folder = records.create(Path(name), target="bench", stage="install")
            for number in range(files):
                records.write_text(folder, f"evidence/{number}.log", "x" * 2**20, Redactor())
            tracemalloc.start()
            records.close(folder, Redactor(), outcome="done", exit_code=0, summary="It ended.", closer="seal cell")
            peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
            tracemalloc.stop()
    told(f"memory to close a record of {LARGE} MiB", peaks[1], peaks[0], "MiB", f"one of {SMALL} MiB")


def verifying(told: Told, best: Best) -> None:
    """Records of runs that have changed nothing, the smallest that there are."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root, seal = Path(name), records.Seal(signing.signer(signing.new_key(b"pass"), b"pass", "runbooks"))
        folders = [records.create(root, target="bench", stage="verify") for _ in range(RECORDS)]
        records.enter(seal, *folders)
        for folder in folders:
            records.Journal(folder, Redactor(), role="kernel")(Event(kind="run.opened", data={"target": {}}))
            records.write_text(folder, "plan.json", "{}\n", Redactor())
            records.close(folder, Redactor(), outcome="done", exit_code=0, summary="It ended.", closer="seal cell")
        records.seal_closed(root / "bench", seal)

        def verify() -> None:
            if problems := records.verify_all(root, records.Given()).problems:
                raise RunbookError(f"The records made for it are wrong: {problems[0]}", next_step="Read its words.")

        told(f"{RECORDS:,} records verified", RECORDS / best(verify), VERIFIED, "/s", "the least that it may be")


def sealing(told: Told, summary: RunSummary) -> None:
    """Of a stage: from the last that it did until its record was searched, closed, signed and entered in the log."""
    folder = Path(summary.folder)
    *_, last, ended = records.read_events(folder)
    if ended["kind"] != "run.ended":
        raise RunbookError(f"{folder} has no end.", next_step="Read its journal.")
    took = (folder / PROOF).stat().st_mtime - datetime.fromisoformat(last["at"]).timestamp()
    told(f"closing and sealing, of {summary.stage}", took, SEALING * summary.seconds, "s", "5 % of the stage")
