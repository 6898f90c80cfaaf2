"""A parameters file: one target and everything its stages need to know, typed.

::

    from runbooks_lib import parameters

    chosen = parameters.load("parameters/builtin.yaml", {"chart.version": "1.16.1"})
    chosen.target.namespace                  # "csghub"
    parameters.chart_values(chosen)          # what Helm gets; secrets are still references
    parameters.references(chosen)            # which secrets will be looked up, and where

References are parsed here and resolved in :mod:`runbooks_lib.secrets`.
"""

from runbooks_lib.parameters.components import COMPONENTS, Component, component_of
from runbooks_lib.parameters.helm_values import chart_values, references
from runbooks_lib.parameters.loading import dump, load
from runbooks_lib.parameters.merging import merge
from runbooks_lib.parameters.model import (
    Chart,
    CsgHub,
    Databases,
    Gateway,
    HelmSettings,
    Images,
    Parameters,
    Policy,
    Target,
    Tls,
    VerifySettings,
)
from runbooks_lib.parameters.places import project_root, resolve_path
from runbooks_lib.parameters.secret_references import (
    Reference,
    fill_references,
    is_reference,
    parse_reference,
)

__all__ = [
    "COMPONENTS",
    "Chart",
    "Component",
    "CsgHub",
    "Databases",
    "Gateway",
    "HelmSettings",
    "Images",
    "Parameters",
    "Policy",
    "Reference",
    "Target",
    "Tls",
    "VerifySettings",
    "chart_values",
    "component_of",
    "dump",
    "fill_references",
    "is_reference",
    "load",
    "merge",
    "parse_reference",
    "project_root",
    "references",
    "resolve_path",
]
