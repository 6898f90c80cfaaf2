"""``Recording``: what a run writes down of itself, from its first event until its record is closed and sealed."""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runbooks_lib import errors, parameters, records
from runbooks_lib.errors import Outcome, RecordError, RunbookError, UsageError
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, Json, Observe, RunSummary

#: What keeps a record, or looks, without a notebook.
WITHOUT_NOTEBOOK = ("backup", "parameters")


class Recording:
    """The record of one run, of which its listeners are told too.

    Args:
        folder: The record; None: a preview, which only has listeners.
        seal: With what it is sealed.
    """

    def __init__(self, folder: Path | None, redactor: Redactor, seal: records.Seal | None = None) -> None:
        self.folder = folder
        self.redactor = redactor
        self._seal = seal
        self._journal = records.Journal(folder, redactor, role="kernel") if folder else None
        self._capture = records.Capture(self._journal, redactor.redact_data) if self._journal else None
        self._listeners: list[Observe] = []
        self._changing = False
        self._unwritten: RecordError | None = None

    @property
    def root(self) -> Path:
        """Where this record, and those before it, are."""
        return self.folder.parent.parent if self.folder else parameters.project_root() / "records"

    def begin(self, stage: str, settings: parameters.Parameters) -> None:
        """Watch the cells, and keep what the run was given; whatever happens, the record is closed when the kernel ends."""
        if self.folder is None or self._capture is None:
            return
        if self._seal is not None:
            records.enter(self._seal, self.folder)
        records.plant_canary(self.folder, self.redactor)
        self._capture.install()
        atexit.register(self.close_as_proved, "kernel shutdown")
        if stage not in WITHOUT_NOTEBOOK:
            source = parameters.notebook_path(stage).read_text(encoding="utf-8")
            records.write_text(self.folder, "input.ipynb", source, self.redactor)
        records.write_json(self.folder, "parameters.json", parameters.dump(settings), self.redactor)

    def observe(self, event: Event) -> None:
        """Journal an event, then tell it to whoever listens; a change goes on when the journal can't be written any more."""
        try:
            if self._journal is not None:
                self._journal(event)
            self._changing = self._changing or event.kind == "change.started"
        except RecordError as error:
            if not self._changing:
                raise
            self._unwritten = error
        for listener in self._listeners:
            listener(event)

    @contextmanager
    def listening(self, listener: Observe) -> Iterator[None]:
        """Tell a listener all events of a block, for example to show progress."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def save(self, relative: str, text: str) -> None:
        """Keep a text as a file of the record, secrets replaced; a preview keeps none."""
        if self.folder is not None:
            records.write_text(self.folder, relative, text, self.redactor)

    def announce(self, digest: str) -> None:
        """Enter in the log that the plan of this digest is about to be carried out; raises RecordError: it can't be entered."""
        if self.folder is not None and self._seal is not None:
            records.announce(self.folder, digest, self._seal)

    def require_written(self, ended: str) -> None:
        """Raise RecordError where a change that ended so could not be journalled to its end."""
        self._changing = False
        if self._unwritten is not None:
            raise errors.refused("change unwritten", ended=ended, why=self._unwritten.summary)

    def fail(self, error: RunbookError) -> None:
        """Close the record of a run that could not be opened; in a kernel it first gets the cell's output."""
        if self._capture is not None and not self._capture.watching:
            self.observe(Event(kind="error.raised", data=records.describe(error)))
            self.close_as_proved("open")

    def close(self, outcome: Outcome | None, summary: str = "", *, closer: str = "seal cell") -> RunSummary:
        """Close and seal the record.

        Args:
            outcome: What the run can vouch for; None: what its journal proves.
            closer: Who closes it.

        Raises RecordError: It can't be closed, or not be sealed.
        """
        if self.folder is None or self._capture is None:
            raise UsageError("A preview has no record to seal.", next_step="Run the notebook instead.")
        self._capture.tell_late()
        if outcome is None:
            ended = records.close_as_proved(self.folder, self.redactor, closer=closer)
        else:
            told: Json = {"outcome": outcome, "exit_code": 0, "summary": summary}
            try:
                ended = records.close(self.folder, self.redactor, closer=closer, **told)
            except RecordError as error:
                raise errors.refused("change unwritten", ended=f"{summary}.", why=error.summary) from error
        self.seal()
        return ended

    def close_as_proved(self, closer: str) -> None:
        """Close the record as its journal proves, unless that was done; what keeps it from being sealed is the next one's."""
        if self.folder is not None and self._capture is not None and not records.is_closed(self.folder):
            self._capture.tell_late()
            records.close_as_proved(self.folder, self.redactor, closer=closer)
            with suppress(RecordError):
                self.seal()

    def seal(self) -> None:
        """Seal this record, and those of the target that could not be, where there is a key; raises RecordError: it fails."""
        if self.folder is not None and self._seal is not None:
            records.seal_closed(self.folder.parent, self._seal)
