"""What a service controller does, without a cluster: containers, their folders and ports, starting and ending."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbooks_lib import process
from sandbox.ports import free_port
from sandbox.services import programs
from sandbox.services.containers import Container

_USUAL = {
    "postgres:15.10": 5432,
    "postgres:15.17": 5432,
    "postgres:18.0": 5432,
    "redis:7.2.5": 6379,
    "mongo:8.0.12": 27017,
}
_USUAL |= {"dataflow:v1.16.0": 8000, "label-studio:v1.16.0": 8002}


@dataclass
class Running:
    """A container whose program was started."""

    container: Container
    started: process.Started
    log: Path

    @property
    def port(self) -> int:
        (port,) = self.container.ports.values()
        return port

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def answers(self, seconds: float = 20.0, *, wanted: bool = True) -> bool:
        """Wait for what is wanted, and say whether it came."""
        deadline = time.monotonic() + seconds
        while programs.answers(self.container) is not wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()


@dataclass
class Pods:
    """A folder for all of them, and what runs in it."""

    folder: Path
    running: list[Running] = field(default_factory=list)

    @property
    def hosts(self) -> Path:
        return self.folder / "hosts.json"

    def container(
        self,
        image: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        claims: Mapping[str, str] | None = None,
        name: str = "",
    ) -> Container:
        scratch = self.folder / (name or f"scratch-{secrets.token_hex(4)}")
        scratch.mkdir(exist_ok=True)
        folders = {inside: self.folder / claim for inside, claim in (claims or {}).items()}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        ports = {_USUAL[image]: free_port()} if "celery-worker" not in args and "psql" not in args else {}
        return Container("main", f"registry.example/{image}", args, env or {}, ports, folders, scratch, self.hosts)

    def start(self, container: Container, host: str = "", *, more: tuple[str, ...] = ()) -> Running:
        """Start its program; ``more`` are words that no chart could give it."""
        launch = programs.program_for(container)
        assert launch is not None
        log = container.scratch / "log"
        started = process.start([*launch.argv, *more], log=log, env=launch.env, cwd=launch.cwd)
        self.running.append(Running(container, started, log))
        if host:
            self.tell(host, self.running[-1])
        return self.running[-1]

    def run(self, container: Container) -> process.Completed:
        launch = programs.program_for(container)
        assert launch is not None
        return process.run(launch.argv, timeout=30, env=launch.env, cwd=launch.cwd)

    def tell(self, host: str, running: Running) -> None:
        known = json.loads(self.hosts.read_text()) if self.hosts.exists() else {}
        (inside,) = running.container.ports
        self.hosts.write_text(json.dumps(known | {f"{host}:{inside}": f"127.0.0.1:{running.port}"}))

    def stop(self, running: Running) -> None:
        process.stop(running.started, grace=10)
