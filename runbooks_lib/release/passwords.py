"""Passwords: which ones a chart would make up, and how they are kept out of plans, journals and texts.

The chart derives a default password from the minute of the install: predictable, and other at each render,
so that no digest would live longer than a minute. It looks the Secret up first, though, and keeps what is
there. So the plan makes the Secret beforehand, with a strong password and Helm's ownership metadata, and
the chart adopts it (measured with Helm 3 for PostgreSQL's and MongoDB's).
"""

import secrets
from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

from runbooks_lib.helm import Release
from runbooks_lib.parameters.components import COMPONENTS, component_of
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import claim_names, flat, hook_objects, images, key_of, objects_of, secret_values
from runbooks_lib.release.owners import LABELS, annotations_of
from runbooks_lib.results import Json

#: The type of the Secrets in which Helm keeps its revisions.
HELMS_OWN = "helm.sh/release.v1"
_PUBLIC_KEYS = frozenset(key for component in COMPONENTS for key in component.public_keys)
#: The entries of Secrets that are passwords of data stores.
PASSWORD_KEYS = frozenset(component.password_key for component in COMPONENTS if component.password_key)


class Generated(NamedTuple):
    """A password that the chart would make up.

    Attributes:
        secret: The rendered Secret, whose other entries are kept.
        key: Which entry of it is the password.
        rendered: What this render has in its place.
    """

    secret: Json
    key: str
    rendered: str

    @property
    def name(self) -> str:
        """The Secret's name."""
        return str(self.secret["metadata"]["name"])


def learn(redactor: Redactor, rendered: Release) -> None:
    """Make every value of every Secret of a manifest known to the redactor, before anything is stored."""
    for obj in [*objects_of(rendered.manifest), *hook_objects(rendered)]:
        if obj["kind"] == "Secret":
            learn_secret(redactor, obj)


def learn_secret(redactor: Redactor, secret: Json) -> None:
    """Make the values of one Secret known; entries that the components publish (user names) stay readable."""
    if secret.get("type") == HELMS_OWN:
        # A packed megabyte a revision, in dozens of forms; no log prints it.
        return
    for key, value in secret_values(secret):
        if key not in _PUBLIC_KEYS:
            redactor.register(value, f"{secret['metadata']['name']}#{key}")


def generated(boundaries: Boundaries, rendered: Release, values: Mapping[str, Any]) -> tuple[Generated, ...]:
    """The passwords in a render that neither the values given nor the chart's own have and that no live Secret holds yet."""
    given = {str(value) for side in (values, boundaries.chart_source.defaults) for _, value in flat(side)}
    found = []
    for secret in (obj for obj in objects_of(rendered.manifest) if obj["kind"] == "Secret"):
        entries = {key: value for key, value in secret_values(secret) if key in PASSWORD_KEYS and value}
        made_up = {key: value for key, value in entries.items() if value not in given}
        key = key_of(secret, boundaries.namespace)
        if made_up and boundaries.cluster.get("v1", "Secret", key.name, key.namespace) is None:
            found += [Generated(secret, name, value) for name, value in made_up.items()]
    return tuple(found)


def unpaired(boundaries: Boundaries, rendered: Release, values: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The claims that are there while their Secret is not and nobody has given its password, and the reverse."""
    objects, without = objects_of(rendered.manifest), (list[str](), list[str]())
    lost = {(made.name, made.key) for made in generated(boundaries, rendered, values)}
    secrets_ = [(str(obj["metadata"]["name"]), dict(secret_values(obj))) for obj in objects if obj["kind"] == "Secret"]
    for component in (each for each in COMPONENTS if each.password_key):
        key, own = component.password_key, (obj for obj in objects if component in _components(obj))
        holders = [name for name, entries in secrets_ if key in entries]
        for claim, secret in product((name for obj in own for name in claim_names(obj)), holders):
            pair = (("PersistentVolumeClaim", claim), ("Secret", secret))
            there = [boundaries.cluster.get("v1", *each, boundaries.namespace) is not None for each in pair]
            if there[0] and (secret, key) in lost:
                without[0].append(f"claim {claim} is there, Secret {secret} is not")
            if there == [False, True]:
                without[1].append(f"Secret {secret} is there, claim {claim} is not")
    return without


def _components(obj: Json) -> list[Any]:
    return [component_of(image) for image in images(obj, init=False).values()]


def strong() -> str:
    """A password of 32 characters (192 bits) without any that a URL or a shell would need quoted."""
    return secrets.token_urlsafe(24)


def owned_secret(boundaries: Boundaries, template: Json, passwords: dict[str, str]) -> Json:
    """The Secret to make beforehand: the rendered one with our passwords and Helm's ownership metadata.

    Args:
        template: The rendered Secret.
        passwords: The passwords to put in, by entry.
    """
    metadata = template["metadata"]
    # As they are: an entry may be no text.
    data = {key: value for key, value in (template.get("data") or {}).items() if key not in passwords}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": template.get("type", "Opaque"),
        "metadata": {
            "name": metadata["name"],
            "namespace": boundaries.namespace,
            "labels": dict(metadata.get("labels") or {}) | LABELS,
            "annotations": dict(metadata.get("annotations") or {}) | annotations_of(boundaries),
        },
        "data": data,
        "stringData": dict(template.get("stringData") or {}) | passwords,
    }
