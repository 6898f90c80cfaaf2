"""Setting up on a fresh machine: each thing that may be missing gets a sentence, a next step and exit code 2."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
NEEDED = ("bootstrap.sh", "Makefile", "requirements.lock", "pyproject.toml")

#: An old Python, as far as bootstrap.sh asks it.
PYTHON_39 = """#!/bin/sh
case "$1" in
    --version) echo "Python 3.9.2" ;;
    *) echo False ;;
esac
"""

#: A Python whose .venv has a pip that says, and ends, as a test wants it.
PYTHON_WITH_PIP = """#!/bin/sh
case "$*" in
    --version) echo "Python 3.11.2" ;;
    -c*version_info*) echo True ;;
    -c*) ;;
    "-m venv"*) mkdir -p .venv/bin .venv/lib && cp "$0" .venv/bin/python ;;
    *--editable*) ;;
    *) . ./pip.sh ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in NEEDED:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def refused_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def run(argv: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    env = inherited | {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "NO_PROXY": "*"} | settings
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def bootstrap(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return run(["sh", "bootstrap.sh"], folder, **settings)


def test_an_old_python_is_named_with_the_version_that_is_needed(project: Path) -> None:
    old = project / "python3.9"
    old.write_text(PYTHON_39)
    old.chmod(0o755)
    done = bootstrap(project, PYTHON=str(old))
    assert done.returncode == 2
    assert "Python 3.9.2 is too old: Python 3.11 or newer is needed." in done.stderr
    assert "Next: install a newer one, or name it: make PYTHON=" in done.stderr
    assert not (project / ".venv").exists()


def test_a_python_that_does_not_run_is_not_called_old(project: Path) -> None:
    broken = project / "python3"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n")
    broken.chmod(0o755)
    done = bootstrap(project, PYTHON=str(broken))
    assert done.returncode == 2
    assert done.stderr == (
        f"error while loading shared libraries\n{broken} does not run; its message, if it has one, is above.\n"
        "Next: mend that Python, or name another one: make PYTHON=/path/to/python3.12\n"
    )


def with_pip(project: Path, script: str) -> subprocess.CompletedProcess[str]:
    """bootstrap.sh with two pinned packages and a pip that does this."""
    (project / "requirements.lock").write_text("one==1.0 \\\n    --hash=sha256:00\ntwo==2.0 \\\n    --hash=sha256:00\n")
    (project / "pip.sh").write_text(script)
    python = project / "python3"
    python.write_text(PYTHON_WITH_PIP)
    python.chmod(0o755)
    return bootstrap(project, PYTHON=str(python))


def test_each_package_is_told_as_it_is_fetched(project: Path) -> None:
    done = with_pip(
        project,
        "echo 'Collecting one==1.0 (from -r requirements.lock (line 1))'\necho '  Downloading one-1.0.whl (1 kB)'\n"
        "echo 'Collecting two==2.0 (from -r requirements.lock (line 3))'\n"
        "echo 'Installing collected packages: one, two'\necho 'Successfully installed one-1.0 two-2.0'\n",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Making .venv with Python 3.11.2 (once; a minute or two)\n"
        "  [1/2] one==1.0\n  [2/2] two==2.0\n  installing them\n"
    )
    assert (project / ".venv" / "installed").exists()


@pytest.mark.parametrize(
    ("versions", "cause", "remedy"),
    [
        ("0.4, 3.0.1", "no build of a pinned package that fits Python 3.11.2", "name another Python"),
        ("none", "pip could not install what requirements.lock names", "check the network"),
    ],
)
def test_a_package_that_does_not_fit_this_python_is_no_trouble_of_the_network(
    project: Path, versions: str, cause: str, remedy: str
) -> None:
    said = f"ERROR: Could not find a version that satisfies the requirement two==2.0 (from versions: {versions})"
    done = with_pip(project, f"echo 'Collecting one==1.0 (x)'\necho '{said}' >&2\nexit 1\n")
    assert done.returncode == 2
    assert said in done.stderr
    assert cause in done.stderr
    assert f"Next: {remedy}" in done.stderr
    assert not (project / ".venv" / "installed").exists()


def test_a_missing_python_is_named(project: Path) -> None:
    done = bootstrap(project, PYTHON="python-that-is-not-there")
    assert done.returncode == 2
    assert "There is no python-that-is-not-there on PATH." in done.stderr
    assert "Next: install Python 3.11 or newer" in done.stderr


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_how_to_get_it(project: Path, module: str) -> None:
    without = project / "without"
    without.mkdir()
    (without / f"{module}.py").write_text("raise ImportError('a distribution packages it apart')\n")
    done = bootstrap(project, PYTHON=sys.executable, PYTHONPATH=str(without))
    assert done.returncode == 2
    assert "This Python has no venv module." in done.stderr
    assert "python3-venv" in done.stderr
    assert not (project / ".venv").exists()


def test_a_folder_in_which_no_venv_can_be_made_is_told(project: Path) -> None:
    (project / ".venv").write_text("a file where the folder should be")
    done = bootstrap(project, PYTHON=sys.executable)
    assert done.returncode == 2
    assert "The folder .venv could not be made" in done.stderr


def test_an_unreachable_index_ends_with_a_sentence_and_is_tried_again_the_next_time(project: Path) -> None:
    index = f"http://127.0.0.1:{refused_port()}/simple"
    done = bootstrap(project, PYTHON=sys.executable, PIP_INDEX_URL=index)
    assert done.returncode == 2
    assert "pip could not install what requirements.lock names; its message is above." in done.stderr
    assert "Next: check the network and pip's proxy and mirror settings" in done.stderr
    assert not (project / ".venv" / "installed").exists(), "else the next make would take it for complete"


def test_the_lock_pins_every_package_with_a_hash_and_names_no_index(project: Path) -> None:
    lock = (project / "requirements.lock").read_text()
    pinned = re.findall(r"(?m)^[a-z0-9][\w.\-]*==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", lock)
    named = re.findall(r"(?m)^[a-z0-9]\S*", lock)
    assert len(pinned) == len(named) > 50
    assert "://" not in re.sub(r"(?m)^\s*#.*$", "", lock)


def pins() -> dict[str, metadata.Distribution]:
    """The pinned packages that are installed here, each in the version that is pinned."""
    lock = (ROOT / "requirements.lock").read_text()
    named = {canonicalize_name(name): version for name, version in re.findall(r"(?m)^([a-z0-9]\S*)==(\S+) \\$", lock)}
    here = {canonicalize_name(found.metadata["Name"]): found for found in metadata.distributions()}
    return {name: here[name] for name, version in named.items() if name in here and here[name].version == version}


def test_every_pinned_package_takes_the_first_python_that_is_promised() -> None:
    asked = {name: found.metadata["Requires-Python"] or ">=3" for name, found in pins().items()}
    assert len(asked) > 100
    assert {name: python for name, python in asked.items() if "3.11.0" not in SpecifierSet(python)} == {}


@pytest.mark.parametrize("system", [("linux", "Linux"), ("darwin", "Darwin")], ids=["Linux", "macOS"])
@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", "3.12.0", "3.13.0", "3.14.0"])
def test_the_lock_holds_what_its_packages_ask_for_on_every_python_and_system(
    python: str, system: tuple[str, str]
) -> None:
    """pip refuses a package that comes along without a hash; ``make lock`` has looked with one Python only."""
    lock = (ROOT / "requirements.lock").read_text()
    locked = {canonicalize_name(name) for name in re.findall(r"(?m)^([a-z0-9]\S*)==", lock)}
    here = {"python_full_version": python, "python_version": python.rpartition(".")[0], "extra": ""}
    here |= {"sys_platform": system[0], "platform_system": system[1], "os_name": "posix"}
    asked = [(name, Requirement(line)) for name, found in pins().items() for line in found.requires or ()]
    missing = [
        f"{name} asks for {wanted}"
        for name, wanted in asked
        if canonicalize_name(wanted.name) not in locked and (wanted.marker is None or wanted.marker.evaluate(here))
    ]
    assert missing == []


def test_bare_make_explains_itself_and_names_every_target(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "installed").touch()
    done = run(["make"], project)
    assert done.returncode == 0, done.stderr
    (phony,) = re.findall(r"(?m)^\.PHONY: (.+)$", (project / "Makefile").read_text())
    shown = dict(re.findall(r"(?m)^  make (\S+)\s+(.+)$", done.stdout))
    assert set(shown) == set(phony.split())
    assert {"rehearse", "test", "lab", "lint", "bench", "clean"} <= set(shown)
    assert "make rehearse and make test" in done.stdout


def test_make_hands_the_sentence_through(project: Path) -> None:
    done = run(["make", "lint", "PYTHON=python-that-is-not-there"], project)
    assert done.returncode == 2
    assert "There is no python-that-is-not-there on PATH." in done.stderr
