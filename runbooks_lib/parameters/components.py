"""The one table of what the product is made of, matched by image.

A chart renames its objects; the repository of an image stays. No other module branches on these names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """One row.

    Attributes:
        image: Matches an image by the last part of its repository, whatever registry, tag or digest.
        password_key: The key of its Secret that holds its password; empty when it has none.
        public_keys: Keys of that Secret that are no secrets, so that a user's name stays in the evidence.
    """

    name: str
    image: re.Pattern[str]
    password_key: str = ""
    public_keys: frozenset[str] = frozenset()


def _component(name: str, images: str, password_key: str = "", *public_keys: str) -> Component:
    image = re.compile(rf"(?:^|/)(?:{images})(?::[^/@]+)?(?:@[^/]+)?$")
    return Component(name, image, password_key, frozenset(public_keys))


_POSTGRES_KEYS = ("POSTGRES_USER", "POSTGRES_MULTIPLE_DATABASES", "POSTGRES_HOST_AUTH_METHOD")

COMPONENTS: tuple[Component, ...] = (
    _component("postgresql", "postgres|postgresql", "POSTGRES_PASSWORD", *_POSTGRES_KEYS),
    _component("redis", "redis"),
    _component("mongo", "mongo|mongodb", "MONGO_INITDB_ROOT_PASSWORD", "MONGO_INITDB_ROOT_USERNAME"),
    # The Celery worker runs the same image as the API.
    _component("dataflow", "dataflow"),
    _component("label-studio", "label-studio"),
)


def component_of(image: str) -> Component | None:
    """The component that an image belongs to, or ``None`` for an image that is not ours."""
    return next((component for component in COMPONENTS if component.image.search(image)), None)
