"""What a container is given by files, as the official images take their secrets."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runbooks_lib.cluster.environment import Missing, from_files
from runbooks_lib.results import Json

SECRET: Json = {"data": {"pg": base64.b64encode(b"from the secret\n").decode()}}
THERE = {("Secret", "keys"): SECRET, ("ConfigMap", "conf"): {"data": {"pg": "from the map"}}}


def read(kind: str, name: str) -> Json | None:
    return THERE.get((kind, name))


def given(path: str, volume: Json, *mounts: Json, **variables: str) -> dict[str, str]:
    pod = {"spec": {"volumes": [{"name": "k", **volume}, {"name": "d", "emptyDir": {}}]}}
    container = {"volumeMounts": [{"name": "k", "mountPath": "/run/keys"}, *mounts]}
    return from_files(["PW", "OTHER"], {"PW_FILE": path, **variables}, container, pod, read)


@pytest.mark.parametrize(
    ("path", "volume", "found"),
    [
        ("/run/keys/pg", {"secret": {"secretName": "keys"}}, "from the secret"),
        ("/run/keys/pg", {"configMap": {"name": "conf"}}, "from the map"),
        (
            "/run/keys/in/x",
            {"secret": {"secretName": "keys", "items": [{"key": "pg", "path": "in/x"}]}},
            "from the secret",
        ),
        ("/run/keys/pg", {"projected": {"sources": [{"secret": {"name": "keys"}}]}}, "from the secret"),
        ("/run/keys/pg", {"secret": {"secretName": "gone", "optional": True}}, None),
        ("/run/keys/no", {"secret": {"secretName": "keys"}}, None),
        ("/elsewhere/pg", {"secret": {"secretName": "keys"}}, None),
        ("/run/keys/pg", {"hostPath": {"path": "/etc"}}, None),
    ],
)
def test_a_file_is_found_where_its_volume_has_it_from(path: str, volume: Json, found: str | None) -> None:
    assert given(path, volume).get("PW") == found


def test_one_file_may_be_mounted_alone_or_hidden_by_a_mount_below() -> None:
    alone = {"name": "k", "mountPath": "/pw", "subPath": "pg"}
    secret = {"secret": {"secretName": "keys"}}
    assert given("/pw", secret, alone) == {"PW": "from the secret"}
    assert given("/run/keys/pg", secret, {"name": "d", "mountPath": "/run/keys/pg"}) == {}


def test_a_variable_stands_above_its_file_and_a_file_that_is_gone_is_told() -> None:
    assert given("/run/keys/pg", {"secret": {"secretName": "keys"}}, PW="said") == {}
    with pytest.raises(Missing, match="Secret gone is not there"):
        given("/run/keys/pg", {"secret": {"secretName": "gone"}})


def test_what_has_no_mounts_has_no_files() -> None:
    nothing: dict[str, Any] = {}
    assert from_files(["PW"], {"PW_FILE": "/x"}, nothing, nothing, read) == {}
