"""A chart with other names than any that the library knows, through all stages in real kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
import unseen_chart
from releases import change
from runs import Open

from runbooks_lib import headless, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.release.values import given
from runbooks_lib.results import Json, RunSummary
from runbooks_lib.stages import install, uninstall


def findings(summary: RunSummary) -> dict[str, Json]:
    """What the run's checks answered, by their ids."""
    told = [event["data"] for event in records.read_events(Path(summary.folder)) if event["kind"] == "check.answered"]
    return {finding["id"]: finding for finding in told}


def test_an_unseen_chart_installs_verifies_upgrades_and_uninstalls(
    sandbox: Any, target: dict[str, str], tmp_path: Path
) -> None:
    first, second = (unseen_chart.overrides(unseen_chart.write(tmp_path, version)) for version in ("0.1.0", "0.2.0"))
    release = target["target.release"]

    def run(stage: str, chart: dict[str, Any], **more: str) -> RunSummary:
        given: dict[str, Any] = {**target, **chart, **more}
        changes = stage in {"install", "upgrade", "uninstall"}
        digest = headless.preview(stage, sandbox.parameters_file, overrides=given).digest if changes else ""
        return headless.run_stage(
            stage, sandbox.parameters_file, overrides=given, approve=digest, output_directory=str(tmp_path / "records")
        )

    ends = [run("install", first), run("verify", first), run("upgrade", second), run("verify", second)]
    assert [(end.outcome, end.summary) for end in ends if end.exit_code] == []
    found = findings(ends[-1])
    assert {name for name, finding in found.items() if finding["status"] == "skip"} == {
        "csghub.reached-by-pods",
        "gateway.programmed",
        "routes.accepted",
        "services.http",
        "services.mongodb",
        "services.redis",
        "tls.secret",
        "volumes.room",
    }
    assert found["release.chart"]["observed"] == "harbour-0.2.0 (app 7)"
    asked = found["services.postgresql"]["observed"]
    assert asked.startswith(f"StatefulSet {release}-logbook: PostgreSQL 16.")
    assert "lets purser into voyages" in asked
    assert asked.endswith("a row was written, read and removed")

    ends = [run("uninstall", second), run("verify", second, **{"verify.expect": "absent"})]
    assert [(end.outcome, end.summary) for end in ends if end.exit_code] == []
    assert findings(ends[-1])["staying.present"]["observed"] == "3 objects, and 1 until it removes itself"


def test_data_of_an_unseen_chart_outlives_an_uninstall_and_a_lost_secret_is_told_by_install_and_verify(
    sandbox: Any, opened: Open, cluster: Cluster, target: dict[str, str], tmp_path: Path
) -> None:
    namespace, release = target["target.namespace"], target["target.release"]
    chart = unseen_chart.overrides(unseen_chart.write(tmp_path), quay={"enabled": False}, tide={"enabled": False})
    dotted = {key.replace(".", "__"): value for key, value in chart.items()}

    def asked(statement: str) -> list[Any]:
        """What the database says to its own user."""
        secret = cluster.get("v1", "Secret", f"{release}-seal", namespace)
        assert secret is not None
        known = dict(secret_values(secret))
        login = {"user": known["POSTGRES_USER"], "password": known["POSTGRES_PASSWORD"], "dbname": "voyages"}
        with (
            cluster.forward(namespace, f"{release}-logbook-0", 5432) as (host, port),
            psycopg.connect(host=host, port=port, autocommit=True, **login) as connection,
        ):
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def headless_run(stage: str) -> RunSummary:
        where = {"overrides": {**target, **chart}, "output_directory": str(tmp_path / "records")}
        return headless.run_stage(stage, sandbox.parameters_file, **where)

    change(opened("install", **dotted), install)
    asked("CREATE TABLE kept AS SELECT 'still here' AS word")
    change(opened("uninstall", **dotted), uninstall)
    again = opened("install", **dotted)
    change(again, install)
    assert asked("SELECT word FROM kept") == [("still here",)]
    assert not install.confirm(again).with_status("fail", "unknown")

    change(opened("uninstall", **dotted), uninstall)
    cluster.delete("v1", "Secret", f"{release}-seal", namespace)
    refused = headless_run("install")
    assert (refused.outcome, refused.exit_code) == ("failed", 3)
    assert refused.summary == (
        "1 check failed. Claims and their Secrets: "
        f"claim pages-{release}-logbook-0 is there, Secret {release}-seal is not."
    )
    # By hand, as the guide has it, nothing is in the way: the database starts, and lets nobody in.
    boundaries = again.boundaries
    boundaries.helm.change(release, boundaries.chart, given(boundaries), upgrade=False, note="by hand", seconds=60)
    for _, pod in cluster.watch("v1", "Pod", namespace, timeout=60):
        if any(status["ready"] for status in pod["status"].get("containerStatuses") or ()):
            break
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        asked("SELECT 1")
    proof = headless_run("verify")
    assert (proof.outcome, proof.exit_code) == ("failed", 3)
    said = "PostgreSQL refuses the password of purser, or has no such user"
    assert findings(proof)["services.postgresql"]["observed"] == f"StatefulSet {release}-logbook: {said}"
