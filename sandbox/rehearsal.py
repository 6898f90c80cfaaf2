"""The rehearsal: the whole life of a release on a sandbox of its own, through the same notebooks as ever."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

from runbooks_lib import headless, parameters, process
from runbooks_lib.results import Event, RunSummary
from runbooks_lib.telling import telling
from sandbox import lifecycle
from sandbox.interruption import at_once, checkpoint, interruptible, shielded
from sandbox.state import State, folder_of, load

Say = Callable[[str], None]

_NEWER = {"chart.version": "1.16.1"}


@dataclass(frozen=True)
class Act:
    """One run of the rehearsal."""

    stage: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    changes: bool = False


ACTS = (
    Act("prerequisites"),
    Act("install", changes=True),
    Act("verify"),
    Act("upgrade", _NEWER, changes=True),
    Act("verify", _NEWER),
    Act("uninstall", changes=True),
    Act("verify", {"verify.expect": "absent"}),
)


def rehearse(
    name: str = "rehearsal", *, helm: str = "", keep: bool = False, root: Path | None = None, say: Say = print
) -> tuple[RunSummary, ...]:
    """Start a sandbox, run all :data:`ACTS` on it until one fails, and take it down whatever happened.

    Args:
        name: The sandbox's; another one is found when it is in use.
        helm: The Helm to rehearse with; the pinned one when empty.
        keep: Leave the sandbox running.
        say: Gets a line for each thing that happens.

    Returns:
        How each run ended; the last one is the one that failed, if any did.

    Raises:
        RunbookError: The sandbox could not be started, or a run could not be begun.
        Interrupted: By Ctrl-C or SIGTERM; the sandbox was taken down.
    """
    root = root or parameters.project_root()
    with interruptible("Run `runbooks rehearse` again; the records of the runs that were begun are kept."):
        name = _claim(name, root)
        try:
            state = lifecycle.up(name, helm=helm, root=root, say=say)
            return _runs(state, keep, say)
        finally:
            _leave(name, root, keep, say)


def _runs(state: State, keep: bool, say: Say) -> tuple[RunSummary, ...]:
    summaries: list[RunSummary] = []
    file = os.path.relpath(state.parameters_file, state.root)
    for number, act in enumerate(ACTS, start=1):
        checkpoint()
        said = "".join(f" {key}={value}" for key, value in act.overrides.items())
        say(f"\n[{number}/{len(ACTS)}] {act.stage}{said}")
        summary = _run(act, file, keep, say)
        summaries.append(summary)
        # A failure's sentence was told as it happened.
        say(
            f"  {summary.outcome} after {summary.seconds:.1f} s." + ("" if summary.exit_code else f" {summary.summary}")
        )
        if summary.exit_code:
            say(f"  record: {summary.folder}")
            break
    return tuple(summaries)


def _run(act: Act, file: str, keep: bool, say: Say) -> RunSummary:
    approve = ""
    if act.changes:
        with at_once():
            plan = headless.preview(act.stage, file, overrides=act.overrides)
        for line in plan.impact:
            say(f"  {line}")
        say(f"  plan {plan.digest}, approved by the rehearsal")
        approve = plan.digest

    def observe(event: Event) -> None:
        # What to do next is about a cluster that is gone by then, unless it is kept.
        # The plan is told above, the end below with its time.
        told = "" if event.kind in {"plan.made", "run.ended"} else telling(event)
        if line := told if keep else told.partition("\nNext: ")[0]:
            with suppress(OSError):  # an observer must not raise, also when nobody reads our lines any more
                say(indent(line, "  "))

    # Until it takes the signals itself it has begun nothing, and it ends what it began before it gives them back.
    with at_once():
        return headless.run_stage(act.stage, file, overrides=act.overrides, approve=approve, observe=observe)


def _claim(name: str, root: Path) -> str:
    """A name that no other command uses, with its folder made: two rehearsals may begin at once."""
    candidate, number = name, 1
    while True:
        folder = folder_of(candidate, root)
        try:
            folder.mkdir(parents=True, mode=0o700)
        except FileExistsError:
            if _abandoned(candidate, root):
                lifecycle.down(candidate, root=root, say=lambda _: None)
                continue
            number += 1
            candidate = f"{name}-{number}"
            continue
        owner = process.identify()
        (folder / "owner.json").write_text(json.dumps({"pid": owner.pid, "start_time": owner.start_time}))
        return candidate


def _abandoned(name: str, root: Path) -> bool:
    """Whether its rehearsal was killed: the owner is gone, though parts of the sandbox may still run.

    One that was kept on purpose has no owner any more and is nobody's to end.
    """
    try:
        owner = json.loads((folder_of(name, root) / "owner.json").read_text())
        return not process.Started(owner["pid"], owner["start_time"]).alive
    except (OSError, ValueError, KeyError):
        return False


def _leave(name: str, root: Path, keep: bool, say: Say) -> None:
    """Take the sandbox down, or let it go on; a second Ctrl-C waits until that is done."""
    with shielded():
        state = load(name, root)
        if keep and state and state.cluster_uid:
            (state.folder / "owner.json").unlink(missing_ok=True)
            say(f"\nThe sandbox {name} is kept: parameters in {state.parameters_file}.")
            say(f"End it with `runbooks sandbox down --name {name}`.")
            return
        if folder_of(name, root).exists():  # an interrupted start has removed it already
            with suppress(OSError):
                say("")
            lifecycle.down(name, root=root, say=say)


def rows(summaries: tuple[RunSummary, ...]) -> list[dict[str, str]]:
    """One row for each run of a rehearsal, also for those that were not reached."""
    table = []
    for number, act in enumerate(ACTS):
        done = summaries[number] if number < len(summaries) else None
        table.append(
            {
                "run": str(number + 1),
                "stage": act.stage,
                "with": " ".join(f"{key}={value}" for key, value in act.overrides.items()),
                "outcome": done.outcome if done else "not run",
                "seconds": f"{done.seconds:.1f}" if done else "",
                "record": Path(done.folder).name if done else "",
            }
        )
    return table


def closing(summaries: tuple[RunSummary, ...], began: float) -> list[str]:
    """The last lines of a rehearsal: how long it took, and where the records are."""
    folders = sorted({str(Path(summary.folder).parent) for summary in summaries})
    passed = sum(1 for summary in summaries if summary.exit_code == 0)
    return [
        f"{passed} of {len(ACTS)} runs passed in {time.monotonic() - began:.0f} s.",
        *(f"Records: {folder}" for folder in folders),
    ]
