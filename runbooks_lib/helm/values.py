"""What Helm answers, as frozen values; parsed from its JSON in one place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml
from pydantic import Field

from runbooks_lib.results import Json, Value, digest_of


class HookManifest(Value):
    """An object that Helm creates at a point of the release's life, outside of its manifest."""

    name: str
    kind: str
    manifest: str
    events: tuple[str, ...] = ()


class Release(Value):
    """A release as Helm stores it, or as it would store it (a dry run).

    Attributes:
        status: ``deployed``, ``failed``, ``pending-install``, ``uninstalling``, … as Helm spells it.
        values: What the user gave, without the chart's defaults.
        manifest: The rendered objects, YAML documents, without hooks.
    """

    name: str
    namespace: str
    revision: int
    status: str
    description: str = ""
    updated: str = ""
    values: Json = Field(default_factory=dict)
    manifest: str = ""
    hooks: tuple[HookManifest, ...] = ()

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
    hooks = tuple(
        HookManifest(
            name=hook.get("name", ""),
            kind=hook.get("kind", ""),
            manifest=hook.get("manifest", ""),
            events=tuple(hook.get("events", ())),
        )
        for hook in data.get("hooks") or ()
    )
    return Release(
        name=data["name"],
        namespace=data.get("namespace", ""),
        revision=data.get("version", 0),
        status=info.get("status", ""),
        description=info.get("description", ""),
        updated=info.get("last_deployed", ""),
        values=data.get("config") or {},
        manifest=data.get("manifest", ""),
        hooks=hooks,
    )


def revisions_of(lines: list[Json]) -> tuple[Revision, ...]:
    """Parse the JSON of ``history``; a field that a newer Helm adds is left out."""
    return tuple(
        Revision.model_validate({key: line[key] for key in Revision.model_fields if key in line}) for line in lines
    )


def yaml_mapping(text: str) -> Json:
    """Parse a YAML mapping; anything else is an empty one."""
    parsed = yaml.safe_load(text)
    return parsed if isinstance(parsed, dict) else {}


def file_digest(path: Path) -> str:
    """``sha256:…`` of a file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """``sha256:…`` over the names and digests of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of({str(path.relative_to(folder)): file_digest(path) for path in files})
