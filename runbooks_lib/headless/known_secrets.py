"""Looking up the secrets of a record again, for whoever has to search it for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from runbooks_lib import parameters, secrets
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import RunbookError
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.manifest import secret_values


def register(folder: Path, redactor: Redactor) -> bool:
    """Register every secret that a record's parameters refer to.

    Returns:
        False when one of them can't be looked up: then nobody can tell whether the record holds it.
    """
    path = folder / "parameters.json"
    if not path.exists():
        # The run ended before it had read its parameters, so it has looked nothing up.
        return True
    try:
        settings = parameters.Parameters.model_validate(json.loads(path.read_text(encoding="utf-8")))
        for reference in parameters.references(settings):
            secrets.resolve(reference.text, read_secret=_reader(settings), redactor=redactor)
    except (OSError, ValueError, ValidationError, RunbookError):
        return False
    return True


def _reader(settings: parameters.Parameters) -> secrets.ReadSecret:
    def read(namespace: str, name: str) -> Mapping[str, str]:
        target = settings.target
        kubeconfig = parameters.resolve_path(target.kubeconfig) if target.kubeconfig else None
        found = Cluster.connect(kubeconfig, target.context).get("v1", "Secret", name, namespace)
        return dict(secret_values(found)) if found else {}

    return read
