"""The stages against a real API server and the real Helm, without a notebook between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runs import Open

from runbooks_lib import parameters, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import (
    ApprovalError,
    ChangeFailed,
    CheckFailed,
    ParametersError,
    TargetRefused,
    Unreachable,
    UsageError,
)
from runbooks_lib.release import lease
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.results import Approval, ChangeResult, Plan
from runbooks_lib.run import Run
from runbooks_lib.stages import diagnose, install, prerequisites, uninstall, upgrade, verify

pytestmark = pytest.mark.xdist_group("stages")


def yes(run: Run, plan: Plan) -> Approval:
    run.approve(plan.digest)
    return run.approval(plan)


def installed(opened: Open, **overrides: Any) -> tuple[Run, ChangeResult]:
    run = opened("install", **overrides)
    plan = install.plan(run)
    return run, install.apply(run, plan, yes(run, plan))


def text_of(folder: Path | None) -> str:
    assert folder is not None
    return "\n".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_a_release_lives_and_leaves_only_what_the_plan_named(
    opened: Open, target: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, change = installed(opened)
    assert change.revision == 1
    assert not install.confirm(run).with_status("fail", "unknown")

    later = opened("upgrade", chart__version="1.16.1")
    plan = upgrade.plan(later)
    assert any("postgres:15.10 → docker.io/opencsghq/postgres:15.17" in line for line in plan.impact)
    assert upgrade.apply(later, plan, yes(later, plan)).revision == 2
    assert not upgrade.confirm(later).with_status("fail", "unknown")
    (none,) = diagnose.look(opened("diagnose", chart__version="1.16.1")).findings
    assert (none.id, none.status) == ("cause.none", "pass"), none.observed

    last = opened("uninstall")
    plan = uninstall.plan(last)
    assert uninstall.apply(last, plan, yes(last, plan)).changed
    last.require(uninstall.confirm(last, plan))
    assert last.seal().outcome == "done"

    proof = verify.look(opened("verify", verify__expect="absent"))
    assert proof.verdict == "pass"
    elsewhere = opened("verify", verify__expect="absent")
    monkeypatch.setattr(elsewhere.boundaries.cluster, "uid", lambda: "another")
    found = {finding.id: finding for finding in verify.look(elsewhere).findings}
    assert found["staying.present"].status == "skip", "an uninstall of the same release in another cluster"
    assert f"Secret {target['target.release']}-postgresql" in plan.bindings["staying"]
    assert verify.look(opened("verify")).with_status("fail")[0].id == "release.status"


def test_seal_vouches_only_for_what_was_looked_at_and_found_good(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    """A person may go on after a failed cell, and press Seal."""
    never = opened("verify")
    assert (never.seal().outcome, records.summary_of(never.folder).exit_code) == ("unknown", 6)  # type: ignore[arg-type]

    failed = opened("verify")
    with pytest.raises(CheckFailed):
        failed.require(verify.look(failed))
    assert failed.seal().outcome == "unknown"  # only a kernel's journal holds the error

    refused = opened("install")
    refused.require(install.look(refused))
    install.plan(refused)
    assert refused.seal().outcome == "unknown"

    good = opened("prerequisites")
    good.require(prerequisites.look(good))
    assert good.seal().outcome == "passed"


def test_without_an_approval_nothing_is_changed(opened: Open, cluster: Cluster, target: dict[str, str]) -> None:
    run = opened("install")
    plan = install.plan(run)
    with pytest.raises(ApprovalError, match=f"This plan was not approved: {plan.digest}") as raised:
        run.approval(plan)
    assert raised.value.exit_code == 4
    assert cluster.get("v1", "Namespace", target["target.namespace"]) is None


def test_a_plan_that_is_not_the_approved_one_is_refused(opened: Open, cluster: Cluster, target: dict[str, str]) -> None:
    run = opened("install")
    plan = install.plan(run)
    other = install.plan(opened("install", gateway__domain="other.example.com"))
    assert other.digest != plan.digest
    run.approve(other.digest)
    said = r"Another plan was approved .* Since then: another values\. Nothing was changed"
    with pytest.raises(ApprovalError, match=said):
        run.approval(plan)
    stale = Approval(digest=other.digest, by="somebody", how="parameter")
    with pytest.raises(ApprovalError, match="is not what was approved"):
        install.apply(run, plan, stale)
    assert cluster.get("v1", "Namespace", target["target.namespace"]) is None


def test_another_cluster_than_the_pinned_one_is_refused(opened: Open) -> None:
    with pytest.raises(TargetRefused, match="another cluster than the pinned one") as raised:
        install.plan(opened("install", target__cluster_uid="00000000-0000-0000-0000-000000000000"))
    assert raised.value.exit_code == 7
    with pytest.raises(TargetRefused, match="another cluster than the pinned one"):
        opened("verify", target__cluster_uid="00000000-0000-0000-0000-000000000000")


def test_a_missing_pin_is_refused_with_the_line_to_paste(opened: Open, cluster: Cluster) -> None:
    run = opened("install", target__cluster_uid="")
    with pytest.raises(TargetRefused, match="pin no cluster") as raised:
        install.plan(run)
    assert f'cluster_uid: "{cluster.uid()}"' in raised.value.next_step
    pin = next(finding for finding in prerequisites.look(run).findings if finding.id == "target.pin")
    assert pin.status == "fail"
    assert cluster.uid() in pin.remedy


def test_nothing_to_upgrade_is_refused_and_nothing_to_uninstall_is_fine(opened: Open) -> None:
    with pytest.raises(CheckFailed, match=r"There is no release .* to upgrade") as raised:
        upgrade.plan(opened("upgrade"))
    assert raised.value.exit_code == 3
    assert "02_install" in raised.value.next_step
    run = opened("uninstall")
    assert uninstall.look(run).with_status("fail", "unknown") == ()
    plan = uninstall.plan(run)
    assert plan.empty
    assert "nothing is to be removed" in plan.impact[0]
    uninstall.apply(run, plan, run.approval(plan))
    assert uninstall.confirm(run, plan).with_status("fail", "unknown") == ()


def test_an_install_over_a_release_is_refused_and_an_unchanged_upgrade_does_nothing(opened: Open) -> None:
    run, _ = installed(opened)
    with pytest.raises(CheckFailed, match="exists already"):
        install.plan(opened("install"))
    again = opened("upgrade")
    plan = upgrade.plan(again)
    assert plan.empty
    assert "Nothing to do" in plan.impact[0]
    assert not upgrade.apply(again, plan, again.approval(plan)).changed
    assert run.boundaries.helm.history(run.boundaries.release)[-1].revision == 1


def test_what_is_deleted_or_scaled_by_hand_is_seen_and_made_again(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    installed(opened)
    namespace, release = target["target.namespace"], target["target.release"]
    cluster.delete("v1", "ConfigMap", f"{release}-label-studio", namespace)
    cluster.patch("apps/v1", "Deployment", f"{release}-celery-worker", {"spec": {"replicas": 0}}, namespace)
    found = {finding.id: finding.observed for finding in verify.look(opened("verify")).with_status("fail")}
    assert found["objects.present"] == f"not in the cluster: ConfigMap {release}-label-studio"
    assert f"Deployment {release}-celery-worker: scaled to 0, the release has 1" in found["workloads.available"]
    run = opened("upgrade")
    plan = upgrade.plan(run)
    assert f"Missing in the cluster, and made again: ConfigMap {release}-label-studio." in plan.impact
    upgrade.apply(run, plan, yes(run, plan))
    assert cluster.get("v1", "ConfigMap", f"{release}-label-studio", namespace)


def test_an_upgrade_names_the_values_that_the_parameters_dropped(opened: Open) -> None:
    installed(opened, values__dataflow={"extra": "kept only in the release"})
    plan = upgrade.plan(opened("upgrade"))
    assert any(line.startswith("DROPPED VALUE: dataflow.extra ") for line in plan.impact)


def test_passwords_are_strong_adopted_and_nowhere_in_the_record(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    run, _ = installed(opened)
    run.seal()
    namespace, release = target["target.namespace"], target["target.release"]
    shown = text_of(run.folder)
    for service, key in (("postgresql", "POSTGRES_PASSWORD"), ("mongo", "MONGO_INITDB_ROOT_PASSWORD")):
        secret = cluster.get("v1", "Secret", f"{release}-{service}", namespace)
        assert secret is not None
        password = dict(secret_values(secret))[key]
        assert len(password) == 32
        assert password not in shown
        assert secret["data"][key] not in shown
    config = cluster.get("v1", "ConfigMap", f"{release}-dataflow", namespace)
    assert config is not None
    assert dict(secret_values(secret))["MONGO_INITDB_ROOT_PASSWORD"] in config["data"]["MONG_HOST_URL"]


def test_a_reinstall_takes_claims_and_secrets_over_again(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    installed(opened)
    namespace, secret = target["target.namespace"], f"{target['target.release']}-postgresql"
    before = cluster.get("v1", "Secret", secret, namespace)
    run = opened("uninstall")
    plan = uninstall.plan(run)
    uninstall.apply(run, plan, yes(run, plan))
    again = opened("install")
    # Names of example.com have no address here, and images are waived.
    assert not install.look(again).with_status("fail", "unknown")
    second = install.plan(again)
    assert [step.kind for step in second.steps] == ["take-lease", "helm-install", "await-rollout"]
    (taken,) = (line for line in second.impact if line.startswith("Takes over what an earlier release has left"))
    assert f"Secret {secret}" in taken
    assert f"PersistentVolumeClaim data-{secret}-0" in taken
    install.apply(again, second, yes(again, second))
    after = cluster.get("v1", "Secret", secret, namespace)
    assert before is not None
    assert after is not None
    assert before["data"] == after["data"]


def test_a_claim_whose_secret_is_lost_stops_an_install(opened: Open, cluster: Cluster, target: dict[str, str]) -> None:
    installed(opened)
    run = opened("uninstall")
    plan = uninstall.plan(run)
    uninstall.apply(run, plan, yes(run, plan))
    cluster.delete("v1", "Secret", f"{target['target.release']}-postgresql", target["target.namespace"])
    again = opened("install")
    report = install.look(again)
    (finding,) = report.with_status("fail")
    assert finding.id == "claims.secrets"
    with pytest.raises(CheckFailed, match="Claims and their Secrets"):
        again.require(report)


def test_a_lost_secret_stops_an_upgrade_that_would_lock_a_database(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    installed(opened)
    secret = f"{target['target.release']}-mongo"
    cluster.delete("v1", "Secret", secret, target["target.namespace"])
    (missing,) = (each for each in verify.there(opened("verify")).findings if each.id == "objects.present")
    assert missing.status == "fail"
    assert missing.remedy.startswith("Restore the Secret first")
    run = opened("upgrade")
    report = upgrade.look(run)
    assert [finding.id for finding in report.with_status("fail")] == ["claims.secrets"]
    with pytest.raises(CheckFailed, match=f"Secret {secret} is not"):
        run.require(report)


def test_a_plan_names_what_hooks_make_anew_and_is_for_one_installation_only(opened: Open) -> None:
    installed(opened)
    first, again = opened("uninstall"), opened("install", chart__version="1.16.1")
    plan = uninstall.plan(first)
    upgraded = upgrade.plan(opened("upgrade", chart__version="1.16.1"))
    (line,) = (line for line in upgraded.impact if line.startswith("Hooks make these anew"))
    assert "MutatingWebhookConfiguration" in line
    uninstall.apply(first, plan, yes(first, plan))
    assert any(line.startswith("Hooks make these anew") for line in install.plan(again).impact)
    installed(opened)
    assert uninstall.plan(opened("uninstall")).digest != plan.digest


def test_a_second_release_is_told_whose_gateway_class_is_in_the_way(opened: Open, target: dict[str, str]) -> None:
    installed(opened)
    second = opened("install", target__release="second", target__namespace="second")
    finding, owned = install.look(second).with_status("fail")
    assert (finding.id, owned.id) == ("chart.render", "objects.owned")
    assert f"belongs to release {target['target.release']} in namespace {target['target.namespace']}" in owned.observed
    assert 'GatewayClass "csghub-gateway"' in finding.observed
    assert target["target.release"] in finding.observed
    assert "does not belong to this release" in finding.observed
    # Another name of the release would not help.
    assert "Its name does not depend on target.release" in finding.remedy


def test_a_roll_out_that_does_not_end_fails_with_reasons_and_evidence(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    run = opened("install", policy__rollout_seconds=3, values__global__minReadySeconds=500)
    plan = install.plan(run)
    with pytest.raises(ChangeFailed, match=r"Not rolled out within 3 s: .*0 of 1 available") as raised:
        install.apply(run, plan, yes(run, plan))
    assert raised.value.exit_code == 5
    assert run.folder is not None
    names = {path.name for path in (run.folder / "evidence").rglob("*.json")}
    assert {"pods.json", "statefulsets.json", "events.json"} <= names
    secret = cluster.get("v1", "Secret", f"{target['target.release']}-postgresql", target["target.namespace"])
    assert secret is not None
    assert dict(secret_values(secret))["POSTGRES_PASSWORD"] not in text_of(run.folder)
    kinds = [event["kind"] for event in records.read_events(run.folder)]
    assert kinds.index("change.failed") < kinds.index("evidence.saved")


def test_a_failed_helm_is_a_failed_change_with_its_words(opened: Open) -> None:
    broken = {"metadata": {"name": "quota"}, "spec": {"hard": {"services": "0"}}}
    run = opened("install")
    namespace = run.boundaries.namespace
    run.boundaries.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    run.boundaries.cluster.create({"apiVersion": "v1", "kind": "ResourceQuota", **broken}, namespace)
    plan = install.plan(run)
    with pytest.raises(ChangeFailed, match=r"Step \d of \d \(Install dataflow 1.16.0 with Helm\) failed: .*quota"):
        install.apply(run, plan, yes(run, plan))
    (finding, *_) = verify.look(opened("verify")).with_status("fail")
    assert finding.id == "release.status"
    assert "failed" in finding.observed


def test_a_workload_without_pods_turns_verify_red(opened: Open, cluster: Cluster, target: dict[str, str]) -> None:
    installed(opened)
    name, namespace = f"{target['target.release']}-redis", target["target.namespace"]
    live = cluster.get("apps/v1", "StatefulSet", name, namespace)
    assert live is not None
    pod = {"apiVersion": "v1", "kind": "Pod", "name": f"{name}-0"}
    cluster.delete("apps/v1", "StatefulSet", name, namespace)
    cluster.delete("v1", pod["kind"], pod["name"], namespace)
    report = verify.look(opened("verify"))
    (workloads,) = [finding for finding in report.findings if finding.id == "workloads.available"]
    assert workloads.status == "fail"
    assert f"StatefulSet {name}: not there" in workloads.observed


@pytest.mark.parametrize(
    ("override", "error", "sentence"),
    [
        ({"chart.version": "9.9.9"}, UsageError, "no such chart version"),
        ({"chart.repository": "http://127.0.0.1:9/"}, Unreachable, "did not give the chart|could not reach"),
        ({"values": {"global": {"gateway": {"tls": {"enabled": True}}}}}, UsageError, "can't be rendered"),
    ],
)
def test_a_chart_that_cannot_be_had_is_a_sentence(
    opened: Open, override: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    run = opened("install", **override)
    with pytest.raises(error, match=sentence):
        install.plan(run)
    finding = next(item for item in prerequisites.look(run).findings if item.id == "chart.render")
    assert finding.status == "fail"


def test_a_cluster_that_does_not_answer_closes_the_record_as_unknown(sandbox: Any, tmp_path: Path) -> None:
    config = json.loads(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "gone"}))
    config["clusters"] = [{"name": "gone", "cluster": {"server": "https://127.0.0.1:9"}}]
    config["users"] = [{"name": "gone", "user": {"token": "none"}}]
    config["contexts"] = [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    overrides = {"target.kubeconfig": str(kubeconfig), "target.context": "gone"}
    with pytest.raises(Unreachable, match="did not answer") as raised:
        Run.open("verify", sandbox.parameters_file, overrides=overrides, output_directory=str(tmp_path / "r"))
    assert raised.value.exit_code == 6
    (summary,) = records.listing(tmp_path / "r")
    assert (summary.outcome, summary.exit_code) == ("unknown", 6)


def test_a_parameters_file_that_changes_while_a_run_is_open_stops_it(
    sandbox: Any, target: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "parameters.yaml"
    text = (parameters.project_root() / sandbox.parameters_file).read_text()
    file.write_text(text)
    run = Run.open("install", str(file), overrides=target, output_directory=str(tmp_path))
    plan = install.plan(run)
    file.write_text(text.replace("probes: write", "probes: read"))
    for go_on in (lambda: install.plan(run), lambda: install.apply(run, plan, yes(run, plan))):
        with pytest.raises(UsageError, match="was changed since this run was opened") as caught:
            go_on()
        assert "from its first cell" in caught.value.next_step
    assert run.boundaries.helm.status(target["target.release"]) is None
    file.write_text(text)
    assert install.plan(run).digest == plan.digest


def test_what_papermill_made_a_number_of_is_refused(sandbox: Any) -> None:
    with pytest.raises(
        UsageError, match="given as approve is not text any more; papermill has made inf of it"
    ) as caught:
        Run.open("install", sandbox.parameters_file, approve=float("12e4567"))  # type: ignore[arg-type]
    assert "-r approve" in caught.value.next_step


def test_a_misspelt_parameter_opens_no_run(sandbox: Any, tmp_path: Path) -> None:
    with pytest.raises(ParametersError, match="cluster_uid"):
        Run.open(
            "verify", sandbox.parameters_file, overrides={"target.cluster_uuid": "x"}, output_directory=str(tmp_path)
        )
    assert records.listing(tmp_path) == []


def test_two_runs_at_once_change_a_release_one_after_the_other(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    first, _ = installed(opened)
    name = f"runbooks-{target['target.release']}"
    assert cluster.get("coordination.k8s.io/v1", "Lease", name, target["target.namespace"]) is None
    held = Lease(first.boundaries, stage="upgrade")
    held.take()
    second = opened("uninstall")
    plan = uninstall.plan(second)
    with pytest.raises(TargetRefused, match=f"held by run {first.id} of upgrade by ") as caught:
        uninstall.apply(second, plan, yes(second, plan))
    assert caught.value.exit_code == 7
    assert second.boundaries.helm.status(target["target.release"]) is not None
    held.give_back()
    assert uninstall.apply(second, plan, yes(second, plan)).changed
    assert cluster.get("coordination.k8s.io/v1", "Lease", name, target["target.namespace"]) is None


def test_a_lease_is_renewed_and_followed_when_its_owner_is_dead(
    opened: Open, cluster: Cluster, target: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.2)
    monkeypatch.setattr(lease, "SECONDS", 2)
    namespace, where = target["target.namespace"], f"runbooks-{target['target.release']}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})

    def renewed() -> str:
        found = cluster.get("coordination.k8s.io/v1", "Lease", where, namespace)
        assert found is not None
        return str(found["spec"]["renewTime"])

    held, other = (Lease(opened("upgrade").boundaries, stage="upgrade") for _ in range(2))
    held.take()
    first = renewed()
    for _, _ in cluster.watch("coordination.k8s.io/v1", "Lease", namespace, timeout=10):
        if renewed() > first:
            break
    assert renewed() > first
    # Its process dies: nobody renews it, and its start time is no running process's.
    held._ended.set()
    dead = {"metadata": {"annotations": {"runbooks/start_time": "-1.0"}}, "spec": {"renewTime": first}}
    cluster.patch("coordination.k8s.io/v1", "Lease", where, dead, namespace)
    with pytest.raises(TargetRefused, match="is being changed"):
        other.take()
    for _, _ in cluster.watch("v1", "Event", namespace, timeout=3):
        pass
    other.take()
    other.give_back()
    assert cluster.get("coordination.k8s.io/v1", "Lease", where, namespace) is None
