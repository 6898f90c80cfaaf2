"""What a record tells, in the order in which people ask: how it ended, who did it, on whose yes, what was found, what was proved."""

import json
import stat
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from runbooks_lib import records
from runbooks_lib.errors import RecordError, RunbookError, words
from runbooks_lib.results import SEVERITY, Event, Json, Plan, RunSummary
from runbooks_lib.telling import plan_text, telling

#: Bytes of a file that are read to be shown; of a journal, which has to be read whole, more.
SHOWN, JOURNAL = 1_000_000, 50_000_000
#: Whoever can't say whether a record holds a secret does not spread it.
_WITHHELD = "It is quarantined: what it holds may not be spread, and is not shown here. Look at it where it is."
_AGREED = "What was approved, what was begun and the plan shown here have the same digest."
_OTHERWISE = "WRONG: what was approved, what was begun and the plan shown here do not have the same digest."


class Story:
    """One record, read as far as it can be; what can't be is said, and never raises.

    Args:
        proofs: What was said of the records when they were verified, by the name of a record or of its target.
    """

    def __init__(self, summary: RunSummary, proofs: Mapping[str, list[tuple[str, str]]]) -> None:
        self.summary = summary
        self.folder = Path(summary.folder)
        self.amiss: list[str] = []
        named = ("", summary.target, self.folder.name)
        self.proofs = [proof for name in named for proof in proofs.get(name, ())]
        self.withheld = summary.outcome == "quarantined"
        self.events: list[Json] = []
        if self.withheld:
            self.amiss.append(_WITHHELD)
        elif not 0 <= size_of(self.folder / "events.jsonl") <= JOURNAL:
            self.amiss.append("Its journal is not there, is no file of its own, or is too large to be shown.")
        else:
            try:
                self.events = records.read_events(self.folder)
            except (RecordError, RecursionError) as error:
                self.amiss.append(words(error))

    @cached_property
    def opened(self) -> Json:
        """How the run began: who, where, with what."""
        return next(iter(self.of("run.opened")), {})

    @property
    def person(self) -> str:
        """Who ran it: as the cluster knows them, else as the machine does."""
        who = self.opened.get("who")
        known = who if isinstance(who, dict) else {}
        cluster = known.get("cluster")
        name = cluster.get("username") if isinstance(cluster, dict) else cluster
        return str(name or known.get("system") or "")

    @cached_property
    def plan(self) -> Plan | None:
        """The plan that was made, as its file has it."""
        found = self._json("plan.json")
        try:
            return Plan.model_validate({name: said for name, said in found.items() if name != "digest"})
        except ValueError:
            self.amiss += ["plan.json is no plan."] if found else []
            return None

    @property
    def approvals(self) -> list[Json]:
        """Who said yes, to which digest, and when."""
        return self.of("approval.given")

    @property
    def agreement(self) -> str:
        """Whether what was approved, what was begun and the plan that is here are the same; empty without a change."""
        begun = [data.get("digest") for data in self.of("change.started")]
        if not begun:
            return ""
        yes = {approval.get("digest") for approval in self.approvals}
        return _AGREED if self.plan and yes == set(begun) == {self.plan.digest} else _OTHERWISE

    @property
    def wrong(self) -> bool:
        """Whether verifying said that something of this very record is wrong."""
        return any(word == "WRONG" and said.startswith(f"{self.folder.name}: ") for word, said in self.proofs)

    @property
    def shows(self) -> dict[str, bool | None]:
        """Which questions of ``controls.yaml`` it answers; None: it is not asked this one."""
        changed, closed = bool(self.of("change.started")), self.summary.outcome != "open"
        git, sealed = self.opened.get("git"), size_of(self.folder / "proof.json") > 0
        return {
            "approved": bool(self.person and self.approvals) if changed else None,
            "planned": self.agreement == _AGREED if changed else None,
            "journal": bool(self.opened),
            "source": isinstance(git, dict) and not git.get("changed"),
            "proved": sealed and not self.wrong and "PROVED" in dict(self.proofs) if closed else None,
            "searched": "searched" in self.manifest and not self.wrong if closed else None,
        }

    @cached_property
    def findings(self) -> list[Json]:
        """The answers to the checks, the worst first."""
        rank = {str(status): number for number, status in enumerate(SEVERITY)}
        # What is no status of ours is looked at first.
        return sorted(self.of("check.answered"), key=lambda data: -rank.get(str(data.get("status")), len(rank)))

    @property
    def commands(self) -> list[Json]:
        """The commands that ended, as a line to read each."""
        kinds = {"command.ended": "argv", "request.made": "verb", "exec.made": "program"}
        found = [
            data for event in self.events if (kind := event["kind"]) in kinds and (data := _at(event)).get(kinds[kind])
        ]
        return [data | {"line": _line(data)} for data in found]

    @property
    def told(self) -> list[tuple[str, str]]:
        """The journal as the terminal told it: when, and what."""
        said = ((str(event.get("at", "")), _telling(event)) for event in self.events)
        return [(at, line) for at, line in said if line]

    @cached_property
    def files(self) -> list[tuple[str, Path, int]]:
        """Every file that has a content of its own: name, path, bytes."""
        found = [] if self.withheld else sorted(self.folder.rglob("*"))
        return [(str(path.relative_to(self.folder)), path, size) for path in found if (size := size_of(path)) >= 0]

    @cached_property
    def manifest(self) -> Json:
        """What the record says of its own files."""
        return self._json("manifest.json")

    @property
    def facts(self) -> list[tuple[str, str, str]]:
        """What two runs are compared by: a section, a name, a value."""
        plan = self.plan or Plan(stage="", target={})
        changes = {f"{each.action} {each.name}": "\n".join(each.detail) or "yes" for each in plan.changes}
        steps = {str(number): step.title for number, step in enumerate(plan.steps, start=1)}
        run = self.summary.model_dump(include={"outcome", "exit_code", "started", "seconds", "summary"})
        findings = {str(each.get("id")): f"{each.get('status')}: {each.get('observed')}" for each in self.findings}
        told: dict[str, Any] = {
            "Run": run | {"person": self.person},
            "Versions": {name: self.opened.get(name) for name in ("versions", "git")},
            "Target": self.opened.get("target"),
            "Parameters": self._json("parameters.json"),
            "Plan": {"step": steps, "bindings": plan.bindings},
            "Changes": changes,
            "Findings": findings,
        }
        return [(section, name, text) for section, data in told.items() for name, text in _flat(data)]

    def data(self) -> Json:
        """The whole story as plain data."""
        names = ("person", "approvals", "agreement", "findings", "commands", "proofs", "amiss")
        plan = self.plan.model_dump(mode="json") | {"digest": self.plan.digest} if self.plan else None
        summary = self.summary.model_dump(mode="json", exclude={"findings"})
        return {"summary": summary, "plan": plan} | {name: getattr(self, name) for name in names}

    def text(self) -> str:
        """The story for a terminal."""
        run = self.summary
        lines = [f"record: {self.folder}"]
        lines.append(f"{run.stage} of {run.target}: {run.outcome} (exit code {run.exit_code}). {run.summary}")
        lines.append(f"by {self.person or 'nobody known'}, {run.started}, {run.seconds:.0f} s")
        lines += ["", plan_text(self.plan)] if self.plan else []
        for given in self.approvals:
            lines.append(f"approved by {given.get('by')} ({given.get('how')}): {given.get('digest')}")
        lines += [self.agreement, "", *(f"{at}  {line}" for at, line in self.told), ""]
        lines += [*self.amiss, *(f"{word}: {said}" for word, said in self.proofs)]
        return "\n".join(lines)

    def of(self, kind: str) -> list[Json]:
        """The data of all events of a kind."""
        return [_at(event) for event in self.events if event["kind"] == kind]

    def _json(self, name: str) -> Json:
        """A file of the record as data; what can't be read is said once, and is empty."""
        path = self.folder / name
        if self.withheld or size_of(path) < 0:
            return {}
        try:
            if size_of(path) > SHOWN:
                raise ValueError("it is too large to be shown")
            found: Any = json.loads(path.read_bytes())
            return dict(found)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self.amiss.append(f"{name} can't be read: {error}.")
            return {}


