"""The picture of a run: what it did when, as bars on a common time axis."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from runbooks_lib.results import Json

#: The lanes of the picture, and how wide it is in its own units.
LANES = ("cells", "checks", "commands", "steps")
WIDTH = 1000.0
#: Of one lane; a journal may have a million.
_MOST = 500
_NARROWEST = 2.0


class Bar(NamedTuple):
    """One thing that took its time, from ``x`` on; ``look`` is how it went."""

    x: float
    width: float
    look: str
    title: str


def timeline(events: list[Json]) -> dict[str, list[Bar]]:
    """The bars of each lane; none where the times of a journal can't be read."""
    try:
        times = [datetime.fromisoformat(event["at"]).timestamp() for event in events]
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}
    if not times:
        return {}
    began, whole = min(times), max(max(times) - min(times), 0.001)
    lanes: dict[str, list[Bar]] = {lane: [] for lane in LANES}
    for lane, start, end, look, title in _spans(events, times):
        if len(lanes[lane]) < _MOST:
            x = max(0.0, (start - began) / whole * (WIDTH - _NARROWEST))
            width = max(_NARROWEST, (end - start) / whole * WIDTH)
            lanes[lane].append(
                Bar(round(x, 1), round(min(width, WIDTH - x), 1), look, f"{title} ({end - start:.1f} s)")
            )
    return {lane: bars for lane, bars in lanes.items() if bars}


def _spans(events: list[Json], times: list[float]) -> Iterator[tuple[str, float, float, str, str]]:
    """Lane, start, end, look and title of all that is told of as beginning or ending."""
    cells: dict[str, float] = {}
    step: tuple[float, str] | None = None
    for event, at in zip(events, times, strict=True):
        kind, data = event["kind"], event["data"]
        if kind == "cell.started":
            cells[str(data.get("count"))] = at
        elif kind == "cell.ended":
            look = "fail" if data.get("status") == "error" else "pass"
            yield (
                "cells",
                cells.pop(str(data.get("count")), at),
                at,
                look,
                f"cell {data.get('id') or data.get('count')}",
            )
        elif kind == "check.answered":
            yield "checks", at, at, str(data.get("status")), f"{data.get('title')}: {data.get('status')}"
        elif kind == "command.ended":
            seconds, argv = data.get("seconds"), data.get("argv")
            start = at - seconds if isinstance(seconds, int | float) else at
            title = " ".join(map(str, argv[:4])) if isinstance(argv, list) else "command"
            yield "commands", start, at, "pass" if data.get("returncode") == 0 else "fail", title
        elif kind.startswith("change.") and kind != "change.progress":
            if step:
                yield "steps", step[0], at, "fail" if kind == "change.failed" else "pass", step[1]
            step = (at, str(data.get("title"))) if kind == "change.step" else None
