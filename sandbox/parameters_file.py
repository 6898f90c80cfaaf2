"""The parameters file that ``up`` writes: what a target needs, and nothing that is left to its default."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import yaml

from runbooks_lib import signing
from sandbox.state import CONTEXT, State, write_whole

HEADER = "# Written by `runbooks sandbox up`; `runbooks sandbox down` removes it."
#: The chart version that a stage installs; the rehearsal's upgrade overrides it.
CHART_VERSION = "1.16.0"

_KEY, _PASSPHRASE = "practice-key.pem", "practice-passphrase"


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
        "records": {"key": _relative(state, _KEY), "passphrase": {"from": f"file:{_relative(state, _PASSPHRASE)}"}},
        "policy": {"rollout_seconds": 120, "command_seconds": 120},
        "probes": "write",
        "waivers": [{"check": "images.found", "reason": "the simulated pods pull nothing", "until": "2999-12-31"}],
        # Thirty seconds in the chart; the simulated pods need no time to prove themselves.
        "values": {"global": {"minReadySeconds": 2}},
    }


def write(state: State) -> None:
    """Write it, and the key that it names, which stays: it signs the records that stay; folders are made that are not there."""
    _make_key(_shelf(state))
    state.parameters_file.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content(state), sort_keys=False, allow_unicode=True)
    write_whole(state.parameters_file, f"{HEADER}\n{text}", mode=0o644)


def _make_key(shelf: Path) -> None:
    """A key beside the records that it signs proves nothing: it is for practice alone."""
    shelf.mkdir(parents=True, exist_ok=True)
    if not (shelf / _KEY).exists():
        word = token_urlsafe(24)
        write_whole(shelf / _PASSPHRASE, f"{word}\n", mode=0o600)
        write_whole(shelf / _KEY, signing.new_key(word.encode()).decode(), mode=0o600)


def _shelf(state: State) -> Path:
    return Path(state.root) / "records" / state.name


def _relative(state: State, name: str) -> str:
    return os.path.relpath(_shelf(state) / name, state.root)


def remove(state: State) -> None:
    """Remove it, unless somebody has put a file of their own in its place."""
    file = state.parameters_file
    if file.exists() and file.read_text().startswith(HEADER):
        file.unlink()
