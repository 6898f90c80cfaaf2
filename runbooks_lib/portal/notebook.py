"""An executed notebook as HTML in which nothing runs: text and pictures of its outputs, and its prose without scripts."""

import html
import json
import re
from pathlib import Path
from typing import Any

import bleach
import nbformat
from nbconvert import HTMLExporter

from runbooks_lib.results import Json
from runbooks_lib.telling import visible

#: The outputs that are shown; each has a text beside it, so that nothing is lost with the others.
_SHOWN = ("image/png", "image/jpeg", "text/plain")
_PICTURE = re.compile(r"[A-Za-z0-9+/=\s]*")
#: What may be left of the HTML: prose, tables, pictures that are in it. Whatever else stands in it becomes text.
_TAGS = bleach.ALLOWED_TAGS | {"h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "span", "pre", "img", "del"}
_TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}
# 'basic' is the cells alone: no page, no script, nothing to fetch.
_EXPORTER = HTMLExporter(template_name="basic")
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|\w+);")


def body_of(path: Path) -> str:
    """The notebook's cells as HTML; raises whatever reading it raises."""
    made = _visible(json.loads(path.read_bytes()))
    for cell in made["cells"]:
        cell.pop("attachments", None)
        if cell["cell_type"] == "code":
            cell["outputs"] = [_tamed(output) for output in cell["outputs"]]
    body, _ = _EXPORTER.from_notebook_node(nbformat.from_dict(made))  # type: ignore[no-untyped-call]
    # All of it, in one piece: what an older or newer nbconvert lets through is caught here, too.
    clean = bleach.clean(body, tags=_TAGS, attributes=_attribute, protocols={"https", "http", "data"})
    # A letter that was spelt as an entity in prose stands there as itself by now, or would in a browser.
    return visible(_ENTITY.sub(lambda found: html.escape(visible(html.unescape(found[0]))), clean))


def _attribute(tag: str, name: str, value: str) -> bool:
    if tag == "img":
        return name == "alt" or (name == "src" and value.startswith(("data:image/png;", "data:image/jpeg;")))
    return name == "class" or (tag == "a" and name == "href" and not value.startswith("data:"))


def _tamed(output: Json) -> Json:
    if "data" not in output:
        return output
    kept = {kind: output["data"][kind] for kind in _SHOWN if kind in output["data"]}
    sound = {kind: said for kind, said in kept.items() if kind == "text/plain" or _PICTURE.fullmatch("".join(said))}
    return {**output, "data": sound, "metadata": {}}


def _visible(data: Any) -> Any:
    if isinstance(data, str):
        return visible(data)
    if isinstance(data, list):
        return [_visible(each) for each in data]
    return {key: _visible(each) for key, each in data.items()} if isinstance(data, dict) else data
