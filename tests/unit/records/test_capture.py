"""Messages to outputs, and capture where there is no kernel (in real kernels: tests/integration/test_headless.py)."""

from pathlib import Path
from typing import Any

import pytest

from runbooks_lib import records
from runbooks_lib.records.messages import Messages
from runbooks_lib.records.notebook import Execution
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Json


@pytest.fixture
def messages() -> Messages:
    made = Messages()
    for parent in ("one", "two"):
        made.begin(parent, Execution(parent))
    return made


def stream(text: str) -> Json:
    return {"name": "stdout", "text": text}


def shown(messages: Messages, parent: str = "one") -> list[Any]:
    outputs = messages.executions[parent].outputs
    return [output.get("text") or output["data"]["text/plain"] for output in outputs]


def display(text: str, display_id: str = "") -> Json:
    return {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": display_id}}


def widget(messages: Messages, model: str, **state: Any) -> None:
    messages.take("comm_msg", {"comm_id": model, "data": {"method": "update", "state": state}}, "one")


def test_outputs_go_to_the_cell_that_caused_them_also_when_they_come_late(messages: Messages) -> None:
    messages.take("stream", stream("a"), "one")
    messages.take("stream", stream("b"), "two")
    messages.take("stream", stream("late"), "one")
    messages.take("stream", stream("nobody's"), "unknown")

    assert (shown(messages, "one"), shown(messages, "two")) == (["a", "late"], ["b"])


def test_a_display_that_is_updated_changes_wherever_it_is_shown(messages: Messages) -> None:
    messages.take("display_data", display("old", "d"), "one")
    messages.take("display_data", display("old", "d"), "two")

    messages.take("update_display_data", display("new", "d"), "two")
    messages.take("update_display_data", display("other", "unknown"), "two")

    assert (shown(messages, "one"), shown(messages, "two")) == (["new"], ["new"])


@pytest.mark.parametrize(("wait", "before_next"), [(False, []), (True, ["a"])])
def test_cleared_output_is_gone_at_once_or_with_the_next(
    messages: Messages, wait: bool, before_next: list[str]
) -> None:
    messages.take("stream", stream("a"), "one")

    messages.take("clear_output", {"wait": wait}, "one")
    assert shown(messages) == before_next

    messages.take("stream", stream("b"), "one")
    assert shown(messages) == ["b"]


def test_an_output_widget_takes_what_is_printed_inside_of_it(messages: Messages) -> None:
    for model in ("outer", "inner"):
        state = {"_model_name": "OutputModel", "outputs": [], "msg_id": ""}
        messages.take("comm_open", {"comm_id": model, "data": {"state": state}}, "one")
    widget(messages, "outer", msg_id="one")
    messages.take("stream", stream("in outer"), "one")
    widget(messages, "inner", msg_id="one")
    messages.take("stream", stream("in inner"), "one")
    messages.take("clear_output", {}, "one")
    messages.take("stream", stream("in inner again"), "one")
    widget(messages, "inner", msg_id="")
    messages.take("stream", stream("in outer too"), "one")
    widget(messages, "outer", msg_id="")
    messages.take("stream", stream("in the cell"), "one")

    state = (messages.widgets() or {})["state"]
    texts = {model: [out["text"] for out in state[model]["state"]["outputs"]] for model in state}
    assert texts == {"outer": ["in outer", "in outer too"], "inner": ["in inner again"]}
    assert shown(messages) == ["in the cell"]


def test_binary_state_of_a_widget_is_kept_its_newest_part_last(messages: Messages) -> None:
    opened = {"state": {"_model_name": "ImageModel"}, "buffer_paths": [["value"]]}
    messages.take("comm_open", {"comm_id": "m", "data": opened}, "one", [memoryview(b"first")])
    changed = {"state": {}, "buffer_paths": [["value"]]}
    messages.take("comm_msg", {"comm_id": "m", "data": changed}, "one", [b"second"])

    (buffer,) = (messages.widgets() or {})["state"]["m"]["buffers"]
    assert buffer == {"data": "c2Vjb25k", "encoding": "base64", "path": ["value"]}


def test_comms_without_state_are_no_widgets(messages: Messages) -> None:
    messages.take("comm_open", {"comm_id": "x", "data": {}}, "one")
    widget(messages, "y", value=1)

    assert messages.widgets() is None


def test_capture_outside_of_a_kernel_does_nothing(tmp_path: Path) -> None:
    folder = records.create(tmp_path, target="t", stage="verify")
    journal = records.Journal(folder, Redactor(), role="script")

    capture = records.Capture(journal, Redactor())
    capture.install()
    capture.remove()
    journal.close()

    assert not capture.installed
    assert {event["kind"] for event in records.read_events(folder)} == {"writer.joined"}
