"""A notebook client that tells the truth: a cell that was never run is never called completed."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import from_dict
from papermill.clientwrap import PapermillNotebookClient

from runbooks_lib.headless.stopping import Stop, signal_group

#: Seconds for a kernel to close its record after the last cell, and, when that is done, to end.
_SHUTDOWN_SECONDS = 20.0
_LINGER_SECONDS = 1.0

quiet = logging.getLogger(__name__)
quiet.addHandler(logging.NullHandler())
quiet.propagate = False


class TruthfulClient(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    """Runs the cells one after the other until one fails, the kernel dies or a signal comes.

    Attributes:
        ran: The kernel started.
        died: The kernel ended while a cell ran.
        failed: The name and the message of the error that a cell ended with; None when none did.
    """

    def __init__(self, nb_man: Any, stop: Stop, **named: Any) -> None:
        super().__init__(nb_man, **named)
        self._stop = stop
        self.ran = False
        self.died = False
        self.failed: tuple[str, str] | None = None

    def execute(self, **named: Any) -> Any:
        """Run the notebook in a new kernel.

        Args:
            named: ``before_shutdown`` is called while the kernel still lives; ``settled`` says whether it
                has nothing left to do; the rest goes to the kernel's start.

        Returns:
            The notebook. Look at ``died`` and ``failed``: neither a dead kernel nor a failed cell raises.
        """
        before_shutdown, settled = named.pop("before_shutdown"), named.pop("settled")
        self.reset_execution_trackers()
        with self.setup_kernel(cleanup_kc=True, **named):
            self.ran = True
            info = self.wait_for_reply(self.kc.kernel_info())
            self.nb.metadata["language_info"] = info["content"]["language_info"]
            self.papermill_execute_cells()
            self.set_widgets_metadata()
            if not self.died:
                before_shutdown()
                run_sync(self._end_kernel)(settled)
        return self.nb

    async def _end_kernel(self, settled: Callable[[], bool]) -> None:
        """Let the kernel end by itself, so that it can close its record.

        It is asked to, not interrupted first as nbclient does: a signal between two messages can break its
        loop. And ipykernel 7.4 sometimes waits ten seconds for a thread of its own that has ended already
        (``OutStream.flush``, seen under load): once there is nothing left for it to do, it is not waited for.
        """
        await self.km.request_shutdown()
        begun = time.monotonic()
        while await self.km.is_alive():
            patience = _LINGER_SECONDS if settled() else _SHUTDOWN_SECONDS
            if time.monotonic() - begun > patience:
                await self.km.finish_shutdown(waittime=_LINGER_SECONDS)
                return
            await asyncio.sleep(0.02)

    def papermill_execute_cells(self) -> None:
        """Run the cells; the first that does not end well is the last."""
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            try:
                self._run_cell(cell, index)
            finally:
                self._stop.leave_cell()
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)
            if self.died or self.failed:
                return

    def process_message(self, msg: Any, *rest: Any, **named: Any) -> Any:
        """Take in what the kernel says; once a cell has begun it can be interrupted."""
        if msg["msg_type"] == "execute_input":
            pid = self.km.provisioner.pid
            self._stop.enter_cell(
                lambda: signal_group(pid, signal.SIGINT), lambda: signal_group(pid, signal.SIGKILL)
            )
        return super().process_message(msg, *rest, **named)

    def _run_cell(self, cell: Any, index: int) -> None:
        code = cell.cell_type == "code" and cell.source.strip()
        if code and self._stop.wanted:
            self._mark(index, "Interrupted", "The run was interrupted before this cell.")
            return
        try:
            self.execute_cell(cell, index)
        except CellExecutionError as error:
            self.failed = (error.ename, error.evalue)
            self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
        except CellTimeoutError as error:
            # papermill's --execution-timeout. The cell is stopped as by a person: it ends its own helm first.
            signal_group(self.km.provisioner.pid, signal.SIGINT)
            self._mark(index, type(error).__name__, str(error).splitlines()[0])
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
