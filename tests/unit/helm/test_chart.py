"""A chart's own values and words, wherever its subcharts are."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from runbooks_lib.helm import Revision
from runbooks_lib.helm.chart import ChartSource, source_of

SUB = {
    "Chart.yaml": "name: sub\nversion: 1.0.0\n",
    "values.yaml": "image: {tag: v1, registry: r}\nglobal: {from_sub: 1, shared: sub}\n",
    "templates/_sub.tpl": "{{ .Values.image.tag }}",
}
CHART = {
    "Chart.yaml": "name: whole\nversion: 1.0.0\n"
    "dependencies: [{name: sub, alias: one}, {name: sub, alias: two}, {name: other}]\n",
    "values.yaml": "one: {image: {tag: v2}}\nown: {}\nlist: [1]\nglobal: {shared: own}\n",
    "values.schema.json": json.dumps(
        {
            "definitions": {
                "address": {"properties": {"host": {}, "deep": {"$ref": "#/definitions/port"}}},
                "port": {},
            },
            "properties": {"own": {"$ref": "#/definitions/address"}},
        }
    ),
    "templates/all.yaml": 'x: {{ index .Values "own" }} {{ .Values.list }}',
    "crds/big.yaml": "not: read",
}


def packed(files: dict[str, str | bytes], folder: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


@pytest.fixture(params=["folder", "archive", "archive in an archive"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ChartSource:
    files: dict[str, str | bytes] = dict(CHART)
    if request.param == "archive in an archive":
        files["charts/sub-1.0.0.tgz"] = packed(dict(SUB), "sub")
    else:
        files |= {f"charts/sub/{name}": text for name, text in SUB.items()}
    if request.param == "folder":
        for name, text in files.items():
            path = tmp_path / "whole" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return source_of(tmp_path / "whole")
    (tmp_path / "whole.tgz").write_bytes(packed(files, "whole"))
    return source_of(tmp_path / "whole.tgz")


def test_a_subcharts_values_are_below_each_alias_and_the_outer_ones_win(source: ChartSource) -> None:
    assert source.defaults["one"] == {
        "image": {"tag": "v2", "registry": "r"},
        "global": {"from_sub": 1, "shared": "sub"},
    }
    assert source.defaults["two"]["image"] == {"tag": "v1", "registry": "r"}
    assert source.defaults["global"] == {"from_sub": 1, "shared": "own"}
    assert "sub" not in source.defaults


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("one.image.tag", True),
        ("two.image.registry", True),
        ("list", True),
        ("own.host", True),
        ("own.deep", True),
        ("own.hostt", False),
        ("own.deep.er", False),
        ("sub.image.tag", False),
        ("one.image.tag.x", False),
    ],
)
def test_what_the_values_or_the_schema_have_is_known(source: ChartSource, path: str, known: bool) -> None:
    assert source.knows(tuple(path.split("."))) == known


def test_the_words_are_those_of_all_templates(source: ChartSource) -> None:
    assert {"own", "list", "image", "tag"} <= source.words
    assert not {"registry", "read", "whole"} & source.words


@pytest.mark.parametrize(
    ("chart", "name", "version"),
    [
        ("dataflow-1.16.0", "dataflow", "1.16.0"),
        ("dataflow-1.17.0-rc.1", "dataflow", "1.17.0-rc.1"),
        ("gateway-helm-v1.6.3", "gateway-helm", "v1.6.3"),
        ("a-2-b-1.0.0+build-5", "a-2-b", "1.0.0+build-5"),
        ("odd", "odd", ""),
    ],
)
def test_the_name_and_the_version_of_a_chart_are_told_apart(chart: str, name: str, version: str) -> None:
    assert Revision(revision=1, status="deployed", chart=chart).chart_and_version == (name, version)
