"""An old Helm 3 and a Helm 4, as the user's own: the same stages with both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from other_helms import VERSIONS, built
from releases import change
from runs import Open

from runbooks_lib.errors import CheckFailed
from runbooks_lib.results import Report
from runbooks_lib.stages import install, prerequisites, uninstall, upgrade

pytestmark = [pytest.mark.xdist_group("helms"), pytest.mark.faults]


@pytest.fixture(scope="module", params=list(VERSIONS))
def helm(request: Any) -> str:
    if os.environ.get("RUNBOOKS_TOOLCHAIN_BUILD") == "0":
        pytest.skip("Programs are not to be built.")
    return str(built(request.param))


def passed(report: Report) -> None:
    assert {found.id: found.observed for found in report.with_status("fail", "unknown")} == {}


def test_a_release_lives_with_it(opened: Open, helm: str, target: dict[str, str]) -> None:
    how: dict[str, Any] = {"helm__executable": helm, "chart__version": "2.1.0"}
    run = opened("install", **how)
    assert run.boundaries.helm.version == VERSIONS[Path(helm).name][1]
    passed(install.look(run))
    change(run, install)
    passed(install.confirm(run))
    kinds = {item["metadata"]["name"] for item in run.boundaries.cluster.list("apps/v1", "StatefulSet")}
    assert f"{target['target.release']}-mongo" not in kinds

    same = opened("upgrade", **how)
    passed(upgrade.look(same))
    assert upgrade.plan(same).empty
    later = opened("upgrade", **how, values__redis__persistence={"size": "10Gi"}, gateway__domain="other.example.com")
    passed(upgrade.look(later))
    change(later, upgrade)
    passed(upgrade.confirm(later))

    last = opened("uninstall", **how)
    last.require(uninstall.look(last))
    plan = uninstall.plan(last)
    last.approve(plan.digest)
    uninstall.apply(last, plan, last.approval(plan))
    passed(uninstall.confirm(last, plan))


def test_helm_4_is_told_before_an_install_that_it_can_not_install_the_charts_null(opened: Open) -> None:
    run = opened("prerequisites", helm__executable=str(built("helm-4")), chart__version="1.16.0")
    report = prerequisites.look(run)
    (failed,) = report.with_status("fail")
    assert failed.id == "objects.accepted"
    assert "by server-side apply" in failed.observed
    assert "EnvoyProxy" in failed.observed
    assert "spec.provider.kubernetes" in failed.observed
    with pytest.raises(CheckFailed, match="1 check failed"):
        run.require(report)


def test_an_old_helm_3_takes_the_same_null(opened: Open) -> None:
    passed(prerequisites.look(opened("prerequisites", helm__executable=str(built("helm-3.13")))))
