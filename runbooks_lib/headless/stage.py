"""Running a stage by name: its notebook is found, its record made, and its end reported."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runbooks_lib import parameters, records
from runbooks_lib.errors import UsageError
from runbooks_lib.headless.stopping import Stop
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, Observe, Plan, RunSummary, unobserved

Overrides = Mapping[str, Any] | Iterable[str] | str

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
    """Run ``notebooks/NN_<stage>.ipynb`` and say how it ended.

    Args:
        stage: The stage's name, for example ``install``.
        parameters_file: Relative to the project's root.
        overrides: Single keys, ``{"chart.version": "1.16.1"}`` or ``["chart.version=1.16.1"]``.
        approve: The digest of the plan that is approved.
        output_directory: Where records go; ``records/`` in the project's root when empty.
        observe: Gets every event of the journal as it is written, from another thread; it must not raise.

    Returns:
        How it ended. A run that failed is no exception: its summary says so, with its exit code.

    Raises:
        ParametersError: The parameters can't be used; no run was begun.
        UsageError: There is no such stage, or its notebook does not take what was given.
        RecordError: The record could not be made or closed.
    """
    overrides = _plain(overrides)
    settings = parameters.load(parameters_file, overrides)
    notebook = find_notebook(stage)
    wanted = {
        "parameters_file": parameters_file,
        "overrides": overrides,
        "approve": approve,
        "output_directory": output_directory,
    }
    given = {name: value for name, value in wanted.items() if value}
    _check_taken(notebook, given)
    root = parameters.resolve_path(output_directory or "records")
    with Stop() as stop:
        from runbooks_lib.headless.known_secrets import register

        records.sweep(root, Redactor(), resolve=register)
        folder = records.create(root, target=settings.target.name, stage=stage)
        with _following(folder, observe):
            records.write_text(folder, "input.ipynb", notebook.read_text(encoding="utf-8"), Redactor())
            _execute(notebook, given, folder, stop)
    return records.summary_of(folder)


def preview(stage: str, parameters_file: str, *, overrides: Overrides = ()) -> Plan:
    """The plan that a stage would make now; nothing is changed and no record is left.

    Raises:
        ParametersError: The parameters can't be used.
        UsageError: There is no such stage, or it plans nothing.
        RunbookError: The target can't be reached, or the plan can't be made.
    """
    find_notebook(stage)
    try:
        module = importlib.import_module(f"runbooks_lib.stages.{stage}")
        make = module.plan
    except (ModuleNotFoundError, AttributeError) as error:
        raise UsageError(
            f"The stage {stage!r} changes nothing, so it has no plan.",
            next_step=f"Run it: `runbooks run {stage} -p {parameters_file}`.",
        ) from error
    from runbooks_lib.run import Run

    plan: Plan = make(Run.open(stage, parameters_file, overrides=_plain(overrides), record=False))
    return plan


def find_notebook(stage: str) -> Path:
    """The notebook of a stage.

    Raises:
        UsageError: There is none of this name; the sentence names the nearest.
    """
    folder = parameters.project_root() / "notebooks"
    stages = {path.stem[3:]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if stage in stages:
        return stages[stage]
    near = difflib.get_close_matches(stage, stages, n=1, cutoff=0.4)
    raise UsageError(
        f"There is no stage {stage!r}: {folder} holds no notebook NN_{stage}.ipynb.",
        next_step=f"Did you mean {near[0]}?" if near else f"Stages are: {', '.join(stages) or 'none'}.",
    )


def _check_taken(notebook: Path, given: Json) -> None:
    taken = _parameters_of(notebook)
    for name in given:
        if name not in taken:
            raise UsageError(
                f"The notebook {notebook.name} takes no {name}.",
                next_step=f"It takes: {', '.join(sorted(taken)) or 'no parameters'}.",
            )


def _parameters_of(notebook: Path) -> set[str]:
    """The names that the notebook's cell tagged ``parameters`` sets."""
    papermill = _papermill()
    try:
        return set(papermill.inspect_notebook(str(notebook)))
    except (ValueError, OSError, AttributeError, KeyError) as error:
        raise UsageError(
            f"{notebook} can't be read as a notebook: {error}.",
            next_step="Restore it: `git checkout -- notebooks/`.",
        ) from error


def _execute(notebook: Path, given: Json, folder: Path, stop: Stop) -> None:
    """Run the notebook; whatever comes of it is in the record, which is closed when this returns."""
    papermill = _papermill()
    from runbooks_lib.headless.session import Handover

    handover = Handover(folder=folder, cwd=parameters.project_root(), stop=stop)
    try:
        papermill.execute_notebook(
            str(notebook),
            None,
            parameters=given,
            engine_name="runbooks",
            progress_bar=False,
            handover=handover,
        )
    except papermill.PapermillExecutionError:
        # The record tells it better, and without what the cell may have shown.
        return
    except Exception as error:  # noqa: BLE001 - a run ends in its record, whatever went wrong
        if not records.is_closed(folder):
            told = records.describe(error)
            journal = records.Journal(folder, Redactor(), role="engine")
            journal(Event(kind="error.raised", data=told))
            journal.close()
            records.close_as_proved(folder, Redactor(), closer="engine", searchable=True)


@contextmanager
def _following(folder: Path, observe: Observe) -> Iterator[None]:
    """Hand each event to the observer as it appears in the journal, the last ones before this ends."""
    ended = threading.Event()

    def follow() -> None:
        position, rest = 0, b""
        last = False
        while True:
            last = ended.wait(_LOOK_EVERY)
            with (folder / "events.jsonl").open("rb") as journal:
                journal.seek(position)
                new = journal.read()
            position += len(new)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                _observe_line(line, observe)
            if last:
                return

    thread = threading.Thread(target=follow, name="journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _observe_line(line: bytes, observe: Observe) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        return
    observe(Event(kind=event["kind"], data=event["data"]))


def _plain(overrides: Overrides) -> Any:
    """Overrides as JSON, since they become a parameter of the notebook: a mapping, a list or a text."""
    if isinstance(overrides, Mapping):
        return dict(overrides)
    return overrides if isinstance(overrides, str) else list(overrides)


def _papermill() -> Any:
    """papermill, imported late and without a part of jsonschema's that it has no use for.

    ``rfc3987_syntax`` (JupyterLab asks for it) builds a parser as it is imported, which takes a second, to
    check identifiers of a kind that no notebook holds.
    """
    name = "rfc3987_syntax"
    if "papermill" not in sys.modules and name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python spells "there is no such module"
        try:
            importlib.import_module("jsonschema")
        finally:
            del sys.modules[name]
    import papermill

    return papermill
