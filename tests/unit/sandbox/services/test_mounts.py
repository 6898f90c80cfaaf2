"""What stands in a pod's volumes, and what is missing there."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from runbooks_lib.cluster.environment import Missing
from runbooks_lib.results import Json
from sandbox.services.mounts import folders, mount

STORED: dict[tuple[str, str], Json] = {
    ("Secret", "keys"): {"data": {"pg": base64.b64encode(b"p\xff").decode(), "rd": ""}},
    ("ConfigMap", "conf"): {"data": {"a.conf": "x y"}, "binaryData": {"b": base64.b64encode(b"\0").decode()}},
}


def files(tmp_path: Path, volume: Json, *, lenient: bool = False) -> dict[str, bytes]:
    pod = {"spec": {"volumes": [{"name": "v", **volume}]}}

    def read(kind: str, name: str) -> Json | None:
        return STORED.get((kind, name))

    place = mount(pod, tmp_path, read, lambda name: tmp_path / "claim" if name == "rows" else None, lenient=lenient)[
        "v"
    ]
    return {str(file.relative_to(place)): file.read_bytes() for file in place.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        ({"secret": {"secretName": "keys"}}, {"pg": b"p\xff", "rd": b""}),
        ({"secret": {"secretName": "keys", "items": [{"key": "pg", "path": "in/word"}]}}, {"in/word": b"p\xff"}),
        ({"configMap": {"name": "conf"}}, {"a.conf": b"x y", "b": b"\0"}),
        ({"secret": {"secretName": "none", "optional": True}}, {}),
        ({"configMap": {"name": "conf", "items": [{"key": "none", "path": "x"}], "optional": True}}, {}),
        ({"projected": {"sources": [{"secret": {"name": "keys"}}, {"configMap": {"name": "conf"}}]}}, None),
        ({"emptyDir": {}}, {}),
        ({"persistentVolumeClaim": {"claimName": "rows"}}, {}),
    ],
)
def test_a_volume_is_filled(tmp_path: Path, volume: Json, found: dict[str, bytes] | None) -> None:
    everything = {"pg": b"p\xff", "rd": b"", "a.conf": b"x y", "b": b"\0"}
    assert files(tmp_path, volume) == (everything if found is None else found)


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"projected": {"sources": [{"configMap": {"name": "none"}}]}}, 'configmap "none" not found'),
        (
            {"secret": {"secretName": "keys", "items": [{"key": "none", "path": "x"}]}},
            'references non-existent secret key "none" of "keys"',
        ),
        ({"persistentVolumeClaim": {"claimName": "none"}}, 'persistentvolumeclaim "none" not found'),
    ],
)
def test_what_is_missing_is_told_and_can_be_left_out(tmp_path: Path, volume: Json, why: str) -> None:
    with pytest.raises(Missing) as caught:
        files(tmp_path, volume)
    assert str(caught.value) == f'MountVolume.SetUp failed for volume "v" : {why}'
    assert files(tmp_path, volume, lenient=True) == {}


def test_the_certificates_of_the_account_are_not_waited_for(tmp_path: Path) -> None:
    source = {"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}
    pod = {"spec": {"volumes": [{"name": "kube-api-access-x7k2p", **source}]}}
    assert list(mount(pod, tmp_path, lambda *_: None, lambda _: None, lenient=False)) == ["kube-api-access-x7k2p"]


def test_each_mount_leads_into_its_volume(tmp_path: Path) -> None:
    mounts = [{"name": "v", "mountPath": "/data", "subPath": "pg"}, {"name": "v", "mountPath": "/all"}]
    assert folders({"volumeMounts": mounts}, {"v": tmp_path}) == {"/data": tmp_path / "pg", "/all": tmp_path}
