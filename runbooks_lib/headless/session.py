"""One run of one notebook in one kernel: from its start to a record that is closed."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import NoSuchKernel

from runbooks_lib import errors, parameters, process, records
from runbooks_lib.errors import Interrupted, OutcomeUnknown, RecordError, RunbookError, refused
from runbooks_lib.headless.stopping import Stop
from runbooks_lib.process import end_left_over
from runbooks_lib.records.folder import FOLDER_VARIABLE, POINTER_VARIABLE, RUN_VARIABLE
from runbooks_lib.records.outcome import outcome_of
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.values import register
from runbooks_lib.results import Event, Json

if TYPE_CHECKING:
    from runbooks_lib.headless.engine import TruthfulClient

#: A path of a Unix socket may have 107 bytes (103 on macOS); the longest here is `<folder>/k-ipc-5`.
_LONGEST_FOLDER = 90

_LOOK = "Look at the target with 03_verify before anything else is changed."
_AGAIN = "Run it again when you want."
_KEPT = " Nothing was changed."
_DIED = "The notebook's kernel ended while a cell ran: it was killed, ran out of memory, or ended itself."


class Session:
    """A notebook's run as the engine sees it.

    Attributes:
        place: A folder for the kernel's files; see :func:`workplace`.
        ending: ``exit_code``, ``summary`` and perhaps ``next_step``; None while all is well and there is no record.
        unwritten: Why the record could not be written to its end; ``ending`` then stands nowhere else.
    """

    def __init__(self, stop: Stop, place: Path, record: Path | None) -> None:
        self.stop = stop
        self.place = place
        self.ending: Json | None = None
        self.unwritten: RecordError | None = None
        # Made by ``run_stage``; without it the kernel tells of its own, if it makes one.
        self._record = record
        self._pointer = place / "record"

    @property
    def folder(self) -> Path | None:
        """The run's record, once it is known; None for a notebook that keeps none."""
        told = self._record is None and self._pointer.exists()
        return Path(self._pointer.read_text(encoding="utf-8")) if told else self._record

    @property
    def settled(self) -> bool:
        """Whether the record is closed, so that the kernel has nothing left to do."""
        return self.folder is not None and records.is_closed(self.folder)

    def run(self, client: TruthfulClient) -> None:
        """Run the client's notebook to its end, whatever that is, and close the record.

        Raises RunbookError: The kernel did not start, or stopped answering.
        """
        # Without the first a kernel of Python 3.11 and later warns that debugging may miss breakpoints; the
        # second keeps a person's own IPython start-up files, and their history, out of it.
        ours = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "IPYTHONDIR": str(self.place), "TMPDIR": str(self.place)}
        ours[POINTER_VARIABLE] = str(self._pointer)
        # Kept, since a client whose kernel did not start forgets its manager.
        name, started = str(client.km.kernel_name), dict[str, Any]()
        if self._record:
            ours[FOLDER_VARIABLE] = ours[RUN_VARIABLE] = str(self._record)
            started["cwd"] = str(parameters.project_root())
        with (self.place / "kernel.txt").open("w") as output:
            try:
                client.execute(env={**os.environ, **ours}, stdout=output, stderr=output, **started)
            except (RuntimeError, NoSuchKernel, OSError) as error:
                sentence = _broken(name, error, ran=client.ran)
                if self.stop.wanted and not client.ran:
                    sentence = self._stopped(changed=False)
                self._append(("error.raised", records.describe(sentence)))
                raise sentence from error
            finally:
                if client.died:
                    end_left_over(POINTER_VARIABLE, str(self._pointer))
                    self.tell(client)
                with self._writing():
                    self._close(client.nb)

    def tell(self, client: TruthfulClient) -> None:
        """Add to the journal what the kernel could not know, or could not write any more."""
        events = records.read_events(self.folder) if self.folder else []
        # An error that was raised before the last cell began is not about this end.
        telling = [event for event in events if event["kind"] in {"error.raised", "cell.started"}]
        told = telling[-1]["data"] if telling and telling[-1]["kind"] == "error.raised" else None
        changed = any(event["kind"] == "change.started" for event in events)
        self.ending = self._judged(client, told, changed=changed)
        if self.ending is not None and self.ending is not told:
            with self._writing():
                self._append(("error.raised", self.ending))

    def _judged(self, client: TruthfulClient, told: Json | None, *, changed: bool) -> Json | None:
        """Why the notebook ended early; ``told`` is the error that its kernel journalled last, if it did."""
        if client.failed is None:
            return None
        if self.stop.wanted and (told is None or told.get("type") == "Interrupted"):
            return records.describe(self._stopped(changed=changed))
        if client.died:
            return records.describe((OutcomeUnknown if changed else RunbookError)(_DIED, next_step=_LOOK))
        return told or described(*client.failed)

    def _stopped(self, *, changed: bool) -> Interrupted:
        """The sentence for a signal, with its own exit code."""
        name = signal.Signals(self.stop.signal).name
        kept = "" if changed else _KEPT
        stopped = Interrupted(f"The run was interrupted by {name}.{kept}", next_step=_LOOK if changed else _AGAIN)
        stopped.exit_code = 128 + self.stop.signal  # type: ignore[misc]  # this one's own
        return stopped

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Where the record can't be written, how the run ended is told all the same."""
        try:
            yield
        except RecordError as error:
            told = self.ending or {}
            ended = told.get("summary", "The notebook was run to its end.")
            said = ended if error.summary in ended else f"{ended} {error.summary}"
            events = records.read_events(self.folder) if self.folder else []
            changed = any(event["kind"] == "change.started" for event in events)
            if changed and "change was" not in said:
                said = f"{outcome_of(events)[2]} {said}"
            elif not changed and _KEPT not in said:
                said += _KEPT
            step = str(told.get("next_step") or "")
            step = step if error.next_step in step else f"{step} {error.next_step}".strip()
            self.unwritten = RecordError(said, next_step=step)
            self.ending = records.describe(self.unwritten)

    def _append(self, *events: tuple[str, Json]) -> None:
        if self.folder is not None and not self.settled:
            redactor = Redactor()
            register(self.folder, redactor)
            journal = records.Journal(self.folder, redactor, role="engine")
            for kind, data in events:
                journal(Event(kind=kind, data=data))

    def _close(self, nb: Any) -> None:
        """Close the record unless the kernel has; what the manifest says is how it ended."""
        if self.folder is None:
            return
        if not self.settled:
            if not any(event["kind"] == "cell.started" for event in records.read_events(self.folder)):
                # Only the kernel knew its secrets, but before it began to write it had none yet.
                self._append(*_cells(nb))
            records.close_as_proved(self.folder, Redactor(), closer="engine", resolve=register)
        summary = records.summary_of(self.folder)
        next_step = (self.ending or {}).get("next_step", "")
        self.ending = {"exit_code": summary.exit_code, "summary": summary.summary, "next_step": next_step}


