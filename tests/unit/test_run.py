"""What a run makes of a report."""

from __future__ import annotations

import sys
from secrets import token_bytes
from typing import Any

import pytest

from runbooks_lib.errors import ApprovalError, CheckFailed, OutcomeUnknown, RunbookError, UsageError
from runbooks_lib.parameters import Parameters
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Finding, Plan, Report, Step
from runbooks_lib.run import Run
from runbooks_lib.signing import Person

REFUSED = Finding(
    id="a",
    title="PostgreSQL answers",
    status="fail",
    observed="refuses the password.\nanother lets it in",
    remedy="Look.",
)
UNKNOWN = Finding(id="b", title="Routes", status="unknown", observed="no answer")
DOWN = Finding(
    id="d", title="Workloads", status="fail", observed="none there", remedy="See.", evidence="p: died", symptom=True
)
HALF = Finding(id="e", title="Release", status="fail", observed="failed", remedy="Again.", symptom=True)
GOOD = Finding(id="c", title="Claims", status="pass", observed="3 claims")


@pytest.fixture
def run(world: Any) -> Run:
    settings = Parameters.model_validate(world.settings)
    return Run("verify", settings, folder=None, redactor=Redactor(), approve="")


@pytest.mark.parametrize(
    ("findings", "error", "summary", "next_step"),
    [
        ([GOOD, REFUSED], CheckFailed, "1 check failed. PostgreSQL answers: refuses the password.", "Look."),
        (
            [REFUSED, UNKNOWN],
            CheckFailed,
            "1 check failed, 1 could not be made. PostgreSQL answers: refuses the password; Routes: no answer.",
            "Look.",
        ),
        (
            [DOWN, UNKNOWN, REFUSED],
            CheckFailed,
            "2 checks failed, 1 could not be made. "
            "PostgreSQL answers: refuses the password; Workloads: none there; Routes: no answer.",
            "Look.",
        ),
        ([DOWN], CheckFailed, "1 check failed. Workloads: none there.", "See."),
        ([HALF, DOWN], CheckFailed, "2 checks failed. Workloads: none there; Release: failed.", "See."),
        (
            [UNKNOWN, UNKNOWN],
            OutcomeUnknown,
            "2 checks could not be made. Routes: no answer; Routes: no answer.",
            "See",
        ),
        ([], OutcomeUnknown, "0 checks could not be made. No check was asked.", "See"),
    ],
)
def test_what_is_not_good_is_told_by_its_worst_lines(
    run: Run, findings: list[Finding], error: type[RunbookError], summary: str, next_step: str
) -> None:
    with pytest.raises(error) as caught:
        run.require(Report(stage="verify", title="R", findings=tuple(findings)))
    assert caught.value.summary == summary
    assert caught.value.next_step.startswith(next_step)


def test_the_first_of_several_remedies_is_not_told_as_the_only_one(run: Run) -> None:
    other = REFUSED.model_copy(update={"id": "f", "remedy": "Mend it."})
    with pytest.raises(CheckFailed) as caught:
        run.require(Report(stage="verify", title="R", findings=(REFUSED, other, DOWN)))
    assert caught.value.next_step == "Look.\nWhat else failed has a remedy of its own, told with it."
    with pytest.raises(CheckFailed) as caught:
        run.require(Report(stage="verify", title="R", findings=(REFUSED, DOWN)))
    assert caught.value.next_step == "Look.", "a symptom goes with its cause"


def test_the_evidence_told_is_that_of_the_finding_whose_remedy_comes_first(run: Run) -> None:
    with pytest.raises(CheckFailed) as caught:
        run.require(Report(stage="verify", title="R", findings=(DOWN, GOOD)))
    assert caught.value.evidence == "p: died"


def test_a_good_report_lets_a_run_go_on(run: Run) -> None:
    run.require(Report(stage="verify", title="R", findings=(GOOD,)))


@pytest.mark.parametrize("interactive", [True, False])
def test_another_persons_file_is_looked_for_where_a_person_sits(
    world: Any, run: Run, monkeypatch: pytest.MonkeyPatch, interactive: bool
) -> None:
    """A pipeline names it: without `approve` nothing is changed there."""
    metadata = {"name": "runbooks-approval", "namespace": "kube-system"}
    line = Person("li.wei", token_bytes(32)).line
    world.cluster.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"approvers": line}})
    run._boundaries = world.boundaries
    if interactive:
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
    else:
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    plan = Plan(stage="install", target={}, steps=(Step(kind="a", title="First"),))
    said = f"approvals/{plan.digest[7:23]}.json can't be read" if interactive else "needs the signed approval"
    with pytest.raises(ApprovalError, match=said):
        run.approval(plan)


def test_a_malformed_digest_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UsageError, match="'sha256:abc' is no digest of a plan"):
        Run.open("install", "parameters/there-is-none.yaml", approve="sha256:abc")
