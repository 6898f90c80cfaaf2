"""Reading a parameters file: everything that is wrong with it is said at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters import documents, problems
from runbooks_lib.parameters.helm_values import read_values_file
from runbooks_lib.parameters.merging import merge
from runbooks_lib.parameters.model import Parameters
from runbooks_lib.parameters.overrides import Overrides, field_type, parse, paths
from runbooks_lib.parameters.places import project_root, resolve_path
from runbooks_lib.parameters.secret_references import secrets_in_clear

Json = dict[str, Any]


def load(path: str | FilePath, overrides: Overrides = ()) -> Parameters:
    """Read a parameters file.

    Args:
        path: The file; a relative path starts at the project's folder.
        overrides: ``{"verify.expect": "absent"}`` (dotted or nested keys), ``["verify.expect=absent"]``, or
            one such text; each wins over the file.

    Raises:
        ParametersError: The file or an override can't be used; the summary has one line for each problem.
    """
    shown = str(path)
    document = documents.read(_existing(path), shown)
    chosen = parse(overrides, Parameters)
    data = merge(_without_empty(document.data, Parameters), chosen)
    places = problems.Places(document, paths(chosen))
    lines: list[str] = []
    parameters: Parameters | None = None
    try:
        parameters = Parameters.model_validate(data)
    except ValidationError as error:
        lines += problems.lines(error.errors(), places, Parameters)
    values = data.get("values")
    lines += [places.line(("values", *where), said) for where, said in secrets_in_clear(values)]
    lines += _values_files(data.get("values_files"))
    if lines or parameters is None:
        raise ParametersError(
            documents.explain(shown, lines),
            next_step=f"Mend what is named, then try `runbooks parameters check {shown}`.",
        )
    parameters._source = shown
    return parameters


def dump(parameters: Parameters) -> Json:
    """The parameters as plain data that may be archived: references stay references."""
    return parameters.model_dump(mode="json")


def _existing(path: str | FilePath) -> FilePath:
    found = resolve_path(path)
    if found.exists():
        return found
    folder = project_root() / "parameters"
    names = sorted(file.name for file in folder.glob("*.yaml"))
    near = difflib.get_close_matches(found.name, names, n=1, cutoff=0.5) or names[:1]
    hint = f"The nearest file there is: parameters/{near[0]}." if near else f"There is no file in {folder}."
    raise ParametersError(
        f"The parameters file {path} does not exist (looked for {found}).",
        next_step=f"{hint} Relative paths start at the project's folder.",
    )


def _without_empty(data: Mapping[str, Any], model: type[BaseModel]) -> Json:
    """The data without known keys that have nothing after the colon: what is commented out is a default.

    Inside of ``values`` nothing is a value: for Helm it removes a default of the chart.
    """
    kept: Json = {}
    for key, value in data.items():
        kind = field_type((key,), model)
        if (
            isinstance(kind, type)
            and issubclass(kind, BaseModel)
            and (value is None or isinstance(value, Mapping))
        ):
            kept[key] = _without_empty(value or {}, kind)
        elif value is not None or key not in model.model_fields:
            kept[key] = value
    return kept


def _values_files(names: Any) -> list[str]:
    if not isinstance(names, list):
        return []
    lines: list[str] = []
    for name in names:
        if isinstance(name, str):
            try:
                read_values_file(name)
            except ParametersError as error:
                lines.append(error.summary)
    return lines
