"""Every way a runbook can fail, each a sentence with a next step and an exit code.

Boundaries map foreign exceptions to one of these with ``raise … from``.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from runbooks_lib.tables import table

Outcome = Literal["passed", "done", "refused", "failed", "unknown", "abandoned", "quarantined"]


class RunbookError(Exception):
    """The root: what happened and why, what to do next, and where the evidence is.

    Args:
        summary: One or two sentences: what failed, and why.
        next_step: A notebook, a command, or a line to paste; never empty in an error that a user meets.
        evidence: A path or a command that shows more; may be empty.
    """

    exit_code: ClassVar[int] = 1
    outcome: ClassVar[Outcome] = "failed"

    def __init__(self, summary: str, *, next_step: str = "", evidence: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.next_step = next_step
        self.evidence = evidence

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The message, one thought a line."""
        more = {"Next": self.next_step, "Evidence": self.evidence}
        return [self.summary, *(f"{name}: {text}" for name, text in more.items() if text)]

    def data(self) -> dict[str, str | int]:
        """All that is known of it, as plain data."""
        names = ("outcome", "exit_code", "summary", "next_step", "evidence")
        return {name: getattr(self, name) for name in names}

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a stack trace; the last line names the exit code.

        A pipeline that runs plain papermill has only its last line of output to go by.
        """
        return [*self.lines(), f"{type(self).__name__}: exit code {self.exit_code}"]


class UsageError(RunbookError):
    """A wrong flag, stage, folder or environment."""

    exit_code = 2


class ParametersError(UsageError):
    """A parameters file that can't be used; the summary names file, line and key."""


class CheckFailed(RunbookError):
    """A check failed and nothing was changed."""

    exit_code = 3


class ApprovalError(RunbookError):
    """The plan was not approved, or another one was; nothing was changed."""

    exit_code = 4
    outcome = "refused"


class ChangeFailed(RunbookError):
    """The change was begun and failed; the evidence was saved first."""

    exit_code = 5


class OutcomeUnknown(RunbookError):
    """It is not known how it ended, or a check that must be known could not be made."""

    exit_code = 6
    outcome = "unknown"


class Unreachable(OutcomeUnknown):
    """A server did not answer, refused the credentials, or showed a certificate that is not trusted."""


class TargetRefused(RunbookError):
    """The target is busy, or is not the cluster that the parameters pin."""

    exit_code = 7
    outcome = "refused"


class RecordError(RunbookError):
    """A record could not be written or verified, or is quarantined."""

    exit_code = 8


class RecordClosed(RecordError):
    """Something was to be added to a record after it was closed."""


class Interrupted(RunbookError):
    """A person or a pipeline stopped it before anything was changed."""

    exit_code = 130


def words(error: BaseException) -> str:
    """What an error says: our sentence, or the type and the text of somebody else's."""
    return error.summary if isinstance(error, RunbookError) else f"{type(error).__name__}: {error}".removesuffix(": ")


def error_of(row: Mapping[str, str], classes: Mapping[str, Any], **filling: object) -> RunbookError:
    """The error of a row (``error``, ``summary``, ``next_step``), its sentences filled in."""
    error: type[RunbookError] = classes[row["error"]]
    return error(row["summary"].format(**filling), next_step=row["next_step"].format(**filling))


def sentences(package: str | None, name: str) -> Callable[..., RunbookError]:
    """``told(case, **filling)`` for the cases of a table beside the modules of a package."""
    rows = table(str(package), name)
    return lambda case, **filling: error_of(rows[case], globals(), **filling)


refused = sentences(__package__, "refusals.yaml")
