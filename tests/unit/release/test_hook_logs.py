"""What hooks say: each line once, as it comes, with secrets replaced, and kept; nothing that was there before."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runbooks_lib.errors import ChangeFailed
from runbooks_lib.release.hook_logs import hook_logs
from runbooks_lib.results import Json

HOOK: Json = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "migrate", "annotations": {"helm.sh/hook": "pre-upgrade"}},
}


def pod(name: str, uid: str, job: str = "migrate") -> Json:
    labels = {"batch.kubernetes.io/job-name": job}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "csghub", "uid": uid, "labels": labels},
        "spec": {"containers": [{"name": "sql", "image": "any/tool:1"}]},
        "status": {"containerStatuses": [{"name": "sql"}]},
    }


def said(world: Any) -> list[str]:
    return [event.data["line"] for event in world.told if event.kind == "hook.said"]


def test_each_line_is_told_once_and_the_whole_is_kept(world: Any) -> None:
    kept: dict[str, str] = {}
    world.redactor.register("hidden-password", "env:X")
    world.cluster.add(pod("migrate-1", "1"), pod("migrate-0", "0"), pod("other-1", "2", "other"))
    world.cluster.texts[("migrate-0/sql", False)] = "of an older run"
    world.cluster.texts[("other-1/sql", False)] = "of another job"
    with hook_logs(world.boundaries, [HOOK], frozenset({"0"}), kept.__setitem__):
        world.cluster.texts[("migrate-1/sql", False)] = "one\ntwo"
        time.sleep(1.3)
        assert said(world) == ["one", "two"]
        world.cluster.texts[("migrate-1/sql", False)] = "one\ntwo\nwith hidden-password"
    assert said(world) == ["one", "two", "with «redacted:env:X»"]
    assert kept == {"evidence/hooks/migrate-1.sql.log": "one\ntwo\nwith «redacted:env:X»\n"}


def test_what_a_hook_that_failed_said_last_is_told_and_the_failure_stays(world: Any) -> None:
    kept: dict[str, str] = {}
    world.cluster.add(pod("migrate-1", "1"))

    def change() -> None:
        with hook_logs(world.boundaries, [HOOK], frozenset(), kept.__setitem__):
            world.cluster.texts[("migrate-1/sql", False)] = "ERROR: no such table"
            raise ChangeFailed("It broke.")

    with pytest.raises(ChangeFailed, match="It broke"):
        change()
    assert said(world) == ["ERROR: no such table"]
    assert list(kept) == ["evidence/hooks/migrate-1.sql.log"]


def test_without_hooks_nobody_is_asked(world: Any) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": HOOK["metadata"]}
    world.cluster.add(pod("migrate-1", "1"))
    with hook_logs(world.boundaries, [service], frozenset(), lambda *_: None):
        pass
    assert said(world) == []
