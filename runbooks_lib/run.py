"""``Run``: what a notebook opens and holds — the target, the way to it, the journal, and who said yes."""

from __future__ import annotations

import atexit
import getpass
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import runbooks_lib
from runbooks_lib import parameters, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import (
    ChangeFailed,
    CheckFailed,
    OutcomeUnknown,
    RunbookError,
    UsageError,
)
from runbooks_lib.helm import Helm
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.approval import Given, approved
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.change import carry_out
from runbooks_lib.results import (
    Approval,
    ChangeResult,
    Event,
    Json,
    Observe,
    Plan,
    Report,
    RunSummary,
)

#: The folder that our engine made for this run, and the file in which it wants to be told of ours.
FOLDER_VARIABLE = "RUNBOOKS_RUN_FOLDER"
POINTER_VARIABLE = "RUNBOOKS_RUN_POINTER"

Overrides = Mapping[str, Any] | Iterable[str] | str


class Run:
    """One execution of a stage.

    Make it with :meth:`open`. It leaves a record in any case: closed by :meth:`seal`, else when the kernel
    shuts down, else by our engine, else by the next command that finds it.
    """

    def __init__(
        self,
        stage: str,
        settings: parameters.Parameters,
        *,
        folder: Path | None,
        redactor: Redactor,
        approve: str,
    ) -> None:
        self.stage = stage
        self.parameters = settings
        self.folder = folder
        self.redactor = redactor
        self.id = records.run_id(folder) if folder else "preview"
        self.summary: RunSummary | None = None
        self._journal = records.Journal(folder, redactor, role="kernel") if folder else None
        self._listeners: list[Observe] = []
        self._given: Given | None = ("parameter", approve) if approve else None
        self._changing = False
        self._boundaries: Boundaries | None = None
        self._capture: records.Capture | None = None

    # ---- opening and closing

    @classmethod
    def open(
        cls,
        stage: str,
        parameters_file: str,
        *,
        overrides: Overrides = (),
        approve: str = "",
        output_directory: str = "",
        record: bool = True,
    ) -> Run:
        """Read the parameters, make the record and reach the target.

        Args:
            stage: The stage's name, for example ``install``.
            parameters_file: Relative to the project's root.
            overrides: Single keys, ``{"chart.version": "1.16.1"}`` or ``["chart.version=1.16.1"]``.
            approve: The digest of the plan that is approved, ``sha256:…``.
            output_directory: Where records go; ``records/`` in the project's root when empty.
            record: A preview (``runbooks plan``) changes nothing and leaves none.

        Raises:
            ParametersError: The file or an override can't be used; nothing was opened.
            RunbookError: The target can't be reached; the record says so.
        """
        settings = parameters.load(parameters_file, overrides)
        redactor = Redactor()
        folder = _folder(stage, settings, output_directory) if record else None
        run = cls(stage, settings, folder=folder, redactor=redactor, approve=approve)
        if folder is not None:
            run._begin(folder)
        try:
            run._reach()
        except RunbookError as error:
            run._end_with(error)
            raise
        return run

    def _begin(self, folder: Path) -> None:
        if self._journal is not None:
            self._capture = records.Capture(self._journal, self.redactor)
            self._capture.install()
        atexit.register(self._at_exit)
        source = notebook_path(self.stage)
        records.write_text(folder, "input.ipynb", source.read_text(), self.redactor)
        records.write_json(folder, "parameters.json", parameters.dump(self.parameters), self.redactor)

    def _reach(self) -> None:
        target = self.parameters.target
        kubeconfig = parameters.resolve_path(target.kubeconfig) if target.kubeconfig else None
        home = parameters.project_root() / ".runbooks" / "helm"
        helm = Helm(
            executable=self.parameters.helm.executable,
            home=home,
            namespace=target.namespace,
            kubeconfig=kubeconfig,
            context=target.context,
            redactor=self.redactor,
            observe=self.observe,
        )
        versions: Json = {
            "runbooks": runbooks_lib.__version__,
            "python": platform.python_version(),
            "helm": helm.version(),
        }
        cluster = Cluster.connect(kubeconfig, target.context, observe=self.observe)
        versions["kubernetes"] = cluster.version()
        who = {"cluster": cluster.who(), "system": getpass.getuser()}
        self._boundaries = Boundaries(
            self.parameters, helm, cluster, self.redactor, self.observe, note=f"run {self.id}"
        )
        opened = {
            "run_id": self.id,
            "stage": self.stage,
            "target": target.model_dump(mode="json") | {"server": cluster.server},
            "who": who,
            "host": platform.node(),
            "versions": versions,
        }
        self.observe(Event(kind="run.opened", data=opened))

    @property
    def boundaries(self) -> Boundaries:
        """The way to the target."""
        if self._boundaries is None:
            raise UsageError("This run was never opened.", next_step="Make it with Run.open(…).")
        return self._boundaries

    def seal(self) -> RunSummary:
        """Close the record: what is in it now can be checked against its manifest later."""
        changes = self._changing or self.stage in {"install", "upgrade", "uninstall"}
        return self._close(
            "done" if changes else "passed", 0, f"{self.stage} ended as it should", "seal cell"
        )

    def _close(self, outcome: Any, exit_code: int, summary: str, closer: str) -> RunSummary:
        if self.folder is None:
            raise UsageError("A preview has no record to seal.", next_step="Run the notebook instead.")
        if self.summary is None:
            self.summary = records.close(
                self.folder,
                self.redactor,
                outcome=outcome,
                exit_code=exit_code,
                summary=summary,
                closer=closer,
                notebook=self._executed(),
            )
        return self.summary

    def _executed(self) -> bytes | None:
        """The executed notebook as this kernel saw it; without a kernel the journal has to do."""
        if self._capture is None or "ipykernel" not in sys.modules:
            return None
        source = json.loads(notebook_path(self.stage).read_text())
        return json.dumps(self._capture.notebook(source), indent=1, ensure_ascii=False).encode()

    def _end_with(self, error: RunbookError) -> None:
        if self.folder is not None:
            self.observe(Event(kind="error.raised", data=_error_data(error)))
            self._close(error.outcome, error.exit_code, error.summary, "open")

    def _at_exit(self) -> None:
        if self.folder is not None and self.summary is None:
            outcome, exit_code, summary = records.outcome_of(records.read_events(self.folder))
            self._close(outcome, exit_code, summary, "kernel shutdown")

    # ---- what a stage does with it

    def observe(self, event: Event) -> None:
        """Journal an event, then tell it to whoever listens."""
        if self._journal is not None:
            self._journal(event)
        for listener in self._listeners:
            listener(event)

    @contextmanager
    def listening(self, listener: Observe) -> Iterator[None]:
        """Tell a listener all events of a block, for example to show progress."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def clean(self, report: Report) -> Report:
        """The same report with every known secret replaced."""
        return Report.model_validate(self.redactor.redact_data(report.model_dump(mode="json")))

    def require(self, report: Report) -> None:
        """Go on only if every finding is a pass, a warning or skipped.

        Raises:
            CheckFailed: A check failed before anything was changed.
            ChangeFailed: A check failed after a change.
            OutcomeUnknown: A check that must be known could not be made.
        """
        failed, unknown = report.with_status("fail"), report.with_status("unknown")
        if not failed and not unknown and report.findings:
            return
        told = "; ".join(f"{finding.title}: {finding.observed}" for finding in (*failed, *unknown)[:5])
        remedy = next((finding.remedy for finding in (*failed, *unknown) if finding.remedy), "")
        next_step = remedy or "See *If it fails* at the end of the notebook."
        if failed:
            error: type[RunbookError] = ChangeFailed if self._changing else CheckFailed
            raise error(f"{_count(len(failed), 'check')} failed. {told}.", next_step=next_step)
        raise OutcomeUnknown(
            f"{_count(len(unknown), 'check')} could not be made. {told or 'No check was asked'}.",
            next_step=next_step,
        )

    def propose(self, plan: Plan) -> Plan:
        """Keep a plan in the record; its digest is what can be approved."""
        if self.folder is not None:
            content = plan.model_dump(mode="json") | {"digest": plan.digest}
            records.write_json(self.folder, "plan.json", content, self.redactor)
        steps = [step.title for step in plan.steps]
        self.observe(
            Event(kind="plan.made", data={"digest": plan.digest, "steps": steps, "impact": plan.impact})
        )
        return plan

    def approve(self, digest: str) -> None:
        """Say yes to one digest (what the button of the *Approve* cell does)."""
        self._given = ("button", digest)

    def approval(self, plan: Plan) -> Approval:
        """The approval of exactly this plan; see :func:`runbooks_lib.release.approval.approved`."""
        return approved(plan, self._given, self.observe)

    def carry_out(self, plan: Plan, approval: Approval, replan: Callable[[], Plan]) -> ChangeResult:
        """Carry out an approved plan; see :func:`runbooks_lib.release.change.carry_out`."""

        def save(relative: str, text: str) -> None:
            if self.folder is not None:
                records.write_text(self.folder, relative, text, self.redactor)

        self._changing = not plan.empty
        return carry_out(self.boundaries, plan, approval, replan=replan, save=save)

    @property
    def records_root(self) -> Path:
        """Where this run's record, and those before it, are."""
        return self.folder.parent.parent if self.folder else parameters.project_root() / "records"

    @property
    def interactive(self) -> bool:
        """Whether a person may press a button: a kernel that is not driven by papermill or our engine."""
        return (
            "ipykernel" in sys.modules
            and FOLDER_VARIABLE not in os.environ
            and POINTER_VARIABLE not in os.environ
        )

    def __repr__(self) -> str:
        """What the *Open* cell shows."""
        target = self.parameters.target
        server = self._boundaries.cluster.server if self._boundaries else "not reached"
        return (
            f"run {self.id} of {self.stage}: release {target.release} in namespace {target.namespace} at {server}\n"
            f"record: {self.folder or 'none (a preview)'}"
        )


def notebook_path(stage: str) -> Path:
    """The notebook of a stage in this project.

    Raises:
        UsageError: There is none.
    """
    folder = parameters.project_root() / "notebooks"
    found = sorted(folder.glob(f"[0-9][0-9]_{stage}.ipynb"))
    if not found:
        raise UsageError(
            f"There is no notebook for the stage {stage!r} in {folder}.",
            next_step=f"Stages are: {', '.join(path.stem[3:] for path in sorted(folder.glob('[0-9]*.ipynb')))}.",
        )
    return found[0]


def _folder(stage: str, settings: parameters.Parameters, output_directory: str) -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    root = parameters.resolve_path(output_directory or "records")
    folder = records.create(root, target=settings.target.name, stage=stage)
    if pointer := os.environ.get(POINTER_VARIABLE):
        Path(pointer).write_text(str(folder))
    return folder


def _error_data(error: RunbookError) -> Json:
    return {
        "type": type(error).__name__,
        "exit_code": error.exit_code,
        "outcome": error.outcome,
        "summary": error.summary,
        "next_step": error.next_step,
        "evidence": error.evidence,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
