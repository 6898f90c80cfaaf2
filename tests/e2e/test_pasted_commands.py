"""The commands that a plan prints are pasted into bash, and do what the notebook would do."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from runs import Open

from runbooks_lib import process
from runbooks_lib.cluster import Cluster
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.stages import install, uninstall, upgrade, verify


@pytest.fixture(autouse=True)
def _kubectl() -> None:
    if shutil.which("kubectl") is None or shutil.which("bash") is None:
        pytest.skip("There is no kubectl, or no bash, on this machine.")


def pasted(commands: tuple[str, ...], home: Any) -> None:
    """Run the commands in bash, but those that wait for somebody to stop them."""
    script = "\n".join(["set -e", *(line for line in commands if not line.endswith("--watch"))])
    done = process.run(["bash", "-c", script], timeout=120, env=os.environ | {"HOME": str(home)})
    assert done.ok, f"{script}\n{done.stdout}{done.stderr}"


def test_a_release_is_installed_changed_and_removed_by_the_printed_commands(
    opened: Open, cluster: Cluster, target: dict[str, str], tmp_path: Any
) -> None:
    namespace, release = target["target.namespace"], target["target.release"]
    plan = install.plan(opened("install"))
    assert any("create secret" in line for line in plan.commands)
    pasted(plan.commands, tmp_path)
    secret = cluster.get("v1", "Secret", f"{release}-postgresql", namespace)
    assert secret is not None
    assert len(dict(secret_values(secret))["POSTGRES_PASSWORD"]) == 32
    seen = opened("verify")
    assert seen.boundaries.helm.status(release).status == "deployed"
    # Taken over as it is: an upgrade to the same has nothing to do.
    assert upgrade.plan(opened("upgrade")).empty
    later = upgrade.plan(opened("upgrade", gateway__domain="other.example.com"))
    pasted(later.commands, tmp_path)
    assert seen.boundaries.helm.status(release).revision == 2
    last = uninstall.plan(opened("uninstall"))
    pasted(last.commands, tmp_path)
    assert seen.boundaries.helm.status(release) is None


def test_the_commands_of_a_report_can_be_pasted(opened: Open, tmp_path: Any) -> None:
    pasted(install.plan(opened("install")).commands, tmp_path)
    pasted(verify.look(opened("verify")).commands, tmp_path)
