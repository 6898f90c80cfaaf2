"""Every library that does something to the world has one door; texts of the project hold nothing of a machine."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks_lib import process

ROOT = Path(__file__).parents[2]
PACKAGES = ("runbooks_lib", "sandbox")

#: Library · who may import it, as modules or packages. Nobody where there is no door yet.
DOORS: dict[str, tuple[str, ...]] = {
    "subprocess": ("runbooks_lib/process",),
    "multiprocessing": (),
    "pty": (),
    # Which process is meant, and which ones a run has left behind.
    "psutil": ("runbooks_lib/process", "runbooks_lib/headless", "sandbox/status"),
    "kubernetes": ("runbooks_lib/cluster",),
    "urllib3": ("runbooks_lib/cluster",),
    "websocket": ("runbooks_lib/cluster",),
    "httpx": ("runbooks_lib/probes",),
    "requests": (),
    "psycopg": ("runbooks_lib/probes", "sandbox/services/connections"),
    "redis": ("runbooks_lib/probes", "sandbox/services/connections"),
    "pymongo": ("runbooks_lib/probes", "sandbox/services/connections"),
    "papermill": ("runbooks_lib/headless",),
    "nbclient": ("runbooks_lib/headless",),
    "nbformat": ("runbooks_lib/headless", "runbooks_lib/portal"),
    "jupyter_client": ("runbooks_lib/headless",),
    "jupyter_core": ("runbooks_lib/headless",),
    "pandas": ("runbooks_lib/views",),
    "ipywidgets": ("runbooks_lib/views",),
    "matplotlib": ("runbooks_lib/views",),
    "IPython": ("runbooks_lib/views",),
    "jinja2": ("runbooks_lib/portal",),
    "nbconvert": ("runbooks_lib/portal",),
    "bleach": ("runbooks_lib/portal",),
    "typer": ("runbooks_lib/__main__", "sandbox/commands"),
    "cryptography": ("runbooks_lib/probes/tls", "runbooks_lib/signing", "sandbox/certificates"),
    "platformdirs": ("sandbox/toolchain",),
    # Requests and listeners: the library has boundaries for both, the sandbox serves and knocks.
    "http": ("sandbox",),
    "socket": ("runbooks_lib/cluster", "runbooks_lib/probes/dns", "sandbox/ports", "sandbox/services/knocks"),
    "socketserver": ("runbooks_lib/cluster",),
    "ssl": ("runbooks_lib/cluster", "runbooks_lib/probes", "sandbox"),
    # Only to read the proxy settings of the machine.
    "urllib.request": ("runbooks_lib/cluster",),
}

#: Ways to another program that need no import of their own.
PROGRAMS = re.compile(r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|fork\w*)")

#: Modules that put another program in the place of their own process: it has their pid, and nothing is left behind.
REPLACED = {("postgresql.py", "os.execv"), ("web.py", "os.execv")}

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """The dotted name of everything that a module imports, also late and for types only."""
    whole = {alias.name for node in nodes(path) if isinstance(node, ast.Import) for alias in node.names}
    parts = (node for node in nodes(path) if isinstance(node, ast.ImportFrom) and not node.level)
    return frozenset(whole | {f"{node.module}.{alias.name}" for node in parts for alias in node.names})


@functools.cache
def calls(path: Path) -> frozenset[str]:
    return frozenset(ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call))


def within(path: Path, places: tuple[str, ...]) -> bool:
    relative = path.relative_to(ROOT).with_suffix("").as_posix()
    return any(f"{relative}/".startswith(f"{place}/") for place in places)


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_behind_its_door_only(library: str) -> None:
    strays = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if not within(path, DOORS[library]) and any(f"{name}.".startswith(f"{library}.") for name in imports(path))
    ]
    assert strays == []


@pytest.mark.parametrize(
    "library",
    [
        *("subprocess", "psutil", "kubernetes", "httpx", "psycopg", "redis", "pymongo"),
        *("papermill", "nbclient", "pandas", "ipywidgets", "typer", "jinja2", "nbconvert", "bleach"),
    ],
)
def test_the_door_is_in_use(library: str) -> None:
    assert any(f"{name}.".startswith(f"{library}.") for path in MODULES for name in imports(path))


def test_no_program_is_run_past_the_door() -> None:
    found = {(path.name, call) for path in MODULES for call in calls(path) if PROGRAMS.fullmatch(call)}
    assert found == REPLACED


def test_nothing_starts_a_shell() -> None:
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                assert not any(word.arg == "shell" for word in node.keywords), path


def test_only_the_command_line_and_the_views_print() -> None:
    allowed = ("runbooks_lib/__main__", "runbooks_lib/views")
    printing = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if path.is_relative_to(ROOT / "runbooks_lib") and not within(path, allowed) and "print" in calls(path)
    ]
    assert printing == []


def test_importing_the_library_loads_none_of_the_heavy_ones() -> None:
    heavy = ("pandas", "kubernetes", "papermill", "nbclient", "ipywidgets", "httpx", "IPython", "typer")
    heavy += ("psycopg", "redis", "pymongo", "cryptography")
    code = f"import sys, runbooks_lib.stages.install, runbooks_lib.checks.families; print([n for n in {heavy!r} if n in sys.modules])"
    assert process.run([sys.executable, "-c", code], timeout=60, cwd=ROOT).stdout == "[]\n"


# ---- texts of the project

#: Spelt in pieces, so that this file does not hold what it forbids.
MACHINE = re.compile(
    "|".join((r"(?<![\w.])/wo" + "rk/", r"(?<![\w.])/ro" + "ot/", r"(?<![\w.])/ho" + r"me/\w", "/Us" + "ers/"))
)
REGISTRIES = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "proxy.golang" + ".org",
            "sum.golang" + ".org",
            "npm" + "js.org",
            "conda.ana" + "conda.org",
            "repo.ana" + "conda.com",
            "crates" + ".io",
        )
    )
)


def tracked() -> Iterator[tuple[str, str]]:
    """Name and text of every text file in git."""
    listed = process.run(["git", "ls-files", "-z"], timeout=30, cwd=ROOT)
    if not listed.ok:
        pytest.skip("This is no git checkout.")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@pytest.mark.parametrize("forbidden", [MACHINE, REGISTRIES], ids=["a path of one machine", "a registry's host"])
def test_no_text_of_the_project_holds(forbidden: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {hit.group()}"
        for name, text in tracked()
        for number, line in enumerate(text.splitlines(), start=1)
        if (hit := forbidden.search(line))
    ]
    assert found == []


def test_the_forbidden_words_are_found_where_they_stand() -> None:
    assert MACHINE.search("see /ho" + "me/me/x")
    assert MACHINE.search("'/wo" + "rk/x'")
    assert REGISTRIES.search("https://pypi" + ".org/simple")
    assert not MACHINE.search("https://example.com/wo" + "rk/x")
