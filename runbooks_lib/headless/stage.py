"""Running a stage by name: its notebook is found, its record made, and its end reported."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks_lib import parameters, records
from runbooks_lib.errors import RecordError, refused
from runbooks_lib.headless.stopping import Stop
from runbooks_lib.records.folder import EVENTS
from runbooks_lib.records.notebook import unreadable
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, Observe, Plan, RunSummary, unobserved

if TYPE_CHECKING:
    from runbooks_lib.run import Overrides

#: Seconds between two looks at the journal of a running notebook.
_LOOK_EVERY = 0.1


def run_stage(
    stage: str,
    parameters_file: str,
    *,
    overrides: Overrides = (),
    approve: str = "",
    output_directory: str = "",
    observe: Observe = unobserved,
) -> RunSummary:
    """Run ``notebooks/NN_<stage>.ipynb`` and say how it ended, also where it failed.

    Args:
        observe: Gets every event of the journal as it is written, from another thread; it must not raise. The
            others are those of :meth:`runbooks_lib.run.Run.open`.

    Raises:
        ParametersError: The parameters can't be used; no run was begun.
        UsageError: There is no such stage, its notebook does not take what was given, or ``approve`` can be no digest.
        RecordError: The record could not be made or closed.
    """
    from runbooks_lib.release.approval import require_digest
    from runbooks_lib.release.values import register
    from runbooks_lib.secrets import seal_of

    if not isinstance(overrides, str):
        # As JSON, since they become a parameter of the notebook.
        overrides = dict(overrides) if isinstance(overrides, Mapping) else list(overrides)
    settings = parameters.load(parameters_file, overrides)
    notebook = parameters.notebook_path(stage)
    wanted: Json = {"parameters_file": parameters_file, "overrides": overrides}
    wanted |= {"approve": approve, "output_directory": output_directory}
    given = {name: value for name, value in wanted.items() if value}
    check_readable(notebook)
    check_taken(notebook, given)
    require_digest(approve)
    root, seal = parameters.resolve_path(output_directory or "records"), seal_of(settings.records, Redactor())
    with Stop() as stop:
        for swept in records.sweep(root, register):
            observe(swept)
        folder = records.create(root, target=settings.target.name, stage=stage)
        _enter(folder, seal)
        with _following(folder, observe):
            records.write_text(folder, "input.ipynb", notebook.read_text(encoding="utf-8"), Redactor())
            _execute(notebook, given, folder, stop)
    summary = sealed(records.summary_of(folder), seal)
    told = [event["data"] for event in records.read_events(folder) if event["kind"] == "error.raised"]
    step = told[-1].get("next_step", "") if told and summary.exit_code else ""
    return summary.model_copy(update={"next_step": step})


def preview(stage: str, parameters_file: str, *, overrides: Overrides = ()) -> Plan:
    """The plan that a stage would make now; nothing is changed and no record is left.

    Raises:
        ParametersError: The parameters can't be used.
        UsageError: There is no such stage, or it plans nothing.
        RunbookError: The target can't be reached, a check fails, or the plan can't be made.
    """
    from runbooks_lib.run import Run

    parameters.notebook_path(stage)
    try:
        module = importlib.import_module(f"runbooks_lib.stages.{stage}")
        look, make = module.look, module.plan
    except (ModuleNotFoundError, AttributeError) as error:
        raise refused("no plan", stage=stage, file=parameters_file) from error
    run = Run.open(stage, parameters_file, overrides=overrides, record=False)
    # What the run would refuse is not offered for approval.
    run.require(look(run))
    plan: Plan = make(run)
    return plan


def check_readable(notebook: Path) -> None:
    """Refuse a file that is no notebook as we and papermill read them."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells, version = content["cells"], content["nbformat"]
    except (ValueError, KeyError, TypeError) as error:
        raise refused("no notebook", path=notebook, error="it is not the JSON of a notebook with cells") from error
    if version != 4:
        raise refused("no notebook", path=notebook, error=f"its format is {version}, and 4 is needed")
    if why := unreadable(cells):
        raise refused("no notebook", path=notebook, error=why)
    if not ((content.get("metadata") or {}).get("kernelspec") or {}).get("name"):
        raise refused("no notebook", path=notebook, error="it names no kernel (metadata.kernelspec.name)")


def check_taken(notebook: Path, given: Json) -> None:
    """Refuse what the notebook's cell tagged ``parameters`` does not set."""
    try:
        taken = sorted(_papermill().inspect_notebook(str(notebook)))
    except Exception as error:  # each library below has its own for what is no notebook
        raise refused("no notebook", path=notebook, error=error) from error
    for name in given:
        if name not in taken:
            raise refused("takes no", notebook=notebook.name, name=name, taken=", ".join(taken) or "nothing")


def _execute(notebook: Path, given: Json, folder: Path, stop: Stop) -> None:
    """Run the notebook; whatever comes of it is in the record, which is closed when this returns."""
    try:
        _papermill().execute_notebook(
            str(notebook), None, parameters=given, engine_name="runbooks", progress_bar=False, record=folder, stop=stop
        )
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001 - a run ends in its record, whatever went wrong
        # A closed one tells it better, and without what the cell may have shown.
        if not records.is_closed(folder):
            journal = records.Journal(folder, Redactor(), role="engine")
            journal(Event(kind="error.raised", data=records.describe(error)))
            records.close_as_proved(folder, Redactor(), closer="engine")


def _enter(folder: Path, seal: records.Seal | None) -> None:
    """Enter the run in the log before anything is done; raises RecordError: it can't be, and its record says so."""
    try:
        if seal is not None:
            records.enter(seal, folder)
    except RecordError as error:
        records.Journal(folder, Redactor(), role="engine")(Event(kind="error.raised", data=records.describe(error)))
        records.close_as_proved(folder, Redactor(), closer="engine")
        raise


def sealed(summary: RunSummary, seal: records.Seal | None) -> RunSummary:
    """How a run ended, its record sealed; one that ended well and can't be sealed did not leave what it should."""
    try:
        if seal is not None:
            records.seal_closed(Path(summary.folder).parent, seal)
    except RecordError as error:
        told = f"{summary.summary} Its record is closed, and could not be sealed: {error.summary}"
        return summary.model_copy(update={"exit_code": summary.exit_code or error.exit_code, "summary": told})
    return summary


@contextmanager
def _following(folder: Path, observe: Observe) -> Iterator[None]:
    """Hand each event to the observer as it appears in the journal, the last ones before this ends."""
    ended = threading.Event()

    def follow() -> None:
        size, told, last = 0, 0, False
        while not last:
            last = ended.wait(_LOOK_EVERY)
            before, size = size, (folder / EVENTS).stat().st_size
            events = records.read_events(folder)[told:] if size != before else []
            for event in events:
                observe(Event(kind=event["kind"], data=event["data"]))
            told += len(events)

    thread = threading.Thread(target=follow, name="journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _papermill() -> Any:
    """papermill, without two parts of jsonschema's that take a second to import and that no notebook needs."""
    skipped = {"rfc3987_syntax", "isoduration"} - {*sys.modules}
    if "jsonschema" not in sys.modules:
        sys.modules.update(dict.fromkeys(skipped))  # type: ignore[arg-type]  # None: "there is no such module"
        try:
            importlib.import_module("jsonschema")
        finally:
            for name in skipped:
                del sys.modules[name]
    import papermill

    return papermill
