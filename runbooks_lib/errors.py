"""Every way a runbook can fail, each a sentence with a next step and an exit code.

Boundaries map foreign exceptions to one of these with ``raise … from``.
"""

from __future__ import annotations

from typing import ClassVar, Literal

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


class Interrupted(RunbookError):
    """A person or a pipeline stopped it before anything was changed."""

    exit_code = 130
