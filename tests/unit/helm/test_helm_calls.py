"""Each call of Helm: its exact command line, what goes in by standard input, and whose settings it sees."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib.errors import CheckFailed, OutcomeUnknown, RunbookError, UsageError
from runbooks_lib.helm import ChartFile, Helm
from runbooks_lib.helm.client import QUESTION_SECONDS
from runbooks_lib.helm.values import chart_digest, release_of, yaml_mapping
from runbooks_lib.process import GRACE_SECONDS, Completed
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event, digest_of

CHART = ChartFile(path="/charts/dataflow.tgz", name="dataflow", version="1.16.0", digest="sha256:0", source="here")
WHERE = ("--namespace", "csghub", "--kubeconfig", "/kube/config", "--kube-context", "prod")
VALUES = {"postgresql": {"password": "hunter2-hunter2"}}
RELEASE = {
    "name": "dataflow",
    "namespace": "csghub",
    "version": 3,
    "info": {"status": "deployed", "description": "run a plan b", "last_deployed": "2026-11-22", "notes": "Hello"},
    "config": {"a": 1},
    "manifest": "kind: Secret\n",
    "hooks": [
        {"name": "migrate", "kind": "Job", "path": "t/j.yaml", "manifest": "kind: Job\n", "events": ["pre-install"]}
    ],
}


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def helm(program: Any, tmp_path: Path, told: list[Event]) -> Helm:
    return Helm(
        "helm",
        tmp_path / "home",
        "csghub",
        kubeconfig=Path("/kube/config"),
        context="prod",
        redactor=Redactor(),
        run=program,
        observe=told.append,
    )


# ---- the command lines


def test_status_asks_for_json(helm: Helm, program: Any) -> None:
    program.answer("status", stdout=RELEASE)
    found = helm.status("dataflow")
    assert program.call.argv == ("helm", "status", "dataflow", "--output", "json", *WHERE)
    assert (program.call.stdin, program.call.timeout) == (None, QUESTION_SECONDS)
    assert found is not None
    assert (found.name, found.namespace, found.revision, found.status) == ("dataflow", "csghub", 3, "deployed")
    assert (found.description, found.values) == ("run a plan b", {"a": 1})
    assert found.hooks == ("kind: Job\n",)


def test_a_release_with_a_kind_that_nobody_knows_any_more_is_read_in_parts(helm: Helm, program: Any) -> None:
    unknown = (
        'resource mapping not found for name: "a" namespace: "" from "": no matches for kind "Berth" in version "b/v1"'
    )
    program.answer("status", returncode=1, stderr=f"Error: {unknown}\nensure CRDs are installed first\n")
    known = {"name": "dataflow", "namespace": "csghub", "revision": 3, "status": "deployed", "applyMethod": "ssa"}
    program.answer("metadata", stdout=known | {"deployedAt": "2026-11-22", "chart": "dataflow"})
    program.answer("values", stdout={"a": 1})
    program.answer("manifest", stdout="---\nkind: Berth\n")
    program.answer("hooks", stdout="---\n# Source: a.yaml\nkind: Job\n---\nkind: Pod\n")
    lines = [
        {"revision": number, "status": "deployed", "chart": "c-1", "description": f"run {number}"} for number in (2, 3)
    ]
    program.answer("history", stdout=lines)
    found = helm.status("dataflow", revision=3)
    assert found is not None
    assert (found.name, found.namespace, found.revision, found.status) == ("dataflow", "csghub", 3, "deployed")
    assert (found.description, found.values, found.updated, found.apply_method) == (
        "run 3",
        {"a": 1},
        "2026-11-22",
        "ssa",
    )
    assert found.manifest == "---\nkind: Berth\n"
    assert [each.strip() for each in found.hooks] == ["# Source: a.yaml\nkind: Job", "kind: Pod"]
    asked = [call.argv[1:5] for call in program.calls if call.argv[1] == "get"]
    assert asked[0] == ("get", "metadata", "dataflow", "--revision")


def test_history_asks_for_the_last_twenty(helm: Helm, program: Any) -> None:
    line = {
        "revision": 1,
        "updated": "2026-11-22",
        "status": "deployed",
        "chart": "dataflow-1.16.0",
        "app_version": "v1.16.0",
        "description": "Install complete",
    }
    program.answer("history", stdout=[line])
    (found,) = helm.history("dataflow")
    assert program.call.argv == ("helm", "history", "dataflow", "--output", "json", "--max", "20", *WHERE)
    assert (found.revision, found.chart, found.app_version) == (1, "dataflow-1.16.0", "v1.16.0")


def test_a_field_that_a_newer_helm_adds_to_the_history_does_not_matter(helm: Helm, program: Any) -> None:
    program.answer("history", stdout=[{"revision": 1, "status": "deployed", "chart": "c-1", "labels": {}}])
    assert helm.history("dataflow")[0].chart == "c-1"


def test_the_notes_of_another_release_are_asked_in_its_own_namespace(
    helm: Helm, program: Any, told: list[Event]
) -> None:
    program.answer("notes", stdout="NOTES:\nCredentials: root / hunter2-hunter2\n")
    assert helm.notes("hub", "elsewhere") == "NOTES:\nCredentials: root / hunter2-hunter2\n"
    where = ("--namespace", "elsewhere", *WHERE[2:])
    assert program.call.argv == ("helm", "get", "notes", "hub", *where)
    assert "hunter2" not in "".join(event.model_dump_json() for event in told)


def test_a_release_that_is_not_there_has_no_notes_and_another_failure_is_one(helm: Helm, program: Any) -> None:
    program.answer("notes", returncode=1, stderr="Error: release: not found\n")
    assert helm.notes("hub", "elsewhere") is None
    program.answer("notes", returncode=1, stderr="Error: secrets is forbidden\n")
    with pytest.raises(RunbookError, match="may not do this"):
        helm.notes("hub", "elsewhere")


@pytest.mark.parametrize("ask", [Helm.status, Helm.history])
def test_no_such_release_is_an_answer_and_no_error(helm: Helm, program: Any, ask: Any) -> None:
    program.answer(returncode=1, stderr="Error: release: not found\n")
    assert not ask(helm, "dataflow")


def test_a_missing_release_that_is_only_logged_is_no_answer(helm: Helm, program: Any) -> None:
    program.answer(returncode=1, stderr='level=WARN msg="release: not found"\nError: secrets is forbidden\n')
    with pytest.raises(RunbookError, match="may not do this"):
        helm.status("dataflow")


@pytest.mark.parametrize(("upgrade", "verb"), [(False, "install"), (True, "upgrade")])
def test_a_dry_run_is_made_on_the_server_with_values_from_standard_input(
    helm: Helm, program: Any, upgrade: bool, verb: str
) -> None:
    program.answer(verb, stdout=RELEASE)
    helm.__dict__["version"] = "v3.19.5"
    rendered = helm.render("dataflow", CHART, VALUES, upgrade=upgrade)
    flags = ("--dry-run=server", "--disable-openapi-validation", "--values", "-", "--output", "json")
    assert program.call.argv == ("helm", verb, "dataflow", CHART.path, *flags, *WHERE)
    assert json.loads(program.call.stdin) == VALUES
    assert rendered.manifest == "kind: Secret\n"


def test_a_render_without_the_cluster_names_none_and_tells_hooks_from_objects(helm: Helm, program: Any) -> None:
    hook = "# Source: t/j.yaml\nkind: Job\nmetadata:\n  annotations:\n    helm.sh/hook: pre-install\n"
    text = "kind: Secret\nstringData:\n  a: |\n    see helm.sh/hook\n"
    program.answer("template", stdout=f"---\n{text}---\n{hook}---\nkind: Service\n")
    rendered = helm.template("dataflow", CHART, VALUES, version="v1.33.1", apis=["g.io/v1", "g.io/v1/Kind"])
    flags = ("--namespace", "csghub", "--values", "-", "--kube-version", "v1.33.1")
    apis = ("--api-versions", "g.io/v1", "--api-versions", "g.io/v1/Kind")
    assert program.call.argv == ("helm", "template", "dataflow", CHART.path, *flags, *apis)
    assert json.loads(program.call.stdin) == VALUES
    assert [found.strip() for found in rendered.hooks] == [hook.strip()]
    assert "kind: Secret" in rendered.manifest
    assert "kind: Service" in rendered.manifest
    assert "kind: Job" not in rendered.manifest


def test_values_from_which_a_secret_was_taken_are_never_applied(helm: Helm, program: Any) -> None:
    helm.redactor.register("hunter2-hunter2", "env:DB_PASSWORD")
    masked = helm.redactor.redact_data(VALUES)
    with pytest.raises(CheckFailed, match=r"^The values for `helm upgrade` hold «redacted:…»"):
        helm.change("dataflow", CHART, masked, upgrade=True, note="run a plan b", seconds=60)
    assert not program.calls


@pytest.mark.parametrize(("upgrade", "verb"), [(False, "install"), (True, "upgrade")])
def test_a_change_names_its_run_and_plan_and_how_long_it_may_take(
    helm: Helm, program: Any, upgrade: bool, verb: str
) -> None:
    program.answer(verb, stdout=RELEASE)
    stored = helm.change("dataflow", CHART, VALUES, upgrade=upgrade, note="run a plan sha256:b", seconds=300)
    flags = ("--values", "-", "--output", "json", "--description", "run a plan sha256:b", "--timeout", "300s")
    assert program.call.argv == ("helm", verb, "dataflow", CHART.path, *flags, *WHERE)
    assert json.loads(program.call.stdin) == VALUES
    assert program.call.timeout == 300 + GRACE_SECONDS, "Helm's own limit comes first: it leaves a release `failed`"
    assert stored.revision == 3


@pytest.mark.parametrize(
    "flag", ["--install", "--reuse-values", "--reset-then-reuse-values", "--wait", "--atomic", "--force"]
)
def test_a_change_never_uses_a_flag_that_hides_what_happens(helm: Helm, program: Any, flag: str) -> None:
    program.answer(stdout=RELEASE)
    helm.change("dataflow", CHART, {}, upgrade=True, note="n", seconds=1)
    helm.change("dataflow", CHART, {}, upgrade=False, note="n", seconds=1)
    assert not any(flag in call.argv for call in program.calls)


def test_only_a_plan_that_says_so_takes_fields_back_from_others(helm: Helm, program: Any) -> None:
    program.answer(stdout=RELEASE)
    helm.change("dataflow", CHART, {}, upgrade=True, note="n", seconds=1, over_others=True)
    assert "--force-conflicts" in program.call.argv


def test_an_uninstall_removes_the_history_too(helm: Helm, program: Any) -> None:
    helm.uninstall("dataflow", note="run a plan b", seconds=60)
    flags = ("--description", "run a plan b", "--timeout", "60s")
    assert program.call.argv == ("helm", "uninstall", "dataflow", *flags, *WHERE)
    assert program.call.timeout == 60 + GRACE_SECONDS


def test_without_kubeconfig_and_context_only_the_namespace_is_named(program: Any, tmp_path: Path) -> None:
    program.answer("status", stdout=RELEASE)
    Helm("helm", tmp_path, "csghub", run=program).status("dataflow")
    assert program.call.argv[-2:] == ("--namespace", "csghub")
    assert not any(word.startswith("--kube") for word in program.call.argv)


@pytest.mark.parametrize(
    ("text", "version"),
    [("v3.19.5", "v3.19.5"), ("v4.3.1\n", "v4.3.1"), ("3.12", "v3.12"), ("v3.18.0-rc.1+g12", "v3.18.0")],
)
def test_the_version_is_asked_without_a_cluster(helm: Helm, program: Any, text: str, version: str) -> None:
    program.answer("version", stdout=text)
    assert helm.version == version
    assert program.call.argv == ("helm", "version", "--template", "{{.Version}}")


@pytest.mark.parametrize(("version", "plans"), [("v3.12.3", False), ("v3.13.0", True), ("v4.0.0", True)])
def test_a_helm_that_can_make_no_server_side_dry_run_is_refused_in_words(
    helm: Helm, program: Any, version: str, plans: bool
) -> None:
    program.answer("install", stdout=RELEASE)
    program.answer("version", stdout=version)
    if plans:
        assert helm.render("dataflow", CHART, VALUES, upgrade=False).revision == 3
        return
    with pytest.raises(UsageError, match=f"Helm {version} can't make a server-side dry run") as caught:
        helm.render("dataflow", CHART, VALUES, upgrade=False)
    assert "Helm 3.13 or newer" in caught.value.next_step


def test_a_program_that_fails_where_helm_tells_its_version_is_named(helm: Helm, program: Any) -> None:
    program.answer("version", returncode=2, stderr="ls: cannot access 'version' 1.2.3")
    with pytest.raises(UsageError, match="'helm' does not answer like Helm: \"ls: cannot access"):
        print(helm.version)


def test_a_program_that_is_not_helm_is_named(helm: Helm, program: Any) -> None:
    program.answer("version", stdout="hello world")
    with pytest.raises(UsageError, match="'helm' does not answer like Helm: 'hello world'") as caught:
        print(helm.version)
    assert "helm.executable" in caught.value.next_step


def pulled(program: Any, content: bytes = b"archive") -> None:
    """Let `helm pull` leave an archive, as Helm does."""
    ask = program.__call__

    def run(argv: Any, **how: Any) -> Completed:
        if "pull" in argv:
            folder = Path(argv[argv.index("--destination") + 1])
            (folder / "dataflow-1.16.0.tgz").write_bytes(content)
        return ask(argv, **how)

    program.with_pull = run


def test_a_chart_is_fetched_through_the_projects_own_repository_list(program: Any, tmp_path: Path) -> None:
    pulled(program)
    program.answer("show", stdout="name: dataflow\nversion: 1.16.0\nappVersion: v1.16.0\n")
    helm = Helm("helm", tmp_path, "csghub", kubeconfig=Path("/k"), run=program.with_pull)
    chart = helm.fetch(repository="https://charts.example.com/c", name="dataflow", version="1.16.0")
    add, pull, show = (call.argv for call in program.calls)
    alias = f"dataflow-{digest_of('https://charts.example.com/c')[7:15]}"
    assert add == ("helm", "repo", "add", alias, "https://charts.example.com/c", "--force-update")
    destination = pull[pull.index("--destination") + 1]
    assert sorted(pull) == sorted(
        ("helm", "pull", f"{alias}/dataflow", "--version", "1.16.0", "--destination", destination)
    )
    assert show == ("helm", "show", "chart", chart.path), "no call about a chart names a cluster"
    assert chart.path.startswith(str(tmp_path / "charts"))
    assert Path(chart.path).read_bytes() == b"archive"
    assert not Path(destination).exists()
    assert (chart.name, chart.version, chart.app_version) == ("dataflow", "1.16.0", "v1.16.0")
    assert chart.source == "https://charts.example.com/c"


def test_a_registry_needs_no_repository_list(program: Any, tmp_path: Path) -> None:
    pulled(program)
    program.answer("show", stdout="name: dataflow\nversion: 1.16.0\n")
    helm = Helm("helm", tmp_path, "csghub", run=program.with_pull)
    helm.fetch(repository="oci://charts.example.com/c/", name="dataflow", version="1.16.0")
    assert program.calls[0].argv[:3] == ("helm", "pull", "oci://charts.example.com/c/dataflow")


# ---- values, environment, folder


@pytest.mark.parametrize("upgrade", [False, True])
def test_values_never_stand_on_the_command_line_or_in_an_event(
    helm: Helm, program: Any, told: list[Event], upgrade: bool
) -> None:
    program.answer(stdout=RELEASE)
    helm.__dict__["version"] = "v3.19.5"
    helm.render("dataflow", CHART, VALUES, upgrade=upgrade)
    helm.change("dataflow", CHART, VALUES, upgrade=upgrade, note="n", seconds=1)
    assert "hunter2" not in " ".join(word for call in program.calls for word in call.argv)
    assert "hunter2" not in "".join(event.model_dump_json() for event in told)
    assert all("hunter2-hunter2" in call.stdin for call in program.calls)


def test_helm_sees_a_home_of_its_own_and_none_of_the_users_settings(
    helm: Helm, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HELM_NAMESPACE", "HELM_DEBUG", "HELM_KUBECONTEXT", "HELM_REPOSITORY_CONFIG", "HELM_CONFIG_HOME"):
        monkeypatch.setenv(name, "the user's")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com")
    program.answer("status", stdout=RELEASE)
    helm.status("x")
    env = program.call.env
    assert {key: value for key, value in env.items() if key.startswith("HELM_")} == {
        "HELM_CONFIG_HOME": str(tmp_path / "home" / "config"),
        "HELM_CACHE_HOME": str(tmp_path / "home" / "cache"),
        "HELM_DATA_HOME": str(tmp_path / "home" / "data"),
    }
    assert env["KUBECACHEDIR"] == str(tmp_path / "home" / "cache" / "kube"), "nothing below the user's ~/.kube"
    assert env["HTTPS_PROXY"] == "http://proxy.example.com", "what is not Helm's is the user's"
    assert "PATH" in env


def test_helm_runs_in_an_empty_folder(helm: Helm, program: Any) -> None:
    program.answer("status", stdout=RELEASE)
    helm.status("dataflow")
    assert program.call.cwd.is_dir()
    assert list(program.call.cwd.iterdir()) == []


def test_a_relative_kubeconfig_of_the_environment_is_the_callers_file(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", "one.yaml:/two.yaml")
    program.answer("status", stdout=RELEASE)
    Helm("helm", tmp_path / "home", "csghub", run=program).status("dataflow")
    assert program.call.env["KUBECONFIG"] == f"{tmp_path / 'one.yaml'}:/two.yaml"


@pytest.mark.parametrize("written", ["tools/helm", "./tools/helm"])
def test_a_relative_path_of_helm_starts_at_the_project(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    program.answer("version", stdout="v3.19.5")
    helm = Helm(written, tmp_path / "home", "csghub", run=program)
    assert helm.version == "v3.19.5"
    assert program.call.argv[0] == str(tmp_path / "tools" / "helm")


# ---- what the journal hears


def test_each_call_is_told_when_it_starts_and_when_it_has_ended(helm: Helm, program: Any, told: list[Event]) -> None:
    program.answer("version", stdout="v3.19.5")
    assert helm.version == "v3.19.5"
    argv = ["helm", "version", "--template", "{{.Version}}"]
    assert [(event.kind, event.data) for event in told] == [
        ("command.started", {"argv": argv}),
        ("command.ended", {"argv": argv, "returncode": 0, "seconds": 0.25}),
    ]


def test_the_end_of_a_failed_call_has_its_words_redacted_and_of_bounded_length(
    helm: Helm, program: Any, told: list[Event]
) -> None:
    helm.redactor.register("hunter2-hunter2", "pg#PASSWORD")
    program.answer("version", returncode=1, stderr="Error: bad hunter2-hunter2 " + "x" * 5000)
    with pytest.raises(RunbookError):
        print(helm.version)
    said = told[-1].data["stderr"]
    assert "«redacted:pg#PASSWORD»" in said
    assert "hunter2" not in said
    assert len(said) < 2100


def test_the_program_is_told_before_it_ends(program: Any, tmp_path: Path) -> None:
    told: list[Event] = []

    def gone(argv: Any, **_: Any) -> Completed:
        assert [event.kind for event in told] == ["command.started"]
        raise UsageError("The program 'helm' was not found.")

    with pytest.raises(UsageError, match="was not found"):
        Helm("helm", tmp_path, "csghub", run=gone, observe=told.append).version()


# ---- what comes back


@pytest.mark.parametrize("stdout", ["", "not json", "null", "[]", "{}"])
def test_an_answer_that_is_no_release_is_unknown_and_no_stack_trace(helm: Helm, program: Any, stdout: str) -> None:
    program.answer(stdout=stdout)
    with pytest.raises(OutcomeUnknown, match=r"`helm (status|install)` ended well, but its answer can't be read"):
        helm.status("dataflow")
    with pytest.raises(OutcomeUnknown, match="03_verify"):
        helm.change("dataflow", CHART, {}, upgrade=False, note="n", seconds=1)


@pytest.mark.parametrize(
    ("status", "pending"),
    [
        ("deployed", False),
        ("failed", False),
        ("superseded", False),
        ("uninstalled", False),
        ("pending-install", True),
        ("pending-upgrade", True),
        ("pending-rollback", True),
        ("uninstalling", True),
    ],
)
def test_a_release_is_pending_while_an_operation_is_under_way_or_was_cut_off(status: str, pending: bool) -> None:
    assert release_of(RELEASE | {"info": {"status": status}}).pending is pending


def test_a_release_that_is_being_removed_is_so_since_its_removal_began() -> None:
    times = {"last_deployed": "2026-11-22", "deleted": "2026-11-23"}
    assert release_of(RELEASE | {"info": {"status": "uninstalling"} | times}).updated == "2026-11-23"


@pytest.mark.parametrize("missing", ["namespace", "version", "info", "config", "manifest", "hooks"])
def test_a_release_without_a_field_is_still_read(missing: str) -> None:
    assert release_of({key: value for key, value in RELEASE.items() if key != missing}).name == "dataflow"
    assert release_of(RELEASE | {"config": None, "hooks": None}).values == {}


@pytest.mark.parametrize(("text", "mapping"), [("a: 1", {"a": 1}), ("- a", {}), ("", {}), ("text", {})])
def test_only_a_mapping_is_a_chart(text: str, mapping: dict[str, int]) -> None:
    assert yaml_mapping(text) == mapping


# ---- charts on this disk


def test_a_chart_that_is_not_there_is_a_sentence(helm: Helm, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no chart at .*/missing\.tgz") as caught:
        helm.inspect(tmp_path / "missing.tgz")
    assert "chart.path" in caught.value.next_step


def test_the_digest_of_an_archive_is_that_of_its_bytes(helm: Helm, program: Any, tmp_path: Path) -> None:
    archive = tmp_path / "c.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(__file__, "c/file")
    program.answer("show", stdout="name: c\nversion: 1.0.0\n")
    assert helm.inspect(archive).digest == chart_digest(archive)


@pytest.mark.parametrize("change", ["content", "name", "new", "gone"])
def test_the_digest_of_a_folder_changes_with_any_file_of_it(tmp_path: Path, change: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("name: c")
    file = tmp_path / "templates" / "a.yaml"
    file.write_text("a: 1")
    before = chart_digest(tmp_path)
    assert chart_digest(tmp_path) == before
    if change == "content":
        file.write_text("a: 2")
    elif change == "name":
        file.rename(tmp_path / "templates" / "b.yaml")
    elif change == "new":
        (tmp_path / "values.yaml").write_text("")
    else:
        file.unlink()
    assert chart_digest(tmp_path) != before
    assert before.startswith("sha256:")
