"""What holds for every test: none reaches a cluster that it did not make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

# Imported here, before pytest puts tests/unit on the path: its folder `sandbox` would be taken for the package.
import sandbox.toolchain  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def _no_cluster_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    nowhere: Path = tmp_path_factory.mktemp("kube") / "none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(nowhere))
        yield
