"""Closing a record: once, searched, digested, by whoever comes last."""

import json
import os
import platform
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_redaction import ENCODINGS

from runbooks_lib import process, records, redaction
from runbooks_lib.errors import CheckFailed, RecordError, UsageError
from runbooks_lib.process import identity
from runbooks_lib.records import closing
from runbooks_lib.redaction import Redactor, forms_of
from runbooks_lib.results import Event, Json, RunSummary, digest_bytes

SECRET = "s3cr3t-pässword"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return records.create(tmp_path, target="t", stage="verify")


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.register(SECRET, "password")
    return redactor


def close(folder: Path, redactor: Redactor, **named: Any) -> RunSummary:
    given: Json = {"outcome": "passed", "exit_code": 0, "summary": "It passed.", "closer": "seal cell"}
    return records.close(folder, redactor, **{**given, **named})


def tell(folder: Path, kind: str, data: Json | None = None) -> None:
    journal = records.Journal(folder, Redactor(), role="kernel")
    journal(Event(kind=kind, data=data or {}))


def test_the_manifest_names_every_file_by_its_digest_and_how_the_run_ended(folder: Path, redactor: Redactor) -> None:
    records.write_text(folder, "evidence/pod.log", "fine", redactor)

    summary = close(folder, redactor)

    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"].keys() == {"events.jsonl", "evidence/pod.log"}
    assert manifest["files"]["evidence/pod.log"] == {"sha256": digest_bytes(b"fine"), "size": 4}
    assert (manifest["outcome"], manifest["exit_code"], manifest["run_id"]) == ("passed", 0, summary.run_id)
    assert summary == records.summary_of(folder)
    assert records.verify(folder) == []
    last = records.read_events(folder)[-1]
    assert last["kind"] == "run.ended"
    assert last["data"] == {"outcome": "passed", "exit_code": 0, "summary": "It passed.", "closer": "seal cell"}


def test_the_second_closer_gets_what_the_first_one_wrote(folder: Path, redactor: Redactor) -> None:
    first = close(folder, redactor)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}

    second = close(folder, redactor, outcome="failed", exit_code=1, summary="No.", closer="engine")

    assert second == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content


def test_a_closer_that_was_killed_is_finished_by_the_next_with_the_outcome_it_had_told(
    folder: Path, redactor: Redactor
) -> None:
    tell(folder, "run.ended", {"outcome": "done", "exit_code": 0, "summary": "Told.", "closer": "seal cell"})
    (folder / ".manifest.json.x.part").write_text("half")

    summary = close(folder, redactor, outcome="unknown", exit_code=6, summary="?", closer="engine")

    assert (summary.outcome, summary.summary) == ("done", "Told.")
    assert not list(folder.glob(".*"))


def test_processes_that_close_at_once_close_once(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from runbooks_lib import records\n"
        "from runbooks_lib.redaction import Redactor\n"
        "s = records.close(Path(sys.argv[1]), Redactor(), outcome='failed', exit_code=1, summary=sys.argv[2],"
        " closer='x'); print(s.summary)"
    )
    logs = [folder.parent / f"{number}.log" for number in range(3)]
    started = [
        process.start([sys.executable, "-c", script, str(folder), str(number)], log=log)
        for number, log in enumerate(logs)
    ]
    for one in started:
        os.waitpid(one.pid, 0)

    assert len({log.read_text() for log in logs}) == 1
    assert [event["kind"] for event in records.read_events(folder)].count("run.ended") == 1
    assert records.verify(folder) == []


PLANTED: list[tuple[str, Callable[[str], bytes]]] = [
    ("evidence/pod.log", lambda secret: f"user:{secret}\n".encode()),
    ("evidence/values.json", lambda secret: json.dumps({"deep": [secret]}).encode()),
    ("plan.json", lambda secret: json.dumps({secret: 1}, ensure_ascii=False).encode()),
    ("evidence/core", lambda secret: b"\xff\x00" + secret.encode() + b"\xff"),
]


