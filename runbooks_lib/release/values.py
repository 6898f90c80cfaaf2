"""The values that Helm is given: the parameters' own, the files', and secrets resolved from references."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from runbooks_lib import parameters, records, secrets
from runbooks_lib.cluster import Cluster, Forbidden
from runbooks_lib.errors import RunbookError
from runbooks_lib.helm import Release
from runbooks_lib.parameters import Reference, chart_values, fill_references, named_as
from runbooks_lib.parameters.documents import Path, at, dotted
from runbooks_lib.parameters.reference import secrets_in_clear
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.release.passwords import learn, learn_secret
from runbooks_lib.results import Json


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
        how: Json = {"redactor": boundaries.redactor, "typed": boundaries.typed}
        try:
            return secrets.resolve(reference.text, read_secret=read, **how).get_secret_value()
        except RunbookError as error:
            named = ", ".join(named_as(boundaries.parameters, path) for path in _paths(values, reference))
            raise type(error)(
                f"{named}: {error.summary}", next_step=error.next_step, evidence=error.evidence
            ) from error

    values = chart_values(boundaries.parameters)
    return dict(fill_references(values, resolved))


def known_in(boundaries: Boundaries, *releases: Release) -> Redactor:
    """What is secret in some releases by its place alone: so that a plan's words, and its digest, are the same in every run.

    The run's own redactor knows more, the later the more: of what it has looked at, and by other names.
    """
    known, wanted = Redactor(), chart_values(boundaries.parameters)
    referred = [path for each in parameters.references(boundaries.parameters) for path in _paths(wanted, each)]
    for release in releases:
        for path in (*referred, *(path for path, _ in secrets_in_clear(release.values))):
            if (value := at(release.values, path)) is not None:
                known.register(str(value), dotted(path))
        learn(known, release)
    return known


def _paths(data: Any, reference: Reference, above: Path = ()) -> Iterator[Path]:
    """Where in some chart values a reference stands."""
    if data == {"from": reference.text}:
        yield above
    elif isinstance(data, Mapping | list | tuple):
        for step, value in data.items() if isinstance(data, Mapping) else enumerate(data):
            yield from _paths(value, reference, (*above, step))


def register(folder: FilePath, redactor: Redactor) -> bool:
    """Register every secret that a run could have written into its record; whether each of them could be looked up.

    These are those that its parameters refer to, and once it had reached its target those of the target's namespace.
    """
    path = folder / "parameters.json"
    records.register_canary(folder, redactor)
    opened = any(event["kind"] == "run.opened" for event in records.read_events(folder))
    if not path.exists():
        # A run that ended before it had read its parameters has looked nothing up; of another one they were removed.
        return not opened

    def connected() -> Cluster:
        target = settings.target
        kubeconfig = parameters.resolve_path(target.kubeconfig) if target.kubeconfig else None
        return Cluster.connect(kubeconfig, target.context)

    def read(namespace: str, name: str) -> Mapping[str, str]:
        return read_secret(connected(), namespace, name)

    try:
        settings = parameters.Parameters.model_validate_json(path.read_bytes())
        for reference in parameters.references(settings):
            secrets.resolve(reference.text, read_secret=read, redactor=redactor)
        if opened:
            # What it may not read it has not read, nor the logs that print it.
            with suppress(Forbidden), connected() as cluster:
                for secret in cluster.list("v1", "Secret", settings.target.namespace):
                    learn_secret(redactor, secret)
    except (OSError, ValueError, RunbookError):
        return False
    return True
