"""All checks are asked, whatever the first ones say; one that can't be put is unknown, never passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbooks_lib.checks import absence, catalogue, install, prerequisites, release, services
from runbooks_lib.checks.catalogue import Answer, Check, report
from runbooks_lib.errors import OutcomeUnknown, RunbookError, Unreachable
from runbooks_lib.results import Event, Report, Table


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
    }


def test_an_answer_may_know_better_than_its_check() -> None:
    answer = Answer("fail", "seen", expected="other", remedy="mend", evidence="there")
    (finding,) = asked(check("a", answer)).findings
    assert (finding.expected, finding.remedy, finding.evidence) == ("other", "mend", "there")


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


ALL = (*prerequisites.CHECKS, *install.CHECKS, *release.CHECKS, *services.CHECKS, *services.PASSWORDS)
ALL = (*ALL, *release.PRESENT, *absence.CHECKS)


def test_every_check_has_a_stable_id_of_its_own_and_says_why_and_what_to_do() -> None:
    assert len({item.id for item in ALL}) == len(ALL)
    for item in ALL:
        assert item.id == item.id.lower().strip()
        assert item.title
        assert item.expected
        assert item.why.endswith((".", "?"))
        assert item.remedy.endswith(".") or item.remedy.endswith("own.")


def test_no_words_are_kept_for_a_check_that_nobody_asks() -> None:
    written = yaml.safe_load((Path(catalogue.__file__).parent / "catalogue.yaml").read_text(encoding="utf-8"))
    assert list(written) == [item.id for item in ALL]


def test_a_check_is_data() -> None:
    assert catalogue.Check.__dataclass_params__.frozen  # type: ignore[attr-defined]
