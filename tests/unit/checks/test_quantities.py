"""Amounts add up exactly, and are told as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.cluster.quantities import thousandths, told
from runbooks_lib.release.rendered import claims_of, pods_of


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


@pytest.mark.parametrize(
    ("number", "resource", "text"),
    [
        (1500, "cpu", "1.5"),
        (1, "cpu", "0.001"),
        (2000, "pods", "2"),
        (10 * 2**30 * 1000, "requests.storage", "10Gi"),
        (1536 * 2**20 * 1000, "memory", "1.5Gi"),
        (-(2**20) * 1000, "limits.memory", "-1Mi"),
        (0, "memory", "0"),
    ],
)
def test_amounts_are_told_as_people_write_them(number: int, resource: str, text: str) -> None:
    assert told(number, resource) == text


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
