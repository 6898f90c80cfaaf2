"""The values that stages return and the journal keeps: frozen plain data, a JSON round trip, no client and no secret."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from runbooks_lib.errors import Outcome

Json = dict[str, Any]
Status = Literal["pass", "warn", "fail", "unknown", "skip"]
Row = dict[str, str]

#: A file of up to so many bytes is read at once.
_AT_ONCE = 2**20
#: Worst last, so that ``max`` over the index finds the verdict of a report.
SEVERITY: tuple[Status, ...] = ("skip", "pass", "warn", "unknown", "fail")


class Value(BaseModel):
    """A frozen value of plain data; ``model_dump_json`` and ``model_validate_json`` are its round trip."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Event(Value):
    """One thing that happened, told to an observer; the journal adds the time and the writer.

    Attributes:
        kind: ``noun.verb`` in the past tense, for example ``command.ended``, ``check.answered``.
        data: Plain JSON data. The journal redacts it before it is written.
    """

    kind: str
    data: Json = Field(default_factory=dict)


Observe = Callable[[Event], None]


def unobserved(event: Event) -> None:
    """An observer for callers that keep no journal."""


class Finding(Value):
    """The answer to one check.

    Attributes:
        id: Stable and dotted, for example ``kubernetes.version``; waivers and other notebooks name it.
        title: The question, for people.
        observed: What was seen, one thing a line.
        expected: What should have been seen.
        why: Why it matters to the operator.
        remedy: What to do about it: a notebook, a command, or a line to paste.
        evidence: Where to see it with one's own eyes.
        symptom: Whether it mostly comes of something else: the remedies of other findings come first.
        amiss: How many lines of what was seen, from the first one on, are not as they should be; 0: all of them.
    """

    id: str
    title: str
    status: Status
    observed: str = ""
    expected: str = ""
    why: str = ""
    remedy: str = ""
    evidence: str = ""
    symptom: bool = False
    amiss: int = 0

    def row(self) -> Row:
        """One line of the report's table."""
        return {
            "status": self.status,
            "check": self.title,
            "observed": self.observed,
            "expected": self.expected,
            "remedy": self.remedy if self.status not in {"pass", "skip"} else "",
        }


class Table(Value):
    """Rows that people look at beside the findings, for example the pods of the release."""

    title: str
    rows: tuple[Row, ...] = ()


class Report(Value):
    """The findings of a stage, the tables that were looked at for them, and the commands that would show it by hand."""

    stage: str
    title: str
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()

    def rows(self) -> list[Row]:
        """One row a finding."""
        return [finding.row() for finding in self.findings]

    def with_status(self, *statuses: Status) -> tuple[Finding, ...]:
        """The findings that have one of these statuses, in order."""
        return tuple(finding for finding in self.findings if finding.status in statuses)

    @property
    def verdict(self) -> Status:
        """The worst status of all findings; a report without findings is ``unknown``, never passed."""
        return worst(finding.status for finding in self.findings)


class ObjectChange(Value):
    """What a plan does to one Kubernetes object.

    Attributes:
        action: ``keep`` means that the object stays although its release goes.
        name: ``Kind name``, with the namespace where it has one that is not the target's.
        detail: Changed fields, one a line, ``path: old → new``, secrets already replaced; or why it stays.
    """

    action: Literal["add", "change", "remove", "keep"]
    name: str
    detail: tuple[str, ...] = ()

    def row(self) -> Row:
        """One line of the plan's table."""
        return {"action": self.action, "object": self.name, "detail": "\n".join(self.detail)}


class Step(Value):
    """One thing that a mutating stage does.

    Attributes:
        kind: A key of the table of steps in ``release.change``.
        title: What it does, in the operator's words.
        data: What the step needs, without secrets; part of the plan's digest.
    """

    kind: str
    title: str
    data: Json = Field(default_factory=dict)


