"""One run at a time: who holds a release is told, and nobody is pushed aside who may still be at work."""

from __future__ import annotations

import os
import platform
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib import process
from runbooks_lib.errors import TargetRefused
from runbooks_lib.release import lease
from runbooks_lib.release.lease import Lease


def held(world: Any, *, silent: float, pid: int | None = None, host: str = "", start: float | None = None) -> None:
    """Another run holds it, and was last heard of some seconds ago."""
    when = (datetime.now(UTC) - timedelta(seconds=silent)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    me = process.identify()
    told = {"run": "5ca1ab1e", "host": host or platform.node(), "pid": str(pid or os.getpid())}
    told["start_time"] = repr(me.start_time if start is None else start)
    world.cluster.add(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "runbooks-dataflow",
                "namespace": "csghub",
                "resourceVersion": "7",
                "annotations": {f"runbooks/{key}": value for key, value in told.items()},
            },
            "spec": {
                "holderIdentity": "run 5ca1ab1e of upgrade by ann@desk (process 1)",
                "acquireTime": "2026-01-02T03:04:05.000000Z",
                "renewTime": when,
                "leaseDurationSeconds": 30,
            },
        }
    )


def found(world: Any) -> Any:
    return world.cluster.get("coordination.k8s.io/v1", "Lease", "runbooks-dataflow", "csghub")


def test_it_is_there_while_it_is_held_and_gone_afterwards(world: Any) -> None:
    mine = Lease(world.boundaries, stage="install")
    mine.take()
    spec = found(world)["spec"]
    assert spec["holderIdentity"].startswith("run abc of install by ")
    assert spec["leaseDurationSeconds"] == lease.SECONDS
    mine.give_back()
    assert found(world) is None


def test_a_successor_keeps_its_lease_when_the_one_before_ends(world: Any) -> None:
    mine = Lease(world.boundaries, stage="install")
    mine.take()
    found(world)["spec"]["holderIdentity"] = "run 5ca1ab1e of upgrade by ann@desk (process 1)"
    mine.give_back()
    assert found(world)["spec"]["holderIdentity"].startswith("run 5ca1ab1e")


def test_a_dead_owner_of_a_lease_from_the_future_is_followed(world: Any) -> None:
    """A clock was set back since."""
    held(world, silent=-3600, start=1.0)
    assert Lease(world.boundaries, stage="install").require_free() is not None


def test_a_lease_from_the_future_of_another_machine_is_followed_on_consent(world: Any) -> None:
    held(world, silent=-3600, host="elsewhere")
    with pytest.raises(TargetRefused, match="can't be seen from here"):
        Lease(world.boundaries, stage="install").require_free()
    world.settings["policy"]["take_over"] = "5ca1ab1e"
    assert Lease(world.boundaries, stage="install").require_free() is not None


def test_a_second_run_is_told_who_holds_it_and_since_when(world: Any) -> None:
    held(world, silent=1)
    with pytest.raises(TargetRefused, match="being changed: it is held by run 5ca1ab1e of upgrade by ann@desk") as told:
        Lease(world.boundaries, stage="upgrade").take()
    assert "since 2026-01-02T03:04:05" in told.value.summary
    assert told.value.exit_code == 7
    assert "Wait until that run has ended" in told.value.next_step


def test_a_silent_owner_that_may_be_at_work_elsewhere_is_not_pushed_aside(world: Any) -> None:
    held(world, silent=3600, host="another-machine")
    with pytest.raises(TargetRefused, match="can't be seen from here whether that run is still at work") as told:
        Lease(world.boundaries, stage="upgrade").take()
    assert '--set "policy.take_over=5ca1ab1e", and approve that plan' in told.value.next_step
    assert found(world)["spec"]["holderIdentity"].startswith("run 5ca1ab1e")


