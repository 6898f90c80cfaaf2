"""The key under which the programs are kept."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.toolchain import families
from sandbox.toolchain.families import FAMILIES, Family


class Copied(Family):
    """A family whose go.mod is a test's own."""

    at: Path

    @property
    def folder(self) -> Path:
        return self.at


@pytest.fixture
def family(tmp_path: Path) -> Copied:
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.25.3\n")
    (tmp_path / "go.sum").write_text("sum\n")
    made = Copied("x", programs=(("x", "x"),))
    object.__setattr__(made, "at", tmp_path)
    return made


def test_the_same_inputs_give_the_same_key(family: Copied) -> None:
    assert families.cache_key((family,)) == families.cache_key((family,))


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_each_file_is_part_of_the_key(family: Copied, name: str) -> None:
    before = families.cache_key((family,))
    (family.folder / name).write_text("module y\n")
    assert families.cache_key((family,)) != before


def test_the_platform_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = families.cache_key()
    monkeypatch.setattr(platform, "machine", lambda: "another")
    assert families.cache_key() != before


def test_the_flags_are_part_of_the_key() -> None:
    other = tuple(replace(family, ldflags="") for family in FAMILIES)
    assert families.cache_key(other) != families.cache_key()


def test_every_family_has_its_pinned_files() -> None:
    for family in FAMILIES:
        assert {"go.mod", "go.sum"} <= {file.name for file in family.folder.iterdir()}


def test_the_newest_go_that_any_family_asks_for_is_needed(family: Copied) -> None:
    assert families.needed_go((family,)) == (1, 25, 3)
    assert families.needed_go() >= (1, 26)


def test_a_folder_is_complete_only_with_all_programs_and_crds(tmp_path: Path) -> None:
    absent = families.missing(tmp_path)
    assert "bin/kube-apiserver" in absent
    assert "crds/gateway-api" in absent
    for path in absent:
        (tmp_path / path).mkdir(parents=True)
    assert families.missing(tmp_path) == ()


def test_the_versions_told_to_the_linker_are_those_of_go_mod() -> None:
    for family in FAMILIES:
        for version in re.findall(r"ersion=(v\d+\.\d+\.\d+)", family.ldflags):
            assert f" {version}" in (family.folder / "go.mod").read_text()


def test_a_program_of_our_own_is_part_of_its_familys_key(family: Copied) -> None:
    before = family.key
    (family.folder / "main.go").write_text("package main\n")
    assert family.key != before
