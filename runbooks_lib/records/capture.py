"""Watching the cells from inside the kernel: the record does not depend on which front end runs them."""

import copy
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from runbooks_lib.errors import RecordClosed, RecordError
from runbooks_lib.records.notebook import Execution
from runbooks_lib.records.outcome import describe
from runbooks_lib.results import Event, Json, Observe

#: The shell's attribute that holds the capture that watches it.
_WATCHER = "_runbooks_capture"

#: The messages that carry output, and what nbformat keeps of each; every other one passes by, also those of widgets.
_KEPT = {
    "stream": ("name", "text"),
    "error": ("ename", "evalue", "traceback"),
    "display_data": ("data", "metadata"),
    "update_display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
}

#: Besides these, what may hold a secret on its way to a front end, which also writes it into its own notebook.
_SHOWN = {*_KEPT, "execute_reply", "comm_open", "comm_msg"}

#: Where a notebook shows a widget; a record keeps no widget's state, so its text has to do.
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Capture:
    """Tells the journal of the cells that a kernel runs, with what they put out; elsewhere it does nothing.

    Everything that a front end is shown leaves the kernel through one method of its session, so that is where
    it is seen, and where secrets are taken out of it: as it goes over the wire, whatever printed it.

    Args:
        redact: Takes secrets out of plain data.
    """

    def __init__(self, observe: Observe, redact: Callable[[Json], Json]) -> None:
        self._observe = observe
        self._redact = redact
        self._executions: dict[str, Execution] = {}
        self._late: dict[str, Execution] = {}
        self._lock = threading.RLock()
        self._shell: Any = None
        self._pid = os.getpid()
        self._current = ""
        self._count = 0
        self._undo: list[Callable[[], object]] = []

    @property
    def watching(self) -> bool:
        """Whether the end of the running cell, and its error, will be journalled."""
        return bool(self._undo)

    def install(self) -> None:
        """Begin in the middle of the running cell; the cells before it are known by their source only."""
        # Not imported: outside IPython nobody has imported it, and it is slow.
        shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if getattr(shell, "kernel", None) is None:
            return
        if before := getattr(shell, _WATCHER, None):
            # The cells from here on belong to this run, not to the one that was opened before.
            before.remove()
        setattr(shell, _WATCHER, self)
        self._shell = shell
        self._begin_in_the_middle()
        session = shell.kernel.session
        serialize = session.serialize

        def watched(message: Json, *rest: Any, **named: Any) -> Any:
            kind, content = message["header"]["msg_type"], message["content"]
            self._see(kind, content, message["parent_header"])
            shown = self._redact(content) if kind in _SHOWN else content
            return serialize({**message, "content": shown}, *rest, **named)

        session.serialize = watched
        self._undo.append(lambda: session.__dict__.pop("serialize", None))
        for name, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            shell.events.register(name, callback)
            self._undo.append(partial(shell.events.unregister, name, callback))

    def remove(self) -> None:
        """Stop watching."""
        while self._undo:
            self._undo.pop()()

    def tell_late(self) -> None:
        """Journal what has come after its cell had ended, from a thread or a program that it started."""
        with self._lock:
            for execution in self._late.values():
                self._tell("cell.changed", {"count": execution.count, "outputs": execution.outputs})
            self._late.clear()

    def _begin_in_the_middle(self) -> None:
        *before, running = self._shell.history_manager.input_hist_raw
        for count, source in enumerate(before[1:], start=1):
            self._tell("cell.started", {"id": "", "count": count, "source": source})
            self._tell("cell.ended", {"id": "", "count": count, "outputs": []})
        self._count = len(before)
        self._start(running)

    def _see(self, kind: str, content: Json, parent: Json) -> None:
        """One message on its way out. A forked child has this method too, but not the journal."""
        if os.getpid() != self._pid:
            return
        if kind == "execute_input":
            # The number that front ends show; the shell's own is one ahead before the cell begins.
            self._count = content["execution_count"]
        with self._lock:
            execution = self._executions.get(parent.get("msg_id", ""))
            if execution and kind in _KEPT:
                add_output(execution.outputs, kind, content)
                if execution.ended:
                    self._late[parent["msg_id"]] = execution

    def _before(self, info: Any) -> None:
        self.tell_late()
        self._start(info.raw_cell)

    def _start(self, source: str) -> None:
        request = self._shell.kernel.get_parent()
        cell_id = request.get("metadata", {}).get("cellId") or ""
        self._current = request.get("header", {}).get("msg_id", "")
        with self._lock:
            self._executions[self._current] = Execution(source, cell_id, self._count)
        self._tell("cell.started", {"id": cell_id, "count": self._count, "source": source})

    def _after(self, result: Any) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        error = result and (result.error_before_exec or result.error_in_exec)
        told = describe(error) if error else {}
        status = {"status": "error", "error": told["summary"]} if told else {"status": "ok"}
        with self._lock:
            execution = self._executions[self._current]
            execution.ended = True
            data = {"id": execution.cell_id, "count": execution.count, "outputs": execution.outputs}
            self._tell("cell.ended", data | status)
        if told:
            self._tell("error.raised", told)

    def _tell(self, kind: str, data: Json) -> None:
        try:
            self._observe(Event(kind=kind, data=data))
        except RecordClosed:
            # Sealed in this very cell, or closed by another: there is nothing left to watch for.
            self.remove()
        except RecordError as error:
            # IPython would show a stack trace, and go on too: a change does not begin without a journal.
            sys.stderr.write(f"{error.summary}\n")


def add_output(outputs: list[Json], kind: str, content: Json) -> None:
    """Add a message to a cell's outputs, as nbformat keeps them.

    All that was shown is kept, in order: also what a front end would have cleared or replaced by now.
    """
    if kind == "stream" and outputs and outputs[-1].get("name") == content["name"]:
        # In one piece, so that a secret that was printed in two is found.
        outputs[-1]["text"] += content["text"]
        return
    # Copied, since the sender may go on to change what it sent.
    kept = copy.deepcopy({key: content[key] for key in _KEPT[kind]})
    kept.get("data", {}).pop(_WIDGET, None)
    outputs.append({"output_type": kind.removeprefix("update_"), **kept})
