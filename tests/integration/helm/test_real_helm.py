"""The Helm boundary over the real helm, with a real repository on loopback and no cluster."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from runbooks_lib.errors import Unreachable, UsageError
from runbooks_lib.helm import Helm
from runbooks_lib.results import Event
from sandbox import charts

UNREACHED = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:PORT"}}]
users: [{name: nobody, user: {}}]
"""


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def helm(helm_executable: str, tmp_path: Path, told: list[Event]) -> Helm:
    return Helm(helm_executable, tmp_path / "home", "csghub", observe=told.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chart folder of our own."""
    return Path(shutil.copytree(charts.TREE, tmp_path / "mine" / charts.NAME))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_real_helm_tells_its_version(helm: Helm) -> None:
    assert helm.version.startswith(("v3.", "v4."))


def test_a_chart_is_fetched_over_http_and_kept_by_its_digest(helm: Helm, chart_repository: str) -> None:
    chart = helm.fetch(repository=chart_repository, name="dataflow", version="1.16.0")
    assert (chart.name, chart.version) == ("dataflow", "1.16.0")
    assert chart.source == chart_repository
    kept = Path(chart.path)
    assert kept == helm.home / "charts" / chart.digest.removeprefix("sha256:") / "dataflow-1.16.0.tgz"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_fetched_twice_it_is_the_same_file_and_the_same_digest(helm: Helm, chart_repository: str) -> None:
    first = helm.fetch(repository=chart_repository, name="dataflow", version="1.16.0")
    assert helm.fetch(repository=chart_repository, name="dataflow", version="1.16.0") == first


def test_two_versions_stand_side_by_side(helm: Helm, chart_repository: str) -> None:
    old = helm.fetch(repository=chart_repository, name="dataflow", version="1.16.0")
    new = helm.fetch(repository=chart_repository, name="dataflow", version="1.16.1")
    assert new.version == "1.16.1"
    assert new.digest != old.digest
    assert Path(old.path).is_file()


def test_the_users_own_repositories_are_neither_read_nor_written(
    helm: Helm, chart_repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    monkeypatch.setenv("HOME", str(users))
    monkeypatch.setenv("HELM_REPOSITORY_CONFIG", str(users / "repositories.yaml"))
    helm.fetch(repository=chart_repository, name="dataflow", version="1.16.0")
    assert not users.exists()
    assert (helm.home / "config" / "repositories.yaml").is_file()


@pytest.mark.parametrize(("name", "version"), [("dataflow", "9.9.9"), ("datafloww", "1.16.0")])
def test_a_chart_or_version_that_is_not_there_is_named(
    helm: Helm, chart_repository: str, name: str, version: str
) -> None:
    with pytest.raises(UsageError, match="The repository has no such chart version") as caught:
        helm.fetch(repository=chart_repository, name=name, version=version)
    assert name in caught.value.summary
    assert "chart.version" in caught.value.next_step


def test_a_repository_that_is_down_is_unreachable(helm: Helm, closed_port: int) -> None:
    with pytest.raises(Unreachable, match="could not reach a server") as caught:
        helm.fetch(repository=f"http://127.0.0.1:{closed_port}", name="dataflow", version="1.16.0")
    assert str(closed_port) in caught.value.summary


def test_an_address_without_an_index_is_no_repository(helm: Helm, chart_repository: str) -> None:
    with pytest.raises(Unreachable, match="did not give the chart"):
        helm.fetch(repository=f"{chart_repository}/nothing-here", name="dataflow", version="1.16.0")


def test_a_registry_that_is_down_is_unreachable(helm: Helm, closed_port: int) -> None:
    with pytest.raises(Unreachable, match="could not reach a server"):
        helm.fetch(repository=f"oci://127.0.0.1:{closed_port}/charts", name="dataflow", version="1.16.0")


# ---- charts on this disk


def test_a_folder_is_a_chart(helm: Helm, folder: Path) -> None:
    chart = helm.inspect(folder)
    assert (chart.name, chart.version, chart.source) == ("dataflow", "1.16.0", str(folder))


def test_an_archive_is_a_chart(helm: Helm, chart_repository: str, tmp_path: Path) -> None:
    fetched = helm.fetch(repository=chart_repository, name="dataflow", version="1.16.1")
    archive = tmp_path / "copy.tgz"
    shutil.copyfile(fetched.path, archive)
    chart = helm.inspect(archive, source="copy.tgz")
    assert (chart.version, chart.digest, chart.source) == ("1.16.1", fetched.digest, "copy.tgz")


def test_the_digest_changes_when_a_file_of_the_chart_does(helm: Helm, folder: Path) -> None:
    before = helm.inspect(folder).digest
    with (folder / "values.yaml").open("a") as values:
        values.write("# a word more\n")
    assert helm.inspect(folder).digest != before


def test_a_folder_without_a_chart_is_a_sentence(helm: Helm, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="not found where the parameters say"):
        helm.inspect(empty)


def test_a_file_that_is_no_archive_is_refused(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "chart.tgz"
    file.write_text("this is text")
    with pytest.raises(UsageError, match="no chart archive"):
        helm.inspect(file)


def test_a_folder_named_as_the_chart_does_not_win_over_the_repository(
    helm: Helm, chart_repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    impostor = Path(shutil.copytree(charts.TREE, here / "dataflow"))
    text = (impostor / "Chart.yaml").read_text()
    (impostor / "Chart.yaml").write_text(text.replace("version: 1.16.0", "version: 0.0.1"))
    monkeypatch.chdir(here)
    assert helm.fetch(repository=chart_repository, name="dataflow", version="1.16.1").version == "1.16.1"


def test_every_call_of_a_fetch_is_told(helm: Helm, chart_repository: str, told: list[Event]) -> None:
    helm.fetch(repository=chart_repository, name="dataflow", version="1.16.0")
    ended = [event.data for event in told if event.kind == "command.ended"]
    assert [data["argv"][1] for data in ended] == ["repo", "pull", "show"]
    assert all(data["returncode"] == 0 and data["seconds"] > 0 for data in ended)


# ---- a cluster that is not there


def test_a_cluster_that_does_not_answer_is_unreachable(helm_executable: str, tmp_path: Path, closed_port: int) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(UNREACHED.replace("PORT", str(closed_port)))
    helm = Helm(helm_executable, tmp_path / "home", "csghub", kubeconfig=kubeconfig)
    with pytest.raises(Unreachable, match="could not reach a server"):
        helm.status("dataflow")
    chart = helm.inspect(charts.TREE)
    with pytest.raises(Unreachable, match="could not reach a server"):
        helm.render("dataflow", chart, {}, upgrade=False)


def test_a_helm_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'no-such-helm' was not found") as caught:
        print(Helm("no-such-helm", tmp_path, "csghub").version)
    assert "PATH" in caught.value.next_step