def _cells(nb: Any) -> Iterator[tuple[str, Json]]:
    """The cells that were run, as the journal tells of them."""
    for cell in nb.cells:
        if cell.cell_type == "code" and cell.execution_count:
            data = {"id": cell.get("id", ""), "count": cell.execution_count}
            yield "cell.started", {**data, "source": cell.source}
            yield "cell.ended", {**data, "outputs": [dict(output) for output in cell.outputs]}


def _broken(name: str, error: Exception, *, ran: bool) -> RunbookError:
    """The sentence for a kernel that did not start or stopped answering."""
    said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return refused("kernel stopped" if ran else "no kernel", name=name, said=said)


def described(name: str, message: str) -> Json:
    """A cell's error, of which only the name and the text reached us, as the journal tells errors."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, RunbookError):
        summary, _, rest = message.partition("\nNext: ")
        return records.describe(kind(summary, next_step=rest.partition("\n")[0]))
    return {**records.describe(RunbookError(f"{name}: {message}")), "type": name}


@contextmanager
def workplace() -> Iterator[Path]:
    """A short, private folder for the kernel's sockets, which others could read as network ports, and its files."""
    usual = tempfile.gettempdir()
    place = process.private_folder(usual if len(usual) < _LONGEST_FOLDER - 20 else "/tmp")  # noqa: S108 - it is private
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
