"""Will the release fit into its Secret?"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"


def packed(path: Path, **files: int) -> None:
    """A chart archive whose files have so many bytes that nothing makes smaller."""
    with tarfile.open(path, "w:gz") as archive:
        for name, count in files.items():
            info = tarfile.TarInfo(f"dataflow/{name}")
            info.size = count
            archive.addfile(info, io.BytesIO(os.urandom(count)))


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({}, "pass"),
        ({"a": 500_000}, "pass"),
        ({"a": 600_000, "templates/b": 100_000}, "warn"),
        ({"a": 900_000}, "fail"),
        ({"charts/a/b": 900_000}, "pass"),
    ],
)
def test_the_charts_own_files_count_and_its_subcharts_do_not(
    world: Any, ask: Any, files: dict[str, int], status: str
) -> None:
    world.renders(SECRET)
    packed(Path(world.settings["chart"]["path"]), **files)
    answer = ask("release.size")
    assert (answer.status, "KiB of 1024 KiB" in answer.observed) == (status, True), answer.observed


def test_a_chart_may_be_a_folder(world: Any, ask: Any, tmp_path: Path) -> None:
    world.renders(SECRET)
    folder = tmp_path / "chart"
    (folder / "charts" / "a").mkdir(parents=True)
    (folder / "charts" / "a" / "b").write_bytes(os.urandom(900_000))
    world.settings["chart"]["path"] = str(folder)
    assert ask("release.size").status == "pass"
    (folder / "b").write_bytes(os.urandom(900_000))
    assert ask("release.size").status == "fail"


def test_a_manifest_and_values_count_too(world: Any, ask: Any) -> None:
    text = os.urandom(900_000).hex()
    world.renders(f"{SECRET}# {text}\n")
    packed(Path(world.settings["chart"]["path"]))
    answer = ask("release.size")
    assert answer.status == "fail", answer.observed
    assert text[:20] not in answer.observed
