from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_api import ScriptedApi, kubeconfig_text

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import Unreachable, UsageError

SECRET = "s3cr3t-token"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


def test_a_missing_kubeconfig_is_named(path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Cluster.connect(path, "")
    assert caught.value.summary == f"There is no kubeconfig at {path}."
    assert "target.kubeconfig" in caught.value.next_step
    assert caught.value.exit_code == 2


def test_an_unknown_context_is_answered_with_those_that_exist(path: Path) -> None:
    path.write_text(kubeconfig_text("https://127.0.0.1:1"))
    with pytest.raises(UsageError) as caught:
        Cluster.connect(path, "prod")
    assert caught.value.summary == f"The kubeconfig {path} has no context 'prod'; it has here, there."
    assert caught.value.next_step == "Set target.context to one of them."


def test_an_empty_context_means_the_current_one_and_a_name_another(path: Path) -> None:
    config = yaml.safe_load(kubeconfig_text("https://127.0.0.1:1"))
    config["clusters"].append({"name": "other", "cluster": {"server": "https://127.0.0.1:2"}})
    config["contexts"][1]["context"]["cluster"] = "other"
    path.write_text(yaml.safe_dump(config))
    assert Cluster.connect(path, "").server == "https://127.0.0.1:1"
    assert Cluster.connect(path, "there").server == "https://127.0.0.1:2"


def _without_current(config: dict[str, Any]) -> None:
    del config["current-context"]


def _stale_current(config: dict[str, Any]) -> None:
    config["current-context"] = "gone"


def _no_cluster(config: dict[str, Any]) -> None:
    config["clusters"] = []


def _clusters_as_mapping(config: dict[str, Any]) -> None:
    config["clusters"] = {"c": {"server": "https://127.0.0.1:1"}}


def _authority_missing(config: dict[str, Any]) -> None:
    config["clusters"][0]["cluster"]["certificate-authority"] = "/nowhere/ca.crt"


def _bad_base64(config: dict[str, Any]) -> None:
    config["clusters"][0]["cluster"]["certificate-authority-data"] = "a"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_without_current, "names no current context; it has here, there."),
        (_stale_current, "has no context 'gone'; it has here, there."),
        (_no_cluster, "can't be used: its context here is incomplete or malformed."),
        (_clusters_as_mapping, "can't be used: its context here is incomplete or malformed."),
        (_authority_missing, "can't be used: its context here names the file /nowhere/ca.crt, which is not there."),
        (_bad_base64, "can't be used: its context here is incomplete or malformed."),
    ],
)
def test_a_malformed_kubeconfig_is_a_sentence_without_its_secrets(path: Path, spoil: Any, expected: str) -> None:
    config = yaml.safe_load(kubeconfig_text("https://127.0.0.1:1"))
    spoil(config)
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError) as caught:
        Cluster.connect(path, "")
    assert caught.value.summary == f"The kubeconfig {path} {expected}"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it is empty or malformed"),
        ("- a\n", "it is empty or malformed"),
        (f"users:\n  token: {SECRET}\n bad: [\n", "it is empty or malformed"),
        ("\x00", "it is empty or malformed"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_a_sentence(path: Path, text: str, expected: str) -> None:
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        Cluster.connect(path, "")
    assert expected in caught.value.summary
    assert SECRET not in str(caught.value)


def test_the_users_own_kubeconfig_is_found_by_the_environment(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(kubeconfig_text("https://127.0.0.1:7"))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'not-there'}:{path}")
    assert Cluster.connect(None, "").server == "https://127.0.0.1:7"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "not-there"))
    with pytest.raises(UsageError, match=r"There is no kubeconfig at .*not-there\."):
        Cluster.connect(None, "")


def test_no_kubeconfig_at_all_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        Cluster.connect(None, "")
    assert caught.value.summary == f"There is no kubeconfig at {tmp_path / '.kube/config'}."


def test_a_failing_credential_program_is_named_and_logs_nothing(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}
    }
    path.write_text(kubeconfig_text("https://127.0.0.1:1", user=program))
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(Unreachable) as caught:
        Cluster.connect(path, "")
    assert caught.value.summary == (
        "The program that fetches the credentials of the context here failed: exec: process returned 1."
    )
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers


def test_the_clients_global_settings_are_left_alone(path: Path) -> None:
    from kubernetes.client.configuration import Configuration

    before = Configuration._default
    path.write_text(kubeconfig_text("https://127.0.0.1:1"))
    Cluster.connect(path, "")
    assert Configuration._default is before


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    api: ScriptedApi, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    from scripted_api import Answer

    api.script("GET", "/version", Answer(body={"gitVersion": "v1.33.13"}))
    assert connect(api.url).version() == "v1.33.13"


def test_importing_the_package_does_not_load_the_client() -> None:
    import sys

    from runbooks_lib.process import run

    code = "import sys, runbooks_lib.cluster, runbooks_lib.probes; print({'kubernetes', 'httpx'} & set(sys.modules))"
    assert run([sys.executable, "-c", code], timeout=30).stdout == "set()\n"
