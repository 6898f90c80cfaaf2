"""The plans that were shown last, kept beside the records: so that whoever approved one is told what has changed since.

They decide nothing: what may be done is decided by the digest alone.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runbooks_lib.parameters import project_root
from runbooks_lib.results import Json, Plan

#: How many are kept.
_KEPT = 100


def keep(plan: Plan) -> None:
    """Keep a plan as it was shown; a folder that can't be written keeps nobody from planning."""
    with suppress(OSError):
        place = _place(plan.digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(plan.model_dump(mode="json")), encoding="utf-8")
        for old in sorted(place.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)


def since(digest: str, now: Plan) -> str:
    """What has changed since the plan of this digest, as the end of a sentence; empty where nobody knows that plan."""
    with suppress(OSError, ValueError):
        # Whatever somebody gave for a digest: no path is made of it.
        bytes.fromhex(digest.removeprefix("sha256:"))
        told = differing(Plan.model_validate_json(_place(digest).read_text(encoding="utf-8")), now)
        return f" Since then: {told}." if told else ""
    return ""


def differing(before: Plan, now: Plan) -> str:
    """What a plan made anew has otherwise than the first one, in a few words; empty where they are equal."""
    return "; ".join(_differences(before, now))


def _differences(before: Plan, now: Plan) -> Iterator[str]:
    bound: Json = {"target": (before.target, now.target)}
    bound |= {name: (before.bindings.get(name), now.bindings.get(name)) for name in {*before.bindings, *now.bindings}}
    others = [name.replace("_", " ") for name, (was, is_) in sorted(bound.items()) if was != is_]
    yield from [f"another {', '.join(others)}"] if others else []
    for said, plan, other in (("no longer", before, now), ("new", now, before)):
        steps = [step.title for step in plan.steps if step not in other.steps]
        changes = [" — ".join((f"{c.action} {c.name}", *c.detail[:3])) for c in plan.changes if c not in other.changes]
        lines = [*steps, *changes] or [line for line in plan.impact if line not in other.impact]
        yield from [f"{said}: {'; '.join(lines[:5])}"] if lines else []


def _place(digest: str) -> Path:
    return project_root() / ".runbooks" / "plans" / f"{digest.removeprefix('sha256:')}.json"
