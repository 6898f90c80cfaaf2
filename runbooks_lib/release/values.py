"""The values that Helm is given: the parameters' own, the files', and secrets resolved from references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbooks_lib import secrets
from runbooks_lib.parameters import Reference, chart_values, fill_references
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import secret_values


def given(boundaries: Boundaries) -> dict[str, Any]:
    """The complete values for this target; a reference ``{from: …}`` becomes its value.

    Raises:
        UsageError: A reference can't be resolved.
    """

    def read_secret(namespace: str, name: str) -> Mapping[str, str]:
        found = boundaries.cluster.get("v1", "Secret", name, namespace)
        return dict(secret_values(found)) if found else {}

    def resolved(reference: Reference) -> str:
        text = secrets.resolve(reference.text, read_secret=read_secret, redactor=boundaries.redactor)
        return text.reveal()

    values: dict[str, Any] = fill_references(chart_values(boundaries.parameters), resolved)
    return values
