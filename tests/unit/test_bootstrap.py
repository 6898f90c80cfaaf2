"""Setting up on a fresh machine: each thing that may be missing gets a sentence, a next step and exit code 2."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("bootstrap.sh", "Makefile", "requirements.lock", "pyproject.toml")

#: What an old Python says; the test in bootstrap.sh ends with 1 in it.
PYTHON_39 = """#!/bin/sh
case "$1" in
    --version) echo "Python 3.9.2" ;;
    *) exit 1 ;;
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
