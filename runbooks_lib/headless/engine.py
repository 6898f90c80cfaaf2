"""papermill's engine ``runbooks``: one kernel, one record, and an end that is told as it was.

Imported through ``runbooks_lib.headless`` only, after papermill: papermill itself looks it up there.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click
from nbformat import from_dict
from papermill.engines import Engine
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import write_ipynb
from papermill.log import logger

from runbooks_lib.headless.client import TruthfulClient, quiet
from runbooks_lib.headless.session import Handover, Session
from runbooks_lib.headless.stopping import Stop
from runbooks_lib.headless.workplace import kernel_manager, workplace
from runbooks_lib.records.notebook import read
from runbooks_lib.results import Json


class NotebookFailed(click.ClickException):
    """How papermill's command line is told our exit code, and prints a sentence instead of a stack trace."""

    def __init__(self, told: Json) -> None:
        lines = [told["summary"], told.get("next_step") and f"Next: {told['next_step']}"]
        super().__init__("\n".join([*filter(None, lines), f"exit code {told['exit_code']}"]))
        self.exit_code = int(told["exit_code"])  # type: ignore[misc]  # click means it to be set so


class RunbooksEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """Runs a notebook in a kernel of its own; :class:`TruthfulClient` says what it does not believe."""

    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, *, handover: Handover | None = None, **named: Any
    ) -> Any:
        """Run a notebook, and close its record if the kernel did not.

        Args:
            handover: From ``run_stage``; papermill's command line has none.

        Raises:
            NotebookFailed: The run did not end well. ``run_stage`` is not told so: it reads the record.
        """
        with nullcontext(handover.stop) if handover else Stop() as stop:
            session = Session(stop, handover)
            # Without an output path papermill's own saves do nothing: it would write the whole notebook at
            # each cell's start and end. It is written once, below or by papermill when all is well.
            named["output_path"] = None
            nb = super().execute_notebook(nb, kernel_name, session=session, **named)
        if handover is None:
            _tell_papermill(nb, session)
        return nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        session: Session,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **_ignored: Any,
    ) -> None:
        """Run the cells; called by papermill once it has prepared the notebook."""
        with workplace() as place:
            client = TruthfulClient(
                nb_man,
                session.stop,
                km=kernel_manager(kernel_name, place),
                startup_timeout=start_timeout,
                timeout=execution_timeout,
                # How late a cell's last message may be; nbclient's four seconds are short on a busy machine.
                iopub_timeout=60,
                log=quiet if session.handover else logger,
                log_output=log_output,
                stdout_file=stdout_file,
                stderr_file=stderr_file,
            )
            session.run(client, place)


def _tell_papermill(nb: Any, session: Session) -> None:
    """Write the executed notebook, and raise what papermill would have called a success."""
    if session.folder is not None:
        _take_redacted(nb, session.folder)
    told = session.ending
    if told is None or told["exit_code"] == 0:
        return
    # Not at the top: papermill imports this module while that one is half imported.
    from papermill.execute import raise_for_execution_errors

    path = nb.metadata.papermill["output_path"]
    write_ipynb(nb, path)
    with suppress(PapermillExecutionError):
        # Writes it again, with a banner at its top that leads to the cell.
        raise_for_execution_errors(nb, path)
    raise NotebookFailed(told)


def _take_redacted(nb: Any, folder: Path) -> None:
    """Give each cell the outputs that the record holds: only the kernel knew what to take out of them."""
    path = folder / "notebook.ipynb"
    if not path.exists():
        return
    kept = {cell["id"]: cell for cell in read(path.read_bytes())["cells"] if cell["cell_type"] == "code"}
    for cell in nb.cells:
        known = kept.get(cell.get("id", ""))
        if known and known["source"] == cell.source and known["execution_count"] is not None:
            cell.outputs = from_dict(known["outputs"])  # type: ignore[no-untyped-call]
