"""What a check is, and how a list of them is asked."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from runbooks_lib.errors import ChangeFailed, CheckFailed, OutcomeUnknown, ParametersError, RunbookError, words
from runbooks_lib.parameters import Parameters, Waiver
from runbooks_lib.release.by_hand import addressed
from runbooks_lib.results import SEVERITY, Event, Finding, Observe, Report, Status, Table
from runbooks_lib.tables import table

Subject = TypeVar("Subject")

#: By stage and id, the rows of the checks.
WORDS: dict[str, dict[str, dict[str, Any]]] = table(__package__, "catalogue.yaml")


#: What is added to the first of several remedies.
_OTHERS = "What else failed has a remedy of its own, told with it."
#: What is shown of a subject beside the findings.
Look = Callable[[Subject], tuple[Table, ...]]


class Answer(NamedTuple):
    """What a check found out, or one of several things that it did.

    ``remedy``, ``evidence``, ``symptom`` and ``expected`` replace the check's own when given; ``amiss`` is how many of its lines
    are not as they should be, which come first; 0: all of them.
    """

    status: Status
    observed: str
    remedy: str = ""
    evidence: str = ""
    symptom: bool | None = None
    expected: str = ""
    amiss: int = 0


def together(answers: Iterable[Answer]) -> Answer:
    """Some answers as one: the worst first, each once, with what to do about the worst."""
    first: dict[str, Answer] = {}
    for answer in answers:
        first.setdefault(answer.observed, answer)
    each = sorted(first.values(), key=lambda answer: -SEVERITY.index(answer.status))
    bad = [answer for answer in each if answer.status in {"fail", "unknown"}]
    told: dict[str, str] = {}
    for part, those in (("remedy", [one for one in each if one.status == each[0].status]), ("evidence", bad)):
        told[part] = "\n".join(dict.fromkeys(filter(None, (getattr(one, part) for one in those))))
    # A cause among them counts more than any number of symptoms.
    marks = {answer.symptom for answer in bad}
    symptom = False if False in marks else True if marks == {True} else None
    amiss = sum(len(one.observed.splitlines()) for one in each if one.status not in {"pass", "skip"})
    observed = "\n".join(answer.observed for answer in each)
    return Answer(each[0].status, observed, symptom=symptom, amiss=amiss, **told)


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
        ask: Looks, and answers. It only reads, and several are asked at once.
        command: What would show it by hand, with ``{namespace}``, ``{release}`` and the like to be filled in.
        waivable: Whether a person may accept that it fails.
        advisory: Whether an answer that can't be had is a warning only, since few accounts may ask.
        symptom: Whether what it sees mostly comes of something that another check sees, whose remedy then comes first.
    """

    id: str
    title: str
    expected: str
    why: str
    remedy: str
    ask: Callable[[Subject], Answer]
    waivable: bool = True
    symptom: bool = False
    advisory: bool = False
    command: str = ""


def commands_of(checks: Iterable[Check[Any]], parameters: Parameters) -> tuple[str, ...]:
    """What would show by hand what some checks see, each once, with the names that these parameters have."""
    csghub = parameters.csghub
    known = parameters.target.model_dump() | {"url": csghub.external_url}
    known |= {"csghub": csghub.release, "csghub_namespace": csghub.namespace}
    # Without the name of its release nothing is asked of CSGHub's.
    commands = [check.command for check in checks if csghub.release or "{csghub" not in check.command]
    return tuple(dict.fromkeys(addressed(one.format_map(known), parameters) for one in commands if one))


def require_known(waivers: Iterable[Waiver]) -> None:
    """Raise ParametersError for a waiver of a check that there is not, or that nobody may waive."""
    known = {name: row for rows in WORDS.values() for name, row in rows.items()}
    for waiver in waivers:
        words = known.get(waiver.check)
        if words is None:
            near = difflib.get_close_matches(waiver.check, known, n=1, cutoff=0.6)
            step = f"Did you mean {near[0]}?" if near else "`runbooks checks list` names them."
            raise ParametersError(f"waivers: there is no check {waiver.check}.", next_step=step)
        if not words.get("waivable", True):
            said = f"waivers: the check {waiver.check} can't be waived: {words['why']}"
            raise ParametersError(said, next_step=f"Remove the waiver. {words['remedy']}")


