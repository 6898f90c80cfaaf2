"""How chart values are merged: as Helm merges them, mappings key by key, everything else replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbooks_lib.parameters.secret_references import is_reference


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A new mapping in which ``over`` wins; neither argument is changed nor shared.

    Lists are replaced. So is a reference as a whole, on either side: half of one would be none.
    """
    merged = {key: copy_of(value) for key, value in under.items()}
    for key, value in over.items():
        below = merged.get(key)
        whole = is_reference(value) or is_reference(below)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not whole:
            merged[key] = merge(below, value)
        else:
            merged[key] = copy_of(value)
    return merged


def copy_of(data: Any) -> Any:
    """A copy of plain data that shares nothing."""
    if isinstance(data, Mapping):
        return {key: copy_of(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [copy_of(value) for value in data]
    return data
