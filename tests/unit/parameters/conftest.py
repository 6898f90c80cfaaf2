"""A project of one's own for every test of parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

#: The smallest file that can be used.
MINIMAL = """\
target: {}
chart:
  version: "1.16.0"
csghub:
  external_url: https://csghub.example.com
gateway:
  domain: example.com
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parameters").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.delenv("RUNBOOKS_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(project: Path) -> Callable[..., str]:
    """Writes a file of the project and gives its name."""

    def writing(content: str | bytes = MINIMAL, name: str = "parameters/mine.yaml") -> str:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return writing
