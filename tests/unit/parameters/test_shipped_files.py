"""The files in parameters/ can be used as they are, and editors explain them."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runbooks_lib import parameters
from runbooks_lib.parameters import Parameters

ROOT = Path(__file__).parents[3]
SCHEMA_FILE = "parameters/schema.json"
FILES = [path for path in sorted((ROOT / "parameters").glob("*.yaml")) if not path.name.startswith("sandbox")]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(ROOT))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_shipped_file_loads_and_fits_the_schema(path: Path) -> None:
    chosen = parameters.load(f"parameters/{path.name}")
    assert chosen.chart.version
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads((ROOT / SCHEMA_FILE).read_text()))
    assert "$schema=schema.json" in path.read_text().splitlines()[0]


def test_the_schema_is_fresh() -> None:
    made = runpy.run_path(str(ROOT / "parameters/schema.py"))["schema"]()
    assert (ROOT / SCHEMA_FILE).read_text() == made, "run: make generated"


def test_the_manual_page_shows_every_key_with_its_default() -> None:
    """But for what it must choose itself: an address, a domain, a version; and path, the other source."""
    written: dict[str, Any] = yaml.safe_load((ROOT / "parameters/builtin.yaml").read_text())
    chosen = {
        "chart": {"version": written["chart"]["version"]},
        "csghub": written["csghub"],
        "gateway": {"domain": written["gateway"]["domain"]},
        "target": {},
    }
    defaults = parameters.dump(Parameters.model_validate(chosen))
    del defaults["chart"]["path"]
    # A key with nothing after its colon has its default, too.
    defaults["target"]["name"] = ""
    assert written == defaults


def test_the_mainland_file_pulls_everything_from_the_mainland() -> None:
    values = parameters.chart_values(parameters.load("parameters/mainland-china.yaml"))
    registry = "opencsg-registry.cn-beijing.cr.aliyuncs.com"
    assert values["global"]["image"] == {"registry": registry}
    assert values["global"]["imageRegistry"] == f"{registry}/opencsghq"


def test_the_references_that_the_manual_page_shows_are_real_ones() -> None:
    shown = re.findall(r'\{from: "([^"]+)"\}', (ROOT / "parameters/builtin.yaml").read_text())
    assert [parameters.parse_reference(text).scheme for text in shown] == ["env", "file", "k8s", "prompt"]
