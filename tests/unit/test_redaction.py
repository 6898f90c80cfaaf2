"""No secret is ever stored: what is known is found in every form, and nothing else is touched."""

from __future__ import annotations

import ast
import base64
import html
import json
import re
import threading
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from runbooks_lib.redaction import Redactor, forms_of, is_masked

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PASSWORD = "pä'ss\"w&rd<1>/+%\\z"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"
DIGEST = "sha256:" + "0123456789abcdef" * 4
UUID = "0d9f3c52-8a41-4f6b-9c5e-1234567890ab"

#: A secret of at least four characters that is no marker itself.
secrets = st.text(
    st.characters(codec="utf-8", exclude_characters="«»", exclude_categories=["Cs"]), min_size=4, max_size=40
).filter(lambda text: len(text.strip()) >= 4)
texts = st.text(max_size=200)


def knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for number, value in enumerate(values, start=1):
        redactor.register(value, f"s{number}")
    return redactor


ENCODINGS = {
    "raw": lambda v: v,
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "base64 without padding": lambda v: base64.b64encode(v.encode()).decode().rstrip("="),
    "URL-quoted": quote,
    "URL-quoted, all of it": lambda v: quote(v, safe=""),
    "URL-quoted with plus": quote_plus,
    "JSON": lambda v: json.dumps(v)[1:-1],
    "JSON with letters": lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda v: json.dumps(json.dumps(v)[1:-1])[1:-1],
    "JSON as Go writes it": lambda v: (
        json.dumps(v, ensure_ascii=False)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    ),
    "Python": lambda v: repr(v)[1:-1],
    "Python in ASCII": lambda v: ascii(v)[1:-1],
    "Python bytes": lambda v: repr(v.encode())[2:-1],
    "HTML": html.escape,
    "HTML without quotes": lambda v: html.escape(v, quote=False),
    "YAML in single quotes": lambda v: v.replace("'", "''"),
    "in a shell's quotes, as shlex writes it": lambda v: v.replace("'", "'\"'\"'"),
    "in a shell's quotes, as bash writes it": lambda v: v.replace("'", "'\\''"),
    "in a shell without quotes": lambda v: re.sub(r"([^\w@%+=:,./-])", r"\\\1", v),
    "UTF-16 that is taken for UTF-8": lambda v: v.encode("utf-16-le").decode("utf-8", "replace").strip("\0"),
    "UTF-16 the other way": lambda v: v.encode("utf-16-be").decode("utf-8", "replace").strip("\0"),
    "YAML in double quotes": lambda v: yaml.safe_dump(v, default_style='"', width=10**6).rstrip("\n")[1:-1],
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_a_secret_is_found_in_every_form(encode: Any) -> None:
    redacted = knowing(PASSWORD).redact(f"before {encode(PASSWORD)} after")
    assert redacted == "before «redacted:s1» after"


def test_how_much_a_record_is_searched_for_is_told() -> None:
    redactor = knowing("a-long-secret-1", "a-long-secret-2", "short")
    assert redactor.searched["values"] == 2
    assert redactor.searched["too_short"] == 1
    assert redactor.searched["forms"] >= 8


@pytest.mark.parametrize("weak", ["", "abc", "short-1", "password", "Pass", "PASSWORD"])
def test_secrets_for_which_no_record_can_be_searched_are_named(weak: str) -> None:
    redactor = knowing("long-enough-1")
    redactor.register(weak, "env:WEAK")
    assert redactor.too_weak == ("env:WEAK",)
    assert redactor.searched["too_short"] == 1


def test_a_text_from_which_a_secret_was_taken_is_known_as_such() -> None:
    assert is_masked(knowing("hunter22").redact("a hunter22 b"))
    assert not is_masked("a «b» redacted: c")


@patient
@given(secrets, st.sampled_from(sorted(ENCODINGS)), texts, texts)
@example("\n0000", "raw", "", "")
def test_no_form_of_any_secret_survives(secret: str, encoding: str, before: str, after: str) -> None:
    redactor = knowing(secret)
    form = ENCODINGS[encoding](secret)
    text = f"{before} {form} {after}"
    redacted = redactor.redact(text)
    # The marker's own words are no leak.
    assert form not in redacted.replace("«redacted:s1»", "«»")
    assert redactor.hits(redacted.replace("«redacted:s1»", "«»")) == ()


@patient
@given(secrets, st.binary(max_size=12), st.binary(max_size=12), st.booleans())
def test_a_secret_inside_of_a_longer_encoded_text_is_found(
    secret: str, before: bytes, after: bytes, for_urls: bool
) -> None:
    encode = base64.urlsafe_b64encode if for_urls else base64.b64encode
    text = encode(before + secret.encode() + after).decode()
    redactor = knowing(secret)
    assert redactor.redact(text) != text
    assert redactor.hits(text) == (("s1",) if sought(secret) else ())
    assert redactor.hits(redactor.redact(text).replace("«redacted:s1»", "«»")) == ()


@patient
@given(st.lists(secrets, min_size=1, max_size=4), texts, texts)
def test_redacting_twice_is_redacting_once(values: list[str], before: str, after: str) -> None:
    redactor = knowing(*values)
    once = redactor.redact(before + after.join(values))
    assert redactor.redact(once) == once


@patient
@given(secrets, texts)
def test_a_text_without_a_secret_is_not_changed(secret: str, text: str) -> None:
    redactor = knowing(secret)
    assume(Redactor().redact(text) == text and not any(form in text for form in forms_of(secret)))
    assert redactor.redact(text) == text


def test_secrets_that_overlap_go_as_one() -> None:
    assert knowing("hunter", "ter22x").redact("<hunter22x>") == "<«redacted:s1»>"
    assert knowing("pass", "password").redact("password") == "«redacted:s2»"


def test_each_line_of_a_value_with_many_is_found_but_no_armour() -> None:
    redactor = knowing(KEY)
    assert redactor.redact("  AASCBKcwggSjAgEAAoIBAQC7  ") == "  «redacted:s1»  "
    assert redactor.redact("-----BEGIN PRIVATE") == "-----BEGIN PRIVATE"
    assert knowing("one1\ntwo2").redact("two2") == "«redacted:s1»"
    assert knowing("data:\n  long-enough-line").redact("data:") == "data:"


def test_of_a_bundle_of_many_lines_each_is_found_but_not_in_twenty_forms() -> None:
    bundle = "\n".join(f"line of a bundle, <number> {number}" for number in range(3000))
    assert len(forms_of(bundle)) < 3000 + 50
    redactor = knowing(bundle)
    assert redactor.redact("  line of a bundle, <number> 2999") == "  «redacted:s1»"
    assert redactor.redact(json.dumps({"ca": bundle})) == '{"ca": "«redacted:s1»"}'


def test_bytes_that_are_no_text_are_searched_and_what_was_read_from_such_is_found() -> None:
    secret = b"p\xe9ssword \xff\xfe of bytes".decode("utf-8", "surrogateescape")
    assert knowing(secret).redact(f"\udc80\ud83d\udc7d {secret} \U0001f47d\udcff") == (
        "\udc80\ud83d\udc7d «redacted:s1» \U0001f47d\udcff"
    )


def test_a_value_is_found_without_the_line_end_of_its_file() -> None:
    assert knowing("hunter22\n").redact("'hunter22'") == "'«redacted:s1»'"


@pytest.mark.parametrize("short", ["", "a", "abc", "  \n "])
def test_short_values_are_not_searched_for(short: str) -> None:
    assert forms_of(short) == ()
    assert knowing(short).redact("abc abc") == "abc abc"


def test_a_known_value_keeps_its_first_name_and_a_name_cannot_break_the_marker() -> None:
    redactor = Redactor()
    redactor.register("hunter22", "first «»")
    redactor.register("hunter22", "second")
    assert redactor.redact("hunter22") == "«redacted:first »"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"key: {KEY}end", "key: «redacted:private key»\nend"),
        (json.dumps({"key": KEY}), '{"key": "«redacted:private key»\\n"}'),
        (KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"), "«redacted:private key»\n"),
        (KEY[:60], "«redacted:private key»"),
        (f"client-key-data: {base64.b64encode(KEY.encode()).decode()}\nx: y", "client-key-data: «redacted:key or certificate»\nx: y"),
        (f"d: {base64.b64encode(KEY.replace('PRIVATE', 'EC PRIVATE').encode()).decode()} x", "d: «redacted:key or certificate» x"),
        ("t eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0xx.c2lnbmF0dXJlMTIz.", "t «redacted:token»."),
        ("postgresql://user:hunter22@host:5432/db", "postgresql://user:«redacted:password»@host:5432/db"),
        ("redis://:hunter22@host", "redis://:«redacted:password»@host"),
        ("a://u:p@ss@host, b://u:pw@host", "a://u:«redacted:password»@host, b://u:«redacted:password»@host"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer «redacted:authorization»"),
        ('{"authorization": "Basic dTpw"}', '{"authorization": "Basic «redacted:authorization»"}'),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_found_though_nobody_knew_it(text: str, redacted: str) -> None:
    redactor = Redactor()
    assert redactor.redact(text) == redacted
    assert redactor.redact(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        DIGEST,
        f"docker.io/opencsghq/postgres:15.10@{DIGEST}",
        f"docker-pullable://nginx:1.2@{DIGEST}",
        UUID,
        f"uid: {UUID}, image: {DIGEST}",
        "https://csghub.example.com:8443/path?to=user@example.com",
        "postgresql://user@host/db",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "Authorization required",
        "keyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0xx.c2lnbmF0dXJlMTIz",
        "-eyJhbGciOiJSUzI1NiJ9.c2lnbmF0dXJlMTIz",
        "2026-11-22T10:00:00Z GET /api/v1/dataflow/ops 200",
    ],
)
def test_what_only_names_a_thing_is_not_touched(text: str) -> None:
    assert Redactor().redact(text) == text
    # Short secrets occur in them by chance.
    assert knowing("1234", "abcd", "cdef", "9c5e").redact(text) == text


@pytest.mark.parametrize("secret", [UUID, "0123456789abcdef" * 4])
def test_a_secret_that_is_a_uuid_or_a_digest_itself_is_found(secret: str) -> None:
    assert knowing(secret).redact(f"token={secret};") == "token=«redacted:s1»;"


def test_a_known_password_in_an_address_has_its_own_name() -> None:
    redactor = knowing("hunter22")
    assert redactor.redact("postgresql://u:hunter22@host") == "postgresql://u:«redacted:s1»@host"


def sought(secret: str) -> bool:
    word = secret.strip()
    return len(word) >= 8 and not (len(word) < 12 and re.fullmatch("[a-z]*|[A-Z]*", word))


def test_a_word_that_is_also_a_short_secret_is_masked_and_puts_no_record_into_quarantine() -> None:
    redactor = knowing("none", "postgres", "postgres1")
    assert redactor.redact("none of it") == "«redacted:s1» of it"
    assert redactor.hits("none of it, postgres") == ()
    assert redactor.hits("bm9uZQ== none postgres1") == ("s3",)


def test_hits_name_the_registered_secrets_of_a_text_in_their_order() -> None:
    redactor = knowing("first-one", "second-one", "third-one")
    assert redactor.hits("third-one second-one third-one") == ("s2", "s3")
    assert redactor.hits("«redacted:s1» postgresql://u:pw@host") == ()


def test_what_was_replaced_is_counted_by_name() -> None:
    redactor = knowing("hunter22")
    redactor.redact("hunter22 hunter22 x://u:pw@h")
    redactor.redact_data({"a": ["hunter22"]})
    assert dict(redactor.counts) == {"s1": 3, "password": 1}


def test_data_is_redacted_in_texts_keys_and_numbers() -> None:
    redactor = knowing("hunter22", "12345678")
    data = {"a": ["hunter22", 1, None, True], "x-hunter22": ("hunter22",), "n": 12345678, "f": 1.5}
    assert redactor.redact_data(data) == {
        "a": ["«redacted:s1»", 1, None, True],
        "x-«redacted:s1»": ("«redacted:s1»",),
        "n": "«redacted:s2»",
        "f": 1.5,
    }


def test_keys_that_become_the_same_stay_apart() -> None:
    found = knowing("hunter22").redact_data({"hunter22": 1, base64.b64encode(b"hunter22").decode(): 2})
    assert sorted(found.values()) == [1, 2]


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@patient
@given(plain_data, secrets)
def test_data_keeps_its_shape(data: Any, secret: str) -> None:
    def same(one: Any, other: Any) -> bool:
        if isinstance(one, dict):
            pairs = zip(one.values(), other.values(), strict=True)
            return isinstance(other, dict) and all(same(*pair) for pair in pairs)
        if isinstance(one, list):
            return isinstance(other, list) and all(same(*pair) for pair in zip(one, other, strict=True))
        return type(one) is type(other) or isinstance(other, str)

    redactor = knowing(secret)
    redacted = redactor.redact_data(data)
    assert same(data, redacted)
    assert redactor.redact_data(redacted) == redacted


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_a_kubernetes_secret_loses_its_values_and_keeps_its_keys(field: str) -> None:
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    found = Redactor().redact_data(
        {
            "kind": "Secret",
            "metadata": {"name": "db", "annotations": {applied: '{"data": …}', "note": "kept"}},
            field: {"password": "eA==", "user": "eQ=="},
        }
    )
    assert found[field] == {"password": "«redacted:Secret»", "user": "«redacted:Secret»"}
    assert found["metadata"] == {"name": "db", "annotations": {applied: "«redacted:Secret»", "note": "kept"}}


def test_a_list_of_secrets_that_does_not_repeat_the_kind_loses_them_too() -> None:
    found = Redactor().redact_data({"kind": "SecretList", "items": [{"data": {"password": "eA=="}}]})
    assert found["items"][0]["data"] == {"password": "«redacted:Secret»"}


def test_other_objects_keep_their_data() -> None:
    config = {"kind": "ConfigMap", "data": {"PORT": "8000"}, "metadata": {"annotations": None}}
    assert Redactor().redact_data(config) == config


def test_one_redactor_serves_many_threads() -> None:
    redactor = knowing("hunter22")

    def work(number: int) -> None:
        for turn in range(50):
            redactor.register(f"value-{number}-{turn}", "more")
            redactor.redact("hunter22")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redactor.counts["s1"] == 200
    assert redactor.hits("value-3-49 value-0-0") == ("more",)


def test_a_megabyte_with_fifty_secrets_loses_each_of_them() -> None:
    values = [f"secret-{number:02}-ä'<{number * 7919}>" for number in range(50)]
    line = f"2026-11-22T10:00:00Z INFO GET /api/v1/dataflow/ops {DIGEST} ok\n"
    filler = line * (1_000_000 // len(line) // 50)
    redactor = knowing(*values)
    redacted = redactor.redact(filler.join(values))
    assert redacted == filler.join(f"«redacted:s{number}»" for number in range(1, 51))


def test_the_python_form_is_what_python_reads_back() -> None:
    """Holds the table of encodings above to the language's own reader."""
    assert ast.literal_eval(f"'{ENCODINGS['Python'](PASSWORD)}'") == PASSWORD


def test_a_text_that_had_nothing_in_it_is_looked_at_again_once_more_is_known() -> None:
    redactor = knowing("another-one")
    assert redactor.redact("it is hunter2-hunter2") == "it is hunter2-hunter2"
    redactor.register("hunter2-hunter2", "late")
    assert redactor.redact("it is hunter2-hunter2") == "it is «redacted:late»"


def test_a_value_that_is_registered_again_keeps_its_first_name() -> None:
    redactor = knowing("hunter2-hunter2")
    redactor.register("hunter2-hunter2", "again")
    assert redactor.hits("hunter2-hunter2") == ("s1",)
