"""A secret stands in parameters as a reference, never in clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbooks_lib import parameters
from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters import Reference, fill_references, parse_reference
from runbooks_lib.parameters.reference import secrets_in_clear


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("env:DB_PASSWORD", Reference("env:DB_PASSWORD", "env", "DB_PASSWORD")),
        ("file:~/.secrets/a b", Reference("file:~/.secrets/a b", "file", "~/.secrets/a b")),
        ("k8s:ns/my-db#pass.word", Reference("k8s:ns/my-db#pass.word", "k8s", "my-db", "ns", "pass.word")),
    ],
)
def test_a_reference_is_read(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "text", ["", "hunter22", "env:", "env:1X", "env:A B", "file:", "k8s:name#key", "k8s:ns/name", "vault:x", "ENV:X"]
)
def test_what_is_no_reference_gets_told_how_to_write_one_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"env:NAME.*file:PATH.*k8s:NAMESPACE/NAME#KEY.*prompt:NAME") as caught:
        parse_reference(text)
    assert "hunter22" not in str(caught.value)


def test_references_are_filled_and_the_rest_is_kept() -> None:
    data = {"a": {"from": "env:A"}, "b": [{"from": "env:B"}, 1], "c": {"from": ["not", "text"]}}
    filled = fill_references(data, lambda reference: f"<{reference.name}>")
    assert filled == {"a": "<A>", "b": ["<B>", 1], "c": {"from": ["not", "text"]}}


@pytest.mark.parametrize(
    "key",
    [
        "password", "Password", "POSTGRES_PASSWORD", "dbPassword", "rootpassword", "passwd", "apiToken",
        "token", "authToken", "clientSecret", "secret", "secretKey", "apiKey", "private_key",
    ],
)  # fmt: skip
def test_a_key_that_holds_a_secret_is_known_by_its_name(key: str) -> None:
    assert [path for path, _ in secrets_in_clear({key: "hunter22"})] == [(key,)]


@pytest.mark.parametrize(
    "key",
    [
        "existingSecret", "existingSecretPasswordKey", "secretName", "passwordKey", "passwordFile", "pullSecret",
        "imagePullSecrets", "secretRef", "tokenizer", "tokenExpiration", "maxTokensPerCall", "author", "name", "",
        "passwordPolicy", "secrets",
    ],
)  # fmt: skip
def test_a_key_that_only_names_one_is_left_alone(key: str) -> None:
    assert list(secrets_in_clear({key: "hunter22"})) == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"redis": {"password": "hunter22"}}, ("redis", "password")),
        ({"redis": {"password": 12345678}}, ("redis", "password")),
        ({"url": "redis://:hunter22@host:6379"}, ("url",)),
        ({"key": "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----"}, ("key",)),
        ({"a": {"from": "hunter22"}}, ("a",)),
        ({"env": [{"name": "DB_PASSWORD", "value": "hunter22"}]}, ("env", 0, "value")),
        ({"redis": {"auth": "hunter22"}}, ("redis", "auth")),
    ],
)
def test_a_secret_in_clear_is_found(values: Any, path: tuple[str | int, ...]) -> None:
    assert [where for where, _ in secrets_in_clear(values)] == [path]


@pytest.mark.parametrize(
    "values",
    [
        {"redis": {"password": ""}},
        {"redis": {"password": None}},
        {"redis": {"password": {"from": "env:A"}}},
        {"auth": {"password": True, "tokens": 4096, "existingSecret": "mine"}},
        {"image": {"pullSecrets": ["regcred"], "digest": "sha256:" + "a" * 64}},
        {"imagePullSecrets": [{"name": "regcred"}]},
        {"env": [{"name": "LOG_LEVEL", "value": "debug"}]},
        {"env": [{"name": "DB_PASSWORD", "value": {"from": "env:A"}}]},
        {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]},
        {"networkPolicy": {"ingress": [{"from": [{"podSelector": {}}]}]}},
    ],
)
def test_what_is_no_secret_in_clear_passes(values: Any) -> None:
    assert list(secrets_in_clear(values)) == []


def test_a_secret_in_clear_refuses_the_file_with_its_line_and_how_to_write_it(
    write: Callable[..., str], minimal: str
) -> None:
    with pytest.raises(ParametersError) as caught:
        parameters.load(write(minimal + "values:\n  redis:\n    password: hunter22\n"))
    assert caught.value.summary == (
        "parameters/mine.yaml:10: values.redis.password must not hold a secret in clear; "
        'write {from: "env:NAME"}, {from: "file:PATH"}, {from: "k8s:NAMESPACE/NAME#KEY"} or {from: "prompt:NAME"}'
    )
