"""All checks are asked, whatever the first ones say; one that can't be put is unknown, never passed."""

from __future__ import annotations

import dataclasses
import re
import runpy
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib.checks import catalogue, families
from runbooks_lib.checks.catalogue import Answer, Check, report
from runbooks_lib.errors import OutcomeUnknown, ParametersError, RunbookError, Unreachable
from runbooks_lib.parameters import Parameters, Waiver
from runbooks_lib.results import Event, Finding, Report, Table

MINIMAL: dict[str, Any] = {
    "target": {},
    "chart": {"version": "1.16.0"},
    "csghub": {"external_url": "https://a"},
    "gateway": {"domain": "example.com"},
}


def check(ident: str, answer: Any) -> Check[Any]:
    def ask(_: Any) -> Answer:
        if isinstance(answer, BaseException):
            raise answer
        made: Answer = answer
        return made

    return Check(ident, f"Title of {ident}", "all well", "it matters", "do something", ask)


def asked(*checks: Check[Any], told: list[Event] | None = None, tables: Any = None) -> Report:
    heard = told if told is not None else []
    return report("verify", "Release", checks, object(), observe=heard.append, tables=tables)


def test_a_finding_has_the_answer_and_what_the_check_says_of_itself() -> None:
    (finding,) = asked(check("a.b", Answer("pass", "seen"))).findings
    assert finding.model_dump() == {
        "id": "a.b",
        "title": "Title of a.b",
        "status": "pass",
        "observed": "seen",
        "expected": "all well",
        "why": "it matters",
        "remedy": "do something",
        "evidence": "",
        "symptom": False,
        "amiss": 0,
    }


def test_an_answer_may_know_better_than_its_check() -> None:
    answer = Answer("fail", "seen", expected="other", remedy="mend", evidence="there")
    (finding,) = asked(check("a", answer)).findings
    assert (finding.expected, finding.remedy, finding.evidence) == ("other", "mend", "there")


@pytest.mark.parametrize(
    ("of_check", "of_answer", "expected"), [(True, None, True), (True, False, False), (False, True, True)]
)
def test_what_is_a_symptom_is_said_by_the_check_unless_the_answer_knows_better(
    of_check: bool, of_answer: bool | None, expected: bool
) -> None:
    asks = dataclasses.replace(check("a", Answer("fail", "seen", symptom=of_answer)), symptom=of_check)
    assert asked(asks).findings[0].symptom is expected


def test_all_are_asked_though_the_first_fails() -> None:
    made = asked(check("a", Answer("fail", "1")), check("b", RunbookError("broken")), check("c", Answer("pass", "3")))
    assert [(finding.id, finding.status) for finding in made.findings] == [
        ("a", "fail"),
        ("b", "unknown"),
        ("c", "pass"),
    ]
    assert made.verdict == "fail"


@pytest.mark.parametrize(
    ("error", "observed", "remedy"),
    [
        (Unreachable("The cluster does not answer.", next_step="Look."), "The cluster does not answer.", "Look."),
        (OutcomeUnknown("Lost."), "Lost.", "do something"),
        (KeyError("matchLabels"), "the check itself broke: KeyError: 'matchLabels'", "do something"),
        (TypeError("None"), "the check itself broke: TypeError: None", "do something"),
    ],
)
def test_a_check_that_can_not_be_put_is_unknown_with_the_sentence(error: Exception, observed: str, remedy: str) -> None:
    made = asked(check("a", error))
    (finding,) = made.findings
    assert (finding.status, finding.observed, finding.remedy) == ("unknown", observed, remedy)
    assert made.verdict == "unknown"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_answer(error: type[BaseException]) -> None:
    with pytest.raises(error):
        asked(check("a", error()))


def test_each_answer_is_told_as_it_comes_and_the_report_at_the_end() -> None:
    told: list[Event] = []
    made = asked(check("a", Answer("pass", "1")), check("b", Answer("warn", "2")), told=told)
    assert [event.kind for event in told] == ["check.answered", "check.answered", "report.made"]
    assert [event.data for event in told[:2]] == [finding.model_dump(mode="json") for finding in made.findings]
    assert told[2].data == {"title": "Release", "verdict": "warn"}


def test_without_checks_nothing_is_known() -> None:
    assert asked().verdict == "unknown"


def test_tables_stand_beside_the_findings() -> None:
    table = Table(title="Pods", rows=({"pod": "a"},))
    assert asked(check("a", Answer("pass", "")), tables=lambda _: (table,)).tables == (table,)


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (Unreachable("The cluster does not answer."), "Not to be had: The cluster does not answer."),
        (KeyError("spec"), "Not to be had: KeyError: 'spec'"),
    ],
)
def test_tables_that_can_not_be_had_do_not_take_the_findings_away(error: Exception, title: str) -> None:
    def broken(_: Any) -> Any:
        raise error

    made = asked(check("a", Answer("pass", "seen")), tables=broken)
    assert made.findings[0].status == "pass"
    assert [table.title for table in made.tables] == [title]


ALL = list({item.id: item for checks in families.FAMILIES.values() for item in checks}.values())


def test_every_check_has_a_stable_id_of_its_own_and_says_why_and_what_to_do() -> None:
    assert len({item.id for item in ALL}) == len(ALL)
    for item in ALL:
        assert item.id == item.id.lower().strip()
        assert item.title
        assert item.expected
        assert item.why.endswith((".", "?"))
        assert item.remedy.endswith(".") or item.remedy.endswith("own.")