def report(
    stage: str,
    title: str,
    checks: Iterable[Check[Subject]],
    subject: Subject,
    *,
    observe: Observe,
    tables: Look[Subject] | None = None,
    given: Parameters | None = None,
) -> Report:
    """Ask all checks at once, whatever the first ones say, and tell the answers in the checks' order.

    Args:
        given: The parameters. They say what is accepted, so that a finding that would stop the run is a warning until the
            waiver's day is over; and which cluster the commands are for that show it by hand, or stand in a remedy.
    """
    accepted = {waiver.check: waiver for waiver in (given.waivers if given else ())}
    address = partial(addressed, parameters=given) if given else str
    listed, findings = tuple(checks), []
    with _asking(listed, subject) as answers:
        for check, answer in zip(listed, answers, strict=True):
            finding = _finding(check, _waived(answer, accepted.get(check.id)))
            findings.append(finding.model_copy(update={"remedy": address(finding.remedy)}))
            observe(Event(kind="check.answered", data=findings[-1].model_dump(mode="json")))
    try:
        shown = tables(subject) if tables else ()
    except Exception as error:  # noqa: BLE001 - the findings are there, whatever is odd in a table
        shown = (Table(title=f"Not to be had: {words(error)}"),)
    commands = commands_of(listed, given) if given else ()
    made = Report(stage=stage, title=title, findings=tuple(findings), tables=shown, commands=commands)
    observe(Event(kind="report.made", data={"title": title, "verdict": made.verdict}))
    return made


@contextmanager
def _asking(checks: tuple[Check[Subject], ...], subject: Subject) -> Iterator[Iterator[Answer]]:
    pool = ThreadPoolExecutor(8)
    try:
        yield pool.map(partial(_put, subject), checks)
    finally:
        # After an interrupt nothing more is begun.
        pool.shutdown(cancel_futures=True)


def _put(subject: Subject, check: Check[Subject]) -> Answer:
    try:
        return check.ask(subject)
    except Moot as moot:
        return Answer("skip", str(moot))
    except RunbookError as error:
        return Answer("unknown", error.summary, remedy=error.next_step, evidence=error.evidence)
    except Exception as error:  # noqa: BLE001 - an object of an odd shape must not keep the others from being asked
        return Answer("unknown", f"the check itself broke: {words(error)}")


def _waived(answer: Answer, waiver: Waiver | None) -> Answer:
    if waiver is None or answer.status not in {"fail", "unknown"}:
        return answer
    if waiver.over:
        return answer._replace(observed=f"{answer.observed} (accepted until {waiver.until} only, which is over)")
    return answer._replace(
        status="warn", observed=f"{answer.observed} ({answer.status}; accepted until {waiver.until}: {waiver.reason})"
    )


def _finding(check: Check[Subject], answer: Answer) -> Finding:
    return Finding(
        id=check.id,
        title=check.title,
        status="warn" if check.advisory and answer.status == "unknown" else answer.status,
        observed=answer.observed,
        expected=answer.expected or check.expected,
        why=check.why,
        remedy=answer.remedy or check.remedy,
        evidence=answer.evidence,
        amiss=answer.amiss,
        symptom=check.symptom if answer.symptom is None else answer.symptom,
    )


def unmet(report: Report, *, changing: bool) -> RunbookError | None:
    """Why nobody may go on after a report: its sentence has the worst findings, the causes before what comes of them.

    Args:
        changing: A change was made before: then a failed check means that it failed.
    """
    failed, unknown = report.with_status("fail"), report.with_status("unknown")
    if report.findings and not failed and not unknown:
        return None
    # Of symptoms first the one that has evidence; of what one saw the first line is the worst.
    ranks = {one.id: one.symptom * (1 if one.evidence else 2) for one in (*failed, *unknown)}
    bad = [one for found in (failed, unknown) for one in sorted(found, key=lambda one: ranks[one.id])]
    told = "; ".join(f"{one.title}: {one.observed.partition(chr(10))[0].rstrip('.')}" for one in bad[:3])
    told += f"; and {len(bad) - 3} more, in the table" if bad[3:] else ""
    besides = f", {len(unknown)} could not be made" if unknown else ""
    remedy, evidence = next(((one.remedy, one.evidence) for one in bad if one.remedy), ("", ""))
    # A symptom goes with its cause.
    remedy += f"\n{_OTHERS}" if len({one.remedy for one in bad if one.remedy and not one.symptom}) > 1 else ""
    number, what = (len(failed), f"failed{besides}") if failed else (len(unknown), "could not be made")
    error = OutcomeUnknown if not failed else ChangeFailed if changing else CheckFailed
    checks = "check" if number == 1 else "checks"
    summary = f"{number} {checks} {what}. {told or 'No check was asked'}."
    return error(summary, next_step=remedy or "See *If it fails* at the end of the notebook.", evidence=evidence)
