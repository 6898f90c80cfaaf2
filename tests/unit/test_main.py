"""The command line as a pipeline meets it: sentences on standard error, and the exit code of their kind."""

from __future__ import annotations

import json
import os
import pkgutil
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from told import new_plan, new_run

from runbooks_lib import errors, process
from runbooks_lib import stages as stages_of_runs
from runbooks_lib.errors import RunbookError
from runbooks_lib.process import Completed
from runbooks_lib.results import ObjectChange, Plan, RunSummary, Step

ROOT = Path(__file__).parents[2]

GOOD = """
target: {cluster_uid: "u", namespace: csghub, release: dataflow}
helm: {executable: HELM}
chart: {repository: "https://charts.example.com", name: dataflow, version: "1.16.0"}
csghub: {external_url: "http://127.0.0.1:1"}
gateway: {domain: example.com}
"""

Runbooks = Callable[..., Completed]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project of its own, with the real notebooks."""
    (tmp_path / "pyproject.toml").write_text("")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "good.yaml").write_text(GOOD.replace("HELM", "no-such-helm"))
    return tmp_path


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return os.environ | {"RUNBOOKS_HOME": str(home), "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture
def runbooks(environment: dict[str, str], home: Path) -> Runbooks:
    """`runbooks …`, as a program of its own."""

    def run(*argv: str) -> Completed:
        full = [sys.executable, "-m", "runbooks_lib", *argv]
        return process.run(full, timeout=60, env=environment, cwd=home)

    return run


@pytest.fixture
def failing(environment: dict[str, str], home: Path) -> Callable[[str], Completed]:
    """`runbooks parameters check good.yaml`, whose loading ends as a line of Python says."""

    def run(line: str, *, before: str = "") -> Completed:
        code = (
            "import sys, signal, os\n"
            "from runbooks_lib import __main__ as main, errors, parameters\n"
            f"{before}\n"
            "def load(*_):\n"
            f"    {line}\n"
            "parameters.load = load\n"
            "sys.argv = ['runbooks', 'parameters', 'check', 'good.yaml']\n"
            "main.main()\n"
        )
        return process.run([sys.executable, "-c", code], timeout=60, env=environment, cwd=home)

    return run


# ---- help


def test_help_shows_commands_and_exit_codes(runbooks: Runbooks) -> None:
    shown = runbooks("--help")
    assert shown.returncode == 0
    for word in ("run", "plan", "backup", "records", "parameters", "sandbox", "rehearse"):
        assert f" {word} " in shown.stdout
    text = " ".join(shown.stdout.split())
    assert "0 done · 2 usage · 3 a check failed · 4 not approved · 5 the change failed · 6 unknown" in text
    assert "7 busy or another cluster · 8 record · 129/130/143 interrupted" in text


@pytest.mark.parametrize("command", ["run", "plan", "backup"])
def test_help_of_a_command_shows_an_example(runbooks: Runbooks, command: str) -> None:
    shown = runbooks(command, "--help")
    assert shown.returncode == 0
    assert f"Example: runbooks {command} " in " ".join(shown.stdout.split())


def test_help_names_every_stage_that_can_be_run(runbooks: Runbooks) -> None:
    text = runbooks("run", "--help").stdout
    stages = [module.name for module in pkgutil.iter_modules(stages_of_runs.__path__)]
    assert [stage for stage in stages if stage not in text] == []


# ---- a wrong call


@pytest.mark.parametrize(
    ("argv", "sentence", "hint"),
    [
        (["nope"], "No such command 'nope'.", "--help"),
        (["run", "--nope"], "No such option: --nope", "run --help"),
        (["run"], "Missing argument 'stage'.", "run --help"),
        (["run", "install"], "Missing option '--parameters' / '-p'.", "run --help"),
        (["records", "show"], "Missing argument 'run_id'.", "records show --help"),
        (["parameters", "check"], "Missing argument 'file'.", "parameters check --help"),
        (["run", "instal", "-p", "good.yaml"], "There is no stage 'instal'", "Did you mean install?"),
        (["run", "start_here", "-p", "good.yaml"], "There is no stage 'start_here'", "Stages are: "),
        (["plan", "nope", "-p", "good.yaml"], "There is no stage 'nope'", "Stages are: "),
        (["plan", "verify", "-p", "good.yaml"], "The stage 'verify' changes nothing", "runbooks run verify"),
        (["parameters", "check", "missing.yaml"], "missing.yaml does not exist", "runbooks sandbox up"),
        (["parameters", "check", "good.yaml", "--set", "chart.versoin=1"], "chart.versoin", "chart.version"),
        (["run", "install", "-p", "missing.yaml"], "missing.yaml does not exist", "runbooks sandbox up"),
        (["plan", "install", "-p", "good.yaml"], "The program 'no-such-helm' was not found.", "PATH"),
    ],
)
def test_a_wrong_call_is_a_sentence_with_a_next_step_and_exit_code_2(
    runbooks: Runbooks, argv: list[str], sentence: str, hint: str
) -> None:
    ended = runbooks(*argv)
    assert ended.returncode == 2
    assert ended.stderr.startswith("runbooks: ")
    assert sentence in ended.stderr
    assert "Next: " in ended.stderr
    assert hint in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("argv", [[], ["records"], ["parameters"]])
def test_without_a_command_the_help_is_shown_and_it_is_not_a_success(runbooks: Runbooks, argv: list[str]) -> None:
    ended = runbooks(*argv)
    assert ended.returncode == 2
    assert "Usage:" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


# ---- parameters


def test_a_good_parameters_file_is_said_to_be_good(runbooks: Runbooks) -> None:
    ended = runbooks("parameters", "check", "good.yaml")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "good.yaml is good: dataflow 1.16.0 as release dataflow in namespace csghub.\n"


def test_a_single_key_can_be_set(runbooks: Runbooks) -> None:
    ended = runbooks("parameters", "check", "good.yaml", "--set", "chart.version=1.16.1")
    assert "dataflow 1.16.1" in ended.stdout


def test_a_waiver_of_a_check_that_there_is_not_is_found_before_any_run(runbooks: Runbooks, home: Path) -> None:
    waiver = "waivers: [{check: storage.clases, reason: why not, until: '2099-01-01'}]"
    (home / "bad.yaml").write_text(f"{GOOD.rstrip()}\n{waiver}\n")
    ended = runbooks("parameters", "check", "bad.yaml")
    assert ended.returncode == 2
    assert "there is no check storage.clases" in ended.stderr
    assert "Did you mean storage.classes?" in ended.stderr


def test_a_bad_parameters_file_names_file_line_and_key(runbooks: Runbooks, home: Path) -> None:
    (home / "bad.yaml").write_text(GOOD.replace("domain:", "domian:"))
    ended = runbooks("parameters", "check", "bad.yaml")
    assert ended.returncode == 2
    assert "bad.yaml:6" in ended.stderr
    assert "domian" in ended.stderr


# ---- every error


@pytest.mark.parametrize(
    "error", [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, RunbookError)]
)
def test_every_error_is_its_sentence_on_standard_error_and_its_exit_code(
    failing: Callable[[str], Completed], error: type[RunbookError]
) -> None:
    ended = failing(f"raise errors.{error.__name__}('It broke.', next_step='Mend it.', evidence='here')")
    assert ended.returncode == error.exit_code
    assert (ended.stdout, ended.stderr) == ("", "runbooks: It broke.\nNext: Mend it.\nEvidence: here\n")


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_is_a_sentence_and_a_code_of_its_own(
    failing: Callable[[str], Completed], signal: str, code: int
) -> None:
    ended = failing(f"os.kill(os.getpid(), signal.{signal}); signal.pause()")
    assert ended.returncode == code
    assert ended.stderr.strip() == ("runbooks: Stopped before anything was changed.\nNext: Run it again when you want.")


@pytest.mark.parametrize(("number", "code"), [("INT", 130), ("TERM", 143)])
def test_a_signal_while_helm_works_ends_helm_too(runbooks: Runbooks, home: Path, number: str, code: int) -> None:
    helm = home / "slow-helm"
    helm.write_text(f"#!/bin/sh\necho $$ > pid\nkill -{number} $PPID\nexec sleep 60\n")
    helm.chmod(0o755)
    (home / "slow.yaml").write_text(GOOD.replace("HELM", "./slow-helm"))
    ended = runbooks("plan", "install", "-p", "slow.yaml")
    assert ended.returncode == code
    assert "Stopped before anything was changed." in ended.stderr
    (pid,) = (int(path.read_text()) for path in home.rglob("pid"))
    assert not process.identify(pid).alive


def test_an_interrupt_during_the_imports_is_a_sentence_too(environment: dict[str, str], home: Path) -> None:
    script = home / "runbooks"
    script.write_text(
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "import runbooks_lib.__main__\n"
    )
    ended = process.run([sys.executable, str(script)], timeout=60, env=environment, cwd=home)
    assert (ended.returncode, ended.stderr) == (130, "runbooks: Stopped before it began.\n")


def test_a_reader_that_goes_away_changes_no_exit_code(environment: dict[str, str], home: Path) -> None:
    script = (
        "import os, sys, typer\n"
        "from runbooks_lib import __main__ as main\n"
        "def many():\n"
        "    for number in range(2000): main.say('a line ' * 20)\n"
        "    raise typer.Exit(5)\n"
        "main.app.command('many')(many)\n"
        "reader, writer = os.pipe()\n"
        "os.dup2(writer, 1)\n"
        "os.close(reader)\n"
        "main.main()\n"
    )
    ended = process.run([sys.executable, "-c", script, "many"], timeout=60, env=environment, cwd=home)
    assert (ended.returncode, ended.stderr) == (5, "")


def test_what_should_not_happen_is_a_sentence_and_on_demand_a_stack_trace(
    environment: dict[str, str], home: Path
) -> None:
    script = (
        "from runbooks_lib import __main__ as main\n"
        "def odd(): raise ZeroDivisionError('odd')\n"
        "main.app.command('odd')(odd)\n"
        "main.main()\n"
    )
    argv = [sys.executable, "-c", script, "odd"]
    ended = process.run(argv, timeout=60, env=environment, cwd=home)
    assert ended.returncode == 1
    assert ended.stderr.startswith("runbooks: This should not happen: ZeroDivisionError: odd\nNext: ")
    traced = process.run(argv, timeout=60, env=environment | {"RUNBOOKS_TRACEBACK": "1"}, cwd=home)
    assert "Traceback" in traced.stderr


def test_an_ignored_interrupt_stays_ignored(environment: dict[str, str], home: Path) -> None:
    code = (
        "import sys, signal, os\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from runbooks_lib import __main__ as main, parameters\n"
        "load = parameters.load\n"
        "def loads(*a):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return load(*a)\n"
        "parameters.load = loads\n"
        "sys.argv = ['runbooks', 'parameters', 'check', 'good.yaml']\n"
        "main.main()\n"
    )
    assert process.run([sys.executable, "-c", code], timeout=60, env=environment, cwd=home).returncode == 0


@pytest.mark.parametrize("code", [0, 3, 6, 130])
def test_the_exit_code_of_a_run_is_that_of_the_command(environment: dict[str, str], home: Path, code: int) -> None:
    summary = RunSummary(
        run_id="ab12",
        stage="verify",
        target="t",
        outcome="failed",
        exit_code=code,
        started="now",
        seconds=1,
        folder="f",
        summary="It ended.",
    )
    script = (
        "import sys\n"
        "from runbooks_lib import __main__ as main, headless, results\n"
        f"summary = results.RunSummary.model_validate_json({summary.model_dump_json()!r})\n"
        "headless.run_stage = lambda *a, **k: summary\n"
        "main.main()\n"
    )
    argv = [sys.executable, "-c", script, "run", "verify", "-p", "good.yaml"]
    plain = process.run(argv, timeout=60, env=environment, cwd=home)
    assert plain.returncode == code
    assert plain.stdout == f"verify: failed (exit code {code}). It ended.\nrecord: f\n"
    as_json = process.run([*argv, "--json"], timeout=60, env=environment, cwd=home)
    assert as_json.returncode == code
    assert json.loads(as_json.stdout) == {**summary.model_dump(mode="json"), "findings": []}


def test_a_backup_that_can_not_begin_says_why_and_leaves_a_record(runbooks: Runbooks) -> None:
    ended = runbooks("backup", "-p", "good.yaml")
    assert ended.returncode == 2
    assert "no-such-helm" in ended.stderr
    (row,) = json.loads(runbooks("records", "list", "--json").stdout)
    assert (row["stage"], row["outcome"], row["exit_code"]) == ("backup", "failed", 2)


# ---- records, and commands that are not installed


@pytest.mark.parametrize("stage", ["install", "upgrade", "uninstall", "recover"])
def test_a_malformed_digest_is_a_wrong_call_and_leaves_no_record(runbooks: Runbooks, home: Path, stage: str) -> None:
    done = runbooks("run", stage, "-p", "good.yaml", "--approve", "sha256:abc")
    assert done.returncode == 2
    assert "'sha256:abc' is no digest of a plan: one is sha256: and 64 hexadecimal digits" in done.stderr
    assert not (home / "records").exists()


def test_without_records_a_sentence_says_what_makes_them(runbooks: Runbooks) -> None:
    ended = runbooks("records", "list")
    assert (ended.returncode, ended.stdout) == (0, "No records yet: `runbooks run` makes them.\n")
    assert json.loads(runbooks("records", "list", "--json").stdout) == []


def test_a_record_is_shown_with_its_plan_its_approval_and_what_is_proved(runbooks: Runbooks, home: Path) -> None:
    folder = new_run(home / "records", observed="v1.33 \x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}")
    shown = runbooks("records", "show", folder.name[-8:])
    assert shown.returncode == 0
    for said in (
        "install of prod: done (exit code 0). install ended as it should",
        "by li.wei, ",
        "  1. Install dataflow 1.16.0 with Helm",
        f"approved by li.wei@vm (button): {new_plan().digest}",
        "have the same digest",
        "pass    Kubernetes version: v1.33 �[2J�",
        "NOT PROVED: prod: who made them",
        "All files are as the manifest says.",
    ):
        assert said in shown.stdout, said
    told = json.loads(runbooks("records", "show", folder.name[-8:], "--json").stdout)
    assert told["plan"]["digest"] == new_plan().digest
    assert (told["person"], told["problems"], told["findings"][0]["id"]) == ("li.wei", [], "kubernetes.version")


def test_an_altered_record_is_shown_and_ends_with_the_code_of_records(runbooks: Runbooks, home: Path) -> None:
    folder = new_run(home / "records")
    (folder / "plan.json").chmod(0o644)
    (folder / "plan.json").write_text("{}")
    shown = runbooks("records", "show", folder.name[-8:])
    assert shown.returncode == 8
    assert "plan.json was altered after the record was closed." in shown.stdout


def test_the_portal_is_written_into_a_new_folder_only(runbooks: Runbooks, home: Path) -> None:
    new_run(home / "records")
    made = runbooks("records", "portal", "seen")
    assert (made.returncode, made.stdout) == (0, f"1 records are in {home}/seen/index.html: open it in a browser.\n")
    again = runbooks("records", "portal", "seen")
    assert again.returncode == 2
    assert "is not empty, and the portal deletes nothing.\nNext: Name a new folder" in again.stderr


def test_a_record_that_is_not_there_is_a_sentence(runbooks: Runbooks) -> None:
    ended = runbooks("records", "show", "abcd")
    assert ended.returncode in {2, 8}
    assert "abcd" in ended.stderr
    assert "Next: " in ended.stderr


def test_without_the_sandboxs_libraries_everything_else_works(failing: Callable[..., Completed]) -> None:
    ended = failing("raise errors.CheckFailed('No.')", before="sys.modules['cryptography'] = None")
    assert (ended.returncode, ended.stderr) == (3, "runbooks: No.\n")


@pytest.mark.parametrize("argv", [["rehearse"], ["sandbox", "up", "--name", "x"]])
def test_a_command_whose_libraries_are_missing_says_how_to_install_them(
    environment: dict[str, str], home: Path, argv: list[str]
) -> None:
    code = "import sys; sys.modules['cryptography'] = None; from runbooks_lib.__main__ import main; main()"
    ended = process.run([sys.executable, "-c", code, *argv], timeout=60, env=environment, cwd=home)
    assert ended.returncode == 2
    assert "cryptography" in ended.stderr
    assert "pip install '.[sandbox,portal]'" in ended.stderr


# ---- what is printed


def test_a_person_sees_all_of_a_plan_before_they_sign_it(
    runbooks: Runbooks, home: Path, environment: dict[str, str]
) -> None:
    environment["PASSPHRASE"] = token_hex()
    who = ("--name", "li.wei", "--passphrase", "env:PASSPHRASE")
    line = runbooks("keys", "new", "key.pem", *who)
    assert line.stdout.startswith("ssh-ed25519 "), line.stderr
    target = {"cluster_uid": "u", "namespace": "csghub", "release": "dataflow"}
    made = Plan(stage="install", target=target, steps=(Step(kind="a", title="First"),), impact=("Bad\x1b[1A\x1b[2K.",))
    (home / "plan.json").write_text(json.dumps(made.model_dump(mode="json") | {"digest": made.digest}))
    ended = runbooks("approve", "plan.json", "--key", "key.pem", *who, "--for", "30m")
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    shown, digest, target_shown, last = ended.stdout.split("\n", 1)[1].splitlines()
    assert (shown, digest) == ("  1. First", f"digest: {made.digest}")
    assert target_shown.startswith("install of dataflow in namespace csghub of the cluster u; a yes holds for 30m")
    assert last.startswith("Approved by li.wei (SHA256:")
    assert json.loads((home / "approval.json").read_text())["payloadType"].startswith("application/vnd.dataflow")
    again = runbooks("approve", "plan.json", "--key", "key.pem", *who)
    assert (again.returncode, "was not written: File exists" in again.stderr) == (2, True)


def test_a_plan_ends_with_the_digest_to_approve() -> None:
    from runbooks_lib.__main__ import plan_text

    plan = Plan(
        stage="upgrade",
        target={},
        steps=(Step(kind="a", title="First"), Step(kind="b", title="Second")),
        changes=(ObjectChange(action="change", name="Deployment api", detail=("a: 1 → 2",)),),
        impact=("Upgrades it.",),
    )
    assert plan_text(plan).splitlines() == [
        "Upgrades it.",
        "  1. First",
        "  2. Second",
        "  change  Deployment api",
        "          a: 1 → 2",
        f"digest: {plan.digest}",
    ]


def test_starting_is_quick_because_the_heavy_libraries_come_late(environment: dict[str, str], home: Path) -> None:
    code = (
        "import sys; sys.argv = ['runbooks', 'parameters', 'check', 'good.yaml']\n"
        "from runbooks_lib.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    ended = process.run([sys.executable, "-c", code], timeout=60, env=environment, cwd=home)
    loaded: Any = ended.stdout.splitlines()[-1]
    for name in ("pandas", "kubernetes", "papermill", "nbclient", "ipywidgets", "httpx"):
        assert f"'{name}'" not in loaded
