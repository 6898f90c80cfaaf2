"""Results are plain frozen values: they survive JSON, and a digest names all they say."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runbooks_lib import results
from runbooks_lib.results import (
    SEVERITY,
    Approval,
    ChangeResult,
    Event,
    Finding,
    ObjectChange,
    Plan,
    Report,
    RunSummary,
    Status,
    Step,
    Table,
    Value,
    canonical,
    columns,
    digest_bytes,
    digest_of,
    drawn,
    worst,
)
from runbooks_lib.telling import telling

#: All of Unicode but the halves of a pair, which no text from a file or a server can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(TEXT, DATA, max_size=3)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
ROWS = st.lists(st.dictionaries(TEXT, TEXT, max_size=3), max_size=3).map(tuple)
STATUSES = st.sampled_from(SEVERITY)

FINDINGS = st.builds(Finding, id=TEXT, title=TEXT, status=STATUSES, observed=TEXT, why=TEXT, remedy=TEXT)
CHANGES = st.builds(ObjectChange, action=st.sampled_from(["add", "change", "remove", "keep"]), name=TEXT, detail=TEXTS)
STEPS = st.builds(Step, kind=TEXT, title=TEXT, data=MAPPINGS)
PLANS = st.builds(
    Plan,
    stage=TEXT,
    target=MAPPINGS,
    steps=st.lists(STEPS, max_size=2).map(tuple),
    changes=st.lists(CHANGES, max_size=2).map(tuple),
    impact=TEXTS,
    bindings=MAPPINGS,
)
REPORTS = st.builds(
    Report,
    stage=TEXT,
    title=TEXT,
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    tables=st.lists(st.builds(Table, title=TEXT, rows=ROWS), max_size=2).map(tuple),
)
SECONDS = st.floats(0, 1e6)
VALUES = st.one_of(
    st.builds(Event, kind=TEXT, data=MAPPINGS),
    FINDINGS,
    REPORTS,
    PLANS,
    st.builds(
        Approval,
        digest=TEXT,
        by=TEXT,
        how=st.sampled_from(["parameter", "button", "file", "nothing to approve"]),
        nonce=TEXT,
    ),
    st.builds(
        ChangeResult, stage=TEXT, plan_digest=TEXT, done=TEXTS, revision=st.none() | st.integers(1, 99), seconds=SECONDS
    ),
    st.builds(
        RunSummary,
        run_id=TEXT,
        stage=TEXT,
        target=TEXT,
        outcome=st.sampled_from(["passed", "done", "refused", "failed", "unknown", "abandoned", "quarantined", "open"]),
        exit_code=st.integers(0, 255),
        started=TEXT,
        seconds=SECONDS,
        folder=TEXT,
        summary=TEXT,
    ),
)


def finding(status: Status, **more: str) -> Finding:
    return Finding(id="some.check", title="Some check", status=status, **more)


@given(VALUES)
def test_a_result_comes_back_from_json_as_it_went(value: Value) -> None:
    assert type(value).model_validate_json(value.model_dump_json()) == value
    assert type(value).model_validate(json.loads(json.dumps(value.model_dump(mode="json")))) == value


@pytest.mark.parametrize("value", [finding("pass"), Plan(stage="install", target={}), Event(kind="a.b")])
def test_a_result_can_not_be_altered_and_takes_no_unknown_field(value: Value) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, next(iter(type(value).model_fields)), "other")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(value).model_validate(value.model_dump() | {"surprise": 1})


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([], "unknown"),
        (["skip"], "skip"),
        (["skip", "pass"], "pass"),
        (["warn", "pass"], "warn"),
        (["pass", "unknown", "warn"], "unknown"),
        (["fail", "unknown", "warn", "pass", "skip"], "fail"),
    ],
)
def test_the_verdict_is_the_worst_status_and_nothing_asked_is_not_passed(
    statuses: list[Status], verdict: Status
) -> None:
    report = Report(stage="verify", title="Release", findings=tuple(finding(status) for status in statuses))
    assert report.verdict == verdict
    assert worst(statuses) == verdict


@given(st.lists(STATUSES, min_size=1), st.randoms())
def test_the_verdict_does_not_depend_on_the_order(statuses: list[Status], random: Any) -> None:
    shuffled = list(statuses)
    random.shuffle(shuffled)
    assert worst(shuffled) == worst(statuses)


def test_unknown_is_worse_than_a_warning_and_better_than_a_failure() -> None:
    assert SEVERITY == ("skip", "pass", "warn", "unknown", "fail")


def test_findings_are_chosen_by_status_in_their_order() -> None:
    first, second, third = finding("fail", observed="1"), finding("pass"), finding("unknown", observed="2")
    report = Report(stage="verify", title="Release", findings=(first, second, third))
    assert report.with_status("unknown", "fail") == (first, third)


@pytest.mark.parametrize(
    ("status", "remedy"), [("pass", ""), ("skip", ""), ("warn", "Mend."), ("fail", "Mend."), ("unknown", "Mend.")]
)
def test_a_row_names_the_remedy_only_where_one_is_needed(status: Status, remedy: str) -> None:
    row = finding(status, remedy="Mend.", observed="seen", expected="wanted").row()
    assert row == {"status": status, "check": "Some check", "observed": "seen", "expected": "wanted", "remedy": remedy}


def test_rows_of_a_plan_a_change_and_a_run() -> None:
    change = ObjectChange(action="change", name="Deployment api", detail=("a: 1 → 2", "b: 3 → 4"))
    plan = Plan(stage="upgrade", target={}, changes=(change,))
    assert plan.rows() == [{"action": "change", "object": "Deployment api", "detail": "a: 1 → 2\nb: 3 → 4"}]
    done = ChangeResult(stage="upgrade", plan_digest="sha256:0", done=("First", "Second"))
    assert done.rows() == [{"step": "1", "done": "First"}, {"step": "2", "done": "Second"}]
    summary = RunSummary(
        run_id="ab12",
        stage="verify",
        target="t",
        outcome="passed",
        exit_code=0,
        started="now",
        seconds=1.26,
        folder="f",
    )
    assert summary.row() == {
        "started": "now",
        "stage": "verify",
        "target": "t",
        "outcome": "passed",
        "seconds": "1.3",
        "run": "ab12",
    }


def test_a_plan_without_steps_is_empty_and_a_change_without_steps_changed_nothing() -> None:
    assert Plan(stage="upgrade", target={}, impact=("Nothing to do.",)).empty
    assert not Plan(stage="upgrade", target={}, steps=(Step(kind="k", title="t"),)).empty
    assert not ChangeResult(stage="upgrade", plan_digest="sha256:0").changed


# ---- digests


def test_a_digest_is_spelt_with_its_algorithm() -> None:
    assert digest_bytes(b"abc") == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    assert digest_of({"a": 1}) == digest_bytes(b'{"a":1}')
    assert Plan(stage="s", target={}).digest.startswith("sha256:")


PLAN = Plan(
    stage="install",
    target={"cluster_uid": "u", "namespace": "n", "release": "r"},
    steps=(Step(kind="helm-install", title="Install", data={"a": 1}),),
    changes=(ObjectChange(action="add", name="Secret s", detail=("x",)),),
    impact=("Installs.",),
    bindings={"revision": 0},
)


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "upgrade"},
        {"target": PLAN.target | {"cluster_uid": "other"}},
        {"steps": ()},
        {"steps": (PLAN.steps[0].model_copy(update={"data": {"a": 2}}),)},
        {"steps": (PLAN.steps[0].model_copy(update={"title": "Other"}),)},
        {"changes": ()},
        {"changes": (PLAN.changes[0].model_copy(update={"action": "remove"}),)},
        {"changes": (PLAN.changes[0].model_copy(update={"detail": ("y",)}),)},
        {"impact": ("Installs more.",)},
        {"bindings": {"revision": 1}},
    ],
)
def test_the_digest_of_a_plan_changes_with_anything_it_says(change: dict[str, Any]) -> None:
    assert PLAN.model_copy(update=change).digest != PLAN.digest


def test_every_field_of_a_plan_is_in_the_table_above() -> None:
    assert set(Plan(stage="install", target={}).model_dump()) == {
        "stage",
        "target",
        "steps",
        "changes",
        "impact",
        "bindings",
    }


@given(PLANS)
def test_the_digest_survives_the_journey_through_json(plan: Plan) -> None:
    assert Plan.model_validate_json(plan.model_dump_json()).digest == plan.digest


@given(MAPPINGS)
def test_the_order_of_keys_does_not_matter(data: dict[str, Any]) -> None:
    turned = dict(reversed(data.items()))
    assert canonical(turned) == canonical(data)
    assert json.loads(canonical(data)) == data


def test_canonical_text_has_no_white_space_and_keeps_letters() -> None:
    assert canonical({"b": [1, None, True], "a": "grün"}) == '{"a":"grün","b":[1,null,true]}'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({8080: "a", "http": "b"}, '{"8080":"a","http":"b"}'),
        ({True: 1, "x": 2}, '{"true":1,"x":2}'),
        ({"ports": {22: 1, "ssh": {1: 2, "y": 3}}}, '{"ports":{"22":1,"ssh":{"1":2,"y":3}}}'),
    ],
)
def test_keys_that_yaml_made_numbers_of_stand_beside_texts(data: Any, text: str) -> None:
    assert canonical(data) == text
    assert digest_of(data) == digest_of(json.loads(text))


# ---- what a person is told


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        (
            "run.opened",
            {"run_id": "ab12", "stage": "verify", "who": {"system": "ann"}, "target": {"server": "https://c"}},
            "run ab12 of verify opened by ann on https://c",
        ),
        ("run.opened", {"run_id": "ab12", "stage": "verify"}, "run ab12 of verify opened by  on "),
        ("plan.made", {"digest": "sha256:1", "impact": ["Installs it."]}, "Installs it.\nplan sha256:1"),
        ("run.ended", {"outcome": "done", "exit_code": 0, "summary": "ok"}, "done (exit code 0): ok"),
        ("check.answered", {"status": "fail", "title": "Pods", "observed": "none"}, "fail    Pods: none"),
        (
            "check.answered",
            {"status": "pass", "title": "Pods", "observed": "one", "remedy": "Mend.", "evidence": "x"},
            "pass    Pods: one",
        ),
        (
            "check.answered",
            {"status": "fail", "title": "Pods", "observed": "one\ntwo", "remedy": "Mend.", "evidence": "a\nb"},
            "fail    Pods: one\n        two\n        Next: Mend.\n        Evidence:\n        a\n        b",
        ),
        ("change.step", {"title": "Install"}, "step: Install"),
        ("change.failed", {"summary": "It broke."}, "FAILED"),
        ("error.raised", {"summary": "It broke.", "next_step": "Mend."}, "It broke.\nNext: Mend."),
        ("error.raised", {"summary": "It broke.", "next_step": ""}, "It broke."),
        (
            "error.raised",
            {"summary": "It broke.", "next_step": "Mend.", "evidence": "x"},
            "It broke.\nNext: Mend.\nEvidence: x",
        ),
        ("error.raised", {"summary": "It broke.", "evidence": "x"}, "It broke.\nEvidence: x"),
        ("change.step", {"title": "a {brace} in it"}, "step: a {brace} in it"),
        ("change.step", {}, "step: "),
        ("command.started", {"argv": ["helm"]}, ""),
        ("something.new", {}, ""),
    ],
)
def test_an_event_is_one_line_for_a_person_or_none(kind: str, data: dict[str, Any], line: str) -> None:
    assert telling(Event(kind=kind, data=data)) == line


def test_an_observer_may_be_left_out() -> None:
    assert results.unobserved(Event(kind="command.started")) is None


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_is_drawn_on_a_terminal_and_in_plain_columns_elsewhere(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    rows = [{"stage": "verify", "run": "[red]3f2a"}, {"stage": "up", "run": ""}]
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    shown = drawn(rows)
    assert ("│" in shown) == terminal
    assert "[red]3f2a" in shown, "what looks like markup is shown as it is"
    assert terminal or shown == columns(rows)
    assert drawn([]) == ""


@pytest.mark.parametrize(("columns_there", "is_drawn"), [(21, True), (20, False)])
def test_a_table_that_does_not_fit_the_terminal_is_shown_whole_in_plain_columns(
    monkeypatch: pytest.MonkeyPatch, columns_there: int, is_drawn: bool
) -> None:
    rows = [{"stage": "verify", "run": "3f2a0b1c"}]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns_there, 24)))
    shown = drawn(rows)
    assert "3f2a0b1c" in shown
    assert ("│" in shown) == is_drawn
    assert is_drawn or shown == columns(rows)
