"""An uninstall that takes the data along, or the namespace: only when the name is typed, the data copied, and nobody else there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from releases import Live, change
from runs import Open

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import CheckFailed
from runbooks_lib.release.backup import Backup
from runbooks_lib.stages import install, uninstall


def test_data_and_namespace_go_only_when_asked_for_by_name_and_after_a_copy(
    opened: Open, cluster: Cluster, target: dict[str, str], tmp_path: Path
) -> None:
    live = Live(cluster, target)
    change(opened("install"), install)
    with live.postgresql("csghub_dataflow") as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('still here')")
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-somebody"}}
    cluster.create(theirs, live.namespace)
    plain: dict[str, Any] = {"uninstall__policy": "remove-namespace"}
    for typed in ("", "other"):
        with pytest.raises(CheckFailed, match=f"does not name the release {live.release}"):
            uninstall.plan(opened("uninstall", **plain, uninstall__confirm=typed))
    asked = {**plain, "uninstall__confirm": live.release}
    with pytest.raises(CheckFailed, match="1 objects that are not this release's, such as ConfigMap of-somebody"):
        uninstall.plan(opened("uninstall", **asked))
    cluster.delete("v1", "ConfigMap", "of-somebody", live.namespace)

    run = opened("uninstall", **asked)
    run.require(uninstall.look(run))
    plan = uninstall.plan(run)
    told = [line for line in plan.impact if line.startswith("REMOVES DATA: ")]
    assert len(told) == 7
    assert any(
        line.startswith(f"REMOVES DATA: PersistentVolumeClaim data-{live.release}-postgresql-0 (50Gi, made 20")
        for line in told
    )
    kinds = [step.kind for step in plan.steps]
    assert kinds == [
        "take-lease",
        "stop-writers",
        "back-up",
        "helm-uninstall",
        "await-absence",
        "remove-data",
        "remove-namespace",
    ]
    run.approve(plan.digest)
    uninstall.apply(run, plan, run.approval(plan))
    run.require(uninstall.confirm(run, plan))
    assert cluster.get("v1", "Namespace", live.namespace) is None
    (manifest,) = tmp_path.glob("backups/*/*/backup.json")
    copied = {
        each.name: each.rows
        for copy in Backup.model_validate_json(manifest.read_text()).copies
        for each in copy.contents
    }
    assert copied["public.kept"] == 1
