"""An upgrade that copies first, killed at each of its steps, one after the other, and resumed where that may be.

In the end the new version runs, nobody is left stopped, no row is lost and nothing that no plan named is gone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faults import FAULTS, Moment, Scene, ended, left_of
from releases import Live

from runbooks_lib import records
from runbooks_lib.cluster import Cluster
from runbooks_lib.stages import recover, upgrade

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("upgrade-path")]

WRITERS = ("dataflow", "celery-worker", "label-studio")
TABLES = ("job", "datasources")


class Losing(Scene):
    """A release of the rehearsal chart whose next version empties tables."""

    def given(self, stage: str) -> dict[str, Any]:
        version = {"chart.version": "1.17.2" if stage == "install" else "2.2.1"}
        kept = {"backup.folder": str(self.root.parent / "backups"), "values.global.minReadySeconds": 0}
        return {**self.target, **self.policy, **version, **kept}

    def named(self, moment: Moment) -> set[str]:
        """What the plan of a killed run removes."""
        planned = json.loads((moment.folder / "plan.json").read_text())
        return {change["name"] for change in planned["changes"] if change["action"] == "remove"}

    def killed(self, fault: str, at: str, resume: str = "") -> Moment:
        """An upgrade that was killed when it came to a step."""
        moment = self.begin("upgrade", at=at, resume=resume)
        FAULTS[fault](moment)
        ended(moment.command)
        self.opens("verify")
        assert left_of(moment) == []
        assert records.summary_of(moment.folder).outcome in {"abandoned", "unknown"}
        assert records.verify(moment.folder) == []
        self.expire() if self.lease() else None
        return moment

    def status(self) -> list[str]:
        return [each["status"] for each in json.loads(self.helm("list", "--all", "--output", "json"))]


@pytest.mark.parametrize("fault", ["kill -9 command", "kill -9 kernel"])
def test_an_upgrade_that_copies_first_gets_through_whenever_it_was_killed(
    sandbox: Any, target: dict[str, str], cluster: Cluster, tmp_path: Path, fault: str
) -> None:
    scene, live = Losing(sandbox, target, cluster, tmp_path), Live(cluster, target)
    scene.change("install")
    with live.postgresql("csghub_dataflow") as connection:
        connection.execute("INSERT INTO job (job_name) VALUES ('one'), ('two'), ('three')")
        connection.execute("INSERT INTO datasources (name) VALUES ('store')")

    def rows() -> dict[str, int]:
        with live.postgresql("csghub_dataflow") as connection:
            counted = {table: connection.execute(f"SELECT count(*) FROM {table}".encode()) for table in TABLES}
            return {table: int(found.fetchall()[0][0]) for table, found in counted.items()}

    before, named = scene.inventory(), set[str]()
    full = rows()
    assert full == {"job": 3, "datasources": 1}

    # Before Helm has begun what is left is the same change, whatever stands still by then.
    run = ""
    for at in ("take-lease", "stop-writers", "back-up"):
        moment = scene.killed(fault, at, run)
        run, named = records.run_id(moment.folder), named | scene.named(moment)
        assert (scene.status(), rows()) == (["deployed"], full)
        way = recover.plan(scene.opens("recover"))
        print(f"| {fault} | upgrade that copies first, {at} | {way.impact[0]} |")
        assert way.empty == ("has stopped what writes" not in way.impact[0])

    # Helm's own step can't be resumed in the middle: 07 takes it back, or it had not begun yet.
    moment = scene.killed(fault, "helm-upgrade", run)
    resumed = [event["data"] for event in records.read_events(moment.folder) if event["kind"] == "change.resumed"]
    assert [each["run"] for each in resumed] == [run]
    out = scene.change("recover")[1]
    print(f"| {fault} | upgrade that copies first, helm-upgrade | {out.impact[0]} |")
    named |= {change.name for change in out.changes if change.action == "remove"}
    assert recover.plan(scene.opens("recover")).empty
    running = {name: found["spec"]["replicas"] for name in WRITERS if (found := workload(live, name))}
    assert running == dict.fromkeys(running, 1)

    # Helm is done, and nobody has started again what the chart leaves at 0.
    moment = scene.killed(fault, "start-writers")
    named |= scene.named(moment)
    assert scene.status() == ["deployed"]
    last, plan = scene.change("upgrade")
    print(f"| {fault} | upgrade that copies first, start-writers | {plan.impact[0]} |")
    assert not upgrade.confirm(last).with_status("fail", "unknown")
    assert recover.plan(scene.opens("recover")).empty
    found = {each.parent for each in tmp_path.glob("backups/*/*/backup.json")}
    assert found, "what the hook has emptied was copied and proved before"
    assert before.keys() - scene.inventory().keys() <= named


def workload(live: Live, name: str) -> Any:
    return live.get(name, "StatefulSet") or live.get(name, "Deployment")
