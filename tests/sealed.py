"""Sealed records for tests: made as runs make them, with keys made here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from runbooks_lib import records, signing
from runbooks_lib.records.log import FOLDER, HEAD, LEAVES
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json
from runbooks_lib.signing import Signer


def new_signer(name: str = "runbooks") -> Signer:
    return signing.signer(signing.new_key(b"pass"), b"pass", name)


class Shelf:
    """The records of one target, and who signs them."""

    def __init__(self, root: Path, target: str = "prod") -> None:
        self.root = root
        self.folder = root / target
        self.seal = records.Seal(new_signer())
        self.first_key = self.seal.by[0].line

    def record(self, stage: str = "install", *, changes: bool = True, outcome: str = "done", seal: bool = True) -> Path:
        """A run from its first event to its sealed record."""
        folder = records.create(self.root, target=self.folder.name, stage=stage)
        records.enter(self.seal, folder)
        journal = records.Journal(folder, Redactor(), role="kernel")
        opened: Json = {"who": {"cluster": "li.wei"}, "target": {"namespace": "csghub"}, "versions": {"helm": "3.19"}}
        journal(Event(kind="run.opened", data=opened))
        journal(Event(kind="check.answered", data={"id": "release.status", "status": "pass"}))
        records.write_text(folder, "plan.json", "{}\n", Redactor())
        if changes:
            records.announce(folder, "sha256:" + "0" * 64, self.seal)
            journal(Event(kind="change.started", data={}))
            journal(Event(kind="change.ended", data={}))
        told: Any = {"outcome": outcome, "exit_code": 0 if outcome == "done" else 5, "summary": "It ended."}
        records.close(folder, Redactor(), closer="seal cell", **told)
        if seal:
            records.seal_closed(self.folder, self.seal)
        return folder

    @property
    def leaves(self) -> Path:
        return self.folder / FOLDER / LEAVES

    @property
    def head(self) -> Path:
        return self.folder / FOLDER / HEAD

    @property
    def lines(self) -> list[str]:
        return self.leaves.read_text().splitlines(keepends=True)

    def verified(self, **known: Any) -> records.Verification:
        return records.verify_all(self.root, records.Given(**known))

    def wrong(self, **known: Any) -> tuple[str, ...]:
        return self.verified(**known).problems

    def forget_log(self) -> None:
        """What an insider with the key does first: away with the log and every proof of it."""
        shutil.rmtree(self.folder / FOLDER)
        for name in ("proof.json", "record.dsse.json", "report.dsse.json"):
            for path in self.folder.glob(f"*/{name}"):
                path.unlink()
