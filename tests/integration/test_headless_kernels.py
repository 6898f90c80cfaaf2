"""Notebooks in real kernels: whatever happens to one, its record is closed and says what happened."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from runbooks_lib import headless, process, records
from runbooks_lib.errors import ParametersError, RecordError, UsageError
from runbooks_lib.results import Event, RunSummary

PARAMETERS = """
target: {namespace: csghub}
chart: {path: charts/dataflow}
csghub: {external_url: "http://127.0.0.1:1"}
gateway: {domain: example.com}
"""

TAGGED = 'parameters_file = ""\noverrides = []\napprove = ""\noutput_directory = ""'

OPEN = """
import os
from pathlib import Path
from runbooks_lib import process, records
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event
folder = Path(os.environ["RUNBOOKS_RUN_FOLDER"])
redactor = Redactor()
redactor.register(os.environ["PLANTED"], "planted")
journal = records.Journal(folder, redactor, role="kernel")
capture = records.Capture(journal, redactor.redact_data)
capture.install()
""".strip()

SEAL = """
capture.tell_late()
records.close(folder, redactor, outcome="passed", exit_code=0, summary="It passed.", closer="seal cell")
""".strip()

#: What a notebook that was started by papermill's own command line does to tell where its record is.
OPEN_ITSELF = """
import os
from pathlib import Path
from runbooks_lib import records
from runbooks_lib.redaction import Redactor
folder = records.open_folder(Path("own-records").resolve(), target="t", stage="verify")
records.write_text(folder, "input.ipynb", Path("notebooks/03_verify.ipynb").read_text(), Redactor())
os.environ["RUNBOOKS_RUN_FOLDER"] = str(folder)
""".strip()

SECRET = "Grünkohl-7!pässword"

#: What names the kernel of a notebook.
SPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
BARE: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}

DIED = "The notebook's kernel ended while a cell ran"

Write = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "parameters").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "parameters" / "here.yaml").write_text(PARAMETERS)
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    monkeypatch.setenv("PLANTED", SECRET)
    return tmp_path


@pytest.fixture
def write(project: Path) -> Write:
    """Write a notebook of the stage ``verify``: a cell of parameters, then these."""

    def notebook(*sources: str, parameters: str = TAGGED) -> Path:
        cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        for number, cell in enumerate(cells):
            cell["id"] = f"c{number}"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = project / "notebooks" / "03_verify.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return notebook


def run(**named: Any) -> RunSummary:
    return headless.run_stage("verify", "parameters/here.yaml", **named)


def kinds(summary: RunSummary) -> list[str]:
    return [event["kind"] for event in records.read_events(Path(summary.folder))]


def executed(summary: RunSummary) -> Any:
    notebook = nbformat.read(Path(summary.folder) / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def outputs(summary: RunSummary) -> dict[str, list[Any]]:
    return {cell.id: cell.outputs for cell in executed(summary).cells if cell.cell_type == "code"}


def test_a_notebook_that_reaches_its_seal_cell_passes(write: Write) -> None:
    write(OPEN, "print('seen')\n6 * 7", SEAL)

    summary = run()

    assert (summary.outcome, summary.exit_code, summary.summary) == ("passed", 0, "It passed.")
    assert (summary.stage, summary.target) == ("verify", "dataflow.csghub")
    assert records.verify(Path(summary.folder)) == []
    assert sorted(path.name for path in Path(summary.folder).iterdir()) == [
        "events.jsonl",
        "input.ipynb",
        "manifest.json",
        "notebook.ipynb",
    ]
    shown = outputs(summary)
    assert [out.get("text") or out["data"]["text/plain"] for out in shown["c2"]] == ["seen\n", "42"]
    assert shown["c3"] == []
    assert [cell.execution_count for cell in executed(summary).cells] == [1, 2, 3, 4, 5]
    told = [event["data"] for event in records.read_events(Path(summary.folder)) if event["kind"] == "cell.started"]
    assert [data["id"] for data in told][-3:] == ["c1", "c2", "c3"]


def test_the_injected_parameters_are_in_the_executed_notebook_after_the_tagged_cell(write: Write) -> None:
    write(OPEN, SEAL)

    cells = executed(run(overrides=["verify.expect=absent"])).cells

    assert cells[1].metadata.tags == ["injected-parameters"]
    assert "verify.expect=absent" in cells[1].source
    assert 'parameters_file = "parameters/here.yaml"' in cells[1].source


@pytest.mark.parametrize(
    ("cell", "outcome", "exit_code", "summary"),
    [
        ("1 / 0", "failed", 1, "ZeroDivisionError: division by zero"),
        (
            "from runbooks_lib.errors import CheckFailed\nraise CheckFailed('Too old.', next_step='Upgrade.')",
            "failed",
            3,
            "Too old.",
        ),
        ("import sys\nsys.exit(0)", "unknown", 6, "A cell ended the notebook with sys.exit(0) before its Seal cell."),
        ("os._exit(0)", "failed", 1, DIED),
        ("os.kill(os.getpid(), 9)", "failed", 1, DIED),
        ("journal(Event(kind='change.started'))\nos.kill(os.getpid(), 9)", "unknown", 6, DIED),
        ("raise KeyboardInterrupt", "failed", 130, "The run was interrupted."),
        ("syntax error", "failed", 1, "SyntaxError: invalid syntax"),
        ("await __import__('asyncio').sleep(0)\nraise ValueError('late')", "failed", 1, "ValueError: late"),
    ],
)
def test_a_cell_that_ends_badly_ends_the_run_with_the_truth(
    write: Write, cell: str, outcome: str, exit_code: int, summary: str
) -> None:
    write(OPEN, cell, "print('never')", SEAL)

    ended = run()

    assert (ended.outcome, ended.exit_code) == (outcome, exit_code)
    assert summary in ended.summary
    assert records.verify(Path(ended.folder)) == []
    shown = outputs(ended)
    assert shown["c2"], "the cell that failed says why"
    assert shown["c3"] == [], "a cell that was not run has no output"
    assert kinds(ended).count("error.raised") == 1


def test_a_cell_that_fails_before_the_run_is_opened_is_in_the_record_too(write: Write) -> None:
    write(
        "from runbooks_lib.errors import TargetRefused\n"
        "raise TargetRefused('Another cluster.', next_step='Look at the pin.')",
        OPEN,
    )

    ended = run()

    assert (ended.outcome, ended.exit_code, ended.summary) == ("refused", 7, "Another cluster.")
    assert outputs(ended)["c1"][0]["ename"] == "TargetRefused"


def test_a_notebook_without_a_seal_cell_is_unknown_not_passed(write: Write) -> None:
    write(OPEN, "print('all well')")

    ended = run()

    assert (ended.outcome, ended.exit_code) == ("unknown", 6)
    assert ended.summary == "Not every cell of the notebook was run."


def test_a_record_that_the_kernel_closes_as_it_shuts_down_is_not_closed_twice(write: Write) -> None:
    write(
        OPEN,
        "import atexit\natexit.register(lambda: records.close(folder, redactor, outcome='failed', exit_code=1,"
        " summary='Closed at exit.', closer='kernel shutdown'))",
    )

    ended = run()

    assert ended.summary == "Closed at exit."
    assert kinds(ended).count("run.ended") == 1


PLANTS = [
    "print(os.environ['PLANTED'])",
    "import sys\nsys.stdout.write(os.environ['PLANTED'][:5]); sys.stdout.flush()\n"
    "sys.stdout.write(os.environ['PLANTED'][5:]); sys.stdout.flush()",
    "os.environ['PLANTED']",
    "{'deep': [os.environ['PLANTED']]}",
    "from IPython.display import HTML\nHTML('<b>' + os.environ['PLANTED'] + '</b>')",
    "from IPython.display import JSON\nJSON({'password': os.environ['PLANTED']})",
    "import base64\nbase64.b64encode(b'user:' + os.environ['PLANTED'].encode())",
    "import ipywidgets\nipywidgets.Text(os.environ['PLANTED'])",
    "(folder / 'evidence').mkdir()\n(folder / 'evidence' / 'pod.log').write_text(os.environ['PLANTED'])",
    "raise ValueError(os.environ['PLANTED'])",
    "print(os.environ['PLANTED'])\nos._exit(0)",
]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_secret_that_a_cell_shows_is_in_no_file_of_the_record(write: Write, plant: str) -> None:
    write(OPEN, plant, SEAL)

    ended = run()

    needles = [form.encode() for form in (SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1])]
    for path in Path(ended.folder).rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(needle in content for needle in needles), path
    assert SECRET not in ended.summary
    assert (ended.outcome == "quarantined") == ("evidence" in plant)


def test_each_event_reaches_the_observer_in_order(write: Write) -> None:
    write(OPEN, "journal(Event(kind='report.made', data={'title': 'Pods'}))", SEAL)
    seen: list[Event] = []

    ended = run(observe=seen.append)

    assert [event.kind for event in seen] == kinds(ended)
    assert Event(kind="report.made", data={"title": "Pods"}) in seen


def test_the_next_run_closes_what_a_killed_one_left(project: Path, write: Write) -> None:
    write(OPEN, SEAL)
    left = records.create(project / "records", target="dataflow.csghub", stage="install")
    journal = left / "events.jsonl"
    event = json.loads(journal.read_text())
    event["data"]["start_time"] -= 1000
    journal.write_text(json.dumps(event) + "\n")

    run()

    assert records.summary_of(left).outcome == "abandoned"


def test_runs_go_where_the_output_directory_says(project: Path, write: Write) -> None:
    write(OPEN, SEAL)

    ended = run(output_directory="elsewhere")

    assert Path(ended.folder).is_relative_to(project / "elsewhere")
    assert not (project / "records").exists()


def test_nothing_is_begun_with_bad_parameters_or_a_wrong_stage(project: Path, write: Write) -> None:
    write(OPEN, SEAL, parameters='parameters_file = ""')

    with pytest.raises(ParametersError, match="does not exist"):
        headless.run_stage("verify", "parameters/her.yaml")
    with pytest.raises(UsageError, match="There is no stage 'verfy'") as wrong:
        headless.run_stage("verfy", "parameters/here.yaml")
    with pytest.raises(UsageError, match=r"03_verify\.ipynb takes no approve") as untaken:
        run(approve="sha256:00")

    assert wrong.value.next_step == "Did you mean verify?"
    assert untaken.value.next_step.startswith("It takes: parameters_file. ")
    assert not (project / "records").exists()


def test_a_preview_of_a_stage_that_changes_nothing_is_refused(project: Path, write: Write) -> None:
    write(OPEN, SEAL)

    with pytest.raises(UsageError, match="'verify' changes nothing, so it has no plan"):
        headless.preview("verify", "parameters/here.yaml")


def of_kernel(path: Path, name: str) -> None:
    """Let a notebook name another kernel."""
    notebook = json.loads(path.read_text())
    notebook["metadata"]["kernelspec"]["name"] = name
    path.write_text(json.dumps(notebook))


def kernel(project: Path, name: str, code: str) -> None:
    """A kernel that does this instead of answering; to be found by JUPYTER_PATH."""
    spec = {"argv": [sys.executable, "-c", code, "{connection_file}"], "display_name": name, "language": "python"}
    folder = project / "jupyter" / "kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))


@pytest.mark.parametrize(("name", "said"), [("no-such-kernel", "did not start"), ("ends", "did not start")])
def test_a_kernel_that_does_not_start_is_told_in_the_record(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(project / "jupyter"))
    kernel(project, "ends", "raise SystemExit(1)")
    of_kernel(write(OPEN, SEAL), name)

    ended = run()

    assert ended.exit_code == 2
    assert f"kernel {name!r} {said}" in ended.summary
    assert records.verify(Path(ended.folder)) == []


def test_a_kernel_that_never_answers_is_given_up_and_ended(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(project / "jupyter"))
    kernel(
        project,
        "silent",
        "open('silent.pid', 'w').write(str(__import__('os').getpid())); __import__('time').sleep(600)",
    )
    of_kernel(write(OPEN, SEAL), "silent")

    ended = papermill(project, "--engine", "runbooks", "--start-timeout", "3")

    assert ended.returncode == 2
    assert "The notebook's kernel 'silent' did not start: Kernel didn't respond in 3 seconds" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not psutil.pid_exists(int((project / "silent.pid").read_text()))


def test_a_signal_while_the_kernel_starts_ends_it_at_once(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(project / "jupyter"))
    code = "open('silent.new', 'w').write(str(__import__('os').getpid())); "
    code += "__import__('os').rename('silent.new', 'child.pid'); __import__('time').sleep(600)"
    kernel(project, "silent", code)
    of_kernel(write(OPEN, SEAL), "silent")
    log = project / "command.log"
    command = process.start([sys.executable, "-c", COMMAND], log=log, cwd=project)
    child = child_of(project, log, command)

    os.kill(command.pid, signal.SIGTERM)
    _, status = os.waitpid(command.pid, 0)

    assert os.waitstatus_to_exitcode(status) == 143, log.read_text()
    assert not psutil.pid_exists(child)
    (ended,) = records.listing(project / "records")
    assert ended.summary == "The run was interrupted by SIGTERM. Nothing was changed."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "can't be read as a notebook: it is not the JSON of a notebook with cells"),
        ('{"cells": [', "can't be read as a notebook: it is not the JSON of a notebook with cells"),
        ("[]", "can't be read as a notebook: it is not the JSON of a notebook with cells"),
        ('{"nbformat": 4, "cells": 1}', "can't be read as a notebook: it has no list of cells"),
        (
            '{"nbformat": 4, "cells": [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "source": null}]}',
            "can't be read as a notebook: its cell 2 has no type or no source",
        ),
        (json.dumps(BARE | {"metadata": SPEC}), "takes no parameters_file"),
        (json.dumps(BARE), "it names no kernel"),
        ('{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "cells": []}', "its format is 3, and 4 is needed"),
        ('{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "its format is 99, and 4 is needed"),
    ],
    ids=[
        "empty",
        "half",
        "no notebook",
        "no cells",
        "no source",
        "no parameters cell",
        "no kernel",
        "of an old format",
        "of a later format",
    ],
)
def test_what_is_no_notebook_of_ours_opens_no_run(project: Path, write: Write, content: str, said: str) -> None:
    write(OPEN, SEAL).write_text(content)

    with pytest.raises(UsageError, match=said) as wrong:
        run()

    assert wrong.value.next_step
    assert not (project / "records").exists()


def test_a_notebook_of_an_older_format_is_run_all_the_same(write: Write) -> None:
    path = write(OPEN, "print('seen')", SEAL)
    notebook = json.loads(path.read_text()) | {"nbformat_minor": 4}
    for cell in notebook["cells"]:
        del cell["id"]
    path.write_text(json.dumps(notebook))

    ended = run()

    assert ended.exit_code == 0, ended.summary
    assert "seen" in (Path(ended.folder) / "notebook.ipynb").read_text()


def test_a_notebook_of_an_older_format_is_run_by_papermills_own_command_with_our_engine(
    project: Path, write: Write
) -> None:
    path = write(OPEN_ITSELF, OPEN, "print('seen')", SEAL)
    notebook = json.loads(path.read_text()) | {"nbformat_minor": 4}
    for cell in notebook["cells"]:
        del cell["id"]
    path.write_text(json.dumps(notebook))

    ended = papermill(project, "--engine", "runbooks")

    assert ended.returncode == 0, ended.stderr
    assert "seen" in (project / "out.ipynb").read_text()


def test_a_huge_output_and_one_that_is_no_text_are_kept(write: Write) -> None:
    write(OPEN, "for _ in range(30_000): print('line ' * 20)", SEAL)
    ended = run()
    assert ended.exit_code == 0, ended.summary
    assert len(outputs(ended)["c2"][0]["text"]) > 3_000_000
    write(OPEN, r"print('caf\udce9 \x00\x1b[0m end')", SEAL)
    ended = run()
    assert ended.exit_code == 0, ended.summary
    assert " end" in outputs(ended)["c2"][0]["text"]


def test_records_that_cannot_be_written_stop_a_run_before_it_begins(project: Path, write: Write) -> None:
    write(OPEN, SEAL)
    (project / "records").write_text("a file in the way")

    with pytest.raises(RecordError, match="The record could not be written: ") as wrong:
        run()

    assert wrong.value.exit_code == 8
    assert "output_directory" in wrong.value.next_step


def test_a_cell_that_papermill_gives_up_on_is_told_in_the_record(project: Path, write: Write) -> None:
    write(OPEN_ITSELF, OPEN, "import time\ntime.sleep(600)", SEAL)

    ended = papermill(project, "--engine", "runbooks", "--execution-timeout", "5")

    (summary,) = records.listing(project / "own-records")
    assert ended.returncode == summary.exit_code == 130, ended.stderr
    assert "The run was interrupted." in ended.stderr
    assert "timed out" in (project / "out.ipynb").read_text()


CHILD = """
import sys
process.run([sys.executable, "-c", "import os, signal, sys, time; "
    "open('child.pid.part', 'w').write(str(os.getpid())); os.rename('child.pid.part', 'child.pid'); "
    "time.sleep(600)"], timeout=900)
