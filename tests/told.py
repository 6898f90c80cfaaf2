"""Records for tests of what is shown of them: made as runs make them, with whatever text somebody puts into them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from runbooks_lib import records, signing
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, ObjectChange, Plan, Step

TARGET = {"cluster_uid": "u-1", "namespace": "csghub", "release": "dataflow", "server": "https://127.0.0.1:6443"}


def new_plan(**told: Any) -> Plan:
    known: Json = {"stage": "install", "target": {"namespace": "csghub"}, "bindings": {"chart": {"version": "1.16.0"}}}
    known["steps"] = (Step(kind="helm-install", title="Install dataflow 1.16.0 with Helm"),)
    known["changes"] = (ObjectChange(action="add", name="Service dataflow", detail=("spec.ports: 1 → 2",)),)
    return Plan(**known | {"impact": ("Installs dataflow 1.16.0.",)} | told)


def new_run(
    root: Path,
    *,
    target: str = "prod",
    stage: str = "install",
    person: str = "li.wei",
    outcome: Any = "done",
    summary: str = "install ended as it should",
    plan: Plan | None = None,
    status: str = "pass",
    observed: str = "v1.33.13",
    outputs: list[Json] | None = None,
    prose: str = "What this does",
    evidence: dict[str, str] | None = None,
    parameters: Json | None = None,
    argv: list[str] | None = None,
    redactor: Redactor | None = None,
    close: bool = True,
) -> Path:
    """A run from its first event to its closed record."""
    plan, redactor = plan or new_plan(), redactor or Redactor()
    folder = records.create(root, target=target, stage=stage)
    journal = records.Journal(folder, redactor, role="kernel")
    cells: list[Json] = [
        {"id": "prose", "cell_type": "markdown", "metadata": {}, "source": prose},
        {"id": "act", "cell_type": "code", "metadata": {}, "source": "act()", "outputs": [], "execution_count": None},
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    records.write_text(folder, "input.ipynb", json.dumps(notebook), redactor)
    records.write_json(folder, "parameters.json", parameters or {"chart": {"version": "1.16.0"}}, redactor)
    records.write_json(folder, "plan.json", plan.model_dump(mode="json") | {"digest": plan.digest}, redactor)
    for name, text in (evidence or {}).items():
        records.write_text(folder, f"evidence/{name}", text, redactor)
    opened: Json = {"who": {"cluster": {"username": person}, "system": "root"}, "host": "vm", "target": TARGET}
    opened |= {"run_id": folder.name[-8:], "stage": stage, "versions": {"helm": "v3.19.5"}}
    found = {"id": "kubernetes.version", "title": "Kubernetes version", "status": status, "observed": observed}
    found |= {"expected": "1.33 or newer", "remedy": "Upgrade the cluster.", "evidence": ""}
    command = {"argv": argv or ["helm", "version"], "returncode": 0, "seconds": 0.2}
    told: list[tuple[str, Json]] = [
        ("cell.started", {"id": "act", "count": 1, "source": "act()"}),
        ("run.opened", opened),
        ("command.ended", command),
        ("check.answered", found),
        ("plan.made", {"digest": plan.digest, "impact": list(plan.impact)}),
        ("approval.given", {"digest": plan.digest, "by": f"{person}@vm", "how": "button"}),
        ("change.started", {"digest": plan.digest}),
        ("change.step", {"kind": "helm-install", "title": plan.steps[0].title if plan.steps else ""}),
        ("change.ended", {"digest": plan.digest, "seconds": 1}),
        ("cell.ended", {"id": "act", "count": 1, "outputs": outputs or [], "status": "ok"}),
    ]
    for kind, data in told:
        journal(Event(kind=kind, data=data))
    if close:
        code = 0 if outcome in {"done", "passed"} else 5
        records.close(folder, redactor, outcome=outcome, exit_code=code, summary=summary, closer="seal cell")
    return folder


def seal(shelf: Path) -> None:
    """Seal all that is closed of a target, with a key made here."""
    by = records.Seal(signing.signer(signing.new_key(b"pass"), b"pass", "runbooks"))
    records.enter(by, *(folder for folder in shelf.iterdir() if folder.name != "log"))
    records.seal_closed(shelf, by)


def copied(folder: Path, name: str) -> Path:
    """The same record under another name, which its files don't know."""
    return Path(shutil.copytree(folder, folder.with_name(name)))
