"""Containers without a cluster: the real programs, started and ended by a test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from pods import Pods

from sandbox.services import passage
from sandbox.toolchain import Toolchain


@pytest.fixture(scope="module")
def pods(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """A folder that PostgreSQL's user can reach, and programs that end with the tests."""
    preferred = tmp_path_factory.mktemp("pods")
    folder = passage.open_folder(preferred)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    made = Pods(folder)
    try:
        yield made
    finally:
        for running in made.running:
            made.stop(running)
        if folder != preferred:
            shutil.rmtree(folder)
