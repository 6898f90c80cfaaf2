"""What a person is told of an event as it happens; kinds that are not in ``telling.yaml`` are for the journal only."""

from typing import Any

from runbooks_lib.results import Event
from runbooks_lib.tables import table

_TOLD: dict[str, str] = table("runbooks_lib", "telling.yaml")
#: What stands below the title of an answer.
_INDENT = " " * 8
#: Of an answer that keeps a run from going on, all that a notebook shows of it.
_AMISS = ("fail", "unknown")


def telling(event: Event) -> str:
    """The lines for a person about an event; empty for those that are for the journal only."""
    data = event.data
    lines = _TOLD.get(event.kind, "").format_map(_Blanks(data)).split("\n")
    if event.kind == "check.answered" and data.get("status") in _AMISS:
        lines += [line for key in ("remedy", "evidence") for line in _below(key, str(data.get(key) or ""))]
    indent = _INDENT if event.kind == "check.answered" else ""
    told = f"\n{indent}".join(line for line in lines if line not in {"Next: ", "Evidence: "})
    return "\n".join([*data.get("impact", ()), told]) if event.kind == "plan.made" else told


def _below(key: str, text: str) -> list[str]:
    word = "Next" if key == "remedy" else "Evidence"
    first, *rest = text.splitlines() or [""]
    return [f"{word}: {first}" if len(rest) == 0 else f"{word}:", *([first, *rest] if rest else [])] if text else []


class _Blanks(dict[str, Any]):
    """Keys that an event lacks are blank: an older journal is told too."""

    def __missing__(self, key: str) -> Any:
        return _Blanks()

    def __str__(self) -> str:
        return ""
