"""The parameters file that ``up`` writes: what a target needs, and nothing that is left to its default."""

from __future__ import annotations

import os
from typing import Any

import yaml

from sandbox.state import CONTEXT, State, write_whole

HEADER = "# Written by `runbooks sandbox up`; `runbooks sandbox down` removes it."
#: The chart version that a stage installs; the rehearsal's upgrade overrides it.
CHART_VERSION = "1.16.0"


def content(state: State) -> dict[str, Any]:
    """The file's data."""
    return {
        "target": {
            "name": state.name,
            "kubeconfig": os.path.relpath(state.kubeconfig, state.root),
            "context": CONTEXT,
            "cluster_uid": state.cluster_uid,
            "namespace": "csghub",
            "release": "dataflow",
        },
        "helm": {"executable": state.helm},
        "chart": {"repository": state.url("charts"), "name": "dataflow", "version": CHART_VERSION},
        "csghub": {"external_url": state.url("csghub")},
        "gateway": {"domain": "csghub.example.com"},
        "policy": {"rollout_seconds": 120, "command_seconds": 120},
        "probes": "write",
        "waivers": [{"check": "images.found", "reason": "the simulated pods pull nothing", "until": "2999-12-31"}],
        # Thirty seconds in the chart; the simulated pods need no time to prove themselves.
        "values": {"global": {"minReadySeconds": 2}},
    }


def write(state: State) -> None:
    """Write it; its folder is made when it is not there."""
    state.parameters_file.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content(state), sort_keys=False, allow_unicode=True)
    write_whole(state.parameters_file, f"{HEADER}\n{text}", mode=0o644)


def remove(state: State) -> None:
    """Remove it, unless somebody has put a file of their own in its place."""
    file = state.parameters_file
    if file.exists() and file.read_text().startswith(HEADER):
        file.unlink()
