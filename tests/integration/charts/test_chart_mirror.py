"""The check of the mirror on real renders: what it finds outside, and that the lines that it gives move it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.mirror import mirrored
from runbooks_lib.checks.values import without
from runbooks_lib.helm.chart import source_of
from runbooks_lib.parameters import Parameters
from runbooks_lib.parameters.helm_values import chart_values, merge, nested
from sandbox import charts

Objects = dict[tuple[str, str], dict[str, Any]]
SETTINGS: dict[str, Any] = {
    "target": {},
    "chart": {"path": str(charts.TREE)},
    "csghub": {"external_url": "http://csghub.example.com"},
    "gateway": {"domain": "example.com"},
    "mirror": "mainland-china",
}


@pytest.fixture
def asked(render: Callable[..., Objects]) -> Callable[..., Answer]:
    """What the check says of a version with these parameters besides."""

    def ask(settings: dict[str, Any], version: str) -> Answer:
        parameters = Parameters.model_validate(merge(SETTINGS, settings))
        values = chart_values(parameters)

        def rendered(values: dict[str, Any]) -> Any:
            manifest = yaml.safe_dump_all(render(values, version=version).values())
            return SimpleNamespace(rendered=SimpleNamespace(manifest=manifest, hooks=()))

        subject: Any = SimpleNamespace(
            boundaries=SimpleNamespace(parameters=parameters, namespace="csghub", chart_source=source_of(charts.TREE)),
            objects=list(render(values, version=version).values()),
            proposal=SimpleNamespace(values=values),
            with_values=rendered,
        )
        return mirrored(subject)

    return ask


@pytest.mark.parametrize("version", [version.number for version in charts.versions()])
def test_all_images_of_every_version_come_from_the_mirror(asked: Callable[..., Answer], version: str) -> None:
    answer = asked({}, version)
    assert (
        answer.status,
        answer.observed.endswith(" images, all from opencsg-registry.cn-beijing.cr.aliyuncs.com"),
    ) == ("pass", True)


def test_the_lines_that_it_gives_move_what_was_outside(asked: Callable[..., Answer]) -> None:
    away = {"image": {"registry": "docker.io"}}
    settings: dict[str, Any] = {
        "redis": away,
        "label_studio": away,
        # The gateway's images are left where the chart has them, as by a values file of old.
        "values": {"global": {"imageRegistry": ""}, "reloader": away},
    }
    answer = asked(settings, "1.16.0")
    assert answer.status == "fail"
    for said in ("docker.io/redis:", "docker.io/opencsghq/label-studio:", "docker.io/envoyproxy/gateway:", "reloader:"):
        assert said in answer.observed
    assert "docker.io/envoyproxy/ratelimit:3fb70258, with which ConfigMap envoy-gateway-config" in answer.observed
    assert ("Take redis.image.registry out: it keeps docker.io/redis:") in answer.remedy
    assert "Take values.global.imageRegistry out: it keeps docker.io/envoyproxy/" in answer.remedy
    assert "Take values.reloader.image.registry out: it keeps " in answer.remedy
    assert asked(mended(settings, answer), "1.16.0").status == "pass"


def mended(settings: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The settings after everything that the remedy says."""
    for line in answer.remedy.splitlines():
        if line.startswith("Take "):
            settings = without(settings, tuple(line.removeprefix("Take ").partition(" out: ")[0].split(".")))
        else:
            key, _, value = line.removeprefix("Write in the parameters: ").partition(": ")
            settings = merge(settings, nested(tuple(key.split(".")), value))
    return settings


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        (
            {"values": {"global": {"image": {"registry": "quay.io"}}, "dataflow": {"image": {"registry": "ghcr.io"}}}},
            "Take values.global.image.registry out: it keeps quay.io/",
        ),
        (
            {"images": {"registry": "docker.io", "envoy_registry": "docker.io/envoyproxy"}},
            "Take images.registry out: it keeps docker.io/",
        ),
    ],
)
def test_a_value_that_keeps_images_away_from_the_mirror_is_taken_out_and_no_line_is_written(
    asked: Callable[..., Answer], settings: dict[str, Any], first: str
) -> None:
    answer = asked(settings, "1.16.0")
    assert (answer.status, answer.remedy.startswith(first), "Write" in answer.remedy) == ("fail", True, False)
    assert len(answer.remedy.splitlines()) == 2
    assert asked(mended(settings, answer), "1.16.0").status == "pass"


def test_a_value_that_is_the_charts_own_needs_a_line(asked: Callable[..., Answer]) -> None:
    settings = {"values": {"envoy": {"image": {"registry": "docker.io"}}}}
    answer = asked(settings, "1.16.0")
    assert asked(mended(settings, answer), "1.16.0").status == "pass"
