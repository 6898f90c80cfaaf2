"""The values that a chart has by itself, its subcharts' included."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbooks_lib.helm import default_values

CHART = {
    "name": "whole",
    "dependencies": [{"name": "part", "alias": "first"}, {"name": "part", "alias": "second"}, {"name": "plain"}],
}
FILES: dict[str, Any] = {
    "Chart.yaml": CHART,
    "values.yaml": {"own": 1, "first": {"image": {"tag": "2"}}, "plain": None},
    "templates/values.yaml": {"own": 2},
    "charts/part/Chart.yaml": {"name": "part"},
    "charts/part/values.yaml": {"image": {"repository": "a/part", "tag": "1"}},
    "charts/part/charts/deep/Chart.yaml": {"name": "deep"},
    "charts/part/charts/deep/values.yaml": {"depth": 2},
}
PLAIN = {"Chart.yaml": {"name": "plain"}, "values.yaml": {"image": {"repository": "plain"}}}
PART = {"image": {"repository": "a/part", "tag": "1"}, "deep": {"depth": 2}}


def packed(files: dict[str, Any], root: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            body = content if isinstance(content, bytes) else yaml.safe_dump(content).encode()
            info = tarfile.TarInfo(f"{root}/{name}")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


@pytest.mark.parametrize("shape", ["archive", "folder"])
def test_those_of_a_subchart_stand_below_each_of_its_names_and_the_charts_own_win(tmp_path: Path, shape: str) -> None:
    files = FILES | {"charts/plain-1.0.0.tgz": packed(PLAIN, "plain")}
    chart = tmp_path / "whole"
    if shape == "archive":
        chart.write_bytes(packed(files, "whole"))
    else:
        for name, content in files.items():
            file = chart / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content).encode())
    assert default_values(chart) == {
        "own": 1,
        "first": {"image": {"repository": "a/part", "tag": "2"}, "deep": {"depth": 2}},
        "second": PART,
        "plain": None,
    }


def test_a_chart_without_values_has_none(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("name: bare\n")
    assert default_values(tmp_path) == {}
