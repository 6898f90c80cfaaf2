"""From what was seen to why: the causes of ``causes.yaml`` that it speaks for, the root first."""

import re
from collections.abc import Iterable
from functools import partial

from runbooks_lib.checks.catalogue import Answer, Check
from runbooks_lib.checks.signs import Sign
from runbooks_lib.results import Json
from runbooks_lib.tables import table

_CAUSES: dict[str, Json] = table(__package__, "causes.yaml")
_SHOWN = 5
#: The rank of a line that brings about no other cause.
_ASIDE = 99
_NONE = {
    "cause": "Known causes",
    "why": "What is not in the table has to be found by a person.",
    "remedy": "Read the evidence in this record, then *If it fails* in 03_verify.",
}


def causes_of(signs: Iterable[Sign]) -> tuple[Check[None], ...]:
    """One check for each cause that the signs speak for, in the order of the table; a symptom of one of them comes last.

    Where no cause is known there is one check: it passes if nothing was seen either.
    """
    seen = list(signs)
    found = {name: [sign for sign in seen if _speaks(sign, row)] for name, row in _CAUSES.items()}
    found = {name: evidence for name, evidence in found.items() if evidence}
    idle = [
        name
        for name in found
        if _CAUSES[name].get("only_if_it_explains") and not {*_CAUSES[name]["explains"]} & {*found}
    ]
    found = {name: evidence for name, evidence in found.items() if name not in idle}
    explained = {one: name for name in reversed(found) for one in _CAUSES[name].get("explains", ()) if one in found}
    ordered = sorted(found, key=lambda name: name in explained)
    if ordered:
        return tuple(_check(name, found, explained.get(name)) for name in ordered)
    # A warning, what somebody has accepted, or room for a next change, keeps nothing from working.
    told = [
        sign
        for sign in seen
        if sign.kind not in {"release", "log", "namespace.quota"} and not sign.kind.endswith(" (warn)")
    ]
    text = "\n".join(map(str, told[:_SHOWN])) or "nothing that is out of order"
    return (_made("none", _NONE, Answer("unknown" if told else "pass", text)),)


def _speaks(sign: Sign, row: Json) -> bool:
    return any(
        re.search(f"^(?:{one['kind']})$", sign.kind) and re.search(one["says"], sign.text, re.I) for one in row["signs"]
    )


def _check(name: str, found: dict[str, list[Sign]], root: str | None) -> Check[None]:
    row = _CAUSES[name]
    symptoms = [one for one in found if one in row.get("explains", ())]
    rank = partial(_rank, [str(_CAUSES[one]["fields"]) for one in symptoms if "fields" in _CAUSES[one]])
    lines = sorted(dict.fromkeys(map(str, found[name])), key=rank)
    # What brings about another cause is not left to the journal.
    shown = max(_SHOWN, sum(rank(line) < _ASIDE for line in lines))
    more = [f"… and {len(lines) - shown} more of it in the journal"] if lines[shown:] else []
    follows = [f"most likely it follows from: {_CAUSES[root]['cause']}"] if root else []
    told = "\n".join([*follows, *lines[:shown], *more])
    return _made(name, row, Answer("warn" if root else "fail", told))


def _rank(fields: list[str], line: str) -> int:
    """Which of these patterns is the first that fits the path of a field, told after an object's name."""
    return next((at for at, one in enumerate(fields) if re.search(rf": [^ ]*({one})", line)), _ASIDE)


def _made(name: str, row: Json, answer: Answer) -> Check[None]:
    def ask(_: None) -> Answer:
        return answer

    return Check(f"cause.{name}", row["cause"], "not the case", row["why"], row["remedy"], ask)
