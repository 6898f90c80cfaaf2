"""PostgreSQL as the official image starts it: ``python -m sandbox.services.postgresql``, which becomes postgres.

An empty data folder is initialised from the environment; one that holds a database is left as it is, so that
another password in the environment opens nothing. Everything is imported at the top: once the user has been
changed, Python's own files may be out of reach.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from runbooks_lib import process
from runbooks_lib.errors import RunbookError, UsageError
from runbooks_lib.process import passage

#: Made small and few: two sandboxes must fit a laptop. What is lost with a machine may be lost, so no fsync;
#: a killed process loses nothing, since the kernel has what was written.
SETTINGS = {
    "shared_buffers": "8MB",
    "max_connections": "50",
    "max_worker_processes": "0",
    "max_parallel_workers": "0",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "min_wal_size": "4MB",
    "max_wal_size": "32MB",
    "autovacuum": "off",
    "jit": "off",
    "fsync": "off",
    "full_page_writes": "off",
}
_SECONDS = 120
_HALF = "initialising"
#: A file beside the data: which major version of the image has made it.
_MAJOR = "sandbox-major"
#: A longer path does not fit a socket's address.
_SOCKET_PATH = 99


def main(arguments: list[str] | None = None) -> None:
    """Prepare the data folder and become postgres; ends with 1 and a sentence when that can't be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", type=Path, required=True, help="folder of PostgreSQL's programs")
    parser.add_argument("--data", type=Path, required=True, help="PGDATA on this machine")
    parser.add_argument("--scratch", type=Path, required=True, help="where its socket goes")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--major", default="", help="the image's major version; its data is for no other")
    asked = parser.parse_args(arguments)
    os.umask(0o022)
    try:
        install = passage.open_copy(asked.install)
        sockets = asked.scratch / "postgresql"
        _make_ours(asked.data, sockets)
        if not (asked.data / "PG_VERSION").exists():
            _initialise(install, asked.data)
        else:
            print("PostgreSQL Database directory appears to contain a database; Skipping initialization", flush=True)
            _forget_the_dead(asked.data)
        _require_major(asked.data, asked.major)
    except (RunbookError, OSError) as error:
        print(f"postgresql: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from error
    fits = len(bytes(sockets / f".s.PGSQL.{asked.port}.lock")) <= _SOCKET_PATH
    argv = [str(install / "bin" / "postgres"), "-D", str(asked.data), "-h", "127.0.0.1", "-p", str(asked.port)]
    argv += ["-k", str(sockets) if fits else ""]
    for name, value in SETTINGS.items():
        argv += ["-c", f"{name}={value}"]
    os.execv(argv[0], argv)  # noqa: S606 - the only one: postgres takes this process's place, its pid and its log


def _require_major(data: Path, major: str) -> None:
    """Refuse the data of an image of another major version, as PostgreSQL does: here one program serves for all."""
    made = data / _MAJOR
    by = made.read_text() if made.exists() else major
    if major and by != major:
        print("FATAL:  database files are incompatible with server", file=sys.stderr)
        said = f"The data directory was initialized by PostgreSQL version {by}, which is not compatible with this version {major}."
        print(f"DETAIL:  {said}", file=sys.stderr, flush=True)
        raise SystemExit(1)
    made.write_text(by)


def _make_ours(data: Path, sockets: Path) -> None:
    """Have both folders, belong to whom postgres will run as, and become that user."""
    user = passage.unprivileged()
    for folder in (data, sockets):
        folder.mkdir(parents=True, exist_ok=True)
        if user is None:
            continue
        # The folder itself gets its owner below; one above it is not ours to open.
        if closed := passage.barrier(folder, user):
            raise UsageError(
                f"PostgreSQL runs as user {user.uid}, who can't pass the folder {closed}.",
                next_step=f"Keep the sandbox's data elsewhere, or open the way: chmod o+x {closed}",
            )
        if folder.stat().st_uid != user.uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.uid, user.gid, follow_symlinks=False)
    for folder in (data, sockets):
        folder.chmod(0o700)
    if user is not None:
        os.setgroups([])
        os.setgid(user.gid)
        os.setuid(user.uid)
    os.chdir(data)


