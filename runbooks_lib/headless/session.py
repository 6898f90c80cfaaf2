"""One run of one notebook in one kernel: from its start to a record that is closed."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import NoSuchKernel

from runbooks_lib import errors, records
from runbooks_lib.errors import Interrupted, OutcomeUnknown, RunbookError, UsageError
from runbooks_lib.headless.known_secrets import register
from runbooks_lib.headless.stopping import Stop, end_left_over
from runbooks_lib.headless.workplace import kernel_environment
from runbooks_lib.records.notebook import Execution, dump, executed, executions_of, read
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json

if TYPE_CHECKING:
    from runbooks_lib.headless.client import TruthfulClient

FOLDER_VARIABLE = "RUNBOOKS_RUN_FOLDER"
POINTER_VARIABLE = "RUNBOOKS_RUN_POINTER"

#: An error that was raised before the last cell began is not about this end.
_TELLING = frozenset({"error.raised", "cell.started"})

_LOOK = "Look at the target with 03_verify before anything else is changed."
_DIED = "The notebook's kernel ended while a cell ran: it was killed, ran out of memory, or ended itself."


@dataclass(frozen=True)
class Handover:
    """What ``run_stage`` gives the engine, which papermill's command line can't.

    Attributes:
        folder: The record that was made for this run.
        cwd: Where the kernel starts.
    """

    folder: Path
    cwd: Path
    stop: Stop


class Session:
    """A notebook's run as the engine sees it.

    Attributes:
        folder: The run's record, once it is known; None for a notebook that keeps none.
        ending: How it ended: ``exit_code``, ``summary`` and perhaps ``next_step``; None while all is well
            and there is no record.
    """

    def __init__(self, stop: Stop, handover: Handover | None) -> None:
        self.stop = stop
        self.handover = handover
        self.folder = handover.folder if handover else None
        self.ending: Json | None = None
        self._pointer: Path | None = None

    def run(self, client: TruthfulClient, place: Path) -> None:
        """Run the client's notebook to its end, whatever that is, and close the record.

        Raises:
            RunbookError: The kernel did not start, or stopped answering.
        """
        self._pointer = place / "record"
        variables = {POINTER_VARIABLE: str(self._pointer)}
        started: Json = {}
        if self.handover:
            variables[FOLDER_VARIABLE] = str(self.handover.folder)
            started["cwd"] = str(self.handover.cwd)
        with (place / "kernel.txt").open("w") as output:
            try:
                client.execute(
                    env=kernel_environment(**variables),
                    stdout=output,
                    stderr=output,
                    before_shutdown=lambda: self._tell(client),
                    settled=lambda: self.folder is None or records.is_closed(self.folder),
                    **started,
                )
            except (RuntimeError, NoSuchKernel, OSError) as error:
                raise self._broken(client, error) from error
            finally:
                if client.died:
                    end_left_over(POINTER_VARIABLE, str(self._pointer))
                    self._tell(client)
                self._close(client.nb)

    def _broken(self, client: TruthfulClient, error: Exception) -> RunbookError:
        """The sentence for a kernel that did not start or stopped answering, also added to the journal."""
        self._find_folder()
        name, said = client.km.kernel_name, (str(error).splitlines() or [type(error).__name__])[0]
        sentence: RunbookError
        if client.ran:
            sentence = RunbookError(
                f"The notebook's kernel {name!r} stopped answering: {said}", next_step=_LOOK
            )
        else:
            sentence = UsageError(
                f"The notebook's kernel {name!r} did not start: {said}",
                next_step="Look whether `jupyter kernelspec list` knows it, and whether ipykernel is there.",
            )
        self._append(records.describe(sentence))
        return sentence

    def _tell(self, client: TruthfulClient) -> None:
        """Add to the journal what the kernel could not know, or could not write any more."""
        self._find_folder()
        events = records.read_events(self.folder) if self.folder else []
        last = next((event for event in reversed(events) if event["kind"] in _TELLING), None)
        told = last["data"] if last and last["kind"] == "error.raised" else None
        self.ending = self._judged(client, events, told)
        if self.ending is not None and self.ending is not told:
            self._append(self.ending)

    def _append(self, told: Json) -> None:
        if self.folder is None or records.is_closed(self.folder):
            return
        redactor = Redactor()
        register(self.folder, redactor)
        journal = records.Journal(self.folder, redactor, role="engine")
        journal(Event(kind="error.raised", data=told))
        journal.close()

    def _judged(self, client: TruthfulClient, events: list[Json], told: Json | None) -> Json | None:
        """Why the notebook ended early; ``told`` is the error that its kernel journalled last, if it did."""
        if client.failed is None:
            return None
        if self.stop.wanted and (told is None or told.get("type") == "Interrupted"):
            return _interrupted(self.stop.signal)
        if client.died:
            changed = any(event["kind"] == "change.started" for event in events)
            return records.describe((OutcomeUnknown if changed else RunbookError)(_DIED, next_step=_LOOK))
        return told or described(*client.failed)

    def _find_folder(self) -> None:
        if self.folder is None and self._pointer is not None and self._pointer.exists():
            self.folder = Path(self._pointer.read_text(encoding="utf-8").strip())

    def _close(self, nb: Any) -> None:
        """Close the record unless the kernel has; what the manifest says is how it ended."""
        self._find_folder()
        if self.folder is None:
            return
        redactor = Redactor()
        if not records.is_closed(self.folder):
            searchable = register(self.folder, redactor)
            records.close_as_proved(
                self.folder,
                redactor,
                closer="engine",
                searchable=searchable,
                notebook=_executed(self.folder, nb, redactor),
            )
        summary = records.summary_of(self.folder)
        next_step = (self.ending or {}).get("next_step", "")
        self.ending = {"exit_code": summary.exit_code, "summary": summary.summary, "next_step": next_step}


def _executed(folder: Path, nb: Any, redactor: Redactor) -> bytes:
    """The executed notebook, redacted: what the kernel journalled, and before that what we saw ourselves.

    Only the kernel knew its secrets. What it did not write itself is taken from here only for cells that ran
    before it began to write, when it had none yet.
    """
    journalled = executions_of(records.read_events(folder))
    told = {execution.source.rstrip() for execution in journalled}
    seen = [
        Execution(cell.source, cell.get("id", ""), cell.execution_count, [dict(out) for out in cell.outputs])
        for cell in nb.cells
        if cell.cell_type == "code" and cell.execution_count and cell.source.rstrip() not in told
    ]
    source = folder / "input.ipynb"
    template = read(source.read_bytes()) if source.exists() else None
    return dump(redactor.redact_data(executed(template, [*seen, *journalled])))


def _interrupted(number: int) -> Json:
    name = signal.Signals(number).name
    told = records.describe(Interrupted(f"The run was interrupted by {name}.", next_step=_LOOK))
    return {**told, "exit_code": 128 + number}


def described(name: str, message: str) -> Json:
    """A cell's error, of which only the name and the text reached us, as the journal tells errors."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, RunbookError):
        summary, _, rest = message.partition("\nNext: ")
        return records.describe(kind(summary, next_step=rest.partition("\n")[0]))
    if name == "KeyboardInterrupt":
        return records.describe(KeyboardInterrupt())
    if name == "SystemExit":
        return records.describe(SystemExit(int(message) if message.isdecimal() else message or None))
    summary = f"{name}: {message}"
    return {"type": name, "exit_code": 1, "outcome": "failed", "summary": summary, "next_step": ""}
