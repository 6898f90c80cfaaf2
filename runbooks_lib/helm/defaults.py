"""The values that a chart on this disk has by itself."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from runbooks_lib.helm.values import yaml_mapping
from runbooks_lib.parameters.helm_values import merge
from runbooks_lib.results import Json

_READ = ("Chart.yaml", "values.yaml")


def default_values(chart: Path) -> Json:
    """The values of a chart, an archive or a folder; those of a subchart stand below its name, or its alias."""
    if chart.is_file():
        return _values(_packed(chart.open("rb")))
    names = [path for path in chart.rglob("*") if path.is_file() and _matters(path.name)]
    return _values({path.relative_to(chart).as_posix(): path.read_bytes() for path in names})


def _matters(name: str) -> bool:
    return name.endswith((*_READ, ".tgz"))


def _packed(stream: IO[bytes]) -> dict[str, bytes]:
    with stream, tarfile.open(fileobj=stream) as archive:
        files = [each for each in archive if each.isfile() and _matters(each.name)]
        return {each.name.partition("/")[2]: (archive.extractfile(each) or io.BytesIO()).read() for each in files}


def _values(files: Mapping[str, bytes]) -> Json:
    chart, values = (yaml_mapping(files.get(name, b"").decode()) for name in _READ)
    inside: dict[str, dict[str, bytes]] = {}
    for name, content in files.items():
        folder, _, rest = name.partition("/")
        child, _, rest = rest.partition("/")
        if folder == "charts" and (rest or child.endswith(".tgz")):
            inside.setdefault(child, {}).update({rest: content} if rest else _packed(io.BytesIO(content)))
    for part in inside.values():
        own = yaml_mapping(part.get("Chart.yaml", b"").decode()).get("name", "")
        uses = [each for each in chart.get("dependencies") or () if each.get("name") == own] or [{"name": own}]
        for used in uses:
            values = merge({used.get("alias") or own: _values(part)}, values)
    return values