""".strip()

COMMAND = """
import sys
from runbooks_lib import headless
summary = headless.run_stage("verify", "parameters/here.yaml")
print(summary.model_dump_json())
sys.exit(summary.exit_code)
"""


def child_of(project: Path, log: Path, command: process.Started) -> int:
    """The pid of the program that the cell started, as soon as it runs."""
    told = project / "child.pid"
    while not told.exists():
        assert command.alive, log.read_text()
        threading.Event().wait(0.02)
    return int(told.read_text())


@pytest.mark.parametrize(
    ("number", "before", "exit_code", "outcome"),
    [
        (signal.SIGTERM, "", 143, "failed"),
        (signal.SIGINT, "", 130, "failed"),
        (signal.SIGHUP, "", 129, "failed"),
        (signal.SIGTERM, "journal(Event(kind='change.started'))\n", 6, "unknown"),
    ],
)
def test_a_signal_to_the_command_ends_the_cell_and_its_program(
    project: Path, write: Write, number: int, before: str, exit_code: int, outcome: str
) -> None:
    write(OPEN, before + CHILD, "print('never')", SEAL)
    log = project / "command.log"
    command = process.start([sys.executable, "-c", COMMAND], log=log, cwd=project)
    child = child_of(project, log, command)

    os.kill(command.pid, number)
    _, status = os.waitpid(command.pid, 0)

    assert os.waitstatus_to_exitcode(status) == exit_code, log.read_text()
    assert not psutil.pid_exists(child)
    (ended,) = records.listing(project / "records")
    assert (ended.outcome, ended.exit_code) == (outcome, exit_code)
    assert outputs(ended)["c3"] == []


def test_the_program_of_a_killed_kernel_is_ended_too(project: Path, write: Write) -> None:
    write(OPEN, CHILD, SEAL)
    log = project / "command.log"
    command = process.start([sys.executable, "-c", COMMAND], log=log, cwd=project)
    child = child_of(project, log, command)

    psutil.Process(child).parent().kill()
    os.waitpid(command.pid, 0)

    assert not psutil.pid_exists(child)
    (ended,) = records.listing(project / "records")
    assert (ended.outcome, ended.exit_code) == ("failed", 1)


def test_papermills_own_command_with_our_engine_refuses_a_parameter_that_the_notebook_does_not_take(
    project: Path, write: Write
) -> None:
    write("print('it ran')")
    ended = papermill(project, "--engine", "runbooks", "-p", "overides", "x", "-p", "approve", "sha256:1")
    assert ended.returncode == 2
    assert "The notebook 03_verify.ipynb takes no overides." in ended.stderr
    assert "It takes: approve, output_directory, overrides, parameters_file." in ended.stderr
    assert "it ran" not in ended.stdout + ended.stderr
    assert papermill(project, "--engine", "runbooks", "-p", "approve", "sha256:1").returncode == 0


def test_papermills_own_command_with_our_engine_overwrites_no_output(project: Path, write: Write) -> None:
    write("print('it ran')")
    (project / "out.ipynb").write_text("evidence of another run")
    ended = papermill(project, "--engine", "runbooks")
    assert ended.returncode == 2
    assert "The output out.ipynb is there already, and is never overwritten; the notebook was not run." in ended.stderr
    assert "it ran" not in ended.stdout + ended.stderr
    assert (project / "out.ipynb").read_text() == "evidence of another run"


def test_papermills_own_command_with_our_engine_needs_the_folder_of_its_output_before_it_runs(
    project: Path, write: Write
) -> None:
    write("print('it ran')")
    argv = ["-m", "papermill", "notebooks/03_verify.ipynb", "no/such/out.ipynb", "--engine", "runbooks"]
    ended = process.run([sys.executable, *argv], timeout=120, cwd=project)
    assert ended.returncode == 2
    assert "The output no/such/out.ipynb can't be written, since the folder no/such does not exist" in ended.stderr
    assert "it ran" not in ended.stdout + ended.stderr


def papermill(project: Path, *flags: str) -> process.Completed:
    """papermill's own command line, as a pipeline calls it."""
    argv = ["-m", "papermill", "notebooks/03_verify.ipynb", "out.ipynb", "--no-progress-bar", *flags]
    return process.run([sys.executable, *argv], timeout=120, cwd=project)


