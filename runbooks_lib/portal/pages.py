"""The pages: records as a folder of HTML that needs no server, fetches nothing, and in which nothing of a record runs."""

import json
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup, escape

from runbooks_lib import records
from runbooks_lib.errors import UsageError, words
from runbooks_lib.portal.notebook import body_of
from runbooks_lib.portal.story import SHOWN, Story, proofs_of, size_of
from runbooks_lib.portal.timeline import WIDTH, timeline
from runbooks_lib.results import Json, RunSummary
from runbooks_lib.tables import table
from runbooks_lib.telling import visible

#: Rows of one table of a page; the rest stands in the record.
_MOST = 1000
#: A notebook of more bytes is linked to as text only.
_NOTEBOOK = 20_000_000
_CONTROLS: list[Json] = table(__package__, "controls.yaml")


def build(root: Path, site: Path, known: records.Given) -> int:
    """Write the pages of all records to a folder, which is new or empty; how many records they show.

    What is in a record never keeps the others from being shown: a page says what could not be.

    Raises UsageError: The folder has something in it, or can't be written.
    """
    try:
        site.mkdir(parents=True, exist_ok=True)
        if any(site.iterdir()):
            raise UsageError(
                f"{site} is not empty, and the portal deletes nothing.",
                next_step="Name a new folder, or empty this one.",
            )
        return _Site(site).write(records.listing(root), proofs_of(root, known))
    except OSError as error:
        raise UsageError(
            f"The portal can't be written to {site}: {error}.", next_step="Name a folder that may be written."
        ) from error


class _Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = Environment(
            loader=PackageLoader(__package__, "site"),
            autoescape=True,
            undefined=ChainableUndefined,
            finalize=_finished,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters["code"] = _code
        self.environment.globals["most"] = _MOST

    def write(self, summaries: list[RunSummary], proofs: dict[str, list[tuple[str, str]]]) -> int:
        for name in ("portal.css", "portal.js"):
            self._put(
                self.folder / name, resources.files(__package__).joinpath("site", name).read_text(encoding="utf-8")
            )
        rows = [self._run(summary, proofs) for summary in reversed(summaries)]
        shelves = ["", *sorted({summary.target for summary in summaries})]
        common = {"runs": rows, "up": "", "everything": [said for name in shelves for said in proofs.get(name, ())]}
        for name in ("index", "compare"):
            choices = {key: sorted({row[key] for row in rows}) for key in ("target", "stage", "outcome", "person")}
            self._page(f"{name}.html", f"{name}.html", **common, choices=choices)
        self._page("controls.html", "controls.html", **common, controls=_CONTROLS)
        return len(rows)

    def _run(self, summary: RunSummary, proofs: dict[str, list[tuple[str, str]]]) -> Json:
        """Write all that is shown of one record; its row of the list."""
        record = Path(summary.folder)
        path = f"runs/{record.parent.name}/{record.name}"
        row: Json = {**summary.model_dump(exclude={"findings"}), "href": f"{_quoted(path)}/index.html", "path": path}
        row |= {"person": "", "shows": {}, "failed": [], "wrong": False, "base": _quoted(path)}
        (self.folder / path).mkdir(parents=True)
        try:
            story = Story(summary, proofs)
            row |= {"person": story.person, "shows": story.shows, "wrong": story.wrong}
            row["failed"] = [str(each.get("id")) for each in story.findings if each.get("status") == "fail"]
            facts = json.dumps(story.facts).replace("<", "\\u003c")
            self._put(self.folder / path / "facts.js", f"portal.told({json.dumps(_quoted(path))}, {facts});\n")
            told = {"story": story, "files": list(self._files(story, path)), "lanes": timeline(story.events)}
            told |= {"notebook": self._notebook(story, path), "controls": _CONTROLS, "width": WIDTH, "row": row}
            self._page("run.html", f"{path}/index.html", up="../../../", **told)
        except Exception as error:  # noqa: BLE001 - whatever a record holds, it must not keep the others from being shown
            self._page("broken.html", f"{path}/index.html", up="../../../", row=row, why=words(error))
        return row

    def _files(self, story: Story, path: str) -> Iterator[Json]:
        """A copy of each file as plain text, whatever it is called: nothing of a record is served as anything else."""
        expected = story.manifest.get("files")
        for number, (name, file, size) in enumerate(story.files[:_MOST], start=1):
            copy = f"files/{number}.txt"
            with file.open("rb") as source:
                self._put(self.folder / path / copy, visible(source.read(SHOWN).decode("utf-8", "replace")))
            told = expected.get(name) if isinstance(expected, dict) else None
            digest = told.get("sha256") if isinstance(told, dict) else ""
            yield {"name": name, "size": size, "href": copy, "cut": size > SHOWN, "digest": digest}

    def _notebook(self, story: Story, path: str) -> str:
        """Why there is no page of the executed notebook; empty where there is."""
        source = story.folder / "notebook.ipynb"
        size = -1 if story.withheld else size_of(source)
        if not 0 <= size <= _NOTEBOOK:
            return "it is too large" if size > 0 else "there is none that may be shown"
        try:
            body = Markup(body_of(source))  # noqa: S704 - sanitised, and no script runs in these pages
        except Exception as error:  # noqa: BLE001 - a notebook is what somebody made it
            return f"it can't be read: {words(error)}"
        self._page("notebook.html", f"{path}/notebook.html", up="../../../", body=body, story=story)
        return ""

    def _page(self, template: str, path: str, **told: Any) -> None:
        self._put(self.folder / path, self.environment.get_template(template).render(**told))

    @staticmethod
    def _put(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")


def _finished(value: Any) -> Any:
    """What a template puts out: no letter of it moves another one or hides it."""
    return value if isinstance(value, Markup) else "" if value is None else visible(str(value))


def _code(text: str) -> Markup:
    """Our own sentences: what stands between backticks is code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _quoted(path: str) -> str:
    return quote(os.fsencode(path))
