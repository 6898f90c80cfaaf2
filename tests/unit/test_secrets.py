"""A reference becomes its secret, which nothing shows; what is missing becomes a sentence."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runbooks_lib import secrets
from runbooks_lib.errors import UsageError
from runbooks_lib.redaction import Redactor
from runbooks_lib.secrets import resolve

SECRET = "hunter22"
CLUSTER = {("csghub", "db"): {"password": SECRET, "user": "csghub", "empty": ""}}


def read_secret(namespace: str, name: str) -> Mapping[str, str]:
    return CLUSTER.get((namespace, name), {})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    for name, content, mode in (
        ("mine", f"{SECRET}\n".encode(), 0o600),
        ("group", f"{SECRET}\r\n".encode(), 0o640),
        ("open", f"{SECRET}\n".encode(), 0o644),
        ("empty", b"\n", 0o600),
        ("binary", b"\xff\xfe", 0o600),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.mark.parametrize("reference", ["env:DB_PASSWORD", "file:mine", "file:group", "k8s:csghub/db#password"])
def test_a_reference_is_resolved_and_the_redactor_knows_it_at_once(reference: str) -> None:
    redactor = Redactor()
    assert resolve(reference, read_secret=read_secret, redactor=redactor).get_secret_value() == SECRET
    assert redactor.redact(f"log in with {SECRET}") == f"log in with «redacted:{reference}»"


@pytest.mark.parametrize(
    ("reference", "sentence", "next_step"),
    [
        ("env:UNSET", "The secret env:UNSET is missing or empty.", "export UNSET=…"),
        ("env:EMPTY", "The secret env:EMPTY is missing or empty.", "export EMPTY=…"),
        ("file:gone", "can't be read: No such file or directory.", "starts at the project's folder"),
        ("file:.", "can't be read: Is a directory.", "starts at the project's folder"),
        ("file:empty", "The secret file:empty is missing or empty.", "Write the secret into it."),
        ("file:binary", "it is not text in UTF-8.", "starts at the project's folder"),
        ("file:open", "can be read by every user here.", "chmod 600"),
        ("k8s:csghub/gone#x", "The secret k8s:csghub/gone#x is missing or empty.", "Create it, with that key."),
        ("k8s:csghub/db#pass", "The secret k8s:csghub/db#pass is missing or empty.", "its keys that hold text: empty, password, user."),
        ("k8s:csghub/db#empty", "k8s:csghub/db#empty is missing or empty.", "its keys that hold text: empty, password, user."),
        (SECRET, "A reference to a secret is not a reference; write {from:", "Mend it"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved_is_a_sentence_without_the_secret(
    reference: str, sentence: str, next_step: str
) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(reference, read_secret=read_secret, redactor=Redactor())
    assert sentence in caught.value.summary
    assert next_step in caught.value.next_step
    assert SECRET not in str(caught.value)


def test_without_a_cluster_a_reference_to_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="k8s:csghub/db#password is missing") as caught:
        resolve("k8s:csghub/db#password", read_secret=None, redactor=Redactor())
    assert "does not talk to a cluster" in caught.value.next_step


def test_a_secret_does_not_show_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    secret = resolve("env:PLANTED", read_secret=None, redactor=Redactor())
    shown = [str(secret), repr(secret), f"{secret}", f"{[secret]}", "%s" % secret]  # noqa: UP031
    assert not any(SECRET in text for text in shown)
    with pytest.raises(TypeError):
        json.dumps(secret)


def asked(monkeypatch: pytest.MonkeyPatch, answer: str | Exception) -> list[str]:
    """A person before a kernel, who answers so; the questions that they were asked."""
    questions: list[str] = []

    def getpass(question: str) -> str:
        questions.append(question)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setattr(secrets, "getpass", getpass)
    return questions


def test_a_prompt_is_asked_once_and_the_redactor_knows_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    questions, redactor, typed = asked(monkeypatch, SECRET), Redactor(), dict[str, str]()
    for _ in range(2):
        found = resolve("prompt:of the database", read_secret=None, redactor=redactor, typed=typed)
        assert found.get_secret_value() == SECRET
    assert questions == ["of the database: "]
    assert redactor.redact(f"it is {SECRET}") == "it is «redacted:prompt:of the database»"


@pytest.mark.parametrize("error", [EOFError(), NotImplementedError("raw_input was called, but this frontend…")])
def test_where_nobody_answers_a_prompt_is_refused(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    asked(monkeypatch, error)
    with pytest.raises(UsageError, match="Nobody can be asked for the secret prompt:x here") as caught:
        resolve("prompt:x", read_secret=None, redactor=Redactor(), typed={})
    assert "JupyterLab" in caught.value.next_step


def test_who_closes_a_record_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch, SECRET)
    with pytest.raises(UsageError, match="Nobody can be asked"):
        resolve("prompt:x", read_secret=None, redactor=Redactor())
    assert questions == []


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with pytest.raises(UsageError, match="Nobody can be asked"):
        resolve("prompt:x", read_secret=None, redactor=Redactor(), typed={})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
        (lambda path: path.write_text("x" * 100_000), "it is larger than 64 KiB"),
    ],
)
def test_a_file_that_would_be_waited_for_or_never_ends_is_not_even_opened(project: Path, make: Any, said: str) -> None:
    make(project / "odd")
    with pytest.raises(UsageError, match=said):
        resolve("file:odd", read_secret=read_secret, redactor=Redactor())


@pytest.mark.parametrize("value", ["a\0b", "abc\udce4def"])
def test_what_no_database_takes_is_refused(project: Path, value: str) -> None:
    def odd(*_: str) -> Mapping[str, str]:
        return {"x": value}

    with pytest.raises(UsageError, match="is not text in UTF-8"):
        resolve("k8s:a/b#x", read_secret=odd, redactor=Redactor())
