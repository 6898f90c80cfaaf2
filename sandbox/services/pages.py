"""What the web servers and their applications share: an application, and what its routes answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

#: Who asks with this name is the sandbox itself; a line for each of its questions would hide all others.
KNOCKING = "sandbox-readiness"


@dataclass(frozen=True)
class Answer:
    """What a route answers: text as it is, anything else as JSON."""

    body: object
    status: int = 200
    kind: str = "application/json"
    location: str = ""

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()


class Application(Protocol):
    """One of the two applications; a route may raise ``Unavailable``."""

    @property
    def routes(self) -> Mapping[str, Callable[[], Answer]]:
        """What is answered, by path."""
        ...

    @property
    def missing(self) -> Answer:
        """The answer for any other path."""
        ...

    @property
    def ready(self) -> str:
        """The line of its log that says it serves."""
        ...

    def prepare(self) -> None:
        """What it does once at its start: log in everywhere, have its tables."""


def page(title: str, text: str = "") -> Answer:
    """A small HTML page."""
    return Answer(
        f"<!doctype html><html><head><title>{title}</title></head><body>{text}</body></html>", kind="text/html"
    )
