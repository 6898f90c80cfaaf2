"""A test's own way to the worker's sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Open

from runbooks_lib.cluster import Cluster
from runbooks_lib.run import Run


@pytest.fixture
def opened(sandbox: Any, target: dict[str, str], tmp_path: Path) -> Open:
    """Opens a run of a stage on this test's own namespace and release."""

    def open_run(stage: str, **overrides: Any) -> Run:
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        return Run.open(stage, sandbox.parameters_file, overrides={**target, **named}, output_directory=str(tmp_path))

    return open_run


@pytest.fixture
def cluster(sandbox: Any) -> Iterator[Cluster]:
    with Cluster.connect(sandbox.kubeconfig, sandbox.context) as made:
        yield made
