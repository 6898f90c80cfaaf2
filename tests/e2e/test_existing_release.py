"""A release that somebody installed by the guide becomes a parameters file with which nothing is left to do."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import Open

from runbooks_lib import parameters, process
from runbooks_lib.headless.existing import from_release
from runbooks_lib.run import Run
from runbooks_lib.stages import prerequisites, upgrade

GUIDE = [
    "global.gateway.external.domain=csghub.example.com",
    "externalUrl=URL",
    "dataflow.postgresql.database=csghub_dataflow",
    "labelStudio.postgresql.database=csghub_label_studio",
    "global.minReadySeconds=1",
    "global.gateway.service.type=LoadBalancer",
]


@pytest.fixture
def by_hand(sandbox: Any, target: dict[str, str], tmp_path: Path) -> Any:
    """Installs with helm and these values, as the guide says; gives the text that is made of the release."""

    def install(*values: str) -> str:
        settings = yaml.safe_load((parameters.project_root() / sandbox.parameters_file).read_text())
        helm, where = settings["helm"]["executable"], ["--namespace", target["target.namespace"]]
        where += ["--kubeconfig", str(sandbox.kubeconfig), "--kube-context", sandbox.context]
        named = [value.replace("URL", settings["csghub"]["external_url"]) for value in values]
        argv = [helm, "install", target["target.release"], "dataflow", "--repo", settings["chart"]["repository"]]
        argv += ["--version", "1.16.0", "--create-namespace", *where, *(f"--set={value}" for value in named)]
        done = process.run(argv, timeout=100, cwd=tmp_path)
        assert done.ok, done.stderr
        place = {"kubeconfig": str(sandbox.kubeconfig), "context": sandbox.context}
        place |= {key.removeprefix("target."): target[key] for key in ("target.namespace", "target.release")}
        return from_release(place, helm=helm, repository=settings["chart"]["repository"])

    return install


def opened_with(text: str, tmp_path: Path, stage: str, helm: str) -> Run:
    (tmp_path / "made.yaml").write_text(text)
    # No registry can be reached from a machine without a network.
    waiver = {"check": "images.found", "reason": "simulated pods pull nothing", "until": "2999-12-31"}
    overrides = {"helm.executable": helm, "waivers": [waiver]}
    return Run.open(stage, str(tmp_path / "made.yaml"), overrides=overrides, output_directory=str(tmp_path))


def test_after_the_guides_install_there_is_no_difference_and_nothing_to_do(
    by_hand: Any, opened: Open, tmp_path: Path
) -> None:
    text = by_hand(*GUIDE)
    helm = opened("verify").parameters.helm.executable
    plan = upgrade.plan(opened_with(text, tmp_path, "upgrade", helm))
    assert plan.empty, plan.impact
    report = prerequisites.look(opened_with(text, tmp_path, "prerequisites", helm))
    assert {finding.id: finding.observed for finding in report.with_status("fail", "unknown")} == {}
    made = yaml.safe_load(text)
    assert made["gateway"]["domain"] == "csghub.example.com"
    assert made["values"] == {"global": {"minReadySeconds": 1, "gateway": {"service": {"type": "LoadBalancer"}}}}


def test_passwords_become_references_and_stand_nowhere_in_the_file(
    by_hand: Any, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, str]
) -> None:
    own, external = secrets.token_hex(8), secrets.token_hex(8)
    text = by_hand(
        *GUIDE,
        f"postgresql.password={own}",
        "global.redis.enabled=false",
        "global.redis.external.host=redis.example.com",
        f"global.redis.external.password={external}",
    )
    assert own not in text
    assert external not in text
    made = yaml.safe_load(text)
    secret = f"k8s:{target['target.namespace']}/{target['target.release']}-postgresql#POSTGRES_PASSWORD"
    assert made["values"]["postgresql"]["password"] == {"from": secret}
    assert made["redis"]["external"] == {
        "host": "redis.example.com",
        "password": {"from": "env:GLOBAL_REDIS_EXTERNAL_PASSWORD"},
    }
    assert "# Helm keeps this password in clear. Export it where a runbook is started" in text
    monkeypatch.setenv("GLOBAL_REDIS_EXTERNAL_PASSWORD", external)
    run = opened_with(text, tmp_path, "upgrade", opened("verify").parameters.helm.executable)
    plan = upgrade.plan(run)
    assert plan.empty, plan.impact


def test_without_the_guides_flags_the_databases_stay_those_of_the_chart(
    by_hand: Any, opened: Open, tmp_path: Path
) -> None:
    text = by_hand("externalUrl=URL", "global.gateway.external.domain=company.com")
    assert yaml.safe_load(text)["dataflow"] == {"postgresql": {"database": ""}}
    plan = upgrade.plan(opened_with(text, tmp_path, "upgrade", opened("verify").parameters.helm.executable))
    assert plan.empty, plan.impact
