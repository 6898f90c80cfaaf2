"""Chart values are merged as Helm merges them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks_lib.parameters.helm_values import merge
from runbooks_lib.parameters.reference import is_reference

_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_keys = st.sampled_from(["a", "b", "c", "from"])
_data = st.dictionaries(
    _keys,
    st.recursive(_leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=3)),
    max_size=3,
)


@pytest.mark.parametrize(
    ("under", "over", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"from": "env:A"}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {"from": "env:A"}}, {"a": {"from": "env:A"}}),
        ({"a": {"from": "env:A"}}, {"a": {"from": "env:B"}}, {"a": {"from": "env:B"}}),
    ],
)
def test_mappings_are_merged_and_all_else_is_replaced(
    under: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge(under, over) == merged


@_patient
@given(_data, _data)
def test_merging_changes_neither_side_and_shares_nothing(under: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((under, over))
    merged = merge(under, over)
    for value in merged.values():
        if isinstance(value, dict):
            value["changed"] = True
        if isinstance(value, list):
            value.append("changed")
    assert (under, over) == before


@_patient
@given(_data, _data)
def test_the_upper_side_wins_wherever_it_says_something(under: dict[str, Any], over: dict[str, Any]) -> None:
    def holds(merged: Any, wanted: Any) -> bool:
        if isinstance(wanted, dict) and isinstance(merged, dict) and not is_reference(wanted):
            return all(key in merged and holds(merged[key], value) for key, value in wanted.items())
        return bool(merged == wanted)

    merged = merge(under, over)
    # Key by key: a whole file of values is no reference, also when `from` is its one key.
    assert all(holds(merged[key], value) for key, value in over.items())
    assert all(merged[key] == value for key, value in under.items() if key not in over)


@_patient
@given(_data)
def test_merging_with_nothing_or_itself_changes_nothing(data: dict[str, Any]) -> None:
    assert merge(data, {}) == merge({}, data) == merge(data, data) == data
