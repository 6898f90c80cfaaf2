"""The values that Helm is given: the parameters' own, the files', and secrets resolved from references."""

from functools import partial
from typing import Any

from runbooks_lib import secrets
from runbooks_lib.cluster import Cluster
from runbooks_lib.parameters import Reference, chart_values, fill_references
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import secret_values


def read_secret(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """The decoded entries of a Secret; none where it is not there."""
    found = cluster.get("v1", "Secret", name, namespace)
    return dict(secret_values(found)) if found else {}


def given(boundaries: Boundaries) -> dict[str, Any]:
    """The complete values for this target; a reference ``{from: …}`` becomes its value.

    Raises UsageError: A reference can't be resolved.
    """

    def resolved(reference: Reference) -> str:
        read = partial(read_secret, boundaries.cluster)
        return secrets.resolve(reference.text, read_secret=read, redactor=boundaries.redactor).get_secret_value()

    return dict(fill_references(chart_values(boundaries.parameters), resolved))