def test_a_silent_owner_whose_process_lives_is_not_pushed_aside(world: Any) -> None:
    held(world, silent=3600)
    with pytest.raises(TargetRefused, match="last heard of 3600 s ago"):
        Lease(world.boundaries, stage="upgrade").take()


@pytest.mark.parametrize("renewed", [None, "yesterday"])
def test_a_lease_that_does_not_say_when_it_was_renewed_is_followed_on_consent(world: Any, renewed: Any) -> None:
    held(world, silent=0, host="another-machine")
    found(world)["spec"]["renewTime"] = renewed
    with pytest.raises(TargetRefused, match="which does not say when it was last heard of"):
        Lease(world.boundaries, stage="install").require_free()
    world.settings["policy"]["take_over"] = "5ca1ab1e"
    assert Lease(world.boundaries, stage="install").require_free() is not None


def test_somebody_elses_lease_is_followed_by_the_holders_name(world: Any) -> None:
    held(world, silent=3600)
    found(world)["metadata"]["annotations"] = {}
    with pytest.raises(TargetRefused) as told:
        Lease(world.boundaries, stage="install").require_free()
    holder = "run 5ca1ab1e of upgrade by ann@desk (process 1)"
    assert f'--set "policy.take_over={holder}"' in told.value.next_step
    world.settings["policy"]["take_over"] = holder
    assert Lease(world.boundaries, stage="install").require_free() is not None


def test_a_helm_that_a_dead_owner_has_left_is_ended_before_its_lease_is_taken(world: Any, tmp_path: Path) -> None:
    record = str(tmp_path / "20261125T120000Z-upgrade-5ca1ab1e")
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    left = process.start(sleeper, log=tmp_path / "log", env={**os.environ, "RUNBOOKS_RUN": record})
    held(world, silent=31, start=-1.0)
    found(world)["metadata"]["annotations"]["runbooks/record"] = record
    Lease(world.boundaries, stage="uninstall").take()
    assert not left.alive


def test_a_dead_owner_is_followed_only_when_its_time_is_over(world: Any) -> None:
    held(world, silent=5, start=-1.0)
    with pytest.raises(TargetRefused, match="is being changed"):
        Lease(world.boundaries, stage="upgrade").take()
    world.cluster.objects.clear()
    held(world, silent=31, start=-1.0)
    Lease(world.boundaries, stage="upgrade").take()
    assert found(world)["spec"]["holderIdentity"].startswith("run abc of upgrade")
    assert "lease.taken-over" in world.kinds()


def test_consent_names_the_run_that_is_followed(world: Any) -> None:
    held(world, silent=31, host="another-machine")
    world.settings["policy"]["take_over"] = "another1"
    with pytest.raises(TargetRefused):
        Lease(world.boundaries, stage="upgrade").take()
    world.settings["policy"]["take_over"] = "5ca1ab1e"
    Lease(world.boundaries, stage="upgrade").take()
    assert found(world)["metadata"]["annotations"]["runbooks/run"] == "abc"


def test_who_loses_a_race_is_told(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Lease(world.boundaries, stage="install")
    monkeypatch.setattr(late, "require_free", lambda: None)
    held(world, silent=0)
    with pytest.raises(TargetRefused, match="Another run has just begun to change the release dataflow"):
        late.take()
    late.give_back()
    assert found(world)["spec"]["holderIdentity"].startswith("run 5ca1ab1e"), "only its owner removes it"


def test_it_is_renewed_and_its_loss_is_noticed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.01)
    mine = Lease(world.boundaries, stage="install")
    mine.take()
    first, renewed = found(world)["spec"]["renewTime"], threading.Event()
    for _ in range(500):
        if renewed.wait(0.01) or found(world)["spec"]["renewTime"] != first:
            break
    assert found(world)["spec"]["renewTime"] > first
    found(world)["spec"]["holderIdentity"] = "run other of upgrade"
    for _ in range(500):
        if mine.lost:
            break
        renewed.wait(0.01)
    assert mine.lost
    mine.give_back()
    assert found(world) is not None
