"""The build: each family into a folder of its own, moved into place only when it is complete."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.errors import RunbookError, UsageError
from sandbox.interruption import at_once
from sandbox.locks import locked
from sandbox.toolchain import golang
from sandbox.toolchain.families import FAMILIES, Family, missing_of, needed_go, stamp

Say = Callable[[str], None]

#: Seconds between two signs of life of a long build.
HEARTBEAT_SECONDS = 15.0
_FAMILY_SECONDS = 3600
_DOWNLOAD_SECONDS = 900
_LAST_LINES = 8

#: What a failed ``go`` says, why that is, and what to do. The first that matches is told.
_CAUSES = (
    (
        r"no space left on device",
        "The disk is full",
        "Free about 6 GB (Go's module and build caches need most of it) and run the command again; "
        "what is already built is kept.",
    ),
    (
        r"x509:|certificate",
        "A module server showed a certificate that is not trusted",
        "Behind a proxy that opens TLS, name its CA in SSL_CERT_FILE; or name your mirror in GOPROXY.",
    ),
    (
        r"dial tcp|lookup .*: no such host|proxyconnect|i/o timeout|TLS handshake timeout|"
        r"connection refused|module lookup disabled|\b(403|404|410|502|503) ",
        "Go could not download its modules",
        "Set HTTPS_PROXY or name your mirror in GOPROXY (`go env -w` works too), then run the command again.",
    ),
    (
        r"checksum mismatch|SECURITY ERROR",
        "A downloaded module is not the one that is pinned",
        "Do not use it: a mirror altered it, or the module cache is damaged (`go clean -modcache`).",
    ),
    (
        r"signal: killed|cannot allocate memory",
        "The machine ran out of memory",
        "Free about 3 GB of memory, or set GOMAXPROCS=1, and run the command again.",
    ),
)


class BuildFailed(RunbookError):
    """A program of the sandbox could not be built; the log says more."""


def build(folder: Path, *, say: Say, environment: Mapping[str, str], runner: process.Runner = process.run) -> None:
    """Build every family that the folder lacks; two commands share one build.

    Args:
        folder: The cache's folder for exactly this toolchain.
        environment: Handed to Go and pip as it is, so that proxies and mirrors are honoured.

    Raises:
        UsageError: No Go can be had, or the cache can't be written.
        BuildFailed: A download or compilation failed.
    """
    try:
        _build(folder, say, environment, runner)
    except OSError as error:
        raise UsageError(
            f"The toolchain's cache at {folder} can't be written: {error.strerror or error}.",
            next_step="Free space there or make it writable; XDG_CACHE_HOME names another place.",
        ) from error


def _build(folder: Path, say: Say, environment: Mapping[str, str], runner: process.Runner) -> None:
    lock = folder.with_name(folder.name + ".lock")
    with locked(lock, waiting_for="another command that builds the sandbox's programs", say=say):
        for family in FAMILIES:
            _take_over(family, folder)
        wanted = [family for family in FAMILIES if missing_of(family, folder)]
        if not wanted:
            return
        started = time.monotonic()
        go = golang.find(folder.parents[1] / "go", needed_go(), say=say, environment=environment, runner=runner)
        say(
            f"Building the sandbox's programs, once: {', '.join(family.name for family in wanted)} "
            f"(all of them take about 17 minutes on two cores; kept in {folder})."
        )
        for number, family in enumerate(wanted, start=1):
            with _told(f"[{number}/{len(wanted)}] {family.name}", say) as compiled:
                _family(go, family, folder, environment, runner, compiled)
        say(f"The sandbox's programs are ready after {time.monotonic() - started:.0f} s.")


def _take_over(family: Family, folder: Path) -> None:
    """Have a family that another toolchain of this cache holds: a change of one family rebuilds no other."""
    for built in folder.parent.glob(f"*/families/{stamp(family, folder).name}"):
        other = built.parents[1]
        if other == folder or missing_of(family, other):
            continue
        for path in missing_of(family, folder):
            made = folder / f"partial-{family.name}" / path
            shutil.rmtree(made.parents[1], ignore_errors=True)
            made.parent.mkdir(parents=True)
            if (other / path).is_dir():
                shutil.copytree(other / path, made)
            else:
                # A second name of the same file takes no space; nothing ever writes into a program.
                _link(other / path, made)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            made.rename(folder / path)
            shutil.rmtree(made.parents[1])
        _mark(family, folder)
        return


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def _mark(family: Family, folder: Path) -> None:
    mark = stamp(family, folder)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _family(
    go: str,
    family: Family,
    folder: Path,
    environment: Mapping[str, str],
    runner: process.Runner,
    compiled: Callable[[str], None],
) -> None:
    partial = folder / f"partial-{family.name}"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "bin").mkdir(parents=True)
    log = folder / f"{family.name}.log"
    env = _go_environment(go, environment, runner)
    if family.programs:
        argv = [go, "build", "-v", *family.build_flags, "-o", f"{partial / 'bin'}/", family.package]
        with at_once():
            ended = runner(argv, timeout=_FAMILY_SECONDS, env=env, cwd=family.folder, on_line=compiled)
        log.write_text(ended.stderr)
        _judge(ended, family, log)
    if family.crds:
        _copy_crds(go, family, partial, env, runner, log)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "crds").mkdir(exist_ok=True)
    if family.crds:
        shutil.rmtree(folder / "crds" / family.name, ignore_errors=True)
        (partial / "crds").rename(folder / "crds" / family.name)
    for theirs, ours in family.programs:
        (partial / "bin" / theirs).replace(folder / "bin" / ours)
    shutil.rmtree(partial)
    _mark(family, folder)
    log.unlink(missing_ok=True)


def _copy_crds(
    go: str, family: Family, partial: Path, env: Mapping[str, str], runner: process.Runner, log: Path
) -> None:
    module, pattern = family.crds or ("", "")
    argv = [go, "mod", "download", "-json", module]
    with at_once():
        ended = runner(argv, timeout=_DOWNLOAD_SECONDS, env=env, cwd=family.folder)
    log.write_text(ended.stderr + ended.stdout)
    _judge(ended, family, log)
    (partial / "crds").mkdir()
    files = sorted(Path(json.loads(ended.stdout)["Dir"]).glob(pattern))
    if not files:
        raise BuildFailed(
            f"The module {module} has no file {pattern}.",
            next_step="Its pinned version and sandbox/toolchain/families.py do not fit together.",
        )
    for file in files:
        # The module cache is read-only; a copy that keeps its mode could not be removed by `rm -r`.
        shutil.copyfile(file, partial / "crds" / file.name)


def _go_environment(go: str, environment: Mapping[str, str], runner: process.Runner) -> dict[str, str]:
    """The user's environment, less what would make Go build something else than these programs."""
    env = {**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    asked = runner([go, "env", "-json", "GOHOSTOS", "GOHOSTARCH"], timeout=30, env=env)
    if asked.ok:
        host = json.loads(asked.stdout)
        env |= {"GOOS": host["GOHOSTOS"], "GOARCH": host["GOHOSTARCH"]}
    return env


def _judge(ended: process.Completed, family: Family, log: Path) -> None:
    """Say in a sentence why a ``go`` command failed."""
    if ended.ok:
        return
    said = ended.stderr + ended.stdout
    lines = [line for line in said.splitlines() if line.strip()]
    why, next_step = f"go ended with {ended.returncode}", "Look at the log, then run the command again."
    if ended.timed_out:
        why = f"it took longer than {ended.seconds / 60:.0f} minutes"
    for pattern, cause, remedy in _CAUSES:
        if re.search(pattern, said):
            why, next_step = cause[0].lower() + cause[1:], remedy
            break
    tail = "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
    raise BuildFailed(
        f"The programs of {family.name} could not be built: {why}.\n{tail}".rstrip(),
        next_step=next_step,
        evidence=str(log),
    )


@contextmanager
def _told(title: str, say: Say) -> Iterator[Callable[[str], None]]:
    """Tell the begin and the end of a step with its seconds, and a sign of life in between.

    Yields a function that is called with each package as it is compiled.
    """
    started = time.monotonic()
    packages = 0
    ended = threading.Event()

    def count(line: str) -> None:
        nonlocal packages
        packages += "/" in line and not line.startswith(("go: ", "#"))

    def remind() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            say(f"{title}: {packages} packages compiled, {time.monotonic() - started:.0f} s")

    say(f"{title}: begun")
    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield count
    finally:
        ended.set()
        reminder.join()
    say(f"{title}: built in {time.monotonic() - started:.1f} s")
