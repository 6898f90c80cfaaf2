"""Writes checks.md beside it, the list of all checks: ``make generated``."""

from pathlib import Path

from runbooks_lib.checks.families import rows

_HEAD = """\
# Checks

What the stages look at, in the order in which they tell it. All checks of a stage are asked at once; install and upgrade
also ask those of prerequisites before, and those of verify after the change. A check only reads, except that those of
databases write and remove a row, a key and a document where the parameters say `probes: write`.

The id is what `waivers` in the parameters name; a check whose last column says *no* can't be waived. This page is
written by `make generated`; `runbooks checks list` shows the same in a terminal.
"""


def page() -> str:
    """The page's text."""
    lines, stage = [_HEAD], ""
    for row in rows("stage", "id", "check", "expected", "why", "remedy", "waiver"):
        if row["stage"] != stage:
            stage = row["stage"]
            head = [
                "",
                f"## {stage}",
                "",
                "| Id | Check | Expected | Why | Remedy | Waiver |",
                "|---|---|---|---|---|---|",
            ]
            lines += head if len(lines) > 1 else head[1:]
        cells = [
            f"`{row['id']}`",
            *(row[name].replace("|", "\\|") for name in ("check", "expected", "why", "remedy", "waiver")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("checks.md").write_text(page(), encoding="utf-8")
