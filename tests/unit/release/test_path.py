"""The way through versions: which ones lie between, in which order, and what is said where one can't be rendered."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.release import path
from runbooks_lib.release.path import way
from runbooks_lib.release.plan import plan_upgrade

KNOWN = {
    "dataflow": [
        {"version": "1.2.0", "says": "this goes", "source": "its notes"},
        {"version": "1.10.1", "says": "that goes", "source": "its notes"},
        {"version": "3.0.0", "says": "all goes", "source": "its notes"},
    ]
}
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path, "_KNOWN", KNOWN)


def told(world: Any, now: str, to: str, name: str = "dataflow") -> list[str]:
    world.stored(MANIFEST, chart=f"{name}-{now}")
    world.renders(MANIFEST, chart="dataflow", version=to)
    return list(way(world.boundaries, plan_upgrade(world.boundaries)))


def known(lines: list[str]) -> list[str]:
    return [line.partition(":")[0].removeprefix("Known of ") for line in lines if line.startswith("Known of ")]


@pytest.mark.parametrize(
    ("now", "to", "passed"),
    [
        ("1.1.9", "1.2.0", ["1.2.0"]),
        ("1.2.0", "1.10.0", []),
        ("1.9.0", "1.10.2", ["1.10.1"]),
        ("1.0.0", "2.0.0", ["1.2.0", "1.10.1"]),
        ("2.0.0", "1.0.0", []),
        ("1.2.0", "1.2.0", []),
        ("1.1.0-rc.1", "1.2.0+build.9", ["1.2.0"]),
    ],
)
def test_the_versions_between_are_those_of_their_numbers(world: Any, now: str, to: str, passed: list[str]) -> None:
    assert known(told(world, now, to)) == passed


def test_of_another_chart_nothing_is_known(world: Any) -> None:
    assert told(world, "1.0.0", "2.0.0", "other") == []


def test_a_chart_from_a_folder_has_no_versions_to_stop_at(world: Any) -> None:
    assert [line for line in told(world, "1.0.0", "2.0.0") if line.startswith(("The way", "To "))] == []
