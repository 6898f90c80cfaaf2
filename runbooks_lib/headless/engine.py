"""papermill's engine ``runbooks``: one kernel, one record, and an end that is told as it was.

Imported through ``runbooks_lib.headless`` only, after papermill: papermill itself looks it up there.
"""

import asyncio
import logging
import signal
import time
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

import click
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import from_dict
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import write_ipynb
from papermill.log import logger

from runbooks_lib.errors import RunbookError, UsageError, refused
from runbooks_lib.headless.session import Session, workplace
from runbooks_lib.headless.stage import check_taken
from runbooks_lib.headless.stopping import Stop, signal_group
from runbooks_lib.records.folder import NOTEBOOK
from runbooks_lib.records.notebook import read
from runbooks_lib.records.outcome import describe
from runbooks_lib.results import Json

#: Seconds for a kernel to close its record after the last cell.
_SHUTDOWN_SECONDS = 20.0

#: For ``run_stage``, whose observer is told more than papermill's log would say.
_QUIET = logging.Logger(__name__, level=logging.CRITICAL + 1)


class NotebookFailed(click.ClickException):
    """How papermill's command line is told our exit code, and prints a sentence instead of a stack trace."""

    def __init__(self, told: Json) -> None:
        lines = [told["summary"], told.get("next_step") and f"Next: {told['next_step']}"]
        super().__init__("\n".join([*filter(None, lines), f"exit code {told['exit_code']}"]))
        self.exit_code = int(told["exit_code"])  # type: ignore[misc]  # click means it to be set so


def _refuse(about: Any) -> None:
    """What papermill lets pass: a parameter that the notebook does not take, and an output that is there already."""
    try:
        if about["parameters"]:
            check_taken(Path(about["input_path"]), about["parameters"])
        output = Path(about["output_path"] or "-")
        if output.exists():
            raise refused("output there", path=output)
        # An address such as s3://… has no folder here.
        if "://" not in str(about["output_path"]) and not output.parent.is_dir():
            raise refused("no output folder", path=output, folder=output.parent)
    except UsageError as error:
        raise NotebookFailed(describe(error)) from error


class RunbooksEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """Runs a notebook in a kernel of its own; :class:`TruthfulClient` says what it does not believe."""

    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, *, record: Path | None = None, stop: Stop | None = None, **named: Any
    ) -> Any:
        """Run a notebook, and close its record if the kernel did not.

        Args:
            record: From ``run_stage``, as are the signals; papermill's command line has neither.

        Raises:
            NotebookFailed: The run did not end well. ``run_stage`` is not told so: it reads the record.
            RecordError: For ``run_stage``: how the run ended, and why there is no record of it to read.
        """
        if record is None:
            _refuse(nb.metadata.papermill)
        with nullcontext(stop) if stop else Stop() as taken, workplace() as place:
            session = Session(taken, place, record)
            # Without an output path papermill's own saves do nothing: it would write the whole notebook at
            # each cell's start and end. It is written once, below or by papermill when all is well.
            named |= {"output_path": None, "log": _QUIET if record else logger}
            try:
                nb = super().execute_notebook(nb, kernel_name, session=session, **named)
            except RunbookError as error:
                raise error if record else NotebookFailed(describe(error)) from error
            if record and session.unwritten:
                raise session.unwritten
            if record is None:
                _tell_papermill(nb, session)
        return nb

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, session: Session, **named: Any) -> None:
        """Run the cells; called by papermill once it has prepared the notebook."""
        files = str(session.place / "k.json")
        manager = AsyncKernelManager(
            kernel_name=kernel_name, transport="ipc", connection_file=files, client_factory=ReadyClient
        )
        client = TruthfulClient(
            nb_man,
            session,
            km=manager,
            startup_timeout=named["start_timeout"],
            timeout=named.get("execution_timeout"),
            # How late a cell's last message may be; nbclient's four seconds are short on a busy machine.
            iopub_timeout=60,
            **{name: named[name] for name in ("log", "log_output", "stdout_file", "stderr_file")},
        )
        session.run(client)


