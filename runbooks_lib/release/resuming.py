"""Resuming: the yes that a stopped run had holds for what is left of its plan, while nothing else is otherwise.

What is left is never taken from the record: the plan is made anew by looking at the cluster, and held against the old one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runbooks_lib import records
from runbooks_lib.errors import RecordError, RunbookError, words
from runbooks_lib.records.folder import PLAN
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Approval, Event, Json, Plan

#: Steps of which any may be done already, or all; of the others only those from the first that is not done are left.
_PREPARING = frozenset({"create-namespace", "take-lease", "create-secret"})
#: What a plan binds that becomes less while it is carried out.
_LESSENING = frozenset({"staying", "passing"})


def resumed(boundaries: Boundaries, plan: Plan, folder: Path, by: str) -> Approval:
    """The approval of what a stopped run has left to do.

    Args:
        plan: Made now.
        folder: The stopped run's record.

    Raises ApprovalError: No run was stopped there, or more has changed than what that run has done.
    """
    run, (first, approved) = records.run_id(folder), _stopped(folder)
    now: Json = plan.masked(boundaries.redactor.redact).model_dump(mode="json")
    if told := "; ".join(_otherwise(first, now)).rstrip("."):
        raise refused("not what is left", run=run, told=told, digest=plan.digest)
    kinds = [step["kind"] for step in now["steps"]]
    done = [step["title"] for step in first["steps"] if step["kind"] not in kinds]
    seen: Json = {"run": run, "approved": approved, "done": done, "says": "; ".join(done) or "nothing"}
    boundaries.observe(Event(kind="change.resumed", data=seen))
    return Approval(digest=plan.digest, by=by, how="resumed", resumes=run)


def left_in(folder: Path) -> Json:
    """The plan that a run was stopped in; raises ApprovalError: no run was stopped there."""
    return _stopped(folder)[0]


def _stopped(folder: Path) -> tuple[Json, Json]:
    """The same, with its approval."""
    try:
        return _read(folder)
    except (RunbookError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise refused("nothing to resume", folder=folder, why=words(error).rstrip(".")) from error


def _read(folder: Path) -> tuple[Json, Json]:
    if problems := records.verify(folder):
        raise RecordError(f"its record is not as it was closed: {problems[0]}")
    events = {event["kind"]: event["data"] for event in records.read_events(folder)}
    plan, approved = json.loads((folder / PLAN).read_text(encoding="utf-8")), events.get("approval.given")
    if approved is None or "change.started" not in events:
        raise RecordError("that run has begun no change")
    if "change.ended" in events:
        raise RecordError("that run has done all that it was to do")
    if approved["digest"] != plan["digest"]:
        raise RecordError("its plan is not the one that was approved")
    return plan, approved


def _otherwise(first: Json, now: Json) -> Iterator[str]:
    """What is not as it was, and was not done by the stopped run; nothing where only less is left."""
    names = ("stage", "target")
    if others := [name for name in names if first[name] != now[name]] + list(_bound(first, now)):
        yield f"another {', '.join(others)}"
    if not _rest(first["steps"], now["steps"]):
        yield f"other steps: {'; '.join(step['title'] for step in now['steps'] if step not in first['steps'])}"
    new = [f"{each['action']} {each['name']}" for each in now["changes"] if each not in first["changes"]]
    # The first line counts what there is to do.
    lines = new or [line for line in now["impact"][1:] if line not in first["impact"]]
    if lines:
        yield f"new: {'; '.join(lines[:5])}"


def _bound(first: Json, now: Json) -> Iterator[str]:
    """The names of what the plans bind otherwise."""
    made = {step["data"]["name"] for step in first["steps"] if step["kind"] == "create-secret"}
    for name in sorted({*first["bindings"], *now["bindings"]}):
        old, new = first["bindings"].get(name), now["bindings"].get(name)
        if name == "secrets" and new is not None:
            new = {key: version for key, version in new.items() if key not in made}
        if name == "revision" and new == 0 and now["stage"] == "uninstall":
            continue  # That it is gone is what the stopped run was for.
        if not (_within(new, old) if name in _LESSENING else new == old):
            yield name.replace("_", " ")


def _rest(first: list[Json], now: list[Json]) -> bool:
    """Whether some steps are the last ones of others, each about the same or less."""
    (old, new) = ([step for step in steps if step["kind"] not in _PREPARING] for steps in (first, now))
    prepared = all(step in first for step in now if step["kind"] in _PREPARING)
    tail = old[len(old) - len(new) :]
    same = [step["kind"] for step in tail] == [step["kind"] for step in new]
    return prepared and same and all(_within(_own(b), _own(a)) for a, b in zip(tail, new, strict=True))


def _own(step: Json) -> Json:
    """What a step is about, without what the stopped run had stopped itself."""
    return {key: value for key, value in step["data"].items() if key != "left"}


def _within(now: Any, first: Any) -> bool:
    """Whether something is the same, or its lists are shorter."""
    if isinstance(now, dict) and isinstance(first, dict):
        return now.keys() == first.keys() and all(_within(now[key], first[key]) for key in now)
    if isinstance(now, list) and isinstance(first, list):
        return all(each in first for each in now)
    return bool(now == first)
