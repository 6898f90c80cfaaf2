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
def opened(sandbox: Any, target: dict[str, str], tmp_path: Path) -> Iterator[Open]:
    """Opens a run of a stage on this test's own namespace and release; its sockets are closed with the test."""
    made: list[Run] = []

    def open_run(stage: str, **overrides: Any) -> Run:
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        # Copies of databases go with the test.
        overrides = {"backup.folder": str(tmp_path / "backups"), **target, **named}
        made.append(Run.open(stage, sandbox.parameters_file, overrides=overrides, output_directory=str(tmp_path)))
        return made[-1]

    yield open_run
    for run in made:
        run.boundaries.cluster.close()


@pytest.fixture
def cluster(sandbox: Any) -> Iterator[Cluster]:
    with Cluster.connect(sandbox.kubeconfig, sandbox.context) as made:
        yield made
