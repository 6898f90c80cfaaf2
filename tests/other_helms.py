"""Helms of other versions than the sandbox's own: an old one and the next major one, built once into the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import platformdirs

from runbooks_lib import process
from sandbox.locks import locked
from sandbox.toolchain import golang

HERE = Path(__file__).parent / "helms"
VERSIONS = {"helm-3.13": ("v3", "v3.13.3"), "helm-4": ("v4", "v4.3.1")}


def built(name: str) -> Path:
    """The program, which is built when the cache lacks it; a few minutes at the first time."""
    major, version = VERSIONS[name]
    pins = (HERE / name / "go.mod").read_bytes() + (HERE / name / "go.sum").read_bytes()
    cache = platformdirs.user_cache_path("dataflow-runbooks")
    program = cache / "test-helms" / hashlib.sha256(pins + version.encode()).hexdigest()[:16] / name
    program.parent.mkdir(parents=True, exist_ok=True)
    with locked(program.with_suffix(".lock"), waiting_for="another worker that builds it", say=print):
        if not program.exists():
            needed = tuple(map(int, re.findall(r"\d+", re.findall(r"^go (.*)$", pins.decode(), re.MULTILINE)[0])))
            go = golang.find(cache / "go", needed, say=print, environment=os.environ, runner=process.run)
            flags = f"-s -w -X helm.sh/helm/{major}/internal/version.version={version}"
            argv = [go, "build", "-trimpath", "-mod=readonly", "-ldflags", flags, "-o", f"{program}.partial", "tool"]
            environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
            done = process.run(argv, timeout=1800, env=environment, cwd=HERE / name)
            assert done.ok, done.stderr
            Path(f"{program}.partial").rename(program)
    return program
