"""The table of families: which programs and files each gives, and the key under which they are kept."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

_HERE = Path(__file__).parent
_COMMON_FLAGS = ("-trimpath", "-mod=readonly")
_STRIPPED = "-s -w"
#: Without these the API server reports v0.0.0, and every version check fails.
_KUBERNETES_VERSION = (
    "-X k8s.io/component-base/version.gitVersion=v1.33.13 "
    "-X k8s.io/component-base/version.gitMajor=1 "
    "-X k8s.io/component-base/version.gitMinor=33"
)
#: Without it Helm knows its major and minor version only.
_HELM_VERSION = "-X helm.sh/helm/v3/internal/version.version=v3.19.5"


@dataclass(frozen=True)
class Family:
    """One ``go.mod`` file and what is made of it.

    Attributes:
        programs: What ``go build`` calls each program, and what we call it.
        package: What ``go build`` is given: the module's tools, or the program that stands beside ``go.mod``.
        crds: The module, and the pattern inside it, whose YAML files are kept; may be empty.
    """

    name: str
    programs: tuple[tuple[str, str], ...] = ()
    ldflags: str = _STRIPPED
    package: str = "tool"
    crds: tuple[str, str] | None = None

    @property
    def folder(self) -> Path:
        """Where its ``go.mod`` is."""
        return _HERE / self.name

    @property
    def build_flags(self) -> tuple[str, ...]:
        """The flags of ``go build``."""
        return (*_COMMON_FLAGS, "-ldflags", self.ldflags)

    @property
    def key(self) -> str:
        """Sixteen hex digits over all it is made of: its files, the flags, and the platform."""
        digest = hashlib.sha256(f"{sys.platform} {platform.machine()}\n".encode())
        digest.update(repr((self.name, self.programs, self.build_flags, self.package, self.crds)).encode())
        for file in sorted(self.folder.glob("*.go")) + [self.folder / name for name in ("go.mod", "go.sum")]:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]


#: Short builds first, so that a machine that can't build at all learns it early.
FAMILIES = (
    Family("gateway-api", crds=("sigs.k8s.io/gateway-api", "config/crd/experimental/*_*.yaml")),
    Family("etcd", programs=(("server", "etcd"),)),
    Family("kwok", programs=(("kwok", "kwok"),), crds=("sigs.k8s.io/kwok", "kustomize/crd/bases/*.yaml")),
    Family("ferretdb", programs=(("sandbox", "ferretdb"),), package="."),
    Family("helm", programs=(("helm", "helm"),), ldflags=f"{_STRIPPED} {_HELM_VERSION}"),
    Family(
        "kubernetes",
        programs=tuple((name, name) for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")),
        ldflags=f"{_STRIPPED} {_KUBERNETES_VERSION}",
    ),
)


def cache_folder() -> Path:
    """Where the toolchain of exactly these versions, flags and platform is kept."""
    return platformdirs.user_cache_path("dataflow-runbooks") / "toolchain" / cache_key()


def cache_key(families: tuple[Family, ...] = FAMILIES) -> str:
    """Sixteen hex digits over the keys of all families."""
    return hashlib.sha256("".join(family.key for family in families).encode()).hexdigest()[:16]


def missing(folder: Path) -> tuple[str, ...]:
    """What a toolchain folder lacks, as paths relative to it; empty when it is complete."""
    return tuple(path for family in FAMILIES for path in missing_of(family, folder))


def missing_of(family: Family, folder: Path) -> tuple[str, ...]:
    """What of one family a toolchain folder lacks."""
    wanted = [f"bin/{ours}" for _, ours in family.programs]
    if family.crds:
        wanted.append(f"crds/{family.name}")
    return tuple(path for path in wanted if not (folder / path).exists())


def stamp(family: Family, folder: Path) -> Path:
    """The file in a toolchain folder that says: this family is complete here, and was made of exactly this."""
    return folder / "families" / f"{family.name}-{family.key}"


def needed_go(families: tuple[Family, ...] = FAMILIES) -> tuple[int, ...]:
    """The newest Go that a family asks for, for example ``(1, 26, 0)``."""
    versions = []
    for family in families:
        found = re.search(r"^go ([\d.]+)$", (family.folder / "go.mod").read_text(), re.MULTILINE)
        if found:
            versions.append(tuple(int(part) for part in found[1].split(".")))
    return max(versions)
