"""The rehearsal chart: our own chart with the documented shape of the published one.

One template tree (``dataflow/``, which is version 1.16.0) and one table of what each version differs in
(``versions.yaml``). README.md says what is like the published chart, and from where that is known.

::

    from sandbox import charts

    charts.publish(Path("served"), helm="helm", url="http://127.0.0.1:8080")
    # ('1.16.0', '1.16.1', …); served/ now holds a Helm repository: a package of each and index.yaml
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from runbooks_lib import process
from runbooks_lib.errors import RunbookError

#: The template tree, also usable as a chart folder: it is version 1.16.0.
TREE = Path(__file__).parent / "dataflow"
#: The chart's name, in Chart.yaml and in a repository.
NAME = TREE.name

_TABLE = Path(__file__).parent / "versions.yaml"
#: Seconds for one call of helm, which needs well under one and talks to nobody.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Version:
    """One version of the rehearsal chart.

    Attributes:
        number: The chart's version, for example ``1.16.1``.
        app: What it deploys, for example ``v1.16.1``.
        values: Laid over the tree's values.yaml.
        broken: What fails in it, for one that is broken on purpose.
    """

    number: str
    app: str
    values: Mapping[str, Any]
    broken: str = ""


def versions() -> tuple[Version, ...]:
    """Every version of the table, in its order."""
    table = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return tuple(Version(number, **row) for number, row in table.items())


def publish(folder: Path, *, helm: str, url: str) -> tuple[str, ...]:
    """Package every version into ``folder`` and write the index that makes it a Helm repository.

    Called again it replaces its own files: the packages hold the same chart, with new times.

    Args:
        folder: Made when it is missing; other files in it stay, and are not in the index.
        helm: The program, a name on ``PATH`` or a path.
        url: Where the folder is going to be served, without a slash at its end.

    Returns:
        The versions, oldest first.

    Raises:
        UsageError: There is no such program.
        RunbookError: Helm refused the chart.
    """
    # Helm runs in a folder of its own, where a relative path would name another program.
    found = shutil.which(helm)
    program = str(Path(found).absolute()) if found else helm
    with TemporaryDirectory(prefix="rehearsal-chart-") as scratch:
        place = Path(scratch)
        packages = place / "packages"
        packages.mkdir()
        for version in versions():
            tree = _laid_over(version, place / version.number / NAME)
            numbers = ("--version", version.number, "--app-version", version.app)
            _helm(
                [program, "package", str(tree), "--destination", str(packages), *numbers],
                what=f"package the rehearsal chart {version.number}",
                scratch=place,
            )
        _helm([program, "repo", "index", str(packages), "--url", url], what="write the index", scratch=place)
        folder.mkdir(parents=True, exist_ok=True)
        # The index last: whoever reads it finds the packages it names.
        for package in sorted(packages.iterdir(), key=lambda path: path.name == "index.yaml"):
            _replace(folder / package.name, package)
    return tuple(version.number for version in versions())


def _laid_over(version: Version, tree: Path) -> Path:
    """A copy of the tree with the version's values; verbatim, comments included, when it has none."""
    shutil.copytree(TREE, tree)
    if version.values:
        file = tree / "values.yaml"
        values = _merged(yaml.safe_load(file.read_text(encoding="utf-8")), version.values)
        file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return tree


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merged key by key, as Helm merges values; null takes a key out, anything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged


def _helm(argv: Sequence[str], *, what: str, scratch: Path) -> None:
    """Run helm with a home of its own, so that the user's repositories and plugins play no part."""
    home = {f"HELM_{kind}_HOME": str(scratch / "helm" / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA")}
    ended = process.run(argv, timeout=_PATIENCE, env={**os.environ, **home}, cwd=scratch)
    if ended.ok:
        return
    said = (ended.stderr or ended.stdout).strip() or "nothing"
    how = f"was ended after {_PATIENCE:.0f} s" if ended.timed_out else f"ended with {ended.returncode}"
    raise RunbookError(
        f"Helm could not {what}: it {how} and said: {said}",
        next_step=f"Look whether `{argv[0]} version` names a Helm 3; `helm lint {TREE}` looks at the chart alone.",
    )


def _replace(target: Path, source: Path) -> None:
    """Put a file in its place in one step: a server of the folder never sends half of one."""
    half = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, half)
    half.replace(target)
