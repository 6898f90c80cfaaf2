"""What runs in a container is known by its image's repository, whatever registry it was pulled from."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from runbooks_lib.parameters.components import COMPONENTS, PORTS, Access, Login, component_of


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


def test_every_protocol_has_a_usual_port() -> None:
    spoken = {login.protocol for component in COMPONENTS for login in (component.itself, *component.uses)}
    assert spoken == set(PORTS)


def test_what_serves_pages_names_them_and_nothing_else_does() -> None:
    assert {component.name for component in COMPONENTS if component.pages} == {"dataflow", "label-studio"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"URL": "redis://h:7000/3"}, {"host": "h", "port": 7000, "database": "3"}),
        ({"URL": "redis://h"}, {"host": "h", "port": 6379}),
        ({"URL": "redis://u:p%40s%2Fs@h:1"}, {"host": "h", "port": 1, "user": "u", "password": "p@s/s"}),
        ({"URL": "redis://:p@h"}, {"host": "h", "port": 6379, "password": "p"}),
        ({"URL": ""}, {"port": 6379}),
        ({}, {"port": 6379}),
    ],
)
def test_one_variable_may_hold_the_whole_address(variables: dict[str, str], found: dict[str, Any]) -> None:
    assert Login(protocol="redis", url="URL").read(variables) == Access(**found)


def test_several_variables_may_hold_it_too() -> None:
    login = Login(protocol="postgresql", host="H", port="P", user="U", password="W", database="D")
    assert login.read({"H": "h", "P": "1", "U": "u", "W": "w", "D": "d", "X": "x"}) == Access(
        host="h", port=1, user="u", password="w", database="d"
    )
    assert login.read({"H": "h"}) == Access(host="h", port=5432)


def test_no_password_is_shown_and_none_is_repeated_by_an_error() -> None:
    secret = secrets.token_urlsafe(12)
    assert secret not in repr(Access(password=secret))
    with pytest.raises(ValueError, match=r"^URL holds no address$"):
        Login(protocol="redis", url="URL").read({"URL": f"redis://u:{secret}@h:port"})
