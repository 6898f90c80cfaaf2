"""Small pieces of Markdown: what a notebook shows as a table, a record can show as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Row = Mapping[str, str]


def table(rows: Sequence[Row]) -> str:
    """A table of all keys in the order they are first met, one line a row; without rows an empty text."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ""
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(column, "") for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def bullets(items: Iterable[str]) -> str:
    """A list, one point an item; later lines of an item stay under its point."""
    return "".join(f"- {_plain(item).replace(chr(10), chr(10) + '  ')}\n" for item in items)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("\n", "<br>")


def _plain(text: str) -> str:
    """The text with one kind of line end, and with what Markdown would take for a tag made visible."""
    return "\n".join(text.strip().splitlines()).replace("<", "&lt;")
