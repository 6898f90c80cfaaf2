"""The approval: a button that says yes to one digest, and words where nobody can press it."""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from runbooks_lib.results import Event, Plan, Step
from runbooks_lib.signing import Person
from runbooks_lib.views import ask, told

PLAN = Plan(stage="install", target={}, steps=(Step(kind="a", title="First"),))


class OpenRun:
    """What a form needs of a run."""

    folder = "records/x"

    def __init__(self, world: Any, *, interactive: bool) -> None:
        self.boundaries = world.boundaries
        self.interactive = interactive
        self.approved: list[str] = []
        self.resumes: Path | None = None

    def approve(self, digest: str) -> None:
        self.approved.append(digest)

    def is_approved(self, plan: Plan) -> bool:
        return plan.digest in self.approved


def test_a_plan_without_steps_asks_for_nothing(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = OpenRun(world, interactive=True)
    ask(run, Plan(stage="upgrade", target={}))
    assert capsys.readouterr().out == "There is nothing to approve: nothing would be changed.\n"
    assert run.approved == []


def test_what_is_approved_already_is_said_to_be(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = OpenRun(world, interactive=False)
    run.approve(PLAN.digest)
    ask(run, PLAN)
    assert capsys.readouterr().out == f"Approved already: {PLAN.digest}\n"


def test_a_run_that_resumes_another_needs_no_digest(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = OpenRun(world, interactive=False)
    run.resumes = Path("records/practice/one")
    ask(run, PLAN)
    assert capsys.readouterr().out == "The next cell resumes records/practice/one, if this is what was left of it.\n"


def test_where_nobody_can_press_a_button_the_digest_to_give_is_named(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run: Any = OpenRun(world, interactive=False)
    ask(run, PLAN)
    assert capsys.readouterr().out == f"To approve this plan, run again with approve={PLAN.digest}\n"


def test_the_button_is_bound_to_this_plans_digest(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    run: Any = OpenRun(world, interactive=True)
    ask(run, PLAN)
    (box,) = shown
    button, words = box.children
    assert button.tooltip == PLAN.digest
    assert PLAN.digest in words.value
    assert run.approved == [], "showing it approves nothing"
    button.click()
    assert run.approved == [PLAN.digest]
    assert button.disabled
    assert words.value.startswith(f"Approved: {PLAN.digest}")


@pytest.mark.parametrize("interactive", [True, False])
def test_where_another_must_approve_there_is_no_button_but_what_they_run(
    world: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, interactive: bool
) -> None:
    monkeypatch.setattr("IPython.display.display", lambda _: pytest.fail("a button"))
    person = Person("li.wei", token_bytes(32))
    metadata = {"name": "runbooks-approval", "namespace": "kube-system"}
    world.cluster.add(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"approvers": person.line}}
    )
    run: Any = OpenRun(world, interactive=interactive)
    run.approve(PLAN.digest)
    ask(run, PLAN)
    said = capsys.readouterr().out
    assert "Another person must approve this plan (li.wei; by ConfigMap kube-system/runbooks-approval)." in said
    assert "Give records/x/plan.json to one of them." in said
    assert "runbooks approve plan.json --key KEY --out approval.json" in said
    assert f"Put their file at approvals/{PLAN.digest[7:23]}.json in the project's folder" in said


def test_progress_is_told_while_a_change_is_under_way(capsys: pytest.CaptureFixture[str]) -> None:
    class Listening:
        def __init__(self) -> None:
            self.listeners: list[Any] = []

        def listening(self, listener: Any) -> Any:
            import contextlib

            @contextlib.contextmanager
            def block() -> Any:
                self.listeners.append(listener)
                yield
                self.listeners.remove(listener)

            return block()

    run: Any = Listening()
    with told(run):
        for event in (
            Event(kind="change.step", data={"title": "First"}),
            Event(kind="command.started", data={"argv": ["helm"]}),
            Event(kind="change.progress", data={"workload": "Deployment api", "says": "1 of 1"}),
        ):
            run.listeners[0](event)
    assert capsys.readouterr().out == "step: First\n  Deployment api: 1 of 1\n"
    assert run.listeners == []
