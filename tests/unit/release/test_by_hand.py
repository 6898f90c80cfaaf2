"""The commands that a plan and a report print, to be pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runbooks_lib.checks.catalogue import commands_of as commands_of_checks
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.parameters import Parameters
from runbooks_lib.release import by_hand
from runbooks_lib.release.steps import STEPS
from runbooks_lib.results import ObjectChange, Plan, Step

SETTINGS: dict[str, Any] = {
    "target": {"namespace": "csghub"},
    "chart": {"repository": "https://charts.example.com", "version": "1.16.0"},
    "csghub": {"external_url": "https://csghub.example.com"},
    "gateway": {"domain": "example.com"},
}


def parameters(**more: Any) -> Parameters:
    return Parameters.model_validate(SETTINGS | more)


def plan(source: str = "https://charts.example.com", *kinds: str) -> Plan:
    kinds = kinds or ("create-namespace", "take-lease", "create-secret", "helm-install", "await-rollout")
    data = {"name": "db", "keys": ["A", "B"]}
    return Plan(
        stage="install",
        target={"cluster_uid": "u", "namespace": "csghub", "release": "dataflow"},
        steps=tuple(Step(kind=kind, title=kind, data=data) for kind in kinds),
        bindings={"chart": {"name": "dataflow", "version": "1.16.0", "source": source}},
    )


@pytest.mark.parametrize(
    ("source", "chart"),
    [
        ("https://charts.example.com", "dataflow --repo https://charts.example.com --version 1.16.0"),
        ("oci://registry.example.com/charts", "oci://registry.example.com/charts/dataflow --version 1.16.0"),
        ("my charts/dataflow", "'/project/my charts/dataflow'"),
    ],
)
def test_a_plan_tells_the_plain_commands_that_it_stands_for(
    source: str, chart: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    chart = chart.replace("/project", str(tmp_path))
    entry = "=<(LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c 32)"
    owner = "meta.helm.sh/release-name=dataflow meta.helm.sh/release-namespace=csghub"
    assert by_hand.commands_of(plan(source), parameters(), Path("/records/r 1")) == (
        "kubectl create namespace csghub",
        f"kubectl create secret generic db --namespace csghub --from-file=A{entry} --from-file=B{entry}",
        "kubectl label secret db --namespace csghub app.kubernetes.io/managed-by=Helm",
        f"kubectl annotate secret db --namespace csghub {owner}",
        f"helm install dataflow {chart} --namespace csghub --values '/records/r 1/values.yaml'",
        "kubectl get deployments,statefulsets,daemonsets --namespace csghub --watch",
    )


def test_where_the_values_are_is_said() -> None:
    (line,) = by_hand.commands_of(plan("https://c.example.com", "helm-upgrade"), parameters(), None)
    assert line.endswith("--values values.yaml  # the values.yaml that a run of the notebook keeps in its record")
    secret = parameters(values={"a": {"password": {"from": "env:PW"}}})
    (line,) = by_hand.commands_of(plan("https://c.example.com", "helm-upgrade"), secret, Path("/r"))
    assert line.endswith("--values /r/values.yaml  # in that file replace each {from: …} by what it refers to")


def test_what_a_change_removes_is_stopped_by_hand_and_not_started_again() -> None:
    pairs: Any = [["Deployment", "api"], ["StatefulSet", "worker"]]
    steps = tuple(Step(kind=kind, title=kind, data={"workloads": pairs}) for kind in ("stop-writers", "start-writers"))
    made = plan().model_copy(update={"steps": steps})
    told = by_hand.commands_of(made, parameters(), None)
    assert [line.partition(" --namespace")[0] for line in told] == [
        "kubectl scale deployment/api statefulset/worker --replicas 0",
        "kubectl scale deployment/api statefulset/worker --replicas 1",
    ]
    removed = ObjectChange(action="remove", name="StatefulSet worker")
    (_, start) = by_hand.commands_of(made.model_copy(update={"changes": (removed,)}), parameters(), None)
    assert start.startswith("kubectl scale deployment/api --replicas 1 ")
    both = (removed, ObjectChange(action="remove", name="Deployment api"))
    (stop,) = by_hand.commands_of(made.model_copy(update={"changes": both}), parameters(), None)
    assert "--replicas 0" in stop


def test_every_command_names_the_cluster_that_the_parameters_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    target = SETTINGS["target"] | {"kubeconfig": "my kube/config", "context": "prod"}
    made = parameters(target=target, helm={"executable": "bin/helm"})
    helm = f"{tmp_path}/bin/helm --kubeconfig '{tmp_path}/my kube/config' --kube-context prod "
    kubectl = f"kubectl --kubeconfig '{tmp_path}/my kube/config' --context prod "
    lines = [*by_hand.commands_of(plan(), made, None), *commands_of_checks(FAMILIES["prerequisites"], made)]
    lines += commands_of_checks(FAMILIES["verify"], made)
    assert {line for line in lines if not line.startswith((helm, kubectl, "curl "))} == set()
    piped = [line for line in lines if " get manifest " in line]
    assert [line.partition(" | ")[2].startswith(kubectl) for line in piped] == [True, True]


def test_a_plans_commands_are_no_part_of_its_digest() -> None:
    told = plan().model_copy(update={"commands": ("helm",)})
    assert told.digest == plan().digest
    assert Plan.model_validate(told.model_dump(mode="json")) == plan()


def test_what_01_looks_at_can_be_seen_by_hand_and_nothing_stands_for_a_name() -> None:
    lines = commands_of_checks(FAMILIES["prerequisites"], parameters())
    assert {"kubectl get storageclasses", "kubectl get gatewayclasses"} <= set(lines)
    assert not any(" notes " in line for line in lines)
    named = parameters(csghub=SETTINGS["csghub"] | {"release": "hub", "namespace": "hubs"})
    assert "helm get notes hub --namespace hubs" in commands_of_checks(FAMILIES["prerequisites"], named)


def test_every_step_of_a_change_has_a_command_but_the_lease() -> None:
    written = yaml.safe_load((Path(by_hand.__file__).parent / "by_hand.yaml").read_text())
    assert {*STEPS} - {each.partition(" ")[0] for each in written} == {"take-lease"}


def test_each_kind_of_store_is_copied_and_put_back_by_a_program_that_can() -> None:
    protocols = {
        "postgresql": ["a at db:5432", "b at db:5432"],
        "redis": ["redis at cache:6379"],
        "mongodb": ["mongodb at docs:27017"],
    }
    made = plan("https://charts.example.com", "back-up", "restore")
    steps = tuple(step.model_copy(update={"data": {"protocols": protocols}}) for step in made.steps)
    lines = by_hand.commands_of(made.model_copy(update={"steps": steps}), parameters(), None)
    assert [line.partition(" ")[0] for line in lines] == ["pg_dump", "redis-cli", "mongodump", "pg_restore", "#", "#"]
    for at, names in enumerate([*protocols.values()] * 2):
        assert ", ".join(names) in lines[at]
