"""What the second person does: a key that opens only by its passphrase, and a yes to what was shown."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_public_key,
)

from runbooks_lib.errors import ApprovalError, UsageError
from runbooks_lib.release.approver import approve, make_key, read_plan
from runbooks_lib.release.signed import KIND, Statement
from runbooks_lib.results import Plan, Step
from runbooks_lib.signing import listed, opened

PLAN = Plan(stage="install", target={"release": "dataflow"}, steps=(Step(kind="a", title="First"),))


@pytest.fixture(autouse=True)
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A passphrase, as env:PASSPHRASE; the project is an empty folder."""
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    monkeypatch.setenv("PASSPHRASE", made := token_hex())
    return made


@pytest.fixture
def yes(tmp_path: Path) -> Callable[..., str]:
    """Approves the plan with the key at ``key.pem``."""

    def give(**otherwise: Any) -> str:
        how = {"name": "li.wei", "passphrase": "env:PASSPHRASE", "lasts": "2h", "out": "approval.json"} | otherwise
        return approve(PLAN, how.pop("key", "key.pem"), **how)

    return give


def test_a_key_is_its_owners_and_locked_and_its_line_is_that_of_openssh(tmp_path: Path, secret: str) -> None:
    line = make_key("key.pem", "li.wei", "env:PASSPHRASE")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    private = load_pem_private_key((tmp_path / "key.pem").read_bytes(), secret.encode())
    assert isinstance(private, Ed25519PrivateKey)
    theirs = load_ssh_public_key(line.rpartition(" ")[0].encode())
    assert theirs.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) == private.public_key().public_bytes(
        Encoding.OpenSSH, PublicFormat.OpenSSH
    )
    assert listed(line).line == line
    assert listed(line).name == "li.wei"


def test_a_fingerprint_is_that_of_ssh_keygen() -> None:
    """Of a public key whose fingerprint a real ssh-keygen has printed."""
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f li.wei"
    assert listed(line).fingerprint == "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"


@pytest.mark.parametrize("there", ["a file", "a link"])
def test_a_key_replaces_nothing(tmp_path: Path, there: str) -> None:
    path = tmp_path / "key.pem"
    path.write_text("precious") if there == "a file" else path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="was not written: File exists"):
        make_key("key.pem", "li.wei", "env:PASSPHRASE")
    assert path.is_symlink() or path.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["li wei", "-li", "li\nwei", "李", "a" * 101])
def test_a_name_is_one_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="No approver can be called"):
        make_key("key.pem", name, "env:PASSPHRASE")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("same", [True, False])
def test_a_passphrase_is_typed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    typed = iter([token_hex()] * 2 if same else [token_hex(), token_hex()])
    monkeypatch.setattr("runbooks_lib.secrets.getpass", lambda _: next(typed))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    if same:
        assert make_key("key.pem", "li.wei", "").endswith(" li.wei")
    else:
        with pytest.raises(UsageError, match="two different passphrases"):
            make_key("key.pem", "li.wei", "")
    assert (tmp_path / "key.pem").exists() == same


@pytest.mark.parametrize(
    ("lasts", "time"), [("1m", timedelta(minutes=1)), ("36h", timedelta(hours=36)), ("7d", timedelta(days=7))]
)
def test_an_approval_says_what_was_approved_by_whom_and_until_when(
    tmp_path: Path, yes: Callable[..., str], lasts: str, time: timedelta
) -> None:
    person = listed(make_key("key.pem", "li.wei", "env:PASSPHRASE"))
    assert yes(lasts=lasts) == f"Approved by li.wei ({person.fingerprint}): who runs it gives --approve approval.json"
    found = opened((tmp_path / "approval.json").read_bytes(), KIND, {person.fingerprint: person})
    assert found is not None
    said = Statement.model_validate_json(found[1])
    assert (said.digest, said.stage, said.target) == (PLAN.digest, "install", {"release": "dataflow"})
    assert (said.approver, said.fingerprint) == ("li.wei", person.fingerprint)
    assert said.expires - said.not_before == time


def test_two_approvals_are_never_the_same(tmp_path: Path, yes: Callable[..., str]) -> None:
    make_key("key.pem", "li.wei", "env:PASSPHRASE")
    yes(out="one.json")
    yes(out="two.json")
    assert (tmp_path / "one.json").read_text() != (tmp_path / "two.json").read_text()
    with pytest.raises(UsageError, match=r"one\.json was not written: File exists"):
        yes(out="one.json")


@pytest.mark.parametrize("lasts", ["", "2", "0h", "-1h", "8d", "169h", "99999d", "1h30m", "2 h", "２h"])
def test_how_long_is_from_a_minute_to_a_week(tmp_path: Path, yes: Callable[..., str], lasts: str) -> None:
    make_key("key.pem", "li.wei", "env:PASSPHRASE")
    with pytest.raises(UsageError, match="is not how long an approval may hold"):
        yes(lasts=lasts)
    assert not (tmp_path / "approval.json").exists()


def test_a_key_that_does_not_open_signs_nothing(
    tmp_path: Path, yes: Callable[..., str], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    make_key("key.pem", "li.wei", "env:PASSPHRASE")
    lock = BestAvailableEncryption(secret.encode())
    other = Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    clear = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content in (("other.pem", other), ("clear.pem", clear), ("garbage.pem", b"\0\xff")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
        with pytest.raises(UsageError, match=f"{name} is no Ed25519 key that this passphrase opens"):
            yes(key=name)
    monkeypatch.setenv("PASSPHRASE", token_hex())
    with pytest.raises(UsageError, match="no Ed25519 key that this passphrase opens"):
        yes()
    (tmp_path / "key.pem").chmod(0o644)
    with pytest.raises(UsageError, match="can be read by every user here"):
        yes()
    assert not (tmp_path / "approval.json").exists()


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    content = PLAN.model_dump(mode="json") | {"digest": PLAN.digest}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    assert read_plan("plan.json") == PLAN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan | {"impact": ["Nothing much."]}, "was altered: its digest is sha256:"),
        (lambda plan: plan | {"more": 1}, "is no plan"),
        (lambda plan: {key: value for key, value in plan.items() if key != "digest"}, "is no plan"),
        (lambda plan: [plan], "is no plan"),
        (lambda plan: plan | {"steps": []}, "changes nothing"),
    ],
    ids=["altered", "with more", "without a digest", "a list", "empty"],
)
def test_what_is_no_plan_is_not_approved(tmp_path: Path, change: Any, said: str) -> None:
    content = change(PLAN.model_dump(mode="json") | {"digest": PLAN.digest})
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises((UsageError, ApprovalError), match=said):
        read_plan("plan.json")


def test_commands_that_no_digest_covers_are_not_shown(tmp_path: Path) -> None:
    content = PLAN.model_dump(mode="json") | {"digest": PLAN.digest, "commands": ["kubectl get nothing"]}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    assert read_plan("plan.json").commands == ()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan.json")
    with pytest.raises(UsageError, match="it is no regular file"):
        read_plan("plan.json")
