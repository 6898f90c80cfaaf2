"""What runs in a container is known by its image's repository, whatever registry it was pulled from."""

from __future__ import annotations

import pytest

from runbooks_lib.parameters.components import COMPONENTS, component_of


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/opencsghq/postgres:15.10", "postgresql"),
        ("postgres", "postgresql"),
        ("bitnami/postgresql@sha256:" + "a" * 64, "postgresql"),
        ("docker.io/redis:7.2.5", "redis"),
        ("localhost:5000/opencsghq/redis:7.2.5@sha256:" + "a" * 64, "redis"),
        ("opencsg-registry.cn-beijing.cr.aliyuncs.com/opencsghq/mongo:8.0.12", "mongo"),
        ("docker.io/opencsghq/dataflow:v1.16.0", "dataflow"),
        ("docker.io/opencsghq/label-studio:v1.16.0", "label-studio"),
        ("docker.io/opencsghq/stakater-reloader:v1", None),
        ("oliver006/redis_exporter:v1", None),
        ("postgres:5000/team/tool:1", None),
        ("redis/tool", None),
        ("", None),
    ],
)
def test_an_image_is_matched_by_the_last_part_of_its_repository(image: str, name: str | None) -> None:
    found = component_of(image)
    assert (found.name if found else None) == name


def test_no_password_is_public() -> None:
    assert all(component.password_key not in component.public_keys for component in COMPONENTS)
