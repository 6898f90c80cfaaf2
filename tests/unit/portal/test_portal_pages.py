"""The pages that are made of records: all that was asked for is on them, and nothing of a record runs in them."""

from __future__ import annotations

import base64
import html
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest
from told import copied, new_plan, new_run, seal

from runbooks_lib import records
from runbooks_lib.errors import UsageError
from runbooks_lib.portal.pages import build
from runbooks_lib.portal.story import Story, proofs_of
from runbooks_lib.redaction import Redactor
from runbooks_lib.tables import table

RTL = "\N{RIGHT-TO-LEFT OVERRIDE}"

#: What somebody who writes logs, cells, names of files and versions would try.
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)><script>alert(1)</script></svg>',
    "'\"><iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>body{background:url(https://evil.example/x)}</style>",
    "</script></title></textarea></style><script>alert(1)</script>",
    "{{ 7 * 191 }}{% raw %}",
    f"approved{RTL}devorppa",
    "\x1b[2J\x1b]0;gone\x07",
]
MARKDOWN = [
    "[read me](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<a href=' javascript:alert(1)' onclick=alert(1)>read me</a>",
    "[x]: javascript:alert(1)\n[read me][x]",
    "[data](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "&#x202e;&rlm;turned",
]


class Seen(HTMLParser):
    """What a browser would make of a page: its elements, and its texts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def portal(root: Path) -> Path:
    site = root.parent / "site"
    build(root, site, records.Given())
    return site


def page_of(site: Path, folder: Path, name: str = "index.html") -> Seen:
    return Seen(site / "runs" / folder.parent.name / folder.name / name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "records"


def test_the_list_has_each_run_with_what_it_is_searched_by_the_newest_first(root: Path) -> None:
    first = new_run(root, person="li.wei")
    second = new_run(root, target="staging", stage="upgrade", person="zhang", outcome="failed", status="fail")
    second = second.rename(second.with_name(second.name.replace("2026", "2027", 1)))
    index = Seen(portal(root) / "index.html")

    rows = [told for tag, told in index.elements if tag == "tr" and "data-target" in told]
    named = [(row["data-target"], row["data-stage"], row["data-outcome"], row["data-person"]) for row in rows]
    assert named == [("staging", "upgrade", "failed", "zhang"), ("prod", "install", "done", "li.wei")]
    # It was renamed to be the newest, which verifying sees.
    assert rows[0]["data-more"] == f"{second.name[-8:]} kubernetes.version altered"
    links = [told["href"] for tag, told in index.elements if tag == "a"]
    assert f"runs/prod/{first.name}/index.html" in links


def test_the_page_of_a_run_has_all_that_its_record_tells(root: Path) -> None:
    shown = {"output_type": "stream", "name": "stdout", "text": "Installed."}
    folder = new_run(root, evidence={"pod.log": "the pod's last words"}, outputs=[shown])
    seal(root / "prod")
    site = portal(root)
    page = page_of(site, folder)

    for told in (
        "install ended as it should",
        "Installs dataflow 1.16.0.",
        "Install dataflow 1.16.0 with Helm",
        "Service dataflow",
        "li.wei@vm",
        new_plan().digest,
        "have the same digest",
        "Kubernetes version",
        "helm version",
        "v3.19.5",
        "evidence/pod.log",
        "records are as they were sealed",
        "Was anything altered, dropped or made later?",
    ):
        assert told in page.text, told
    assert [told["aria-label"] for tag, told in page.elements if tag == "svg"] == [
        "1 cells",
        "1 checks",
        "1 commands",
        "1 steps",
    ]
    assert "Installed." in page_of(site, folder, "notebook.html").text
    copies = [path.read_text() for path in (site / "runs").rglob("*.txt")]
    assert "the pod's last words" in copies


def test_an_approval_of_another_plan_is_called_wrong(root: Path) -> None:
    folder = new_run(root)
    (folder / "plan.json").chmod(0o644)
    (folder / "plan.json").write_text(new_plan(impact=("Harmless.",)).model_dump_json())
    page = page_of(portal(root), folder).text
    assert "do not have the same digest" in page
    assert "plan.json was altered after the record was closed." in page


@pytest.mark.parametrize("attack", ATTACKS + MARKDOWN)
def test_hostile_text_is_text_wherever_it_stands(root: Path, attack: str) -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": attack},
        {
            "output_type": "display_data",
            "metadata": {"x": attack},
            "data": {
                "text/html": attack,
                "text/markdown": attack,
                "text/latex": attack,
                "image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script>{attack}</svg>",
                "application/javascript": "alert(1)",
                "image/png": f'x" onerror="alert(1){attack}',
                "text/plain": attack,
            },
        },
        {"output_type": "error", "ename": attack, "evalue": attack, "traceback": [attack]},
    ]
    folder = new_run(
        root,
        target=attack,
        person=attack,
        summary=attack,
        observed=attack,
        outputs=outputs,
        prose=attack,
        plan=new_plan(impact=(attack,), bindings={attack: attack}, steps=({"kind": "x", "title": attack},)),
        evidence={"x.html": attack, f"{attack.replace('/', '')}.log": attack},
        parameters={attack: attack},
        argv=["helm", attack],
    )
    site = portal(root)
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 5
    for path in pages:
        seen = Seen(path)
        tags = {tag for tag, _ in seen.elements}
        assert not tags & {"iframe", "object", "embed", "style", "base"}, path
        assert [told for tag, told in seen.elements if tag == "script"] == (
            [{"src": "portal.js", "defer": None}]
            if path.name in {"index.html", "compare.html"} and path.parent == site
            else []
        )
        for tag, told in seen.elements:
            assert not [name for name in told if name.startswith("on") or name in {"style", "srcdoc"}], (path, tag)
            assert not str(told.get("href", "")).strip().lower().startswith(("javascript", "data")), (path, tag)
            assert tag != "img" or str(told.get("src", "data:image/")).startswith("data:image/"), path
        assert "1337" not in seen.text
        assert RTL not in seen.text, path
        assert "\x1b" not in seen.text
        policy = next(told["content"] for tag, told in seen.elements if told.get("http-equiv"))
        assert policy == (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
        )
    assert {path.suffix for path in site.rglob("*") if path.is_file()} == {".html", ".css", ".js", ".txt"}
    facts = (site / "runs" / folder.parent.name / folder.name / "facts.js").read_text()
    assert facts.startswith("portal.told(")
    assert "<" not in facts
    assert facts.isascii()


def test_names_with_letters_of_addresses_are_linked_to(root: Path) -> None:
    folder = new_run(root, target="prod", stage="in#st?al%41l")
    site = portal(root)
    (link,) = [
        told["href"] for _, told in Seen(site / "index.html").elements if str(told.get("href")).startswith("runs/")
    ]
    assert link == f"runs/prod/{folder.name.replace('%', '%25').replace('#', '%23').replace('?', '%3F')}/index.html"


BROKEN = {
    "a manifest that is none": ("manifest.json", "{", "can't be read"),
    "a manifest of another world": (
        "manifest.json",
        '{"files": [], "outcome": {}, "exit_code": 0, "summary": 1}',
        "can't be read",
    ),
    "an outcome that there is not": ("manifest.json", None, "outcome"),
    "a manifest without an end": ("manifest.json", "[" * 100_000, "RecursionError"),
    "a plan that is none": ("plan.json", '{"stage": 3}', "plan.json is no plan."),
    "a plan without an end": ("plan.json", "[" * 100_000, "plan.json can't be read"),
    "parameters that are none": ("parameters.json", "[1]", "parameters.json can't be read"),
    "a notebook that is none": ("notebook.ipynb", "[]", "it can't be read"),
    "a journal of nonsense": (
        "events.jsonl",
        '{"kind": "check.answered", "data": {"status": [], "id": {}}}\n{"kind": "command.ended", "data": {"argv": 3}}\n{"kind": "run.opened", "data": {"who": 3, "target": 3, "versions": 3, "git": 3}}\n{"kind": "approval.given", "data": {"digest": {}}}\n{"kind": "change.started", "data": {"digest": []}}',
        "prod",
    ),
    "a journal without an end": ("events.jsonl", "[" * 100_000, "RecursionError"),
}


@pytest.mark.parametrize(("name", "content", "said"), BROKEN.values(), ids=list(BROKEN))
def test_a_damaged_record_is_told_and_keeps_no_other_from_being_shown(
    root: Path, name: str, content: str | None, said: str
) -> None:
    broken, sound = new_run(root), new_run(root)
    file = broken / name
    told = json.loads((broken / "manifest.json").read_text())
    file.chmod(0o644)
    file.write_text(json.dumps(told | {"outcome": "splendid"}) if content is None else content)
    site = portal(root)
    assert said in page_of(site, broken).text
    assert "Kubernetes version" in page_of(site, sound).text
    assert len([1 for tag, row in Seen(site / "index.html").elements if tag == "tr" and "data-target" in row]) == 2


def test_of_a_quarantined_record_nothing_is_spread(root: Path) -> None:
    folder = new_run(root, outcome="quarantined", observed="canary-3141", evidence={"x.log": "canary-3141"})
    site = portal(root)
    assert "may not be spread" in page_of(site, folder).text
    assert not [path for path in site.rglob("*") if path.is_file() and b"canary-3141" in path.read_bytes()]
    assert list((site / "runs").rglob("*.txt")) == []


def test_a_secret_that_a_run_has_used_is_in_no_page(root: Path) -> None:
    canary, redactor = "Canary+3141/Pass word", Redactor()
    redactor.register(canary, "the database's password")
    said = [
        {"output_type": "stream", "name": "stdout", "text": f"password {canary}"},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/plain": canary, "text/html": f"<b>{canary}</b>"},
        },
    ]
    folder = new_run(
        root,
        redactor=redactor,
        person=canary,
        summary=f"It ended with {canary}",
        observed=f"refused {canary}",
        prose=canary,
        outputs=said,
        evidence={"pod.log": base64.b64encode(canary.encode()).decode()},
        parameters={"password": canary},
        argv=["psql", canary],
        plan=new_plan(impact=(canary,)),
    )
    site = portal(root)
    assert "«redacted:the database's password»" in page_of(site, folder, "notebook.html").text
    files = [path for path in site.rglob("*") if path.is_file()]
    assert [path for path in files if redactor.hits(path.read_text(encoding="utf-8"))] == []
    assert redactor.hits(html.escape(canary)) == ("the database's password",)


def test_a_link_in_a_record_is_not_followed(root: Path, tmp_path: Path) -> None:
    folder = new_run(root)
    (tmp_path / "elsewhere").write_text("canary-2718")
    for name in ("stray.log", "plan.json", "notebook.ipynb", "events.jsonl"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(tmp_path / "elsewhere")
    (folder / "around").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    site = portal(root)
    assert "Its journal is not there, is no file of its own, or is too large" in page_of(site, folder).text
    assert not [path for path in site.rglob("*") if path.is_file() and b"canary-2718" in path.read_bytes()]


def test_an_open_run_is_shown_as_far_as_it_came(root: Path) -> None:
    folder = new_run(root, close=False)
    page = page_of(portal(root), folder).text
    assert "open" in page
    assert "Install dataflow 1.16.0 with Helm" in page
    assert "There is no page of the executed notebook" in page


def test_a_large_file_is_shown_from_its_beginning_and_said_to_be_cut(root: Path) -> None:
    folder = new_run(root, evidence={"pod.log": "first " + "x" * 2_000_000 + " last"})
    site = portal(root)
    page = page_of(site, folder)
    assert "its beginning; the whole is in the record" in page.text
    assert max(path.stat().st_size for path in (site / "runs").rglob("*.txt")) == 1_000_000


def test_a_journal_that_is_too_large_to_be_read_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(root)
    monkeypatch.setattr("runbooks_lib.portal.story.JOURNAL", 1000)
    page = page_of(portal(root), folder).text
    assert "Its journal is not there, is no file of its own, or is too large" in page
    assert "install ended as it should" in page


def test_the_page_of_controls_counts_the_runs_that_answer_each(root: Path) -> None:
    new_run(root)
    seal(root / "prod")
    page = Seen(portal(root) / "controls.html").text
    assert "Who changed it, on whose approval?" in page
    assert page.count("1 of 1") == 5
    assert "0 of 1" in page


def test_the_auditors_table_is_the_same_in_the_documents() -> None:
    document = (
        (Path(__file__).parents[3] / "docs/auditors.md").read_text(encoding="utf-8").split("## What shows what")[1]
    )
    rows = table("runbooks_lib.portal", "controls.yaml")
    assert [f"| {row['question']} | {row['answer']} |" for row in rows] == document.strip().splitlines()[2:]


def test_a_folder_with_something_in_it_is_left_alone(root: Path, tmp_path: Path) -> None:
    new_run(root)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty, and the portal deletes nothing") as refused:
        build(root, tmp_path, records.Given())
    assert refused.value.next_step == "Name a new folder, or empty this one."
    with pytest.raises(UsageError, match="can't be written to"):
        build(root, tmp_path / "mine.txt", records.Given())


def test_without_records_there_is_a_page_that_says_so(root: Path) -> None:
    assert "No records yet" in Seen(portal(root) / "index.html").text


def test_an_altered_record_is_marked_where_it_is_listed_and_answers_no_question(root: Path) -> None:
    folder, other = new_run(root), new_run(root)
    seal(root / "prod")
    (folder / "events.jsonl").chmod(0o644)
    with (folder / "events.jsonl").open("a") as journal:
        journal.write("\n")
    made = portal(root)
    assert (made / "index.html").read_text().count('<span class="mark wrong">altered</span>') == 1
    assert "altered" in page_of(made, folder).text.split("Plan")[0]
    assert 'class="mark wrong">altered' not in (made / "runs" / "prod" / other.name / "index.html").read_text()
    story = Story(records.summary_of(folder), proofs_of(root, records.Given()))
    assert (story.shows["proved"], story.shows["searched"]) == (False, False)


def test_a_copied_record_is_shown_as_what_it_is(root: Path) -> None:
    folder = new_run(root)
    seal(root / "prod")
    copy = copied(folder, f"{folder.name[:-8]}deadbeef")
    assert "it is not in the log: its proof is of another one" in page_of(portal(root), copy).text