def proofs_of(root: Path, known: records.Given, only: Path | None = None) -> dict[str, list[tuple[str, str]]]:
    """What verifying says, by whom it is about: a record, a target, or (empty) all of them."""
    try:
        found = records.verify_all(root, known, only)
    except (RunbookError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        found = records.Verification(problems=(f"Nothing could be verified: {words(error)}",))
    shelves = [path for path in root.glob("*") if path.is_dir()]
    names = {path.name for shelf in shelves for path in (shelf, *shelf.glob("*"))}
    said: dict[str, list[tuple[str, str]]] = {}
    for word, sentences in (("WRONG", found.problems), ("NOT PROVED", found.unproved), ("PROVED", found.proved)):
        for sentence in sentences:
            name = sentence.partition(": ")[0]
            said.setdefault(name if name in names else "", []).append((word, sentence))
    return said


def size_of(path: Path) -> int:
    """The size of a file of its own; less than 0 for a link, a pipe, a folder, or nothing."""
    try:
        found = path.lstat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _at(event: Json) -> Json:
    return {**event["data"], "at": event.get("at")}


def _telling(event: Json) -> str:
    try:
        return telling(Event(kind=event["kind"], data=event["data"]))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return f"{event['kind']}: it can't be told; the journal has it."


def _line(data: Json) -> str:
    """What was called, as one would read it."""
    if isinstance(argv := data.get("argv"), list):
        return " ".join(map(str, argv))
    names = ("verb", "resource", "namespace", "name", "pod", "container", "program")
    return " ".join(
        [*(["exec"] if data.get("program") else []), *(str(data[name]) for name in names if data.get(name))]
    )


def _flat(data: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of plain data, each with its dotted path."""
    if isinstance(data, dict):
        for key, inner in data.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif data not in (None, "", []):
        yield name, data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
