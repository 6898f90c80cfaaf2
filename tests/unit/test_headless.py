"""Headless runs, as far as no kernel is needed; the rest is in tests/integration/test_headless.py."""

import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from runbooks_lib import process
from runbooks_lib.headless.session import described
from runbooks_lib.headless.stopping import Stop
from runbooks_lib.headless.workplace import workplace


class Calls(list[str]):
    """What a signal did to the cell."""

    def interrupt(self) -> None:
        self.append("interrupted")

    def kill(self) -> None:
        self.append("killed")


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_the_running_cell_and_raises_nothing(
    calls: Calls, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        stop.enter_cell(calls.interrupt, calls.kill)
        signal.raise_signal(number)

        assert (stop.signal, calls) == (number, ["interrupted"])
    assert signal.getsignal(number) == before


def test_a_second_signal_kills_the_kernel(calls: Calls) -> None:
    with Stop() as stop:
        stop.enter_cell(calls.interrupt, calls.kill)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    assert calls == ["interrupted", "killed"]
    assert stop.signal == signal.SIGTERM


def test_a_signal_between_two_cells_is_remembered_for_the_next(calls: Calls) -> None:
    with Stop() as stop:
        stop.enter_cell(calls.interrupt, calls.kill)
        stop.leave_cell()
        signal.raise_signal(signal.SIGTERM)
        assert (stop.wanted, calls) == (True, [])

        stop.enter_cell(calls.interrupt, calls.kill)
        assert calls == ["interrupted"]


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


@pytest.mark.parametrize(
    ("name", "message", "exit_code", "summary", "next_step"),
    [
        ("CheckFailed", "Too old.\nNext: Upgrade.\nEvidence: x", 3, "Too old.", "Upgrade."),
        ("ApprovalError", "Not yet.", 4, "Not yet.", ""),
        ("KeyboardInterrupt", "", 130, "The run was interrupted.", ""),
        ("SystemExit", "0", 6, "A cell ended the notebook with sys.exit(0) before its Seal cell.", ""),
        ("SystemExit", "", 6, "A cell ended the notebook with sys.exit() before its Seal cell.", ""),
        ("ValueError", "odd", 1, "ValueError: odd", ""),
        ("Outcome", "not an error of ours", 1, "Outcome: not an error of ours", ""),
    ],
)
def test_an_error_of_which_only_the_text_is_known_keeps_its_exit_code(
    name: str, message: str, exit_code: int, summary: str, next_step: str
) -> None:
    told = described(name, message)

    assert (told["exit_code"], told["summary"], told["next_step"]) == (exit_code, summary, next_step)


@pytest.mark.parametrize(
    "first",
    ["import papermill", "from runbooks_lib.headless import RunbooksEngine", "import papermill.engines"],
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
