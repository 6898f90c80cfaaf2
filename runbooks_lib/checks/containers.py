"""Which images the rendered objects run, where, and with which pull secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from runbooks_lib.probes.registry import Image, parse
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.rendered import pods_of
from runbooks_lib.results import Json

if TYPE_CHECKING:
    from runbooks_lib.checks.prerequisites import Subject

_IMAGE_LINE = re.compile(r"^[\s-]*image:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)


class Use(NamedTuple):
    """A container of a rendered object and its image; ``secrets`` are namespace and name of what its pod pulls with."""

    obj: Json
    container: str
    text: str
    secrets: tuple[tuple[str, str], ...]

    @property
    def image(self) -> Image | None:
        """Where the image comes from; ``None``: it is no image's name."""
        return parsed(self.text)

    def __str__(self) -> str:
        """For people."""
        return f"{key_of(self.obj)} ({self.container})"


def parsed(text: str) -> Image | None:
    """Where an image comes from; ``None``: it is no image's name."""
    try:
        return parse(text)
    except ValueError:
        return None


def uses_of(subject: Subject) -> list[Use]:
    """All containers of the rendered objects, init containers and those of hooks included."""
    found = []
    for pods in pods_of(subject.objects):
        namespace = key_of(pods.owner, subject.boundaries.namespace).namespace
        secrets = tuple((namespace, str(named["name"])) for named in pods.spec.get("imagePullSecrets") or ())
        containers = [*(pods.spec.get("initContainers") or ()), *pods.spec["containers"]]
        found += [
            Use(pods.owner, str(each.get("name", "")), str(each.get("image", "")), secrets) for each in containers
        ]
    return found


def texts_of(objects: list[Json]) -> set[str]:
    """All images that some objects name, as they are written: their pods', and those of which a controller is told."""
    specs = [pods.spec for pods in pods_of(objects)]
    containers = (each for spec in specs for key in ("initContainers", "containers") for each in spec.get(key) or ())
    return {str(each.get("image", "")) for each in containers} | {text for obj in objects for text in mentions(obj)}


def mentions(data: Any) -> Iterator[str]:
    """Images with their registry that stand elsewhere in an object: a controller starts pods with them later."""
    for key, inner in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if isinstance(inner, str):
            texts = _IMAGE_LINE.findall(inner) if str(key).endswith((".yaml", ".yml")) else [inner] * (key == "image")
            yield from (text for text in texts if (image := parsed(text)) and text.startswith(f"{image.registry}/"))
        else:
            yield from mentions(inner)


def few(names: Iterable[object]) -> str:
    """The first three of some names, and how many more there are."""
    each = list(dict.fromkeys(map(str, names)))
    return ", ".join(each[:3]) + (f" and {len(each) - 3} more" if len(each) > 3 else "")
