"""Starting a part: ready, dead, mute, or robbed of its port; with real processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbooks_lib import process
from sandbox import parts
from sandbox.api import Api
from sandbox.ports import is_free
from sandbox.state import State

LISTEN = (
    "import socket, sys, time\n"
    "s = socket.socket()\n"
    "try: s.bind(('127.0.0.1', int(sys.argv[1])))\n"
    "except OSError: sys.exit('bind: address already in use')\n"
    "s.listen(); time.sleep(60)"
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State("try", str(tmp_path), ports={"etcd": 0})
    made.save()
    yield made
    for part in made.parts.values():
        process.stop(part.started, grace=1)


def program(code: str) -> Callable[[State], list[str]]:
    return lambda state: [sys.executable, "-c", code, str(state.ports["etcd"])]


def test_a_part_that_runs_as_wanted_is_left_alone(state: State) -> None:
    sleeps = program("import time; time.sleep(60)")
    assert parts.ensure(state, "etcd", sleeps)
    first = state.parts["etcd"].pid
    assert not parts.ensure(state, "etcd", sleeps)
    assert state.parts["etcd"].pid == first


def test_a_part_with_another_command_line_is_started_anew(state: State) -> None:
    parts.ensure(state, "etcd", program("import time; time.sleep(60)"))
    first = state.parts["etcd"].started
    assert parts.ensure(state, "etcd", program("import time; time.sleep(61)"))
    assert not first.alive


def test_the_state_file_knows_the_pid_as_soon_as_it_runs(state: State, tmp_path: Path) -> None:
    from sandbox.state import load

    parts.ensure(state, "etcd", program("import time; time.sleep(60)"))
    loaded = load("try", tmp_path)
    assert loaded is not None
    assert loaded.parts == state.parts


def test_a_taken_port_is_replaced_by_another(state: State) -> None:
    import socket

    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        taken = state.ports["etcd"] = thief.getsockname()[1]
        ready: Callable[[], bool] = lambda: state.ports["etcd"] != taken and not is_free(state.ports["etcd"])  # noqa: E731
        assert parts.ensure(state, "etcd", program(LISTEN), ports=["etcd"], ready=ready)
        assert state.ports["etcd"] != taken


def test_a_part_that_ends_is_told_with_its_last_words_and_its_log(state: State) -> None:
    dies = program("raise SystemExit('no such flag: --x')")
    with pytest.raises(parts.PartFailed) as failed:
        parts.ensure(state, "etcd", dies, ready=lambda: False)
    assert failed.value.summary == "The sandbox's etcd ended.\n  no such flag: --x"
    assert failed.value.next_step.startswith("Run `runbooks sandbox reset --name try`")
    assert failed.value.evidence == str(state.log("etcd"))


def test_a_part_that_never_answers_is_told(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "READY_SECONDS", 0.2)
    with pytest.raises(parts.PartFailed, match="runs but did not answer"):
        parts.ensure(state, "etcd", program("import time; time.sleep(60)"), ready=lambda: False)


def test_a_server_that_does_not_answer_is_not_ready(state: State) -> None:
    from sandbox import certificates
    from sandbox.ports import free_port

    certificates.make(state.folder / "pki")
    api = Api(free_port(), state.folder / "pki")
    assert not api.ready()
    assert api.get("/api/v1/nodes") is None