@pytest.mark.parametrize(
    ("cells", "exit_code", "said"),
    [
        ([OPEN_ITSELF, OPEN, "print(os.environ['PLANTED'])", SEAL], 0, ""),
        (
            [OPEN_ITSELF, OPEN, "from runbooks_lib.errors import ApprovalError\nraise ApprovalError('Not yet.')"],
            4,
            "Not yet.",
        ),
        ([OPEN_ITSELF, OPEN, "import sys\nsys.exit(0)"], 6, "sys.exit(0)"),
        ([OPEN_ITSELF, OPEN, "os._exit(0)"], 1, DIED),
        (["print('a notebook that keeps no record')"], 0, ""),
        (["import os\nos._exit(0)"], 1, DIED),
    ],
)
def test_papermills_own_command_with_our_engine_has_our_exit_codes(
    project: Path, write: Write, cells: list[str], exit_code: int, said: str
) -> None:
    write(*cells)

    ended = papermill(project, "--engine", "runbooks")

    assert ended.returncode == exit_code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in (project / "out.ipynb").read_text() + ended.stdout + ended.stderr
    nbformat.validate(nbformat.read(project / "out.ipynb", as_version=4))
    for summary in records.listing(project / "own-records"):
        assert summary.exit_code == exit_code


TABLE = [
    "print('a'); print('b')",
    "import sys; print('error', file=sys.stderr); print('out')",
    "import os; os.system('echo from a child')",
    "42",
    "from IPython.display import HTML; HTML('<b>bold</b>')",
    "from IPython.display import display, Markdown; display(Markdown('*x*')); display({'a': 1}); 'last'",
    "%%html\n<i>magic</i>",
    "import pandas; pandas.DataFrame({'a': [1, 2]})",
    "import ipywidgets; slider = ipywidgets.IntSlider(3); slider",
    "slider.value = 5",
    "import threading; t = threading.Thread(target=print, args=('threaded',)); t.start(); t.join()",
    "await __import__('asyncio').sleep(0.01); print('async')",
    "import warnings; warnings.warn('careful')",
    "import logging; logging.warning('logged')",
    "print('no newline', end='')",
    "1 / 0",
]


