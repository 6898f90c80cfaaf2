from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.failures import LONGEST, Ask, refusal, spoken
from runbooks_lib.errors import RunbookError

SCHEMA = 'EnvoyProxy "e" is invalid: spec.x: Invalid value: "null": spec.x in body must be of type object: "null"'


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (SCHEMA, SCHEMA + "."),
        ('a.b: Invalid value: "hunter2": must be short', "a.b: Invalid value: must be short."),
        ('a.b: Duplicate value: "hunter2"', "a.b: Duplicate value."),
        (
            'a: Unsupported value: "hunter2": supported values: "A", "B"',
            'a: Unsupported value: supported values: "A", "B".',
        ),
        ('a: Invalid value: v1.EnvVar{Name:"P", Value:"hunter2"}: no', "a: Invalid value: no."),
        ("a: Invalid value: 12: must be less than 9", "a: Invalid value: must be less than 9."),
        ("a: expected string, got &value.valueUnstructured{Value:hunter2}", "a: expected string, got …"),
        ('error when decoding "' + "hunter2 " * 40 + '" as a Pod', 'error when decoding "…" as a Pod.'),
        ("a: Required value: must be set", "a: Required value: must be set."),
        ('a: Forbidden: may not "change"', 'a: Forbidden: may not "change".'),
        ("", ""),
    ],
)
def test_a_servers_words_are_told_without_the_values_they_echo(said: str, told: str) -> None:
    assert spoken({"message": said}) == told


@given(value=st.text(min_size=1, max_size=200), reason=st.sampled_from(["must be short", "field is immutable"]))
def test_no_rejected_text_is_ever_told(value: str, reason: str) -> None:
    marked = f"«{value}»"
    said = spoken({"message": f"a.b: Invalid value: {json.dumps(marked)}: {reason}"})
    assert said == ("a.b: Invalid value: " + reason + ".")


@given(value=st.text(alphabet=st.characters(exclude_characters='"\\'), max_size=200))
def test_nothing_of_a_secret_is_told_but_field_names_and_reasons(value: str) -> None:
    causes = [{"field": "data[x]", "reason": "FieldValueInvalid", "message": value}]
    body = {"kind": "Status", "message": value, "details": {"causes": causes}}
    ask = Ask("patch", "/x", resource="secrets", name="s", namespace="ns")
    for code in (400, 422, 500):
        plain = refusal("https://c", ask, code, json.dumps({**body, "message": "", "details": {}}).encode())
        told = refusal("https://c", ask, code, json.dumps({**body, "details": {}}).encode())
        assert str(told) == str(plain)
    told = refusal("https://c", ask, 422, json.dumps(body).encode())
    assert (
        told.summary
        == "The cluster finds «patch secrets/s in the namespace ns» invalid (422): data[x] (FieldValueInvalid)."
    )


@given(content=st.binary(max_size=300), code=st.integers(300, 599))
def test_any_answer_at_all_becomes_a_short_sentence_with_a_next_step(content: bytes, code: int) -> None:
    error = refusal("https://c", Ask("get", "/x"), code, content)
    assert error.summary[-1] in ".…"
    assert error.next_step
    assert len(error.summary) < LONGEST + 200


def test_every_row_of_the_table_is_whole() -> None:
    table = failures._TABLE
    assert set(table) == {"cases", "connections", "refusals", "echoes"}
    for row in [*table["cases"].values(), *table["refusals"]]:
        assert set(row) - {"status", "message", "safe"} == {"error", "summary", "next_step"}
        assert issubclass(failures._ERRORS[row["error"]], RunbookError)
        assert re.compile(row.get("message", ""))
        assert row["summary"].endswith((".", "{said}"))
        assert row["next_step"].endswith((".", "?"))
    for row in table["connections"]:
        assert re.compile(row["pattern"])
        assert row["clause"]
        assert row.get("case", "here") in table["cases"]


@pytest.mark.parametrize("status", [300, 404, 499, 500, 599])
@pytest.mark.parametrize("safe", [True, False])
def test_a_list_of_the_table_ends_with_a_row_that_always_fits(status: int, safe: bool) -> None:
    error = refusal("https://c", Ask("get", "/x", safe=safe), status, b"")
    assert "is not a Kubernetes API server" not in error.summary
    said = failures.unreachable("https://c", LookupError("nobody has seen this yet")).summary
    assert said == "The cluster at https://c did not answer: the connection failed (LookupError)."


@pytest.mark.parametrize(
    ("status", "message", "error", "whose"),
    [
        (
            400,
            'admission webhook "validate.kyverno.svc" denied the request: no',
            "Forbidden",
            "webhook validate.kyverno.svc",
        ),
        (403, 'admission webhook "gate.example.com" denied the request: no', "Forbidden", "webhook gate.example.com"),
        (
            422,
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            "Forbidden",
            "policy p",
        ),
        (403, 'pods "x" is forbidden: exceeded quota: q, requested: pods=1', "Forbidden", "larger quota"),
        (403, 'pods "x" is forbidden: maximum cpu usage per Pod is 1', "Forbidden", "larger quota"),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": y', "Forbidden", "security contexts"),
        (403, 'pods "x" is forbidden: no', "Forbidden", "policy"),
        (422, 'Pod "x" is invalid: spec.x: Required value', "Invalid", "Correct what it names"),
        (
            500,
            'Internal error occurred: failed calling webhook "w.example.com": failed to call',
            "CheckFailed",
            "Service behind",
        ),
    ],
)
def test_who_has_refused_something_for_certain_says_what_to_do(
    status: int, message: str, error: str, whose: str
) -> None:
    body = json.dumps({"kind": "Status", "message": message}).encode()
    found = refusal("https://c", Ask("create", "/x", resource="pods", name="x"), status, body)
    assert (type(found).__name__, whose in found.next_step) == (error, True), found.next_step
