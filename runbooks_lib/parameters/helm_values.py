"""What the parameters mean as values of the Helm chart: the deployment guide's flags, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter
from typing import Any

from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters import documents
from runbooks_lib.parameters.merging import merge
from runbooks_lib.parameters.model import Parameters
from runbooks_lib.parameters.places import resolve_path
from runbooks_lib.parameters.secret_references import Reference, references_in, secrets_in_clear

Json = dict[str, Any]


@dataclass(frozen=True)
class Flag:
    """One flag of the guide.

    Attributes:
        key: Dotted key of the parameters.
        value: Dotted path of the chart's value.
        unless: The value that the chart has by itself, which is then left to it.
    """

    key: str
    value: str
    unless: Any = None


FLAGS: tuple[Flag, ...] = (
    Flag("gateway.domain", "global.gateway.external.domain"),
    Flag("csghub.external_url", "externalUrl"),
    # The chart's own default is a database that its built-in PostgreSQL does not create.
    Flag("databases.dataflow", "dataflow.postgresql.database"),
    Flag("databases.label_studio", "labelStudio.postgresql.database"),
    # Two flags for one registry: the gateway is a subchart, with a spelling of its own.
    Flag("images.registry", "global.image.registry", unless=""),
    Flag("images.envoy_registry", "global.imageRegistry", unless=""),
    Flag("gateway.service_type", "global.gateway.service.type", unless="LoadBalancer"),
    Flag("gateway.tls.enabled", "global.gateway.tls.enabled", unless=False),
    Flag("gateway.tls.secret_name", "global.gateway.tls.secretName", unless=""),
)


def chart_values(parameters: Parameters) -> Json:
    """The values for Helm: the guide's flags, then the values files in their order, then ``values``.

    Mappings are merged, lists replaced; a secret is still its reference (see :func:`references`).

    Raises:
        ParametersError: A values file is missing or can't be used.
    """
    files = [read_values_file(name) for name in parameters.values_files]
    return reduce(merge, [_flags(parameters), *files, parameters.values], {})


def references(parameters: Parameters) -> tuple[Reference, ...]:
    """The references to secrets in the values for Helm, in their order.

    Raises:
        ParametersError: A values file is missing or can't be used.
    """
    return tuple(references_in(chart_values(parameters)))


def read_values_file(name: str) -> Json:
    """The values in one file; secrets in it stand as references, as they do in ``values``.

    Raises:
        ParametersError: The file is missing or can't be used; one line for each problem.
    """
    document = documents.read(resolve_path(name), name)
    lines = [
        f"{name}:{document.line(path)}: {documents.dotted(path)} {said}"
        for path, said in secrets_in_clear(document.data)
    ]
    if lines:
        raise ParametersError(
            documents.explain(name, lines), next_step=f"Write references instead of secrets in {name}."
        )
    return document.data


def _flags(parameters: Parameters) -> Json:
    chosen: Iterable[Json] = (
        _nest(flag.value.split("."), attrgetter(flag.key)(parameters))
        for flag in FLAGS
        if flag.unless is None or attrgetter(flag.key)(parameters) != flag.unless
    )
    return reduce(merge, chosen, {})


def _nest(steps: list[str], value: Any) -> Json:
    nested: Any = value
    for step in reversed(steps):
        nested = {step: nested}
    return dict(nested)
