"""The rehearsal chart published as a Helm repository, and fetched from it by the real helm."""

import stat
import tarfile
import urllib.request

import pytest
import yaml

from runbooks_lib import process
from runbooks_lib.errors import RunbookError, UsageError
from sandbox import charts


def contents(package):
    with tarfile.open(package) as archive:
        return {member.name: file.read() for member in archive.getmembers() if (file := archive.extractfile(member))}


VERSIONS = ("1.16.0", "1.16.1", "1.17.2", "2.1.0", "2.2.1", "2.2.2", "2.2.3")


def program(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_publishing_makes_a_package_of_each_version_and_an_index(helm_executable, folder):
    assert charts.publish(folder, helm=helm_executable, url="http://127.0.0.1:8080") == VERSIONS
    assert {path.name for path in folder.iterdir()} == {*(f"dataflow-{one}.tgz" for one in VERSIONS), "index.yaml"}
    entries = yaml.safe_load((folder / "index.yaml").read_text())["entries"]["dataflow"]
    assert {(entry["version"], entry["appVersion"], *entry["urls"]) for entry in entries} == {
        (one, f"v{one}", f"http://127.0.0.1:8080/dataflow-{one}.tgz") for one in VERSIONS
    }


def test_the_versions_that_are_broken_on_purpose_say_so_and_the_others_do_not():
    broken = {version.number: version.broken for version in charts.versions() if version.broken}
    assert broken == {"2.2.2": "a file of the hook's SQL fails", "2.2.3": "the image of Dataflow is not found"}


def test_publishing_again_gives_the_same_charts_and_leaves_other_files_alone(helm_executable, folder):
    folder.mkdir()
    (folder / "notes").write_text("mine")
    charts.publish(folder, helm=helm_executable, url="http://127.0.0.1")
    first = {path.name: contents(path) for path in folder.glob("*.tgz")}
    charts.publish(folder, helm=helm_executable, url="http://127.0.0.1")
    assert {path.name: contents(path) for path in folder.glob("*.tgz")} == first
    assert (folder / "notes").read_text() == "mine"
    assert len(list(folder.iterdir())) == len(VERSIONS) + 2


def test_a_package_holds_the_tree_with_both_subcharts_and_no_definitions_of_kinds(helm_executable, folder):
    charts.publish(folder, helm=helm_executable, url="http://127.0.0.1")
    packed = contents(folder / "dataflow-1.16.0.tgz")
    own = {f"dataflow/{path.relative_to(charts.TREE)}" for path in charts.TREE.rglob("*") if path.is_file()}
    assert packed.keys() == own
    assert "dataflow/charts/gateway-helm/Chart.yaml" in packed
    assert not any("/crds/" in name for name in packed)


def test_a_helm_named_by_a_relative_path_is_found_from_here(helm_executable, folder, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").symlink_to(helm_executable)
    monkeypatch.chdir(tmp_path)
    assert charts.publish(folder, helm="bin/helm", url="http://127.0.0.1")


def test_the_chart_passes_helms_own_lint(helm_executable, helm_environment, tmp_path):
    argv = [helm_executable, "lint", "--strict", str(charts.TREE)]
    ended = process.run(argv, timeout=60, env=helm_environment, cwd=tmp_path)
    assert ended.ok, ended.stdout + ended.stderr


def test_a_helm_that_refuses_is_told_in_a_sentence_and_publishes_nothing(folder, tmp_path):
    helm = program(tmp_path / "helm", "#!/bin/sh\necho 'Error: no room' >&2\nexit 1\n")
    with pytest.raises(RunbookError) as caught:
        charts.publish(folder, helm=helm, url="http://127.0.0.1")
    assert caught.value.summary == (
        "Helm could not package the rehearsal chart 1.16.0: it ended with 1 and said: Error: no room"
    )
    assert "helm lint" in caught.value.next_step
    assert not folder.exists()


def test_a_helm_that_is_not_there_is_told_in_a_sentence(folder, tmp_path):
    with pytest.raises(UsageError, match="There is no program"):
        charts.publish(folder, helm=str(tmp_path / "nowhere"), url="http://127.0.0.1")


def test_helm_adds_the_repository_and_pulls_every_version_from_it(
    helm_executable, helm_environment, chart_repository, tmp_path
):
    def helm(*arguments):
        ended = process.run([helm_executable, *arguments], timeout=60, env=helm_environment, cwd=tmp_path)
        assert ended.ok, ended.stderr
        return ended.stdout

    helm("repo", "add", "rehearsal", chart_repository)
    listed = yaml.safe_load(helm("search", "repo", "rehearsal/dataflow", "--versions", "--output", "yaml"))
    assert [row["version"] for row in listed] == [*reversed(VERSIONS)]
    for version in VERSIONS:
        helm("pull", "rehearsal/dataflow", "--version", version)
        with urllib.request.urlopen(f"{chart_repository}/dataflow-{version}.tgz", timeout=10) as answer:
            assert (tmp_path / f"dataflow-{version}.tgz").read_bytes() == answer.read()


def test_the_user_s_own_helm_home_is_not_touched(helm_executable, folder, tmp_path, monkeypatch):
    homes = {kind: tmp_path / "home" / kind for kind in ("CONFIG", "CACHE", "DATA")}
    for kind, home in homes.items():
        monkeypatch.setenv(f"HELM_{kind}_HOME", str(home))
    charts.publish(folder, helm=helm_executable, url="http://127.0.0.1")
    assert not (tmp_path / "home").exists()
