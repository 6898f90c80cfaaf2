"""The programs of the sandbox, pinned by ``go.mod`` files and built once.

Looked for in this order: the folder that ``RUNBOOKS_TOOLCHAIN`` names, the user's cache, and else built
from source with Go. Each folder with a ``go.mod`` is a *family*: its programs share one Kubernetes version.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.errors import UsageError
from sandbox.toolchain import build, families

Say = Callable[[str], None]

#: Names a folder with ``bin/`` and ``crds/`` of the toolchain: for machines that can't build it.
FOLDER_VARIABLE = "RUNBOOKS_TOOLCHAIN"
#: ``0`` means: never start a build, say that the toolchain is missing instead.
BUILD_VARIABLE = "RUNBOOKS_TOOLCHAIN_BUILD"
#: Names another Helm for the sandbox's parameters file.
HELM_VARIABLE = "RUNBOOKS_HELM"


class ToolchainMissing(UsageError):
    """The programs are not there, and no build was wanted."""


@dataclass(frozen=True)
class Toolchain:
    """A folder in which every program and every CRD file is present."""

    folder: Path

    def program(self, name: str) -> str:
        """The path of one program, for example ``kube-apiserver``."""
        return str(self.folder / "bin" / name)

    def crds(self) -> tuple[Path, ...]:
        """The CRD files of the Gateway API and of kwok."""
        return tuple(sorted((self.folder / "crds").glob("*/*.yaml")))


def find(
    *, say: Say = print, environment: Mapping[str, str] | None = None, runner: process.Runner = process.run
) -> Toolchain:
    """The toolchain, built first if it has to be.

    Args:
        say: Gets a line for each step of a build, and a sign of life while one takes long.
        environment: The process's own when left out; handed to Go and pip as it is.
        runner: How programs are run.

    Raises:
        UsageError: The named folder is incomplete, or no Go can be had.
        RunbookError: The build failed.
    """
    environment = os.environ if environment is None else environment
    if named := environment.get(FOLDER_VARIABLE, ""):
        return _named(Path(named).expanduser())
    folder = families.cache_folder()
    if families.missing(folder):
        if environment.get(BUILD_VARIABLE) == "0":
            raise ToolchainMissing(
                f"The sandbox's programs are not built yet, and {BUILD_VARIABLE}=0 forbids building them.",
                next_step=f"Unset {BUILD_VARIABLE}, or name a folder that has them in {FOLDER_VARIABLE}.",
            )
        build.build(folder, say=say, environment=environment, runner=runner)
    return Toolchain(folder)


def _named(folder: Path) -> Toolchain:
    absent = families.missing(folder)
    if absent:
        raise UsageError(
            f"The folder {folder}, named by {FOLDER_VARIABLE}, lacks {', '.join(absent)}.",
            next_step=f"Copy {families.cache_folder()} from a machine that has built it, "
            f"or unset {FOLDER_VARIABLE} to build it here.",
        )
    return Toolchain(folder)