class ReadyClient(AsyncKernelClient):
    """Is ready as soon as the kernel answers and is heard; Jupyter's own listens to silence for 0.2 s more."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until a question is answered on both channels.

        Raises RuntimeError: The kernel ended before, or took longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + (timeout or 60)
        while time.monotonic() < deadline:
            with suppress(TimeoutError, Empty):
                asked = (await self.kernel_info(reply=True, timeout=1))["parent_header"]["msg_id"]
                # What it published of this very question proves that its outputs will be heard too.
                while (await self.get_iopub_msg(timeout=0.2))["parent_header"].get("msg_id") != asked:
                    pass
                return
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")


class TruthfulClient(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    """Runs the cells one after the other until one fails, the kernel dies or a signal comes.

    Attributes:
        ran: The kernel started.
        died: The kernel ended while a cell ran.
        failed: The name and the message of the error that a cell ended with; None when none did.
    """

    ran = False
    died = False
    failed: tuple[str, str] | None = None

    def __init__(self, nb_man: Any, session: Session, **named: Any) -> None:
        super().__init__(nb_man, **named)
        self._session = session

    def execute(self, **named: Any) -> None:
        """Run the notebook in a new kernel, started with ``named``; neither a dead kernel nor a failed cell raises."""
        self.reset_execution_trackers()
        with self.setup_kernel(cleanup_kc=True, **named):
            self.ran = True
            info = self.wait_for_reply(self.kc.kernel_info())
            self.nb.metadata["language_info"] = info["content"]["language_info"]
            self.papermill_execute_cells()
            if not self.died:
                self._session.tell(self)
                run_sync(self._end_kernel)()

    async def _end_kernel(self) -> None:
        """End the kernel: at once when its record is closed, else by itself, so that it can close it.

        It is asked to, not interrupted first as nbclient does: a signal between two messages can break its
        loop. Nor is it waited for longer than needed: ipykernel 7.4 sometimes waits ten seconds for a thread
        of its own that has ended already (``OutStream.flush``, seen under load).
        """
        if not self._session.settled:
            await self.km.request_shutdown()
        patience = time.monotonic() + _SHUTDOWN_SECONDS
        while await self.km.is_alive() and not self._session.settled and time.monotonic() < patience:
            await asyncio.sleep(0.02)
        # jupyter_client looks ten times a second whether it has gone.
        while await self.km.is_alive():
            signal_group(self.km.provisioner.pid, signal.SIGKILL)
            await asyncio.sleep(0.005)
        await self.km.shutdown_kernel(now=True)

    def start_new_kernel_client(self, **named: Any) -> Any:
        """Wait for the kernel; a signal ends one that does not answer, instead of waiting out its time."""
        stop, pid = self._session.stop, self.km.provisioner.pid
        stop.enter_cell(lambda _: signal_group(pid, signal.SIGKILL))
        try:
            return super().start_new_kernel_client(**named)
        finally:
            stop.leave_cell()

    def papermill_execute_cells(self) -> None:
        """Run the cells; the first that does not end well is the last."""
        for index, cell in enumerate(self.nb.cells):
            if self.failed:
                return
            self.nb_man.cell_start(cell, index)
            try:
                self._run_cell(cell, index)
            finally:
                self._session.stop.leave_cell()
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)

    def process_message(self, msg: Any, *rest: Any, **named: Any) -> Any:
        """Take in what the kernel says; once a cell has begun it can be interrupted."""
        if msg["msg_type"] == "execute_input":
            self._session.stop.enter_cell(partial(signal_group, self.km.provisioner.pid))
        return super().process_message(msg, *rest, **named)

    def _run_cell(self, cell: Any, index: int) -> None:
        code = cell.cell_type == "code" and cell.source.strip()
        if code and self._session.stop.wanted:
            self._mark(index, "Interrupted", "The run was interrupted before this cell.")
            return
        # As JupyterLab tells its kernel.
        self.kc.session.metadata = {"cellId": cell.get("id", "")}
        try:
            self.execute_cell(cell, index)
        except CellExecutionError as error:
            self.failed = (error.ename, error.evalue)
            self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
        except CellTimeoutError as error:
            # papermill's --execution-timeout. The cell is stopped as by a person: it ends its own helm first.
            signal_group(self.km.provisioner.pid, signal.SIGINT)
            self._mark(index, "CellTimeoutError", str(error).splitlines()[0])
        except DeadKernelError:
            self.died = True
            self._mark(index, "DeadKernelError", "The kernel ended while this cell ran.")

    def _mark(self, index: int, name: str, message: str) -> None:
        """Say in the notebook itself why nothing more was run."""
        self.failed = (name, message)
        cell = self.nb.cells[index]
        error = {"output_type": "error", "ename": name, "evalue": message, "traceback": [message]}
        cell.outputs.append(from_dict(error))  # type: ignore[no-untyped-call]
        self.nb_man.cell_exception(cell, cell_index=index)


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
    path = folder / NOTEBOOK
    # Without it (a full disk) nobody can tell what is a secret in what the cells put out.
    cells = read(path.read_text(encoding="utf-8") if path.exists() else "")["cells"]
    # By their order: a notebook of an older format has no ids.
    kept = [cell for cell in cells if cell["cell_type"] == "code"]
    for cell in nb.cells:
        known = next((one for one in kept if one.get("id") == cell.get("id") and one["source"] == cell.source), None)
        if not cells and cell.cell_type == "code":
            cell.outputs = []
        if known and known["execution_count"] is not None:
            kept.remove(known)
            # What `_mark` said of a cell that was run; the kernel could not.
            ours = [out for out in cell.outputs if out.get("ename") in {"CellTimeoutError", "DeadKernelError"}]
            cell.outputs = [*from_dict(known["outputs"]), *ours]  # type: ignore[no-untyped-call]
