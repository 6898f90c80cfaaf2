"""Watching the cells from inside the kernel: the record does not depend on which front end runs them."""

from __future__ import annotations

import copy
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from runbooks_lib.records.folder import RecordClosed
from runbooks_lib.records.messages import KINDS, Messages
from runbooks_lib.records.notebook import Execution, coalesced, executed
from runbooks_lib.records.outcome import describe
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, Observe


class Capture:
    """The cells that a kernel runs, with what they put out; outside a kernel it does nothing.

    Everything that a front end is shown leaves the kernel through one method of its session, so that is where
    it is seen: as it goes over the wire, whatever printed it.
    """

    def __init__(self, observe: Observe, redactor: Redactor) -> None:
        self._observe = observe
        self._redactor = redactor
        self._messages = Messages()
        self._lock = threading.RLock()
        self._shell: Any = None
        self._pid = os.getpid()
        self._current = ""
        self._count = 0
        self._undo: list[Callable[[], object]] = []

    @property
    def installed(self) -> bool:
        """Whether cells are, or were, watched: there is an executed notebook to be had."""
        return self._shell is not None

    def install(self) -> None:
        """Begin in the middle of the running cell; the cells before it are known by their source only."""
        # Not imported: outside IPython nobody has imported it, and it is slow.
        shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if self._undo or getattr(shell, "kernel", None) is None:
            return
        self._shell = shell
        self._begin_in_the_middle()
        self._watch_session(shell.kernel.session)
        for name, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            shell.events.register(name, callback)
            self._undo.append(partial(shell.events.unregister, name, callback))

    def remove(self) -> None:
        """Stop watching; what was seen stays."""
        while self._undo:
            self._undo.pop()()

    def notebook(self, input_notebook: Json) -> Json:
        """The executed notebook, redacted, valid nbformat 4.5; the cell that still runs has no outputs."""
        with self._lock:
            executions = copy.deepcopy(list(self._messages.executions.values()))
            widgets = copy.deepcopy(self._messages.widgets())
        for execution in executions:
            if not execution.ended:
                execution.outputs = []
        notebook: Json = self._redactor.redact_data(executed(input_notebook, executions, widgets=widgets))
        return notebook

    def _begin_in_the_middle(self) -> None:
        sources = list(self._shell.history_manager.input_hist_raw)
        for count, source in enumerate(sources[1:-1], start=1):
            self._messages.begin(f"before-{count}", Execution(source, count=count))
        self._count = len(sources) - 1
        self._start(sources[-1] if len(sources) > 1 else "", "")

    def _watch_session(self, session: Any) -> None:
        send = session.send

        def watched(
            stream: Any,
            message: Any,
            content: Any = None,
            parent: Any = None,
            ident: Any = None,
            buffers: Any = None,
            *rest: Any,
            **named: Any,
        ) -> Any:
            sent = send(stream, message, content, parent, ident, buffers, *rest, **named)
            self._see(message, content, parent, buffers)
            return sent

        session.send = watched
        self._undo.append(lambda: session.__dict__.pop("send", None))

    def _see(self, message: Any, content: Any, parent: Any, buffers: Any) -> None:
        """One message on its way out. A forked child has this method too, but not the journal."""
        if os.getpid() != self._pid:
            return
        kind = message["header"]["msg_type"] if isinstance(message, dict) else message
        if kind == "execute_input":
            # The number that front ends show; the shell's own is one ahead before the cell begins.
            self._count = content["execution_count"]
        if kind not in KINDS:
            return
        if isinstance(message, dict):
            content, parent = message["content"], message.get("parent_header")
        header = (parent or {}).get("header", parent) or {}
        with self._lock:
            # Copied, since the sender may go on to change what it sent.
            self._messages.take(kind, copy.deepcopy(content or {}), header.get("msg_id", ""), buffers or ())

    def _before(self, info: Any) -> None:
        self._start(info.raw_cell, getattr(info, "cell_id", None) or "")

    def _start(self, source: str, cell_id: str) -> None:
        parent = self._shell.kernel.get_parent() or {}
        cell_id = cell_id or (parent.get("metadata") or {}).get("cellId") or ""
        execution = Execution(source, cell_id, self._count, ended=False)
        self._current = (parent.get("header") or {}).get("msg_id", "")
        with self._lock:
            self._messages.begin(self._current, execution)
        self._tell("cell.started", {"id": cell_id, "count": execution.count, "source": source})

    def _after(self, result: Any) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        error = None
        if result is not None:
            error = result.error_before_exec or result.error_in_exec
        with self._lock:
            execution = self._messages.executions.get(self._current)
            if execution is None:
                return
            execution.ended = True
            outputs = coalesced(copy.deepcopy(execution.outputs))
        data: Json = {"id": execution.cell_id, "count": execution.count, "outputs": outputs}
        if error is None:
            self._tell("cell.ended", {**data, "status": "ok"})
            return
        told = describe(error)
        self._tell("cell.ended", {**data, "status": "error", "error": told["summary"]})
        self._tell("error.raised", told)

    def _tell(self, kind: str, data: Json) -> None:
        try:
            self._observe(Event(kind=kind, data=data))
        except RecordClosed:
            # Sealed in this very cell, or closed by another: there is nothing left to watch for.
            self.remove()
