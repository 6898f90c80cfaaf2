"""Results below a cell: HTML that nothing can break out of, and the same as plain text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.results import ChangeResult, Finding, ObjectChange, Plan, Report, RunSummary, Status, Step, Table
from runbooks_lib.views import tables
from runbooks_lib.views.tables import frame, show

ALLOWED = {"p", "h4", "table", "thead", "tbody", "tr", "th", "td", "b"}


class Page(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is handed to the front end, as IPython hands it on."""
    handed: list[dict[str, str]] = []

    def display(data: dict[str, str], *, raw: bool) -> None:
        assert raw
        handed.append(data)

    monkeypatch.setattr("IPython.display.display", display)

    def of(value: Any) -> tuple[str, str]:
        handed.clear()
        show(value)
        (data,) = handed
        assert set(data) == {"text/html", "text/plain"}
        return data["text/html"], data["text/plain"]

    return of


def finding(status: Status, observed: str = "seen") -> Finding:
    return Finding(id="a.b", title="Question", status=status, observed=observed, expected="wanted", remedy="Mend.")


PLAN = Plan(
    stage="upgrade",
    target={},
    steps=(Step(kind="a", title="First"), Step(kind="b", title="Second")),
    changes=(
        ObjectChange(action="change", name="Deployment api", detail=("a: 1 → 2", "b: 3 → 4")),
        ObjectChange(action="keep", name="Secret s"),
    ),
    impact=("Upgrades it.", "Image: a → b"),
)


def test_a_report_shows_its_tables_its_verdict_and_each_finding(shown: Any) -> None:
    table = Table(title="Pods", rows=({"pod": "api-1", "node": ""},))
    html, text = shown(Report(stage="verify", title="Release", findings=(finding("fail"),), tables=(table,)))
    for words in (Page(html).text, text):
        for word in ("Pods", "api-1", "Release: fail", "Question", "seen", "wanted", "Mend."):
            assert word in words
        assert "node" not in words, "an empty column is left out"


def test_a_plan_shows_impact_steps_objects_and_its_digest(shown: Any) -> None:
    html, text = shown(PLAN)
    for words in (Page(html).text, text):
        for word in (
            "Upgrades it.",
            "Image: a → b",
            "Steps",
            "First",
            "Second",
            "Objects",
            "Deployment api",
            "Secret s",
        ):
            assert word in words
        assert f"Digest of this plan: {PLAN.digest}" in words


def test_what_changed_is_shown_step_by_step(shown: Any) -> None:
    html, text = shown(ChangeResult(stage="install", plan_digest="d", done=("Made it", "Waited"), seconds=2.34))
    for words in (Page(html).text, text):
        assert "Done in 2.3 s" in words
        assert "Made it" in words
        assert "Waited" in words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ChangeResult(stage="upgrade", plan_digest="d"), ["Nothing was to be done, and nothing was done."]),
        (Plan(stage="upgrade", target={}, impact=("Nothing to do.",)), ["Nothing to do.", "Steps", "(none)", "Digest"]),
        (Report(stage="verify", title="Release"), ["Release: unknown", "(none)"]),
        (Report(stage="v", title="R", tables=(Table(title="Not to be had: no answer"),)), ["Not to be had: no answer"]),
    ],
)
def test_what_is_empty_says_so(shown: Any, value: Any, words: list[str]) -> None:
    html, text = shown(value)
    for word in words:
        assert word in Page(html).text
        assert word in text


def test_how_a_run_ended_is_a_line(shown: Any) -> None:
    summary = RunSummary(
        run_id="ab12",
        stage="verify",
        target="t",
        outcome="passed",
        exit_code=0,
        started="n",
        seconds=1,
        folder="records/x",
        summary="It passed.",
    )
    _, text = shown(summary)
    assert "verify ab12: passed, exit code 0. It passed.\n" in text
    assert "Record: records/x" in text


@pytest.mark.parametrize("status", ["pass", "warn", "fail", "unknown", "skip"])
def test_a_status_has_a_colour_and_its_word(shown: Any, status: Status) -> None:
    html, text = shown(Report(stage="v", title="R", findings=(finding(status),)))
    assert f"<b style='color:{tables._COLOURS[status]}'>{status}</b>" in html
    assert status in text


@pytest.mark.parametrize("colour", sorted(set(tables._COLOURS.values())))
def test_a_colour_can_be_read_on_white(colour: str) -> None:
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert 1.05 / (luminance + 0.05) >= 4.5, "WCAG AA"


def test_lines_of_a_detail_stay_lines(shown: Any) -> None:
    html, _ = shown(PLAN)
    assert "a: 1 → 2\nb: 3 → 4" in html
    assert "white-space:pre-line" in html


NASTY = "<script>alert('x')</script> & \"quoted\" </td></table>"


@pytest.mark.parametrize(
    "value",
    [
        Report(
            stage="v",
            title=NASTY,
            findings=(finding("fail", NASTY),),
            tables=(Table(title=NASTY, rows=({NASTY: NASTY},)),),
        ),
        Plan(
            stage="u",
            target={},
            impact=(NASTY,),
            steps=(Step(kind="k", title=NASTY),),
            changes=(ObjectChange(action="add", name=NASTY, detail=(NASTY,)),),
        ),
        ChangeResult(stage="u", plan_digest="d", done=(NASTY,)),
    ],
)
def test_nothing_in_a_result_becomes_html(shown: Any, value: Any) -> None:
    html, text = shown(value)
    page = Page(html)
    assert set(page.tags) <= ALLOWED
    assert page.open == []
    assert NASTY in page.text
    assert NASTY in text


@given(st.text(max_size=30))
def test_any_text_can_be_shown(text: str) -> None:
    html, _ = tables._blocks(Report(stage="v", title=text, findings=(finding("warn", text),)))
    assert set(Page("".join(html)).tags) <= ALLOWED


def test_a_frame_has_a_column_for_each_key() -> None:
    made = frame([{"a": "1", "b": "", "c": ""}, {"a": "2", "b": "x", "c": ""}])
    assert list(made.columns) == ["a", "b", "c"]
    assert made["b"].tolist() == ["", "x"]


def test_long_cells_are_not_cut_in_plain_text(shown: Any) -> None:
    long = "word " * 60
    _, text = shown(Report(stage="v", title="R", findings=(finding("fail", long.strip()),)))
    assert long.strip() in text
