"""Messages to outputs, and capture where there is no kernel (in real kernels: tests/integration/test_headless_kernels.py)."""

from pathlib import Path

from runbooks_lib import records
from runbooks_lib.records.capture import add_output
from runbooks_lib.redaction import Redactor
from runbooks_lib.results import Json


def outputs(*messages: tuple[str, Json]) -> list[Json]:
    made: list[Json] = []
    for kind, content in messages:
        add_output(made, kind, content)
    return made


def shown(text: str, **data: Json) -> Json:
    return {"data": {"text/plain": text, **data}, "metadata": {}, "transient": {"display_id": "d"}}


def test_all_that_was_shown_is_kept_also_what_was_replaced() -> None:
    made = outputs(
        ("display_data", shown("old")),
        ("update_display_data", shown("new")),
        ("execute_result", {**shown("42"), "execution_count": 3}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["t"], "status": "error"}),
    )

    assert made == [
        {"output_type": "display_data", "data": {"text/plain": "old"}, "metadata": {}},
        {"output_type": "display_data", "data": {"text/plain": "new"}, "metadata": {}},
        {"output_type": "execute_result", "data": {"text/plain": "42"}, "metadata": {}, "execution_count": 3},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]},
    ]


def test_pieces_of_one_stream_are_put_together() -> None:
    pieces = (("stdout", "se"), ("stdout", "cret"), ("stderr", "x"), ("stdout", "y"))

    made = outputs(*(("stream", {"name": name, "text": text}) for name, text in pieces))

    assert [output["text"] for output in made] == ["secret", "x", "y"]


def test_what_the_sender_changes_afterwards_stays_as_it_was_shown() -> None:
    content = shown("before")
    made = outputs(("display_data", content))
    content["data"]["text/plain"] = "after"

    assert made[0]["data"] == {"text/plain": "before"}


def test_a_widget_is_kept_as_its_text_since_nobody_keeps_its_state() -> None:
    content = shown("Button()", **{"application/vnd.jupyter.widget-view+json": {"model_id": "m"}})

    (output,) = outputs(("display_data", content))

    assert output["data"] == {"text/plain": "Button()"}


def test_capture_outside_of_a_kernel_does_nothing(tmp_path: Path) -> None:
    folder = records.create(tmp_path, target="t", stage="verify")
    journal = records.Journal(folder, Redactor(), role="script")

    capture = records.Capture(journal, Redactor().redact_data)
    capture.install()

    assert not capture.watching
    assert {event["kind"] for event in records.read_events(folder)} == {"writer.joined"}