@pytest.mark.parametrize(("name", "content"), PLANTED)
def test_a_secret_in_a_file_quarantines_the_record_and_is_taken_out(
    folder: Path, redactor: Redactor, name: str, content: Callable[[str], bytes]
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content(SECRET))
    records.write_text(folder, "other.txt", "untouched", redactor)

    summary = close(folder, redactor)

    assert (summary.outcome, summary.exit_code) == ("quarantined", 8)
    assert re.search(rf"password at or after byte ([1-9]|1\d) of {name}", summary.summary)
    for path in folder.rglob("*"):
        assert path.is_dir() or not redactor.hits(path.read_bytes().decode("utf-8", "replace"))
    assert (folder / "other.txt").read_text() == "untouched"
    assert records.verify(folder) == []


@pytest.mark.parametrize("form", ENCODINGS)
def test_with_any_rule_of_redaction_gone_the_record_is_not_sealed_as_good(
    folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The last search does not hang on the forms by which texts were redacted: it decodes what stands there."""
    # Of a letter that is none of ASCII this UTF-16 leaves nothing that could be read.
    letter = "a" if "UTF-16" in form else "ä"
    secret = f"p{letter}'ss\"w&rd<1>/+%\\z{secrets.token_hex(4)}"
    written, every = ENCODINGS[form](secret), redaction._encoded
    if form == "raw":
        monkeypatch.setattr(Redactor, "_between_markers", lambda _, text: text)
    else:
        monkeypatch.setattr(redaction, "_encoded", lambda value: (one for one in every(value) if one not in written))
    redactor = Redactor()
    redactor.register(secret, "env:LOST")
    records.Journal(folder, redactor, role="kernel")(Event(kind="command.ended", data={"stdout": f"a {written} b"}))
    assert json.dumps(written, ensure_ascii=False)[1:-1] in (folder / "events.jsonl").read_text()

    summary = close(folder, redactor)

    assert (summary.outcome, summary.exit_code) == ("quarantined", 8)
    assert re.search(r"env:LOST at or after byte \d+ of events\.jsonl", summary.summary)
    assert written not in (folder / "events.jsonl").read_text()


def test_a_file_that_is_named_after_a_secret_does_not_stay(folder: Path, redactor: Redactor) -> None:
    kept = records.write_text(folder, f"evidence/{SECRET}.log", "fine", redactor)
    assert kept.name == "«redacted:password».log"
    (folder / "evidence" / f"{SECRET}.txt").write_text("made by another hand")

    summary = close(folder, redactor)

    assert (summary.outcome, summary.exit_code) == ("quarantined", 8)
    assert "password in the name of a file" in summary.summary
    assert SECRET not in summary.summary + "".join(map(str, folder.rglob("*")))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["searched"] == {"values": 1, "forms": len(forms_of(SECRET)), "too_short": 0}


def test_a_secret_in_the_journal_itself_is_taken_out_and_the_journal_stays_readable(
    folder: Path, redactor: Redactor
) -> None:
    tell(folder, "command.ended", {"stdout": f"it is {SECRET}"})

    summary = close(folder, redactor)

    assert summary.outcome == "quarantined"
    (told,) = [event["data"] for event in records.read_events(folder) if event["kind"] == "command.ended"]
    assert told == {"stdout": "it is «redacted:password»"}


def test_a_secret_in_the_summary_is_not_written(folder: Path, redactor: Redactor) -> None:
    summary = close(folder, redactor, outcome="failed", exit_code=1, summary=f"No {SECRET}")

    assert summary.summary == "No «redacted:password»"
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_link_is_no_part_of_a_record(folder: Path, redactor: Redactor, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("changes later")
    (folder / "link").symlink_to(tmp_path / "elsewhere")

    summary = close(folder, redactor)

    assert summary.outcome == "quarantined"
    assert not (folder / "link").is_symlink()
    assert (tmp_path / "elsewhere").exists()


def test_a_redactor_that_fails_leaves_the_record_open_for_the_next_closer(folder: Path) -> None:
    class Broken(Redactor):
        def hits(self, text: str) -> tuple[str, ...]:
            raise UsageError("broken")

    with pytest.raises(UsageError, match="broken"):
        close(folder, Broken())

    assert not records.is_closed(folder)
    assert close(folder, Redactor()).outcome == "passed"


def test_a_record_whose_folder_has_gone_is_an_error_with_exit_code_8(folder: Path, redactor: Redactor) -> None:
    folder.rename(folder.parent / "moved")

    with pytest.raises(RecordError, match=r"could not be written: .*No such file or directory") as refused:
        close(folder, redactor)

    assert refused.value.exit_code == 8
    assert "name another with output_directory" in refused.value.next_step


@pytest.mark.parametrize(("closer", "note"), [("seal cell", []), ("engine", ["The kernel ended while"])])
def test_the_notebook_is_made_of_the_journal(folder: Path, redactor: Redactor, closer: str, note: list[str]) -> None:
    cell = {"id": "a", "cell_type": "code", "metadata": {}, "source": "1+1", "outputs": [], "execution_count": None}
    template = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    records.write_json(folder, "input.ipynb", template, redactor)
    output = {"output_type": "stream", "name": "stdout", "text": "2\n"}
    tell(folder, "cell.started", {"id": "", "count": 1, "source": "1+1"})
    tell(folder, "cell.ended", {"id": "", "count": 1, "status": "ok", "outputs": [output]})
    late = {**output, "text": "2\nlate\n"}
    tell(folder, "cell.changed", {"count": 1, "outputs": [late]})
    tell(folder, "cell.started", {"id": "", "count": 2, "source": "last()"})

    close(folder, redactor, closer=closer)

    first, second = json.loads((folder / "notebook.ipynb").read_text())["cells"]
    assert first["outputs"] == [late]
    assert second["source"] == "last()"
    assert [output["text"][:22] for output in second["outputs"]] == note


def gone(folder: Path, **changes: Any) -> None:
    """Rewrite the journal as if its writers had run in another process."""
    path = folder / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "writer.joined":
            line["data"] |= {"start_time": 1.0, **changes}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def closed_by_sweep(root: Path, resolve: Any = lambda folder, redactor: True) -> RunSummary:
    """How the only record that a sweep closed ended, which it has told."""
    (event,) = records.sweep(root, resolve)
    summary = records.summary_of(Path(event.data["folder"]))
    assert event.kind == "run.swept"
    assert event.data["run"] == summary.run_id
    assert event.data["outcome"] == f"is closed as {summary.outcome}: {summary.summary}"
    return summary


def test_a_run_whose_writers_are_gone_is_abandoned(tmp_path: Path, folder: Path) -> None:
    gone(folder)

    swept = closed_by_sweep(tmp_path)

    assert (swept.outcome, swept.exit_code) == ("abandoned", 6)
    assert (
        swept.summary
        == "The journal stops in the middle: the run was killed, or could not write any more. Not every cell of the notebook was run."
    )
    assert records.read_events(folder)[-1]["data"]["closer"] == "sweep"
    assert records.sweep(tmp_path, lambda folder, redactor: True) == []


def test_a_killed_run_that_had_begun_a_change_says_so(tmp_path: Path, folder: Path) -> None:
    tell(folder, "change.started")
    gone(folder)

    swept = closed_by_sweep(tmp_path)

    assert swept.outcome == "abandoned"
    assert "A change was begun, and it is not known how it ended." in swept.summary


def test_a_run_that_told_its_error_before_it_was_killed_keeps_it(tmp_path: Path, folder: Path) -> None:
    tell(folder, "error.raised", records.describe(CheckFailed("Too old.")))
    gone(folder)

    swept = closed_by_sweep(tmp_path)

    assert (swept.outcome, swept.exit_code, swept.summary) == ("failed", 3, "Too old.")


def test_what_a_killed_run_left_running_is_ended_before_its_record_is_closed(tmp_path: Path, folder: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    left = process.start(sleeper, log=tmp_path / "log", env={**os.environ, "RUNBOOKS_RUN": str(folder)})
    name = psutil.Process(left.pid).name()
    gone(folder)
    tell(folder, "writer.joined", {"pid": left.pid, "start_time": left.start_time, "host": platform.node()})
    # What told this is the test itself.
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["data"].get("pid") != os.getpid() or line["data"]["start_time"] == 1.0]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    swept = closed_by_sweep(tmp_path)

    assert swept.outcome == "abandoned"
    assert not left.alive
    (told,) = (event["data"] for event in records.read_events(folder) if event["kind"] == "left.ended")
    assert told == {"programs": [f"{name} ({left.pid})"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "another-machine"},
        # Another container that has its host's name, or shares its records.
        {"pids": "pid:[1]"},
        {"machine": "0123456789abcdef0123456789abcdef"},
        {"start_time": process.identify().start_time, "pid": os.getpid()},
        {"pid": "not a number"},
    ],
)
def test_a_run_is_left_alone_unless_its_writer_is_proved_gone(tmp_path: Path, folder: Path, changes: Json) -> None:
    gone(folder, **changes)

    assert records.sweep(tmp_path, lambda folder, redactor: True) == []
    assert not records.is_closed(folder)


def test_one_living_writer_keeps_a_record_open(tmp_path: Path, folder: Path) -> None:
    gone(folder)
    records.Journal(folder, Redactor(), role="kernel")

    assert records.sweep(tmp_path, lambda folder, redactor: True) == []


def test_a_run_is_over_when_its_record_is_closed_or_its_writers_are_gone(tmp_path: Path, folder: Path) -> None:
    run = records.run_id(folder)
    assert not records.ended(tmp_path, run)
    gone(folder)
    assert records.ended(tmp_path, run)
    records.Journal(folder, Redactor(), role="kernel")
    assert not records.ended(tmp_path, run)
    records.close_as_proved(folder, Redactor(), closer="engine")
    assert records.ended(tmp_path, run)
    assert not records.ended(tmp_path, "00000000")


def test_a_record_without_any_writer_is_left_alone_at_first(tmp_path: Path, folder: Path) -> None:
    """It is being made; or its disk was full."""
    (folder / "events.jsonl").unlink()

    assert records.sweep(tmp_path, lambda folder, redactor: True) == []

    os.utime(folder, (1, 1))
    assert closed_by_sweep(tmp_path).outcome == "abandoned"


def test_after_a_reboot_all_writers_are_gone(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = identity._place() | {"machine": "0123456789abcdef0123456789abcdef"}
    monkeypatch.setattr(identity, "_place", lambda: here)
    gone(folder, start_time=process.identify().start_time, pid=os.getpid(), machine=here["machine"], boot="another")
    assert closed_by_sweep(tmp_path).outcome == "abandoned"


def test_a_record_that_cannot_be_closed_is_told_and_keeps_nobody_from_working(tmp_path: Path, folder: Path) -> None:
    gone(folder)
    other = records.create(tmp_path, target="other", stage="verify")
    gone(other)
    (folder / "manifest.json.d").mkdir()
    (folder / f".{'manifest.json'}.part").mkdir()
    told = {event.data["run"]: event.data["outcome"] for event in records.sweep(tmp_path, lambda *_: True)}
    assert told[records.run_id(folder)].startswith("can't be closed: The record could not be written:")
    assert told[records.run_id(other)].startswith("is closed as abandoned")


def test_a_journal_that_cannot_be_read_keeps_nobody_from_working(tmp_path: Path, folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()
    assert records.sweep(tmp_path, lambda folder, redactor: True) == []


def test_a_record_whose_secrets_cannot_be_looked_up_again_is_quarantined(tmp_path: Path, folder: Path) -> None:
    gone(folder)

    swept = closed_by_sweep(tmp_path, lambda folder, redactor: False)

    assert (swept.outcome, swept.exit_code) == ("quarantined", 8)
    assert "its secrets can't be looked up" in swept.summary


@pytest.mark.parametrize("cell", [None, {"cell_type": "code"}, {"cell_type": "code", "source": None}, {"source": ""}])
def test_a_record_of_an_odd_notebook_is_closed_and_keeps_nobody_from_working(
    tmp_path: Path, folder: Path, cell: Any
) -> None:
    (folder / "input.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}}))
    gone(folder)
    assert closed_by_sweep(tmp_path).outcome == "abandoned"


def test_whatever_a_record_breaks_on_its_folder_is_named(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone(folder)

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("source")

    monkeypatch.setattr(closing, "close", broken)
    (event,) = records.sweep(tmp_path, lambda folder, redactor: True)
    assert event.data["outcome"] == f"can't be closed: KeyError: 'source'; if nobody needs it, remove {folder}"


def test_a_sweep_searches_each_record_for_the_secrets_of_its_own_run(tmp_path: Path, folder: Path) -> None:
    (folder / "evidence.txt").write_text(SECRET)
    gone(folder)

    def resolve(folder: Path, redactor: Redactor) -> bool:
        redactor.register(SECRET, "password")
        return True

    swept = closed_by_sweep(tmp_path, resolve)

    assert swept.outcome == "quarantined"
    assert (folder / "evidence.txt").read_text() == "«redacted:password»"
