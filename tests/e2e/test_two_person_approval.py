"""An upgrade that another person must approve, against a real API server: refused without, done with, once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from releases import ready

from runbooks_lib.cluster import Cluster

pytestmark = pytest.mark.xdist_group("stages")


def runbooks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runbooks_lib", *arguments], check=False, capture_output=True, text=True
    )


@pytest.fixture
def common(sandbox: Any, target: dict[str, str], cluster: Cluster) -> list[str]:
    """The target, whose parameters say that the operator is enough, in a namespace that is there already."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target["target.namespace"]}})
    named = {**target, "policy.approval": "operator"}
    return ["-p", sandbox.parameters_file, *(word for pair in named.items() for word in ("--set", "=".join(pair)))]


@pytest.fixture
def approve(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The words by which li.wei approves, whom the cluster lists; no other test of this worker runs meanwhile."""
    monkeypatch.setenv("APPROVERS_PASSPHRASE", token_hex())
    who = ["--name", "li.wei", "--passphrase", "env:APPROVERS_PASSPHRASE"]
    made = runbooks("keys", "new", str(tmp_path / "key.pem"), *who)
    assert made.returncode == 0, made.stderr
    metadata = {"name": "runbooks-approval", "namespace": "kube-system"}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"approvers": made.stdout}})
    yield ["approve", "--key", str(tmp_path / "key.pem"), *who]
    cluster.delete("v1", "ConfigMap", metadata["name"], metadata["namespace"])


def test_a_change_waits_for_another_persons_signature_which_holds_once(
    common: list[str], approve: list[str], cluster: Cluster, target: dict[str, str], tmp_path: Path
) -> None:
    records = tmp_path / "records"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return runbooks("run", words[0], *common, "--output-directory", str(records), *words[1:])

    without = run("install")
    assert without.returncode == 4, without.stdout + without.stderr
    assert "This plan needs the signed approval of another person (li.wei)" in without.stdout
    (plan,) = records.glob("*/*/plan.json")
    digest = json.loads(plan.read_text())["digest"]
    own = run("install", "--approve", digest)
    assert own.returncode == 4
    assert "a digest or the button is not enough" in own.stdout

    file = tmp_path / "approval.json"
    yes = runbooks(*approve, str(plan), "--out", str(file), "--for", "1h")
    assert yes.returncode == 0, yes.stderr
    assert f"digest: {digest}" in yes.stdout
    assert "Approved by li.wei (SHA256:" in yes.stdout
    done = run("install", "--approve", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "approved by li.wei (file)" in done.stdout
    assert "warning: this account may write ConfigMap kube-system/runbooks-approval" in done.stdout
    (journal,) = [path for path in records.glob("*/*/events.jsonl") if '"change.ended"' in path.read_text()]
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    (given,) = [event["data"] for event in events if event["kind"] == "approval.given"]
    assert given["envelope"].strip() == file.read_text().strip(), "the record holds what was signed"

    # Gone again, with all that an uninstall keeps: the same plan comes back, its approval does not.
    assert run("uninstall").returncode == 4
    (plan,) = [path for path in records.glob("*/*/plan.json") if json.loads(path.read_text())["stage"] == "uninstall"]
    gone = tmp_path / "uninstall.json"
    assert runbooks(*approve, str(plan), "--out", str(gone)).returncode == 0
    assert run("uninstall", "--approve", str(gone)).returncode == 0
    for kind in ("Secret", "PersistentVolumeClaim"):
        for kept in cluster.list("v1", kind, target["target.namespace"]):
            cluster.delete("v1", kind, kept["metadata"]["name"], target["target.namespace"])
    deadline = time.monotonic() + 60
    while cluster.list("v1", "PersistentVolumeClaim", target["target.namespace"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    replay = run("install", "--approve", str(file))
    assert replay.returncode == 4, replay.stdout + replay.stderr
    assert "This approval was used before, and holds for one change only. Nothing was changed." in replay.stdout
    assert not [found for found in cluster.list("v1", "Pod", target["target.namespace"]) if ready(found)]
