"""A parameters file of a release that somebody installed by hand: what Helm stored, as our keys, secrets as references."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import reduce
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from runbooks_lib.cluster import Forbidden
from runbooks_lib.helm import Revision
from runbooks_lib.parameters import Parameters, chart_values
from runbooks_lib.parameters.documents import Path, at, leaves
from runbooks_lib.parameters.helm_values import FLAGS, merge, nested
from runbooks_lib.parameters.model import FIELDS
from runbooks_lib.parameters.reference import secrets_in_clear
from runbooks_lib.parameters.section import Section
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.release.passwords import HELMS_OWN
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Json

_HEAD = """\
# yaml-language-server: $schema=schema.json
#
# Made of the release {release} in namespace {namespace}, revision {revision} ({chart}), as Helm stored it.
# Every key is explained in parameters/builtin.yaml; what is left out here is left to the chart.
# Check it: runbooks parameters check FILE; then: runbooks plan upgrade -p FILE, which should have nothing to do.
"""
_NO_PIN = "# may not be read with these rights: ask for `kubectl get namespace kube-system -o jsonpath={.metadata.uid}`"
_ENVIRONMENT = "# Helm keeps this password in clear. Export it where a runbook is started: "


def parameters_of(boundaries: Boundaries, *, repository: str) -> str:
    """The text of a parameters file with which an upgrade to the same version has nothing to do.

    Args:
        repository: Where the chart comes from; Helm does not store it.

    Raises CheckFailed: There is no such release.
    """
    stored = boundaries.helm.status(boundaries.release)
    if stored is None:
        # Both names are arguments here: there is no parameters file yet that could be corrected.
        raise refused("nothing to read", release=boundaries.release, namespace=boundaries.namespace)
    last: Revision = boundaries.helm.history(boundaries.release)[-1]
    name, version = last.chart_and_version
    told, comments = _without_secrets(boundaries, stored.values)
    settings = boundaries.parameters.target
    target: Json = {"kubeconfig": settings.kubeconfig, "context": settings.context}
    pin = ""
    with suppress(Forbidden):
        pin = boundaries.cluster.uid()
    target |= {"cluster_uid": pin, "namespace": boundaries.namespace, "release": boundaries.release}
    helm = boundaries.parameters.helm.model_dump(exclude_defaults=True)
    base: Json = {"target": target, **({"helm": helm} if helm else {})}
    base |= {"chart": {"repository": repository, "name": name, "version": version}}
    base |= {"gateway": {"domain": "example.com"}, "csghub": {"external_url": "https://csghub.example.com"}}
    base |= {"dataflow": {"postgresql": {"database": ""}}, "label_studio": {"postgresql": {"database": ""}}}
    typed = reduce(_adopted, _typed(told), base)
    typed["values"] = _rest(told, typed)
    head = _HEAD.format(release=stored.name, namespace=stored.namespace, revision=stored.revision, chart=last.chart)
    text = yaml.safe_dump(typed, sort_keys=False, allow_unicode=True, width=10_000)
    text = text.replace("cluster_uid: ''\n", f"cluster_uid: ''  {_NO_PIN}\n")
    for reference, comment in comments.items():
        text = text.replace(f"from: {reference}\n", f"from: {reference}  {comment}\n")
    return f"{head}\n{text}"


def _without_secrets(boundaries: Boundaries, values: Json) -> tuple[Json, dict[str, str]]:
    """The values with a reference for each secret, and a comment for each that must be provided."""
    live = boundaries.cluster.list("v1", "Secret", boundaries.namespace)
    held = {
        value: f"k8s:{boundaries.namespace}/{secret['metadata']['name']}#{key}"
        for secret in live
        if secret.get("type") != HELMS_OWN
        for key, value in secret_values(secret)
    }
    comments: dict[str, str] = {}
    for path, _ in list(secrets_in_clear(values)):
        value = at(values, path)
        boundaries.redactor.register(str(value), ".".join(map(str, path)))
        variable = "_".join(str(step) for step in path).upper().replace("-", "_")
        reference = held.get(str(value), f"env:{variable}")
        if reference.startswith("env:"):
            comments[reference] = _ENVIRONMENT + variable
        values = _replaced(values, path, {"from": reference})
    return values, comments


def _typed(values: Json) -> Iterator[Json]:
    """For each of our keys that the stored values set: the key with its value."""
    for key, flag, unless in FLAGS:
        path = tuple(key.split("."))
        value = _ours(FIELDS.get(path), at(values, tuple(flag.split("."))))
        if value is not None and value != unless:
            yield nested(path, value)


def _ours(kind: Any, value: Any) -> Any:
    """A value of the chart as our key takes it: of a section those keys that it has."""
    sections = [one for one in get_args(kind) or [kind] if isinstance(one, type) and issubclass(one, Section)]
    if not sections or not isinstance(value, Mapping):
        return value if not sections else None
    fields = sections[0].model_fields
    found = {name: _ours(field.annotation, value.get(to_camel(name))) for name, field in fields.items()}
    return {name: one for name, one in found.items() if one is not None} or None


def _adopted(made: Json, one: Json) -> Json:
    """The file with one key more, if it can be written so; else it stays a value of the chart."""
    tried = merge(made, one)
    try:
        Parameters.model_validate(tried)
    except ValidationError:
        return made
    return tried


def _rest(values: Json, typed: Json) -> Json:
    """What our keys do not say, or say otherwise."""
    said = chart_values(Parameters.model_validate(typed))
    left = (nested(path, value) for path, value in leaves(values) if at(said, path) != value)
    return reduce(merge, left, {})


def _replaced(data: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    if isinstance(data, list):
        return [_replaced(one, path[1:], value) if index == path[0] else one for index, one in enumerate(data)]
    return {key: _replaced(one, path[1:], value) if key == path[0] else one for key, one in data.items()}
