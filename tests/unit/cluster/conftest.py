from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Event

# The scripted server lives beside the tests; whatever pytest's import mode is, they find it.
sys.path.insert(0, str(Path(__file__).parent))

from scripted_api import ScriptedApi, kubeconfig_text


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture
def told() -> list[Event]:
    """What the observer was told."""
    return []


@pytest.fixture
def connect(tmp_path: Path, told: list[Event]) -> Iterator[Callable[..., Cluster]]:
    """Connect to an address, by a kubeconfig written for it."""
    opened: list[Cluster] = []

    def to(server: str, *, timeout: float = 5, pause: float = 0.01, **config: Any) -> Cluster:
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig_text(server, **config), encoding="utf-8")
        opened.append(Cluster.connect(path, "", observe=told.append, timeout=timeout, pause=pause))
        return opened[-1]

    yield to
    for cluster in opened:
        cluster.close()


@pytest.fixture
def cluster(api: ScriptedApi, connect: Callable[..., Cluster]) -> Cluster:
    return connect(api.url)
