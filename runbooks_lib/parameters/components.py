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
        name: As ``parameters`` spells it.
        image: Matches an image by the last part of its repository, whatever registry, tag or digest.
        port: Where its container listens.
        password_key: The key of its Secret that holds its password; empty when it has none.
        public_keys: Keys of that Secret that are no secrets: known values of redaction leave them out, else
            every mention of a user's or a database's name would vanish from the evidence.
    """

    name: str
    image: re.Pattern[str]
    port: int
    password_key: str = ""
    public_keys: frozenset[str] = frozenset()


def _repository(*names: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|/)(?:{'|'.join(map(re.escape, names))})(?::[^/@]+)?(?:@[^/]+)?$")


COMPONENTS: tuple[Component, ...] = (
    Component(
        "postgresql",
        _repository("postgres", "postgresql"),
        5432,
        "POSTGRES_PASSWORD",
        frozenset({"POSTGRES_USER", "POSTGRES_MULTIPLE_DATABASES", "POSTGRES_HOST_AUTH_METHOD"}),
    ),
    Component("redis", _repository("redis"), 6379),
    Component(
        "mongo",
        _repository("mongo", "mongodb"),
        27017,
        "MONGO_INITDB_ROOT_PASSWORD",
        frozenset({"MONGO_INITDB_ROOT_USERNAME"}),
    ),
    # The Celery worker runs the same image as the API.
    Component("dataflow", _repository("dataflow"), 8000),
    Component("label-studio", _repository("label-studio"), 8002),
)


def component_of(image: str) -> Component | None:
    """The component that an image belongs to, or ``None`` for an image that is not ours."""
    return next((component for component in COMPONENTS if component.image.search(image)), None)
