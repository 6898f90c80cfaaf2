"""Whatever way a value was encoded, also in turns, it is found by decoding; and nothing is found that is not there."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks_lib.decoding import readings
from runbooks_lib.redaction import Redactor

VALUE = "Canary'x7&q\"ß<%12+/z"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WAYS = {
    "base64": b64,
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "base64 of more": lambda v: b64(f"user:{v}@host"),
    "base64 behind a word": lambda v: f"user-{b64(v)}",
    "base64 in lines": lambda v: base64.encodebytes(("x" * 70 + v).encode()).decode(),
    "hexadecimal": lambda v: v.encode().hex(),
    "hexadecimal in capitals": lambda v: v.encode().hex().upper(),
    "JSON": json.dumps,
    "URL": lambda v: quote(v, safe=""),
    "URL with plus": quote_plus,
    "HTML": html.escape,
    "UTF-16": lambda v: v.encode("utf-16-le").decode("latin-1"),
    "a shell": lambda v: re.sub(r"([^\w@%+=:,./-])", r"\\\1", v),
}


@pytest.mark.parametrize("inner", WAYS)
@pytest.mark.parametrize("outer", [name for name in WAYS if name != "UTF-16"])
def test_what_was_encoded_twice_is_read(inner: str, outer: str) -> None:
    text = WAYS[outer](WAYS[inner](VALUE))
    assert VALUE not in text
    redactor = Redactor()
    redactor.register(VALUE, "env:CANARY")
    assert any(VALUE in said for said in readings(text))
    assert list(redactor.located(f"{'before ' * 3000}{text} after")) == ["env:CANARY"]


@pytest.mark.parametrize("at", [0, 5, 9_000, 2**20 - 3, 3 * 2**20])
@pytest.mark.parametrize("encode", [str, lambda v: v.encode().hex()])
def test_where_it_stands_is_told_also_in_a_long_text(at: int, encode: Any) -> None:
    redactor = Redactor()
    redactor.register(VALUE, "env:CANARY")
    (found,) = redactor.located("." * at + encode(VALUE) + "." * 20_000).values()
    # Of what had to be decoded the neighbourhood.
    assert found == at if encode is str else at - 2**13 <= found <= at


@given(st.text(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_can_be_read_and_holds_no_value_that_nobody_wrote(text: str) -> None:
    redactor = Redactor()
    redactor.register(VALUE, "env:CANARY")
    assert redactor.located(text) == {}
