"""Amounts are read as the official client reads them, and add up as the scheduler adds them."""

from __future__ import annotations

from decimal import ROUND_CEILING
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from runbooks_lib.checks.demand import claims_of, pods_of
from runbooks_lib.checks.quantities import thousandths

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
NUMBERS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,6})?", fullmatch=True)


@given(NUMBERS, st.sampled_from(SUFFIXES))
def test_an_amount_is_what_the_official_client_takes_it_for(number: str, suffix: str) -> None:
    expected = parse_quantity(number + suffix) * 1000
    assert thousandths(number + suffix) == int(expected.to_integral_value(ROUND_CEILING))


@given(st.text(alphabet="0123456789.eE+-miKMn x", max_size=8))
def test_a_text_that_the_official_client_refuses_is_refused(text: str) -> None:
    try:
        parse_quantity(text)
    except ValueError:
        with pytest.raises(ValueError, match="is no amount"):
            thousandths(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (2, 2000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("1E", 10**21),
        ("0.5", 500),
        (".5", 500),
        ("1n", 1),
        ("-1", -1000),
    ],
)
def test_all_spellings_are_known(text: object, value: int) -> None:
    assert thousandths(text) == value


def container(cpu: str = "", **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu} if cpu else {}}, **more}


def test_pods_and_claims_are_found_wherever_they_are_rendered() -> None:
    template = {"spec": {"containers": [container()]}}
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    named = {"metadata": {"name": "x"}}
    objects = [
        {"kind": "Deployment", "spec": {"replicas": 0, "template": template}} | named,
        {"kind": "StatefulSet", "spec": {"replicas": 2, "template": template, "volumeClaimTemplates": [claim]}} | named,
        {"kind": "Job", "spec": {"parallelism": 3, "template": template}} | named,
        {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}} | named,
        {"kind": "Pod", "spec": template["spec"]} | named,
        {"kind": "PersistentVolumeClaim", "spec": claim["spec"]} | named,
        {"kind": "ConfigMap"} | named,
    ]
    assert [(pods.owner["kind"], pods.copies) for pods in pods_of(objects)] == [
        ("Deployment", 0),
        ("StatefulSet", 2),
        ("Job", 3),
        ("CronJob", 1),
        ("Pod", 1),
    ]
    assert [each.name for each in claims_of(objects)] == ["data-x-0", "data-x-1", "x"]
