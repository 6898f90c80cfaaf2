"""What a chart's files say, subcharts and their aliases included: its own values, and the words of its templates."""

import io
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from runbooks_lib.helm.values import yaml_mapping
from runbooks_lib.parameters.documents import Path as Keys
from runbooks_lib.parameters.documents import at
from runbooks_lib.parameters.helm_values import merge
from runbooks_lib.results import Json

Files = Mapping[str, bytes]


class ChartSource(NamedTuple):
    """A chart as its author wrote it.

    Attributes:
        defaults: ``values.yaml``, with those of each subchart under its name or alias.
        schema: ``values.schema.json``, empty where there is none.
        words: Every word of every template.
        files: Each file's content by its path, those of subcharts included.
        definitions: What is in ``crds/``, and under which of its conditions a subchart's is meant.
    """

    defaults: Json
    schema: Json
    words: frozenset[str]
    files: Files
    definitions: tuple[tuple[str, str], ...] = ()

    def crds(self, values: Mapping[str, Any]) -> list[str]:
        """The files of ``crds/`` that Helm reads with these values."""
        full = merge(self.defaults, values)
        return [text for conditions, text in self.definitions if _holds(full, conditions)]

    def knows(self, path: Keys) -> bool:
        """Whether the chart's own values or its schema have this value."""
        return at(self.defaults, path) is not None or _in_schema(self.schema, self.schema, path)


def source_of(chart: Path) -> ChartSource:
    """Read a chart's archive or folder; what is no YAML in it counts as empty."""
    if chart.is_dir():
        return _source(
            {path.relative_to(chart).as_posix(): path.read_bytes() for path in chart.rglob("*") if path.is_file()}
        )
    return _source(_unpacked(chart.read_bytes()))


def _source(files: Files) -> ChartSource:
    own: Json = yaml_mapping(_text(files, "values.yaml"))
    named: defaultdict[str, list[str]] = defaultdict(list)
    conditions: dict[str, str] = {}
    for dependency in yaml_mapping(_text(files, "Chart.yaml")).get("dependencies") or ():
        named[str(dependency.get("name"))].append(str(dependency.get("alias") or dependency.get("name")))
        conditions[str(dependency.get("name"))] = str(dependency.get("condition") or "")
    definitions = [("", _text(files, name)) for name in sorted(files) if re.match(r"crds/.*\.(ya?ml|json)$", name)]
    words = {word for name in files if name.startswith("templates/") for word in re.findall(r"\w+", _text(files, name))}
    for name, inner in _subcharts(files).items():
        sub = _source(inner)
        words |= sub.words
        definitions += [(conditions.get(name, ""), text) for _, text in sub.definitions]
        for alias in named.get(name, [name]):
            own = merge({alias: sub.defaults}, own)
        own = merge({"global": sub.defaults.get("global") or {}}, own)
    schema = json.loads(_text(files, "values.schema.json") or "{}")
    return ChartSource(own, schema, frozenset(words), files, tuple(definitions))


def _holds(values: Json, conditions: str) -> bool:
    """Whether a subchart is meant: the first of its conditions that is set tells, and without any it is."""
    found = (at(values, tuple(each.strip().split("."))) for each in conditions.split(","))
    return next((each for each in found if isinstance(each, bool)), True)


def _subcharts(files: Files) -> dict[str, Files]:
    """The files of each subchart by its name: a folder or an archive below ``charts/``."""
    found: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
    for name, content in files.items():
        parts = name.split("/", 2)
        if parts[0] == "charts" and len(parts) == 3:
            found[parts[1]][parts[2]] = content
        elif parts[0] == "charts" and name.endswith(".tgz"):
            inner = _unpacked(content)
            found[str(yaml_mapping(_text(inner, "Chart.yaml")).get("name"))] = inner
    return dict(found)


def _unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of an archive without its first folder; nothing is written to the disk."""
    found = {}
    # What is no archive Helm refuses itself, in words of its own.
    with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as opened:
        for member in opened:
            name = member.name.partition("/")[2]
            content = opened.extractfile(member) if member.isfile() else None
            if content:
                found[name] = content.read()
    return found


def _text(files: Files, name: str) -> str:
    return files.get(name, b"").decode("utf-8", "replace")


def _in_schema(schema: Any, part: Any, path: Keys) -> bool:
    while isinstance(part, Mapping) and str(part.get("$ref", "")).startswith("#/"):
        part = at(schema, tuple(str(part["$ref"])[2:].split("/")))
    if not path:
        return part is not None
    inner = (part.get("properties") or {}).get(path[0]) if isinstance(part, Mapping) else None
    return inner is not None and _in_schema(schema, inner, path[1:])
