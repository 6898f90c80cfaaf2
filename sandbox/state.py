"""What is known about one sandbox: its folder, its ports, its processes."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runbooks_lib import parameters
from runbooks_lib.errors import RunbookError, UsageError
from runbooks_lib.process import Started
from runbooks_lib.process.passage import open_folder

#: In the order in which they are started; kwok is the daemon's child and has no entry of its own.
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "daemon", "services")
PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kwok", "charts", "csghub")
CONTEXT = "sandbox"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass
class Part:
    """One process: who it is, and the command line it was started with."""

    pid: int
    start_time: float
    argv: list[str] = field(default_factory=list)

    @property
    def started(self) -> Started:
        """Its identity."""
        return Started(self.pid, self.start_time)


@dataclass
class State:
    """One sandbox, as it is kept in ``state.json``.

    Attributes:
        name: As the user gave it.
        root: The project's root, where the parameters file goes.
        toolchain: The folder of its programs.
        helm: The Helm that its parameters file names.
        ports: Each on loopback, by what listens there.
        parts: By name of :data:`PARTS`; those that were started.
        cluster_uid: The pin: the UID of the namespace ``kube-system``; empty until the server is up.
    """

    name: str
    root: str
    toolchain: str = ""
    helm: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    cluster_uid: str = ""

    @property
    def folder(self) -> Path:
        """Where everything of this sandbox is kept; ``down`` removes it."""
        return folder_of(self.name, Path(self.root))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, mode 0600."""
        return self.folder / "kubeconfig"

    @property
    def parameters_file(self) -> Path:
        """What a stage is run with."""
        suffix = "" if self.name == "sandbox" else f"-{self.name}"
        return Path(self.root) / "parameters" / f"sandbox{suffix}.yaml"

    @property
    def services(self) -> Path:
        """Where the pods' programs and the claims' data are; for root it may be outside of the folder."""
        return open_folder(self.folder / "services")

    def url(self, what: str) -> str:
        """The address of the ``charts`` repository or of the ``csghub`` stand-in."""
        return f"http://127.0.0.1:{self.ports[what]}"

    def path(self, *names: str) -> str:
        """A path inside the folder, as text for a command line."""
        return str(self.folder.joinpath(*names))

    def log(self, part: str) -> Path:
        """The log of a part, or of kwok."""
        return self.folder / "logs" / f"{part}.log"

    def save(self) -> None:
        """Write ``state.json``; never half of it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.folder / "state.json", json.dumps(asdict(self), indent=2) + "\n")


def folder_of(name: str, root: Path | None = None) -> Path:
    """The folder of a sandbox.

    Raises:
        UsageError: The name can't be one.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A sandbox can't be called {name!r}.",
            next_step="Use up to 40 lower-case letters, digits and hyphens, for example --name try-1.",
        )
    return (root or parameters.project_root()) / ".runbooks" / "sandboxes" / name


def names(root: Path | None = None) -> tuple[str, ...]:
    """The names of this project's sandboxes."""
    folder = folder_of("any", root).parent
    return tuple(sorted(path.name for path in folder.glob("*") if _NAME.fullmatch(path.name)))


def load(name: str, root: Path | None = None) -> State | None:
    """What is known about a sandbox, or nothing.

    Raises:
        RunbookError: Its ``state.json`` can't be read.
    """
    file = folder_of(name, root) / "state.json"
    try:
        data: dict[str, Any] = json.loads(file.read_text())
        parts = {key: Part(**value) for key, value in data.pop("parts").items()}
        return State(**data, parts=parts)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunbookError(
            f"What is known about the sandbox {name} can't be read: {error}.",
            next_step=f"End what still runs of it by hand (its command lines name {file.parent}), "
            "remove that folder, and start it again.",
            evidence=str(file),
        ) from error


def write_whole(file: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step: who reads it sees the old text or the new one."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as sink:
        sink.write(text)
    partial.replace(file)
