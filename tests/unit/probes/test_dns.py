"""Names are asked of this machine's own resolver."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from runbooks_lib.probes.dns import addresses


def test_a_name_has_addresses_and_one_that_can_not_be_has_none() -> None:
    found = addresses(["localhost", "dataflow.invalid"])
    assert "127.0.0.1" in found["localhost"]
    assert found["dataflow.invalid"] == ()
    assert list(found) == ["localhost", "dataflow.invalid"]


@pytest.mark.parametrize("name", ["a" * 64 + ".invalid", "..", "a b"])
def test_what_is_no_name_has_none(name: str) -> None:
    assert addresses([name]) == {name: ()}


def test_a_resolver_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    over, resolve = threading.Event(), socket.getaddrinfo

    def hanging(name: str, *how: Any, **more: Any) -> Any:
        if name == "slow.invalid":
            over.wait(30)
        return resolve("localhost", *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    found = addresses(["slow.invalid", "localhost"], seconds=0.3)
    assert found["slow.invalid"] == ()
    assert found["localhost"]
    over.set()


def test_no_name_is_no_question() -> None:
    assert addresses([]) == {}
