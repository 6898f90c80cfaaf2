"""The journal: every event once, in order, whoever writes and whoever is killed."""

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib import process, records
from runbooks_lib.errors import RecordClosed, RecordError
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Event

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.lists(
    st.builds(Event, kind=st.sampled_from(["a.b", "c.d"]), data=st.dictionaries(st.text(), PLAIN, max_size=4)),
    max_size=8,
)


class Open(Redactor):
    """Redacts nothing, so that what is read can be compared with what was written."""

    def redact_data(self, data: Any) -> Any:
        return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return records.create(tmp_path, target="t", stage="verify")


def written(folder: Path) -> list[tuple[str, Any]]:
    return [(event["kind"], event["data"]) for event in records.read_events(folder) if event["kind"] != "writer.joined"]


def test_a_line_says_when_who_and_what(folder: Path) -> None:
    journal = records.Journal(folder, Redactor(), role="kernel")

    journal(Event(kind="command.started", data={"argv": ["helm", "version"]}))

    joined, event = records.read_events(folder)[-2:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"])
    assert event["writer"] == joined["writer"] == f"kernel:{os.getpid()}"
    assert (joined["seq"], event["seq"]) == (1, 2)
    assert event["data"] == {"argv": ["helm", "version"]}
    assert joined["data"].keys() == {"role", "pid", "start_time", "host", "machine", "boot", "pids"}
    assert joined["data"]["pid"] == os.getpid()


@given(EVENTS)
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> None:
    folder = records.create(tmp_path_factory.mktemp("records"), target="t", stage="verify")
    journal = records.Journal(folder, Open(), role="kernel")
    for event in events:
        journal(event)

    assert written(folder) == [(event.kind, event.data) for event in events]


@given(EVENTS.filter(bool), st.data())
def test_a_torn_last_line_costs_that_line_only(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    folder = records.create(tmp_path_factory.mktemp("records"), target="t", stage="verify")
    journal = records.Journal(folder, Open(), role="kernel")
    for event in events:
        journal(event)
    path = folder / "events.jsonl"
    content = path.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(content[: data.draw(st.integers(start, len(content) - 2))])

    assert written(folder) == [(event.kind, event.data) for event in events[:-1]]

    next_writer = records.Journal(folder, Open(), role="engine")
    next_writer(Event(kind="error.raised", data={"x": 1}))
    assert written(folder) == [*((event.kind, event.data) for event in events[:-1]), ("error.raised", {"x": 1})]


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b'"text"', b"{}", b'{"kind": 1, "data": {}}', b'{"kind": "x"}', b"\xff\xfe", b"{" * 5000],
)
def test_a_line_that_is_no_event_is_left_out(folder: Path, line: bytes) -> None:
    with (folder / "events.jsonl").open("ab") as journal:
        journal.write(line + b"\n")

    assert written(folder) == []


def test_a_folder_without_a_journal_has_no_events(tmp_path: Path) -> None:
    assert records.read_events(tmp_path) == []


def test_secrets_and_what_has_no_json_are_written_as_text_that_can_be_kept(folder: Path) -> None:
    redactor = Redactor()
    redactor.register("s3cr3t-value", "password")
    journal = records.Journal(folder, redactor, role="kernel")

    journal(Event(kind="x.y", data={"text": "is s3cr3t-value", "path": Path("/x"), "torn": "\udc80"}))

    assert written(folder) == [("x.y", {"text": "is «redacted:password»", "path": "/x", "torn": "\udc80"})]


def test_threads_and_processes_write_whole_lines_side_by_side(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from runbooks_lib import records\n"
        "from runbooks_lib.redaction import Redactor; from runbooks_lib.results import Event\n"
        "journal = records.Journal(Path(sys.argv[1]), Redactor(), role='other')\n"
        "for number in range(50): journal(Event(kind='other.wrote', data={'number': number, 'pad': 'x' * 5000}))\n"
    )
    journal = records.Journal(folder, Redactor(), role="kernel")

    def write(thread: int) -> None:
        for number in range(50):
            journal(Event(kind=f"thread.{thread}", data={"number": number, "pad": "y" * 5000}))

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(3)]
    for thread in threads:
        thread.start()
    other = process.run([sys.executable, "-c", script, str(folder)], timeout=60)
    for thread in threads:
        thread.join()

    assert other.ok, other.stderr
    seen: dict[str, list[int]] = {}
    for kind, data in written(folder):
        seen.setdefault(kind, []).append(data["number"])
    assert seen == {kind: list(range(50)) for kind in ("other.wrote", "thread.0", "thread.1", "thread.2")}
    for writer in {event["writer"] for event in records.read_events(folder)}:
        numbers = [event["seq"] for event in records.read_events(folder) if event["writer"] == writer]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_closed_record_takes_no_more_events(folder: Path) -> None:
    journal = records.Journal(folder, Redactor(), role="kernel")
    records.close(folder, Redactor(), outcome="passed", exit_code=0, summary="", closer="seal cell")
    before = (folder / "events.jsonl").read_bytes()

    with pytest.raises(RecordClosed, match="is closed; nothing can be added"):
        journal(Event(kind="x.y"))
    with pytest.raises(RecordClosed):
        records.Journal(folder, Redactor(), role="late")

    assert (folder / "events.jsonl").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_an_event_that_cannot_be_written_is_an_error_with_exit_code_8(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").symlink_to("/dev/full")

    with pytest.raises(RecordError, match=r"could not be written: .*No space left on device") as refused:
        records.Journal(folder, Redactor(), role="kernel")

    assert refused.value.exit_code == 8


def test_a_journal_that_cannot_be_read_is_an_error_and_not_an_empty_one(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()

    with pytest.raises(RecordError, match="can't be read: Is a directory"):
        records.read_events(folder)


def test_each_line_is_one_json_document(folder: Path) -> None:
    journal = records.Journal(folder, Open(), role="kernel")
    journal(Event(kind="x.y", data={"text": "a\nb\u2028c\x85d\re"}))

    lines = (folder / "events.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line)["kind"] for line in lines if line] == ["writer.joined", "writer.joined", "x.y"]
