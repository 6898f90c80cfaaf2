"""Where the Services of a release lead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbooks_lib.results import Json
from sandbox.services.containers import reach
from sandbox.services.hosts import is_hollow, table, write
from sandbox.services.waits import Place, trouble


def service(name: str, app: str, **port: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": app}, "ports": [port]}}


def pod(app: str) -> Json:
    port = {"name": "db", "containerPort": 5432}
    metadata = {"namespace": "shop", "labels": {"app": app}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main", "ports": [port]}]}}


def test_a_service_leads_to_a_ready_program_or_nowhere_and_one_without_a_program_answers_all_the_same(
    tmp_path: Path,
) -> None:
    services = [
        service("reef", "rows", port=5555, targetPort="db"),
        service("wrong", "rows", port=5555, targetPort=1),
        service("late", "late", port=5555, targetPort="db"),
        service("queue", "queue", port=9092),
        service("gone", "gone", port=9092),
    ]
    pods = [(pod("rows"), {5432: 40123}, True), (pod("late"), {5432: 40124}, False)]
    pods += [(pod("queue"), None, True), (pod("gone"), None, False)]
    found = table(services, pods)["shop"]
    assert {name: address for name, address in found.items() if "." not in name} == {
        "reef:5555": "127.0.0.1:40123",
        "queue:9092": "",
    }
    assert found["reef.shop.svc.cluster.local:5555"] == "127.0.0.1:40123"
    file = tmp_path / "hosts" / "shop.json"
    write(file, found)
    assert reach(file, "reef", 5555) == ("127.0.0.1", 40123)
    assert reach(file, "queue", 9092) == ("queue", 9092)
    assert [name for name in ("reef", "queue", "wrong", "gone") if is_hollow(file, name, 9092)] == ["queue"]
    assert trouble(file, Place("queue", 9092)) == ""
    assert trouble(file, Place("gone", 9092)) != ""