def test_the_command_of_a_check_is_one_that_reads_and_is_filled_in_whole() -> None:
    known = {"namespace": "n", "release": "r", "csghub": "c", "csghub_namespace": "cn", "url": "u"}
    told = [item.command.format_map(known) for item in ALL if item.command]
    assert len(told) > 25
    reads = (
        "kubectl get",
        "kubectl describe",
        "kubectl version",
        "kubectl auth",
        "kubectl api-resources",
        "curl --head",
    )
    for command in told:
        assert command.startswith((*reads, "helm status", "helm history", "helm get", "helm list", "helm version"))


def test_a_check_is_data() -> None:
    assert catalogue.Check.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_every_command_is_for_the_cluster_of_the_parameters_and_can_be_pasted_as_it_is() -> None:
    target = {"kubeconfig": "/kube/config", "context": "prod"}
    given = Parameters.model_validate(MINIMAL | {"target": target})
    kubectl = "kubectl --kubeconfig /kube/config --context prod"
    remedies = {
        "Ask by hand: kubectl exec p -- x": f"Ask by hand: {kubectl} exec p -- x",
        "`kubectl get a`, then `helm list`.": f"`{kubectl} get a`, then "
        "`helm --kubeconfig /kube/config --kube-context prod list`.",
        "`x | kubectl apply -f -`": f"`x | {kubectl} apply -f -`",
        "Ask whoever knows kubectl.": "Ask whoever knows kubectl.",
    }
    asked = [check(str(n), Answer("fail", "no", one)) for n, one in enumerate(remedies)]
    told: list[Event] = []
    made = report("verify", "R", asked, object(), observe=told.append, given=given)
    assert [one.remedy for one in made.findings] == list(remedies.values())
    assert [event.data["remedy"] for event in told[:-1]] == list(remedies.values())
    # A word in capitals stands for a name that nobody has filled in.
    commands = [line for line in catalogue.commands_of(ALL, given) if re.search(r"\b[A-Z]{3,}\b", line)]
    assert commands == []


# ---- at once


def test_checks_are_asked_at_once_and_told_in_their_order() -> None:
    together = threading.Barrier(3, timeout=20)

    def ask(subject: object) -> Answer:
        together.wait()
        return Answer("pass", "seen")

    told: list[Event] = []
    checks = [Check(name, name, "", "", "", ask) for name in ("a", "b", "c")]
    assert asked(*checks, told=told).verdict == "pass"
    assert [event.data.get("id") for event in told] == ["a", "b", "c", None]


def test_a_moot_question_is_skipped_with_its_reason() -> None:
    (finding,) = asked(check("a", catalogue.Moot("there is none"))).findings
    assert (finding.status, finding.observed) == ("skip", "there is none")


def test_an_advisory_question_that_can_not_be_put_is_a_warning_and_a_bad_answer_stays_one() -> None:
    for answer, status in ((Unreachable("No answer."), "warn"), (Answer("fail", "old"), "fail")):
        made = dataclasses.replace(check("a", answer), advisory=True)
        assert asked(made).findings[0].status == status


# ---- waivers


def waived(answer: Answer, until: str, check_id: str = "a") -> Finding:
    waiver = {"check": check_id, "reason": "CSGHub comes later", "until": until}
    given = Parameters.model_validate(MINIMAL | {"waivers": [waiver]})
    return report("verify", "R", [check("a", answer)], object(), observe=lambda _: None, given=given).findings[0]


@pytest.mark.parametrize("status", ["fail", "unknown"])
def test_a_waived_finding_is_a_warning_that_says_so(status: Any) -> None:
    found = waived(Answer(status, "no answer"), "2999-12-31")
    assert found.status == "warn"
    assert found.observed == f"no answer ({status}; accepted until 2999-12-31: CSGHub comes later)"


@pytest.mark.parametrize("status", ["pass", "warn", "skip"])
def test_what_stops_nothing_needs_no_waiver(status: Any) -> None:
    assert waived(Answer(status, "seen"), "2999-12-31").observed == "seen"


def test_a_waiver_ends_with_its_day() -> None:
    found = waived(Answer("fail", "no answer"), "2020-01-01")
    assert (found.status, found.observed) == ("fail", "no answer (accepted until 2020-01-01 only, which is over)")
    today = datetime.now(UTC).date().isoformat()
    assert waived(Answer("fail", "no answer"), today).status == "warn"


def test_another_checks_waiver_does_not_count() -> None:
    assert waived(Answer("fail", "no answer"), "2999-12-31", "b").status == "fail"


@pytest.mark.parametrize(
    ("name", "sentence", "step"),
    [
        ("csghub.external", "waivers: there is no check csghub.external.", "Did you mean csghub.external-url?"),
        ("%", "waivers: there is no check %.", "`runbooks checks list` names them."),
        ("target.pin", "waivers: the check target.pin can't be waived: A context's name can point anywhere", "Remove"),
    ],
)
def test_a_waiver_of_what_nobody_can_waive_is_an_error(name: str, sentence: str, step: str) -> None:
    with pytest.raises(ParametersError) as caught:
        catalogue.require_known([Waiver(check=name, reason="r", until="2999-12-31")])
    assert caught.value.summary.startswith(sentence)
    assert caught.value.next_step.startswith(step)
    catalogue.require_known([Waiver(check="csghub.external-url", reason="r", until="2999-12-31")])


def test_the_list_of_checks_is_fresh() -> None:
    docs = Path(__file__).parents[3] / "docs"
    assert (docs / "checks.md").read_text() == runpy.run_path(str(docs / "checks.py"))["page"](), "run: make generated"


def test_every_family_and_its_checks_are_listed() -> None:
    listed = families.rows("stage", "id", "waiver")
    assert {row["id"] for row in listed} == {item.id for item in ALL}
    assert {"stage": "prerequisites", "id": "target.pin", "waiver": "no"} in listed
