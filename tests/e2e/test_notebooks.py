"""The notebooks as a pipeline runs them: by `runbooks run` and by plain papermill."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from runbooks_lib import parameters, process, records
from runbooks_lib.results import RunSummary

pytestmark = pytest.mark.xdist_group("notebooks")

ROOT = parameters.project_root()


def runbooks(*words: str) -> process.Completed:
    return process.run([sys.executable, "-m", "runbooks_lib", *words], timeout=180, env=environment(), cwd=ROOT)


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "RUNBOOKS_HOME": str(ROOT)}


@pytest.fixture
def common(sandbox: Any, target: dict[str, str]) -> list[str]:
    return ["-p", sandbox.parameters_file, *(f"--set={key}={value}" for key, value in target.items())]


def summary_of(done: process.Completed) -> RunSummary:
    return RunSummary.model_validate_json(done.stdout)


def test_a_pipeline_plans_approves_and_runs_a_release_through_its_life(common: list[str], tmp_path: Path) -> None:
    out = ["--output-directory", str(tmp_path), "--json"]

    def run(stage: str, *more: str) -> RunSummary:
        return summary_of(runbooks("run", stage, *common, *more, *out))

    def digest(stage: str, *more: str) -> str:
        return str(json.loads(runbooks("plan", stage, *common, *more, "--json").stdout)["digest"])

    newer = "--set=chart.version=1.16.1"
    refused = runbooks("run", "install", *common, *out)
    assert (refused.returncode, summary_of(refused).outcome) == (4, "refused")
    ends = [
        run("prerequisites"),
        run("install", "--approve", digest("install")),
        run("verify"),
        run("upgrade", newer, "--approve", digest("upgrade", newer)),
        run("verify", newer),
        run("uninstall", "--approve", digest("uninstall")),
        run("verify", "--set=verify.expect=absent"),
    ]
    assert [end.outcome for end in ends] == ["passed", "done", "passed", "done", "passed", "done", "passed"]
    for end in ends:
        folder = Path(end.folder)
        assert records.verify(folder) == []
        files = {path.name for path in folder.iterdir()}
        wanted = {"events.jsonl", "input.ipynb", "manifest.json", "notebook.ipynb", "parameters.json"}
        assert files >= wanted
    assert len(records.listing(tmp_path)) == 8
    proved = runbooks("records", "verify", "--all", "--output-directory", str(tmp_path), "--json")
    assert proved.returncode == 0, proved.stdout
    found = records.Verification.model_validate_json(proved.stdout)
    assert "8 records are as they were sealed" in found.proved[0]
    # The log's own entry, two for each change, one for each other run; the refused one changed nothing.
    assert "has 20 entries" in found.proved[1]


def test_a_front_end_that_goes_on_after_a_failed_cell_seals_a_failed_run(
    sandbox: Any, target: dict[str, str], tmp_path: Path
) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "03_verify.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    given = {"parameters_file": sandbox.parameters_file, "overrides": target, "output_directory": str(tmp_path)}
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": str(ROOT)}}).execute()
    (summary,) = records.listing(tmp_path)
    assert (summary.outcome, summary.exit_code) == ("failed", 3)
    assert "no release" in summary.summary
    shown = notebook.cells[[each["id"] for each in notebook.cells].index("seal")].outputs[0]["data"]["text/plain"]
    assert "failed, exit code 3" in shown


def test_no_key_of_the_kubeconfig_is_left_on_the_disk(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Kubernetes client writes it into a temporary file, which a kernel that is killed would leave there."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    done = runbooks("run", "prerequisites", *common, "--output-directory", str(tmp_path / "records"), "--json")
    # Its record is closed by then, so its kernel is not waited for.
    assert summary_of(done).outcome == "passed"
    assert list(temporary.iterdir()) == []


def test_plain_papermill_leaves_a_record_and_names_the_exit_code_last(
    sandbox: Any, target: dict[str, str], tmp_path: Path
) -> None:
    def papermill(stage: str, **given: Any) -> process.Completed:
        source = next((ROOT / "notebooks").glob(f"*_{stage}.ipynb"))
        argv = [sys.executable, "-m", "papermill", str(source), str(tmp_path / f"{stage}.ipynb"), "--no-progress-bar"]
        named = {"parameters_file": sandbox.parameters_file, "overrides": target, "output_directory": str(tmp_path)}
        return process.run([*argv, "-y", json.dumps({**named, **given})], timeout=180, env=environment(), cwd=tmp_path)

    refused = papermill("install")
    assert refused.returncode != 0
    assert refused.stderr.strip().splitlines()[-1] == "ApprovalError: exit code 4"
    (summary,) = records.listing(tmp_path)
    assert (summary.outcome, summary.exit_code) == ("refused", 4)
    plan = json.loads((Path(summary.folder) / "plan.json").read_text())
    done = papermill("install", approve=plan["digest"])
    assert done.returncode == 0, done.stderr
    assert [item.outcome for item in records.listing(tmp_path)] == ["refused", "done"]


def test_the_same_records_come_from_both_front_ends(
    common: list[str], sandbox: Any, target: dict[str, str], tmp_path: Path
) -> None:
    ours = summary_of(runbooks("run", "verify", *common, "--output-directory", str(tmp_path / "a"), "--json"))
    assert ours.exit_code == 3
    argv = [
        sys.executable,
        "-m",
        "papermill",
        "--no-progress-bar",
        str(ROOT / "notebooks/03_verify.ipynb"),
        str(tmp_path / "out.ipynb"),
    ]
    given = {"parameters_file": sandbox.parameters_file, "overrides": target, "output_directory": str(tmp_path / "b")}
    process.run([*argv, "-y", json.dumps(given)], timeout=120, env=environment(), cwd=tmp_path)
    (plain,) = records.listing(tmp_path / "b")
    assert {path.name for path in Path(ours.folder).iterdir()} == {path.name for path in Path(plain.folder).iterdir()}
    assert (plain.outcome, plain.exit_code) == (ours.outcome, ours.exit_code)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run", "instal", "-p", "parameters/builtin.yaml"], 2, "Did you mean install?"),
        (["run", "verify", "-p", "parameters/buitin.yaml"], 2, "builtin.yaml"),
        (["plan", "verify", "-p", "parameters/builtin.yaml"], 2, "changes nothing, so it has no plan"),
        (["records", "show", "ffffffff"], 2, "There is no record"),
    ],
)
def test_a_misspelling_gets_a_sentence_and_exit_code_2(words: list[str], code: int, sentence: str) -> None:
    done = runbooks(*words)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
