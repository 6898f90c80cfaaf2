"""``Run``: what a notebook opens and holds — the target, the way to it, the journal, and who said yes."""

from __future__ import annotations

import getpass
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

import runbooks_lib
from runbooks_lib import errors, parameters, records
from runbooks_lib.checks.catalogue import Check, Look, Subject, report, require_known, unmet
from runbooks_lib.cluster import Cluster, Forbidden
from runbooks_lib.errors import Outcome, RunbookError, UsageError
from runbooks_lib.helm import Helm
from runbooks_lib.recording import WITHOUT_NOTEBOOK, Recording
from runbooks_lib.records.folder import FOLDER_VARIABLE, POINTER_VARIABLE
from runbooks_lib.redaction import Redactor
from runbooks_lib.release import by_hand, shown
from runbooks_lib.release.approval import Given, approved, asked_of, require_digest, stopped_in
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.change import carry_out
from runbooks_lib.release.values import register
from runbooks_lib.results import Approval, ChangeResult, Event, Json, Plan, Report, RunSummary, digest_of
from runbooks_lib.secrets import seal_of
from runbooks_lib.telling import telling

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
        seal: records.Seal | None = None,
    ) -> None:
        self.stage = stage
        self.parameters = settings
        self._overrides: Overrides = ()
        self.recording = Recording(folder, redactor, seal)
        self.observe, self.save, self.listening = self.recording.observe, self.recording.save, self.recording.listening
        self.folder = folder
        self.redactor = redactor
        self.id = records.run_id(folder) if folder else "preview"
        self._given: Given | None = ("parameter", approve) if approve else None
        self._changing = False
        #: What Seal can vouch for: the last report was good, and the plan was carried out after the last try.
        self._accepted = self._carried = False
        #: Killed runs whose records were closed when this one was opened.
        self._found: list[Event] = []
        self._boundaries: Boundaries | None = None

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
            approve: The digest of the plan that is approved, ``sha256:…``; or the path of another person's approval file,
                or of the record of a stopped run, to resume it.
            output_directory: Where records go; ``records/`` in the project's root when empty.
            record: A preview (``runbooks plan``) changes nothing and leaves none.

        Raises:
            ParametersError: The file or an override can't be used; nothing was opened.
            UsageError: ``approve`` can be no digest; nothing was opened.
            RunbookError: The target can't be reached; the record says so.
        """
        texts = {"parameters_file": parameters_file, "approve": approve, "output_directory": output_directory}
        for name, value in texts.items():
            if not isinstance(value, str):
                raise errors.refused("no text", name=name, value=value)
        require_digest(approve)
        settings = parameters.load(parameters_file, overrides)
        require_known(settings.waivers)
        redactor, root = Redactor(), parameters.resolve_path(output_directory or "records")
        seal = seal_of(settings.records, redactor) if record else None
        # Our engine's command has done so a moment ago.
        found = [] if FOLDER_VARIABLE in os.environ else records.sweep(root, register)
        folder = None
        if record:
            folder = records.open_folder(root, target=settings.target.name, stage=stage)
        run = cls(stage, settings, folder=folder, redactor=redactor, approve=approve, seal=seal)
        run._overrides = overrides
        run._found = found
        try:
            run.recording.begin(stage, settings)
            for swept in found:
                run.observe(swept)
            run._reach()
        except RunbookError as error:
            run.recording.fail(error)
            raise
        return run

    @classmethod
    def looking(cls, settings: parameters.Parameters, redactor: Redactor) -> Run:
        """A run without a record, to look at a target that no parameters file describes yet."""
        run = cls("parameters", settings, folder=None, redactor=redactor, approve="")
        run._reach()
        return run

    def _reach(self) -> None:
        target = self.parameters.target
        kubeconfig = parameters.resolve_path(target.kubeconfig) if target.kubeconfig else None
        home = parameters.project_root() / ".runbooks" / "helm"
        how: Json = {"context": target.context, "redactor": self.redactor, "observe": self.observe}
        helm = Helm(self.parameters.helm.executable, home, target.namespace, kubeconfig, **how)
        versions: Json = {"runbooks": runbooks_lib.__version__, "helm": helm.version}
        cluster = Cluster.connect(kubeconfig, target.context, observe=self.observe)
        versions |= {"python": platform.python_version(), "kubernetes": cluster.version()}
        who = {"cluster": cluster.who(), "system": getpass.getuser()}
        same = target.model_dump(mode="json", include={"cluster_uid", "namespace", "release"})
        last = partial(records.last_change, self.recording.root, same)
        known: Json = {"last_change": last, "ended": partial(records.ended, self.recording.root)}
        known |= {"notebook": digest_of(parameters.code_of(self.stage))} if self.stage not in WITHOUT_NOTEBOOK else {}
        note = f"run {self.id}"
        self._boundaries = Boundaries(self.parameters, helm, cluster, self.redactor, self.observe, note, **known)
        opened: Json = {"run_id": self.id, "stage": self.stage, "who": who, "host": platform.node()}
        opened |= {"target": target.model_dump(mode="json") | {"server": cluster.server}, "versions": versions}
        opened["git"] = records.source_of(parameters.project_root())
        self.observe(Event(kind="run.opened", data=opened))
        if target.cluster_uid:
            # Also a stage that only reads: what it says would be about another cluster. Only 01 tells that it can't be known.
            with suppress(*((Forbidden,) if self.stage == "prerequisites" else ())):
                self._boundaries.require_pin()

    @property
    def boundaries(self) -> Boundaries:
        """The way to the target."""
        if self._boundaries is None:
            raise UsageError("This run was never opened.", next_step="Make it with Run.open(…).")
        return self._boundaries

    def seal(self) -> RunSummary:
        """Close the record: passed or done if the last report was good and the change made, else as the journal proves."""
        changes = self.stage in {"install", "upgrade", "uninstall", "recover"}
        vouched = self._accepted and (self._carried or not changes)
        idle = ": there was nothing to do, and nothing was changed" if changes and not self._changing else ""
        outcome: Outcome = "done" if changes else "passed"
        return self.recording.close(outcome if vouched else None, f"{self.stage} ended as it should{idle}")

    def ask(
        self, title: str, checks: Iterable[Check[Subject]], subject: Subject, *, tables: Look[Subject] | None = None
    ) -> Report:
        """Ask all checks; every known secret is replaced in their report."""
        self._accepted = False
        made = report(self.stage, title, checks, subject, tables=tables, observe=self.observe, given=self.parameters)
        return Report.model_validate(self.redactor.redact_data(made.model_dump(mode="json")))

    def require(self, report: Report) -> None:
        """Go on only if every finding is a pass, a warning or skipped.

        Raises:
            CheckFailed: A check failed before anything was changed.
            ChangeFailed: A check failed after a change.
            OutcomeUnknown: A check that must be known could not be made.
        """
        error = unmet(report, changing=self._changing)
        self._accepted = error is None
        if error is not None:
            raise error

    def propose(self, plan: Plan) -> Plan:
        """Keep a plan in the record, with the values for Helm; it comes back with its commands, its digest can be approved."""
        parameters.require_unchanged(self.parameters, self._overrides)
        plan = plan.model_copy(update={"notes": (*plan.notes, *asked_of(self.boundaries, plan))})
        plan = plan.masked(self.redactor.redact)
        shown.keep(plan)
        self.save("values.yaml", yaml.safe_dump(parameters.chart_values(self.parameters), sort_keys=False))
        if self.folder is not None:
            content = plan.model_dump(mode="json") | {"digest": plan.digest, "notes": list(plan.notes)}
            records.write_json(self.folder, "plan.json", content, self.redactor)
        steps = [step.title for step in plan.steps]
        self.observe(
            Event(kind="plan.made", data={"digest": plan.digest, "steps": steps, "impact": (*plan.impact, *plan.notes)})
        )
        return plan.model_copy(update={"commands": by_hand.commands_of(plan, self.parameters, self.folder)})

    def approve(self, digest: str) -> None:
        """Say yes to one digest (what the button of the *Approve* cell does)."""
        self._given = ("button", digest)

    def is_approved(self, plan: Plan) -> bool:
        """Whether somebody has said yes to exactly this plan."""
        return self._given is not None and self._given[1] == plan.digest

    @property
    def resumes(self) -> Path | None:
        """The record of the stopped run that this one is to resume."""
        return stopped_in(self._given[1]) if self._given else None

    def approval(self, plan: Plan) -> Approval:
        """The approval of exactly this plan; see :func:`runbooks_lib.release.approval.approved`."""
        return approved(self.boundaries, plan, self._given, awaited=self.interactive)

    def carry_out(self, plan: Plan, approval: Approval, replan: Callable[[], Plan]) -> ChangeResult:
        """Carry out an approved plan; see :func:`runbooks_lib.release.change.carry_out`.

        Raises RecordError: It was carried out, or failed, as the sentence says, but the journal could not be written.
        """
        self._accepted = self._carried = False
        parameters.require_unchanged(self.parameters, self._overrides)
        self._changing = not plan.empty
        if not plan.empty:
            self.recording.announce(plan.digest)
        try:
            result = carry_out(self.boundaries, plan, approval, replan=replan, save=self.save)
        except RunbookError as error:
            self.recording.require_written(error.summary)
            raise
        self.recording.require_written(f"The change was made: {'; '.join(result.done)}.")
        self._carried = True
        return result

    @property
    def interactive(self) -> bool:
        """Whether a person may press a button: a kernel that is not driven by papermill or our engine."""
        return "ipykernel" in sys.modules and POINTER_VARIABLE not in os.environ

    def __repr__(self) -> str:
        """What the *Open* cell shows."""
        target = self.parameters.target
        server = self._boundaries.cluster.server if self._boundaries else "not reached"
        lines = [
            f"run {self.id} of {self.stage}: release {target.release} in namespace {target.namespace} at {server}",
            f"record: {self.folder or 'none (a preview)'}",
            *map(telling, self._found),
        ]
        return "\n".join(lines)
