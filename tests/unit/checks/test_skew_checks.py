"""How far apart are things that have to agree?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbooks_lib.results import Json

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "pass"), (-1, "pass"), (6, "pass"), (7, "warn"), (-61, "warn"), (62, "fail"), (-3600, "fail")],
)
def test_clocks_that_disagree_are_told_with_both_times(world: Any, ask: Any, seconds: int, status: str) -> None:
    world.cluster.ahead = timedelta(seconds=seconds)
    answer = ask("clock.skew")
    assert answer.status == status
    assert answer.observed.count("Z") == 2
    assert (f"{abs(seconds) - 1} s or more apart" in answer.observed) == (status != "pass")


def node(name: str, version: str | None) -> Json:
    return {"kind": "Node", "metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}


@pytest.mark.parametrize(
    ("nodes", "status", "observed"),
    [
        ([], "skip", "no kubelet tells its version of Kubernetes (there are no nodes)"),
        ([node("a", "kwok-0.7.0")], "skip", "no kubelet tells its version of Kubernetes (kwok-0.7.0)"),
        ([node("a", None)], "skip", "no kubelet tells its version of Kubernetes (none)"),
        ([node("a", "v1.33.1"), node("b", "v1.33.1")], "pass", "API server v1.33.13, kubelets v1.33.1 (2)"),
        ([node("a", "v1.30.0+k3s1")], "pass", "kubelets v1.30.0+k3s1 (1)"),
        ([node("a", "v1.29.9")], "fail", "kubelet v1.29.9 of a is over 3 minor versions older than the API server"),
        (
            [node("a", "v1.33.1"), node("b", "v1.34.0")],
            "fail",
            "kubelet v1.34.0 of b is newer than the API server v1.33.13",
        ),
        ([node("a", "v0.9.0")], "fail", "older"),
    ],
)
def test_kubelets_may_be_older_but_not_by_much_and_never_newer(
    world: Any, ask: Any, nodes: list[Json], status: str, observed: str
) -> None:
    world.cluster.add(*nodes)
    answer = ask("version.skew")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed
