"""The parameters file that ``up`` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from runbooks_lib import parameters
from runbooks_lib.parameters import Parameters
from sandbox import parameters_file
from sandbox.state import State


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    ports = {"charts": 8001, "csghub": 8002}
    uid = "11111111-2222-3333-4444-555555555555"
    state = State("try", str(tmp_path), helm="/opt/helm", ports=ports, cluster_uid=uid)
    parameters_file.write(state)
    return state


def test_it_loads_and_names_target_pin_chart_and_helm(made: State) -> None:
    loaded = parameters.load(str(made.parameters_file))
    assert loaded.target.cluster_uid == made.cluster_uid
    assert loaded.target.kubeconfig == ".runbooks/sandboxes/try/kubeconfig"
    assert loaded.target.name == "try"
    assert loaded.chart.repository == "http://127.0.0.1:8001"
    assert loaded.chart.version == "1.16.0"
    assert loaded.csghub.external_url == "http://127.0.0.1:8002"
    assert loaded.helm.executable == "/opt/helm"
    assert loaded.probes == "write"
    assert [(waiver.check, waiver.until) for waiver in loaded.waivers] == [("images.found", "2999-12-31")]
    assert loaded.values == {"global": {"minReadySeconds": 2}}


def test_nothing_in_it_is_a_default(made: State) -> None:
    written = yaml.safe_load(made.parameters_file.read_text())
    for name, section in written.items():
        default = Parameters.model_fields[name].default
        assert section != default
        inner = default.model_dump() if isinstance(default, BaseModel) else {}
        assert not [key for key, value in inner.items() if section.get(key, ...) == value]


def test_it_says_who_wrote_it(made: State) -> None:
    assert "runbooks sandbox up" in made.parameters_file.read_text().splitlines()[0]


def test_it_is_removed_unless_somebody_put_another_in_its_place(made: State) -> None:
    mine = "target: {}\n"
    made.parameters_file.write_text(mine)
    parameters_file.remove(made)
    assert made.parameters_file.read_text() == mine
    parameters_file.write(made)
    parameters_file.remove(made)
    assert not made.parameters_file.exists()
