"""Headless runs, as far as no kernel is needed; the rest is in tests/integration/test_headless_kernels.py."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from runbooks_lib import parameters, process, records
from runbooks_lib.headless.session import described, register, workplace
from runbooks_lib.headless.stopping import Stop
from runbooks_lib.redaction import Redactor


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_the_running_cell_and_raises_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    sent: list[int] = []
    with Stop() as stop:
        stop.enter_cell(sent.append)
        signal.raise_signal(number)

        assert (stop.signal, sent) == (number, [signal.SIGINT])
    assert signal.getsignal(number) == before


def test_a_second_signal_kills_the_kernel() -> None:
    sent: list[int] = []
    with Stop() as stop:
        stop.enter_cell(sent.append)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    assert sent == [signal.SIGINT, signal.SIGKILL]
    assert stop.signal == signal.SIGTERM


def test_a_signal_between_two_cells_is_remembered_for_the_next() -> None:
    sent: list[int] = []
    with Stop() as stop:
        stop.enter_cell(sent.append)
        stop.leave_cell()
        signal.raise_signal(signal.SIGTERM)
        assert (stop.wanted, sent) == (True, [])

        stop.enter_cell(sent.append)
        assert sent == [signal.SIGINT]


def test_outside_of_the_main_thread_signals_are_left_to_the_caller() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def inside() -> None:
        with Stop():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()

    assert seen == [before]


def test_the_kernels_sockets_have_a_short_path_also_where_temporary_files_have_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    with workplace() as place:
        assert len(str(place / "k-ipc-5")) < 104
        assert place.stat().st_mode & 0o077 == 0
    assert not place.exists()


def test_what_a_killed_command_has_left_is_removed_and_what_a_running_one_uses_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tmp_path = Path(tempfile.mkdtemp(dir="/tmp"))  # short, else another is taken
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    me = process.introduce()
    # No process has such a number: the highest that Linux gives is 4194304.
    owners = {"rb-4194305-x": me | {"pid": 4194305}, "rb-1-x": me, "rb-2-x": me | {"pid": 4194305, "pids": "pid:[1]"}}
    for name, who in owners.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "who.json").write_text(json.dumps(who))
    left, used, container, other = (tmp_path / name for name in (*owners, "rb-other-x"))
    other.mkdir()
    (left / "key").write_text("a key of a kubeconfig")

    with workplace() as place:
        assert place.name.startswith(f"rb-{os.getpid()}-")
        assert [folder.exists() for folder in (left, used, container, other)] == [False, True, True, True]
    assert not place.exists()
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("name", "message", "exit_code", "summary", "next_step"),
    [
        ("CheckFailed", "Too old.\nNext: Upgrade.\nEvidence: x", 3, "Too old.", "Upgrade."),
        ("ApprovalError", "Not yet.", 4, "Not yet.", ""),
        ("ValueError", "odd", 1, "ValueError: odd", ""),
        ("Outcome", "not an error of ours", 1, "Outcome: not an error of ours", ""),
    ],
)
def test_an_error_of_which_only_the_text_is_known_keeps_its_exit_code(
    name: str, message: str, exit_code: int, summary: str, next_step: str
) -> None:
    told = described(name, message)

    assert (told["exit_code"], told["summary"], told["next_step"]) == (exit_code, summary, next_step)


def test_what_a_dead_kernel_left_is_known_by_its_environment_and_ended(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    theirs, ours = (
        process.start(sleeper, log=tmp_path / name, env={**os.environ, "RUNBOOKS_TEST_MARK": name})
        for name in ("theirs", "ours")
    )
    # Linux tells of an environment a moment after the program has begun.
    while psutil.Process(ours.pid).environ().get("RUNBOOKS_TEST_MARK") != "ours":
        time.sleep(0.01)

    process.end_left_over("RUNBOOKS_TEST_MARK", "ours")

    assert (ours.alive, theirs.alive) == (False, True)
    process.stop(theirs)


@pytest.mark.skipif(sys.platform != "linux", reason="a pipe is given a new reader through /proc")
def test_what_nobody_listens_to_any_more_can_still_say_its_last_words(tmp_path: Path) -> None:
    told = tmp_path / "told"
    last = f"import os, pathlib; print('ended', flush=True); pathlib.Path({str(told)!r}).touch(); os._exit(0)"
    words = (
        f"import signal\ndef end(*_):\n    {last}\nsignal.signal(15, end)\nprint('ready', flush=True)\nsignal.pause()"
    )
    left = subprocess.Popen(
        [sys.executable, "-c", words], stdout=subprocess.PIPE, env={**os.environ, "RUNBOOKS_TEST_MARK": "mute"}
    )
    with left:
        assert left.stdout is not None
        left.stdout.readline()
        left.stdout.close()
        process.end_left_over("RUNBOOKS_TEST_MARK", "mute")
    assert told.exists()


PARAMETERS = """
target: {{namespace: csghub, kubeconfig: nowhere.yaml}}
chart: {{path: charts/dataflow}}
csghub: {{external_url: "http://127.0.0.1:1"}}
gateway: {{domain: example.com}}
values: {{postgresql: {{password: {{from: "{reference}"}}}}}}
"""


@pytest.mark.parametrize(
    ("reference", "known"),
    [
        ("env:TEST_PASSWORD", True),
        ("env:TEST_PASSWORD_THAT_IS_NOT_SET", False),
        ("k8s:csghub/postgresql#password", False),
    ],
)
def test_the_secrets_of_a_record_are_looked_up_again_or_said_to_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, known: bool
) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    monkeypatch.setenv("TEST_PASSWORD", "s3cr3t-value")
    (tmp_path / "here.yaml").write_text(PARAMETERS.format(reference=reference))
    folder = records.create(tmp_path, target="t", stage="verify")
    redactor = Redactor()
    content = parameters.dump(parameters.load("here.yaml"))
    records.write_json(folder, "parameters.json", content, redactor)

    assert register(folder, redactor) is known
    assert bool(redactor.hits("s3cr3t-value")) is known


def test_a_run_that_ended_before_it_read_its_parameters_had_no_secrets(tmp_path: Path) -> None:
    assert register(records.create(tmp_path, target="t", stage="verify"), Redactor())


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"target": 1}'])
def test_parameters_that_cannot_be_read_again_are_not_taken_for_none(tmp_path: Path, content: str) -> None:
    folder = records.create(tmp_path, target="t", stage="verify")
    (folder / "parameters.json").write_text(content)

    assert not register(folder, Redactor())


@pytest.mark.parametrize(
    "first", ["import papermill", "from runbooks_lib.headless import RunbooksEngine", "import papermill.engines"]
)
def test_papermill_finds_the_engine_whichever_is_imported_first(first: str) -> None:
    script = (
        f"{first}\nimport papermill.engines as engines\nfrom runbooks_lib.headless import RunbooksEngine\n"
        "assert engines.papermill_engines.get_engine('runbooks') is RunbooksEngine"
    )

    ended = process.run([sys.executable, "-c", script], timeout=60)

    assert ended.ok, ended.stderr


def test_asking_for_headless_runs_does_not_import_papermill() -> None:
    script = "import runbooks_lib.headless, sys; assert not {'papermill', 'nbformat'} & set(sys.modules)"

    ended = process.run([sys.executable, "-c", script], timeout=60)

    assert ended.ok, ended.stderr


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    from runbooks_lib import headless

    with pytest.raises(AttributeError, match="has no attribute 'engines'"):
        _ = headless.engines
