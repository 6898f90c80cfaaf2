"""Renders of the packaged rehearsal chart by the real helm, with no cluster."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbooks_lib import process
from sandbox import charts

Objects = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="session")
def helm_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which helm has a home of its own."""
    home = tmp_path_factory.mktemp("helm")
    return {**os.environ, **{f"HELM_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "CACHE", "DATA")}}


@pytest.fixture(scope="session")
def template(
    helm_executable: str, helm_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., process.Completed]:
    """``helm template`` of a version with values."""
    packages = tmp_path_factory.mktemp("packages")
    charts.publish(packages, helm=helm_executable, url="http://127.0.0.1")

    def render(
        values: Mapping[str, Any] | None = None, *, version: str = "1.16.0", release: str = "dataflow"
    ) -> process.Completed:
        package = packages / f"{charts.NAME}-{version}.tgz"
        argv = [helm_executable, "template", release, str(package), "--namespace", "csghub", "--values", "-"]
        return process.run(argv, timeout=60, stdin=yaml.safe_dump(values or {}), env=helm_environment, cwd=packages)

    return render


@pytest.fixture(scope="session")
def render(template: Callable[..., process.Completed]) -> Callable[..., Objects]:
    """The rendered objects by kind and name."""

    def objects(values: Mapping[str, Any] | None = None, **settings: str) -> Objects:
        ended = template(values, **settings)
        assert ended.ok, ended.stderr
        documents = [document for document in yaml.safe_load_all(ended.stdout) if document]
        found = {(document["kind"], document["metadata"]["name"]): document for document in documents}
        assert len(found) == len(documents), "two objects of one kind and name"
        return found

    return objects


@pytest.fixture(scope="session")
def refusal(template: Callable[..., process.Completed]) -> Callable[..., str]:
    """What helm says when it refuses values."""

    def said(values: Mapping[str, Any]) -> str:
        ended = template(values)
        assert ended.returncode == 1
        return ended.stderr

    return said


@pytest.fixture(scope="session")
def installed_by_default(render: Callable[..., Objects]) -> Objects:
    """Version 1.16.0 with no values at all."""
    return render()


@pytest.fixture(scope="session")
def places() -> Callable[[Objects, str], set[tuple[str, str, str]]]:
    """Where a text stands, also in base64: kind, name and key, or kind, name and init container."""

    def found(objects: Objects, text: str) -> set[tuple[str, str, str]]:
        places = set()
        for (kind, name), document in objects.items():
            for key, value in document.get("data", {}).items():
                clear = base64.b64decode(value).decode() if kind == "Secret" else value
                if text in clear:
                    places.add((kind, name, key))
            for container in _init_containers(document):
                if text in " ".join(container["command"]):
                    places.add((kind, name, container["name"]))
        elsewhere = yaml.safe_dump_all(list(objects.values()), width=10_000).count(text)
        in_the_clear = [place for place in places if place[0] != "Secret"]
        assert elsewhere == len(in_the_clear), "the text stands in a place that was not looked at"
        return places

    return found


def _init_containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    template = document["spec"].get("template", {}) if "spec" in document else {}
    containers: list[dict[str, Any]] = template.get("spec", {}).get("initContainers", [])
    return containers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "served"
