"""A parameters file: one target and everything its stages need to know, typed."""

from runbooks_lib.parameters.helm_values import chart_values, named_as, references
from runbooks_lib.parameters.loading import dump, load, require_unchanged
from runbooks_lib.parameters.model import Parameters, RecordsSettings, Waiver
from runbooks_lib.parameters.places import code_of, notebook_path, project_root, resolve_path
from runbooks_lib.parameters.reference import Reference, fill_references, parse_reference

__all__ = [
    "Parameters",
    "RecordsSettings",
    "Reference",
    "Waiver",
    "chart_values",
    "code_of",
    "dump",
    "fill_references",
    "load",
    "named_as",
    "notebook_path",
    "parse_reference",
    "project_root",
    "references",
    "require_unchanged",
    "resolve_path",
]