def _initialise(install: Path, data: Path) -> None:
    """What the official image does on an empty folder; a first start that was cut off is begun anew."""
    superuser = os.environ.get("POSTGRES_USER") or "postgres"
    password = os.environ.get("POSTGRES_PASSWORD", "")
    method = os.environ.get("POSTGRES_HOST_AUTH_METHOD") or "scram-sha-256"
    if not password and method != "trust":
        raise UsageError("Database is uninitialized and superuser password is not specified (POSTGRES_PASSWORD).")
    if not re.fullmatch(r"[a-z0-9-]+", method):
        raise UsageError(f"POSTGRES_HOST_AUTH_METHOD is no method that PostgreSQL knows: {method!r}.")
    half = data / _HALF
    if half.exists():
        for left in data.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    elif any(data.iterdir()):
        raise UsageError(f'initdb: error: directory "{data}" exists but is not empty')
    half.mkdir(mode=0o700)
    argv = [str(install / "bin" / "initdb"), "-D", str(half), f"--username={superuser}", "--encoding=UTF8"]
    argv += ["--locale=C", "--auth-local=trust", f"--auth-host={method}", "--no-sync", "--no-instructions"]
    # By a pipe: a password in a file or in the list of processes could be read by others.
    argv += ["--wal-segsize=1", *(["--pwfile=/dev/stdin"] if password else [])]
    _told(process.run(argv, timeout=_SECONDS, stdin=password + "\n"))
    names = [os.environ.get("POSTGRES_DB") or superuser]
    names += [name.strip() for name in os.environ.get("POSTGRES_MULTIPLE_DATABASES", "").split(",")]
    wanted = [name for name in dict.fromkeys(names) if name and name != "postgres"]
    for name in wanted:
        print(f"CREATE DATABASE {_quoted(name)}", flush=True)
    statements = "".join(f"CREATE DATABASE {_quoted(name)};\n" for name in wanted)
    single = [str(install / "bin" / "postgres"), "--single", "-D", str(half), "-c", "fsync=off", "postgres"]
    _told(process.run(single, timeout=_SECONDS, stdin=statements), shown=False)
    # PG_VERSION last: where it stands, everything stands.
    for path in sorted(half.iterdir(), key=lambda path: path.name == "PG_VERSION"):
        path.rename(data / path.name)
    half.rmdir()
    print("PostgreSQL init process complete; ready for start up.", flush=True)


def _told(ended: process.Completed, *, shown: bool = True) -> None:
    """Pass on what a program said; single-user mode writes a prompt and echoes, and ends well on an error."""
    failed = re.findall(r"^.*(?:ERROR|FATAL|PANIC):.*$", ended.stderr, re.MULTILINE)
    if shown:
        print(ended.stdout, end="", flush=True)
    if not ended.ok or failed:
        print(ended.stderr, end="", file=sys.stderr, flush=True)
        raise UsageError(f"{Path(ended.argv[0]).name} ended with {ended.returncode}: {' '.join(failed) or 'see above'}")


def _forget_the_dead(data: Path) -> None:
    """Remove the pid file of a postgres that is gone and whose pid another program has got, as after a reboot."""
    file = data / "postmaster.pid"
    if not file.exists():
        return
    pid = file.read_text().split("\n", 1)[0].strip()
    try:
        named = process.run(["ps", "-o", "comm=", "-p", pid], timeout=10).stdout
    except UsageError:
        # No ps here: postgres itself looks, and refuses when in doubt.
        return
    if "postgres" not in named:
        file.unlink()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("\n", "") + '"'


if __name__ == "__main__":
    main()