class Plan(Value):
    """Everything that a mutating stage would do; its digest is what a person approves.

    Attributes:
        stage: The stage that made it.
        target: Cluster UID, namespace and release it is for.
        steps: In the order they are carried out; none means that there is nothing to do.
        changes: What becomes of each object.
        impact: What it means, in the operator's words.
        bindings: Everything else that must not change between plan and apply (revision, digests, versions).
        notes: What was seen that changes by the minute, such as numbers of rows; only shown, and no part of the digest.
        commands: The plain commands that the steps stand for; the same.
    """

    stage: str
    target: Json
    steps: tuple[Step, ...] = ()
    changes: tuple[ObjectChange, ...] = ()
    impact: tuple[str, ...] = ()
    bindings: Json = Field(default_factory=dict)
    notes: tuple[str, ...] = Field(default=(), exclude=True)
    commands: tuple[str, ...] = Field(default=(), exclude=True)
    _sealed: str = PrivateAttr("")

    @property
    def digest(self) -> str:
        """``sha256:…`` over the canonical JSON of everything the plan says."""
        return self._sealed or digest_of(self.model_dump(mode="json"))

    def masked(self, redact: Callable[[str], str]) -> "Plan":
        """The same in words that may be shown, whatever has become known to be secret; the digest stays that of the plan itself."""
        changes = (each.model_copy(update={"detail": tuple(map(redact, each.detail))}) for each in self.changes)
        words = {"impact": tuple(map(redact, self.impact)), "notes": tuple(map(redact, self.notes))}
        made = self.model_copy(update=words | {"changes": tuple(changes)})
        made._sealed = self.digest
        return made

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def rows(self) -> list[Row]:
        """One row an object."""
        return [change.row() for change in self.changes]


class Approval(Value):
    """A person's yes to one digest; one by ``file`` also has the approver's key, a nonce, and the list's digest.

    Of a run that goes on where another was stopped it is the yes to that one's plan, of which this is the rest.
    """

    digest: str
    by: str
    how: Literal["parameter", "button", "file", "resumed", "nothing to approve"]
    resumes: str = ""
    fingerprint: str = ""
    approvers: str = ""
    nonce: str = ""
    expires: str = ""


class ChangeResult(Value):
    """What a mutating stage did, step by step."""

    stage: str
    plan_digest: str
    done: tuple[str, ...] = ()
    revision: int | None = None
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything was done at all."""
        return bool(self.done)

    def rows(self) -> list[Row]:
        """One row a step."""
        return [{"step": str(number), "done": title} for number, title in enumerate(self.done, start=1)]


class RunSummary(Value):
    """How a run ended: one row of ``records list`` and of the rehearsal's table.

    Attributes:
        findings: The answers to its checks, where somebody has asked for them.
    """

    run_id: str
    stage: str
    target: str
    outcome: Outcome | Literal["open"]
    exit_code: int
    started: str
    seconds: float
    folder: str
    summary: str = ""
    next_step: str = ""
    findings: tuple[Finding, ...] = ()

    def row(self) -> Row:
        """One line of a table."""
        return {
            "started": self.started,
            "stage": self.stage,
            "target": self.target,
            "outcome": self.outcome,
            "seconds": f"{self.seconds:.1f}",
            "run": self.run_id,
        }


def columns(rows: Sequence[Row]) -> str:
    """The rows as plain text, one column a key; columns without a word in them are left out."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    lines = [names, *([row[name].replace("\n", "; ") for name in names] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(names))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def drawn(rows: Sequence[Row]) -> str:
    """The rows for standard output: a table on a terminal that is wide enough, plain columns elsewhere."""
    if not rows or not sys.stdout.isatty():
        return columns(rows)
    from rich import console, table  # here, since a notebook needs neither

    shown = table.Table(*rows[0])
    for row in rows:
        shown.add_row(*row.values())
    terminal = console.Console(markup=False, width=10_000)
    if terminal.measure(shown).maximum > shutil.get_terminal_size().columns:
        return columns(rows)
    with terminal.capture() as captured:
        terminal.print(shown)
    return captured.get().removesuffix("\n")


def canonical(data: Any) -> str:
    """JSON with sorted keys and no white space: the same data, the same text."""
    # Through JSON once: YAML also makes numbers of keys, which can't be sorted among texts.
    plain = json.loads(json.dumps(data))
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(data: Any) -> str:
    """The digest of plain data: ``sha256:…`` over its canonical JSON."""
    return digest_bytes(canonical(data).encode())


def digest_bytes(content: bytes) -> str:
    """``sha256:…``; spelt so that no tool takes a digest for a number (``12e4567``)."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path | str) -> str:
    """The digest of a file of any size."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - thousands of records are verified, by names
        if os.fstat(file.fileno()).st_size <= _AT_ONCE:
            return digest_bytes(file.read())
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def worst(statuses: Iterable[Status]) -> Status:
    """The most severe of some statuses; of none, ``unknown``."""
    return max(statuses, key=SEVERITY.index, default="unknown")
