"""A container as its program sees it: what the chart says, and where that is on this machine."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from runbooks_lib.cluster import commands
from runbooks_lib.results import Json

#: The words after which a program's name stands.
_BEFORE_PROGRAM = ("", "exec", "then", "do", "&&", "||", "|", "--")


@dataclass(frozen=True)
class Container:
    """One container of a pod.

    Attributes:
        args: Its command and arguments as the chart gives them; read, never executed.
        env: Every variable with its value.
        ports: The container's ports, each with a free port of this machine's loopback.
        folders: Where a claim, a ConfigMap or an emptyDir is mounted, and its folder on this machine. With a
            sandbox that runs as root they must lie where :func:`runbooks_lib.process.passage.open_folder` says.
        scratch: A folder of this container alone; it exists.
        hosts: A file with the addresses behind the release's own hosts, see :func:`reach`.
        ends: It is to end by itself, as a Job's does.
    """

    name: str
    image: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    ports: Mapping[int, int]
    folders: Mapping[str, Path]
    scratch: Path
    hosts: Path
    ends: bool = False


@dataclass(frozen=True)
class Launch:
    """How a container's program is started; ``env`` is its whole environment."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


def place_of(folders: Mapping[str, Path], inside: str) -> Path | None:
    """Where a path inside a container is on this machine; None where nothing is mounted.

    A path never leads out of its mount, however many ``..`` it has.
    """
    wanted = posixpath.normpath("/" + inside.lstrip("/"))
    for mount in sorted(folders, key=len, reverse=True):
        at = posixpath.normpath("/" + mount.strip("/"))
        if wanted == at or wanted.startswith(at.rstrip("/") + "/"):
            return folders[mount] / wanted[len(at) :].lstrip("/")
    return None


def arguments(spec: Json) -> list[str]:
    """The command and the arguments of a container as the chart gives them."""
    return [str(word) for word in (*(spec.get("command") or ()), *(spec.get("args") or ()))]


def words_of(container: Container) -> list[str]:
    """The words of a container's command: variables looked up, the line of a shell taken apart."""
    return commands.words(container.args, container.env)


def programs_of(words: list[str]) -> set[str]:
    """The names of the programs that a command starts; empty when it has only options for the image's own."""
    if words and posixpath.basename(words[0]) in commands.SHELLS:
        words = list(dropwhile(lambda word: word.startswith("-"), words[1:]))
    return {
        posixpath.basename(word)
        for before, word in zip(["", *words], words, strict=False)
        if (before in _BEFORE_PROGRAM or before.endswith(";"))
        and word not in _BEFORE_PROGRAM
        and not word.startswith("-")
    }


def reach(hosts: Path | None, host: str, port: int) -> tuple[str, int]:
    """The address behind a host and port of the release.

    Read anew each time, since pods move. What the file does not hold is an external host and stays as it is.
    """
    if hosts is None:
        return host, port
    try:
        mapped = json.loads(hosts.read_text(encoding="utf-8")).get(f"{host}:{port}", "")
    except (OSError, ValueError):
        return host, port
    address, _, number = mapped.rpartition(":")
    return (address, int(number)) if address else (host, port)


def bare_environment(container: Container, names: tuple[str, ...]) -> dict[str, str]:
    """An environment with these of the container's variables and no other of the chart's.

    A chart could else have a library of its own loaded on this machine (``LD_PRELOAD``, ``PYTHONPATH``). The
    user's own is left out as well: libpq reads a dozen of its variables, and the password file at home.
    """
    ours = str(Path(__file__).parents[2])
    bare = {"PATH": os.defpath, "HOME": str(container.scratch), "PYTHONPATH": ours, "PYTHONUTF8": "1"}
    if "TMPDIR" in os.environ:
        bare["TMPDIR"] = os.environ["TMPDIR"]
    for name in names:
        # The official images take a secret from a mounted file as well.
        file = place_of(container.folders, container.env[f"{name}_FILE"]) if f"{name}_FILE" in container.env else None
        if name in container.env:
            bare[name] = container.env[name]
        elif file and file.is_file():
            bare[name] = file.read_text(encoding="utf-8").rstrip("\n")
    return bare
