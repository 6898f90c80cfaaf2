"""From a kernel's messages to the outputs of its cells, as a front end would show them.

It does what a front end does: displays that are updated later, cleared outputs, output widgets, widget state.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runbooks_lib.records.notebook import Execution
from runbooks_lib.results import Json

#: The messages that carry output; every other one passes by.
KINDS = frozenset(
    {
        "stream",
        "display_data",
        "update_display_data",
        "execute_result",
        "error",
        "clear_output",
        "comm_open",
        "comm_msg",
    }
)


@dataclass
class Sink:
    """A list of outputs that messages go to: a cell's, or an output widget's."""

    outputs: list[Json]
    clear_first: bool = False

    def clear(self, *, wait: bool) -> None:
        """Clear now, or when the next output comes."""
        if wait:
            self.clear_first = True
        else:
            self.outputs.clear()

    def add(self, output: Json) -> None:
        """Append an output."""
        if self.clear_first:
            self.outputs.clear()
            self.clear_first = False
        self.outputs.append(output)


@dataclass
class Messages:
    """What the cells of a kernel have put out so far; feed it each message once, in order.

    Attributes:
        executions: One an execution request, by the id of its message, in the order in which they began.
    """

    executions: dict[str, Execution] = field(default_factory=dict)
    _sinks: dict[str, Sink] = field(default_factory=dict)
    _displays: dict[str, list[Json]] = field(default_factory=dict)
    _models: dict[str, Json] = field(default_factory=dict)
    _buffers: dict[str, list[Json]] = field(default_factory=dict)
    _captors: dict[str, list[str]] = field(default_factory=dict)

    def begin(self, parent: str, execution: Execution) -> None:
        """An execution request with this message id has begun."""
        self.executions[parent] = execution
        self._sinks[parent] = Sink(execution.outputs)

    def take(self, kind: str, content: Json, parent: str, buffers: Sequence[Any] = ()) -> None:
        """Take one message in.

        Args:
            kind: One of :data:`KINDS`.
            parent: The id of the request that it answers.
            buffers: The binary part of a widget's state.
        """
        if kind in {"comm_open", "comm_msg"}:
            self._take_comm(content, buffers)
            return
        sink = self._sink_of(parent)
        if kind == "clear_output":
            if sink is not None:
                sink.clear(wait=bool(content.get("wait")))
            return
        display = (content.get("transient") or {}).get("display_id", "")
        if display and kind != "stream":
            for shown in self._displays.get(display, []):
                shown |= {"data": content["data"], "metadata": content.get("metadata", {})}
        if kind == "update_display_data" or sink is None:
            return
        output = _output(kind, content)
        if display:
            self._displays.setdefault(display, []).append(output)
        sink.add(output)

    def widgets(self) -> Json | None:
        """The state of every widget, by model id, as notebooks keep it; None without widgets."""
        state: Json = {}
        for model, values in self._models.items():
            if "_model_name" not in values:
                continue
            state[model] = {
                "model_name": values.get("_model_name"),
                "model_module": values.get("_model_module"),
                "model_module_version": values.get("_model_module_version"),
                "state": values,
            }
            if model in self._buffers:
                state[model]["buffers"] = self._buffers[model]
        return {"state": state, "version_major": 2, "version_minor": 0} if state else None

    def _sink_of(self, parent: str) -> Sink | None:
        captors = self._captors.get(parent)
        return self._sinks.get(captors[-1] if captors else parent)

    def _take_comm(self, content: Json, buffers: Sequence[Any]) -> None:
        model, data = content["comm_id"], content.get("data") or {}
        state = data.get("state")
        if not isinstance(state, dict):
            return
        known = self._models.setdefault(model, {})
        captured = known.get("msg_id", "")
        known |= state
        if data.get("buffer_paths"):
            self._keep_buffers(model, data["buffer_paths"], buffers)
        if known.get("_model_name") != "OutputModel":
            return
        if model not in self._sinks:
            known["outputs"] = list(known.get("outputs", []))
            self._sinks[model] = Sink(known["outputs"])
        self._redirect(model, captured, known.get("msg_id", ""))

    def _redirect(self, model: str, before: str, now: str) -> None:
        """An output widget starts or stops to take the outputs of a request; the innermost one gets them."""
        if before == now:
            return
        if before and model in self._captors.get(before, []):
            self._captors[before].remove(model)
        if now:
            self._captors.setdefault(now, []).append(model)

    def _keep_buffers(self, model: str, paths: Sequence[Any], buffers: Sequence[Any]) -> None:
        kept = {tuple(entry["path"]): entry for entry in self._buffers.get(model, [])}
        for path, buffer in zip(paths, buffers, strict=False):
            data = base64.b64encode(bytes(buffer)).decode()
            kept[tuple(path)] = {"data": data, "encoding": "base64", "path": list(path)}
        self._buffers[model] = list(kept.values())


def _output(kind: str, content: Json) -> Json:
    """A message's content as nbformat keeps it."""
    if kind == "stream":
        return {"output_type": "stream", "name": content["name"], "text": content["text"]}
    if kind == "error":
        keys = ("ename", "evalue", "traceback")
        return {"output_type": "error", **{key: content[key] for key in keys}}
    output = {"output_type": kind, "data": content["data"], "metadata": content.get("metadata") or {}}
    if kind == "execute_result":
        output["execution_count"] = content["execution_count"]
    return output
