"""What Helm answers, as frozen values; parsed from its JSON in one place."""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import Field

from runbooks_lib.results import Json, Value, digest_bytes, digest_of

Answer = TypeVar("Answer", bound=Value)


class Release(Value):
    """A release as Helm stores it, or as it would store it (a dry run).

    Attributes:
        status: ``deployed``, ``failed``, ``pending-install``, ``uninstalling``, … as Helm spells it.
        values: What the user gave, without the chart's defaults.
        apply_method: ``ssa`` where Helm 4 applies on the server; empty of an older Helm.
        manifest: The rendered objects, YAML documents, without hooks.
        hooks: What Helm creates at a point of the release's life, outside of its manifest: each a YAML document.
    """

    name: str
    namespace: str
    revision: int
    status: str
    description: str = ""
    updated: str = ""
    values: Json = Field(default_factory=dict)
    manifest: str = ""
    hooks: tuple[str, ...] = ()
    apply_method: str = ""

    @property
    def pending(self) -> bool:
        """Whether an operation is under way, or was cut off (killed) in the middle."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


class Revision(Value):
    """One line of a release's history."""

    revision: int
    status: str
    chart: str
    app_version: str = ""
    description: str = ""
    updated: str = ""

    @property
    def chart_and_version(self) -> tuple[str, str]:
        """Helm writes them as one word; a version may have a ``-`` of its own."""
        found = re.fullmatch(r"(.+?)-(v?\d+\..+)", self.chart)
        return (found[1], found[2]) if found else (self.chart, "")


class ChartFile(Value):
    """A chart on this disk: what was fetched once is what is planned and applied.

    Attributes:
        path: An archive or a folder.
        digest: ``sha256:…`` of the archive, or over the files of the folder.
        source: Where it came from, in the user's words.
    """

    path: str
    name: str
    version: str
    app_version: str = ""
    digest: str
    source: str


def release_of(data: Json) -> Release:
    """Parse the JSON of ``install``, ``upgrade`` and ``status``."""
    info = data.get("info", {})
    renamed = {
        "revision": data.get("version", 0),
        "values": data.get("config"),
        "updated": info.get("deleted") or info.get("last_deployed"),
    }
    hooks = [str(hook.get("manifest") or "") for hook in data.get("hooks") or ()]
    return _known(Release, {"namespace": "", "status": ""} | info | data | renamed | {"hooks": hooks})


def metadata_of(data: Json) -> Release:
    """Parse the JSON of ``get metadata``: a release without what it consists of."""
    return _known(Release, data | {"updated": data.get("deployedAt"), "apply_method": data.get("applyMethod")})


def documents(text: str) -> tuple[str, ...]:
    """The documents of a YAML stream, as they stand in it; those with nothing in them left out."""
    return tuple(each for each in re.split(r"^---\s*$", text, flags=re.MULTILINE) if each.strip())


def rendered_of(text: str, **known: Any) -> Release:
    """The release of a YAML stream in which hooks and objects stand one after another, as `helm template` prints it."""
    found = documents(text)
    hooks = [document for document in found if re.search(r"^\s+[\"']?helm\.sh/hook[\"']?:", document, re.MULTILINE)]
    manifest = "---\n".join(document for document in found if document not in hooks)
    return Release(revision=0, status="", manifest=manifest, hooks=tuple(hooks), **known)


def dict_of(data: Json | None) -> Json:
    """Parse the JSON of ``get``; Helm says null for what is empty."""
    return dict(data or {})


def revisions_of(lines: list[Json]) -> tuple[Revision, ...]:
    """Parse the JSON of ``history``."""
    return tuple(_known(Revision, line) for line in lines)


def _known(kind: type[Answer], data: Json) -> Answer:
    """A value from those of its fields that Helm gave; what a newer Helm adds is left out."""
    return kind.model_validate({key: data[key] for key in kind.model_fields if data.get(key) is not None})


def yaml_mapping(text: str) -> Json:
    """Parse a YAML mapping; anything else is an empty one."""
    parsed = yaml.safe_load(text)
    return parsed if isinstance(parsed, dict) else {}


def chart_digest(chart: Path) -> str:
    """``sha256:…`` of an archive, or over the names and digests of all files of a folder."""
    if chart.is_file():
        return digest_bytes(chart.read_bytes())
    files = sorted(path for path in chart.rglob("*") if path.is_file())
    return digest_of({str(path.relative_to(chart)): digest_bytes(path.read_bytes()) for path in files})