CLOSE_AT_EXIT = """
import atexit
atexit.register(lambda: (capture.tell_late(), records.close_as_proved(folder, redactor, closer="kernel shutdown")))
""".strip()

WIDGET = "application/vnd.jupyter.widget-view+json"


def test_the_kernel_sees_of_its_cells_what_a_front_end_sees(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook that the journal keeps is the one that nbclient makes of the same messages, but for widgets."""
    monkeypatch.setenv("PLANTED", "not in any of these cells")
    write(OPEN_ITSELF, OPEN, CLOSE_AT_EXIT, *TABLE)

    assert papermill(project).returncode == 1

    (summary,) = records.listing(project / "own-records")
    ours = executed(summary)
    kept = {cell.id: cell for cell in ours.cells}
    stock = nbformat.read(project / "out.ipynb", as_version=4)
    seen = [cell for cell in stock.cells if cell.source in TABLE]
    assert len(seen) == len(TABLE)
    for cell in seen:
        assert by_stream(kept[cell.id].outputs) == by_stream(cell.outputs), cell.source
        assert kept[cell.id].execution_count == cell.execution_count


def by_stream(outputs: list[Any]) -> Any:
    """Outputs whose order means something: stdout and stderr race each other on the wire."""
    streams = {
        name: "".join(out["text"] for out in outputs if out.get("name") == name) for name in ("stdout", "stderr")
    }
    rest = json.loads(json.dumps([out for out in outputs if out["output_type"] != "stream"]))
    for output in rest:
        output.get("data", {}).pop(WIDGET, None)
    return [streams, rest]


def test_a_persons_own_ipython_start_up_files_take_no_part(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("raise SystemExit(7)")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    write(OPEN, SEAL)
    assert headless.run_stage("verify", "parameters/here.yaml").outcome == "passed"
    assert not list((tmp_path / "ipython").rglob("history.sqlite"))
