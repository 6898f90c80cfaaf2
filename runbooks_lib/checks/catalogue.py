"""What a check is, and how a list of them is asked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from runbooks_lib.errors import RunbookError, words
from runbooks_lib.results import Event, Finding, Observe, Report, Status, Table
from runbooks_lib.tables import table

Subject = TypeVar("Subject")

_WORDS: dict[str, dict[str, str]] = table(__package__, "catalogue.yaml")


#: What is shown of a subject beside the findings.
Look = Callable[[Subject], tuple[Table, ...]]


class Answer(NamedTuple):
    """What a check found out; ``remedy`` and ``evidence`` replace the check's own when given."""

    status: Status
    observed: str
    expected: str = ""
    remedy: str = ""
    evidence: str = ""


class Moot(Exception):
    """What a check asks about is not there at all, which another check of the list has told as a failure."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One row of a catalogue.

    Attributes:
        id: Stable and dotted.
        title: The question, in a few words.
        expected: What should be seen.
        why: Why it matters.
        remedy: What to do when it is not so.
        ask: Looks, and answers. It only reads.
    """

    id: str
    title: str
    expected: str
    why: str
    remedy: str
    ask: Callable[[Subject], Answer]


def catalogue(asks: Mapping[str, Callable[[Subject], Answer]]) -> tuple[Check[Subject], ...]:
    """The checks of these ids, in this order, with their words from ``catalogue.yaml``."""
    return tuple(Check(id=name, ask=ask, **_WORDS[name]) for name, ask in asks.items())


def report(
    stage: str,
    title: str,
    checks: Iterable[Check[Subject]],
    subject: Subject,
    *,
    observe: Observe,
    tables: Look[Subject] | None = None,
) -> Report:
    """Ask all checks, whatever the first ones say, and tell each answer as it comes."""
    findings = tuple(_put(check, subject, observe) for check in checks)
    try:
        shown = tables(subject) if tables else ()
    except Exception as error:  # noqa: BLE001 - the findings are there, whatever is odd in a table
        shown = (Table(title=f"Not to be had: {words(error)}"),)
    made = Report(stage=stage, title=title, findings=findings, tables=shown)
    observe(Event(kind="report.made", data={"title": title, "verdict": made.verdict}))
    return made


def _put(check: Check[Subject], subject: Subject, observe: Observe) -> Finding:
    try:
        answer = check.ask(subject)
    except Moot as moot:
        answer = Answer("skip", str(moot))
    except RunbookError as error:
        answer = Answer("unknown", error.summary, remedy=error.next_step, evidence=error.evidence)
    except Exception as error:  # noqa: BLE001 - an object of an odd shape must not keep the others from being asked
        answer = Answer("unknown", f"the check itself broke: {words(error)}")
    finding = Finding(
        id=check.id,
        title=check.title,
        status=answer.status,
        observed=answer.observed,
        expected=answer.expected or check.expected,
        why=check.why,
        remedy=answer.remedy or check.remedy,
        evidence=answer.evidence,
    )
    observe(Event(kind="check.answered", data=finding.model_dump(mode="json")))
    return finding
