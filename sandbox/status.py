"""How the parts of a sandbox are, found out in a moment and without starting anything."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from runbooks_lib.process import Started
from sandbox.api import Api
from sandbox.parts import kwok_of
from sandbox.services.controller import fresh, programs
from sandbox.state import PARTS, State

_ASK_SECONDS = 1.0
#: Which port a part is found at; the others serve none.
_PORT_OF = {"etcd": "etcd", "kube-apiserver": "kube-apiserver", "kwok": "kwok"}


@dataclass(frozen=True)
class PartStatus:
    """One part: running or not, where, and how much memory it takes (MiB)."""

    name: str
    running: bool
    pid: int
    port: int
    memory: int


@dataclass(frozen=True)
class Status:
    """A sandbox at one moment.

    Attributes:
        answers: The API server says that it is ready.
        follows: The service controller tells of its programs; one that is stopped or hangs does not.
        programs: One row for each program behind a pod.
        unknown: Containers without a program, although their image is a known one.
    """

    name: str
    parts: tuple[PartStatus, ...]
    answers: bool
    follows: bool = True
    programs: tuple[dict[str, str], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def dead(self) -> tuple[str, ...]:
        """The parts that should run and do not."""
        return tuple(part.name for part in self.parts if not part.running)

    @property
    def ready(self) -> bool:
        """Everything runs and answers."""
        return not self.trouble

    @property
    def trouble(self) -> str:
        """What is not as it should be, in one clause; empty when all is well."""
        if self.dead:
            return f"{', '.join(self.dead)} not running"
        if not self.answers:
            return "the API server does not answer"
        return "" if self.follows else "services runs and does not tell of its programs"

    def rows(self) -> list[dict[str, str]]:
        """One row a part."""
        return [
            {
                "part": part.name,
                "state": "running" if part.running else "not running",
                "pid": str(part.pid) if part.running else "",
                "port": str(part.port or ""),
                "memory": f"{part.memory} MiB" if part.running else "",
            }
            for part in self.parts
        ]


def look(state: State) -> Status:
    """Look at every process, and ask the API server."""
    found: dict[str, Started | None] = {
        name: state.parts[name].started if name in state.parts else None for name in PARTS
    }
    found["kwok"] = kwok_of(state)
    parts = tuple(_part(state, name, started) for name, started in found.items())
    server = next(part for part in parts if part.name == "kube-apiserver")
    answers = server.running and _asked(state)
    behind, unknown = programs(state.services)
    services = next(part for part in parts if part.name == "services")
    follows = services.running and fresh(state.services, services.pid)
    return Status(state.name, parts, answers, follows, tuple(behind), tuple(unknown))


def _asked(state: State) -> bool:
    api = Api(state.ports["kube-apiserver"], state.folder / "pki", timeout=_ASK_SECONDS)
    return api.ready()


def _part(state: State, name: str, started: Started | None) -> PartStatus:
    port = state.ports.get(_PORT_OF.get(name, ""), 0)
    if started is None or not started.alive:
        return PartStatus(name, running=False, pid=0, port=port, memory=0)
    try:
        memory = psutil.Process(started.pid).memory_info().rss // 2**20
    except psutil.NoSuchProcess:
        return PartStatus(name, running=False, pid=0, port=port, memory=0)
    return PartStatus(name, running=True, pid=started.pid, port=port, memory=memory)
