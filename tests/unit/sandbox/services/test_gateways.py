"""Which Gateways and routes are taken."""

from __future__ import annotations

from runbooks_lib.results import Json
from sandbox.services.gateways import notes


def named(name: str, namespace: str = "shop", **spec: object) -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_a_gateway_is_taken_while_its_class_is_there_and_a_route_by_the_gateways_that_are() -> None:
    doors = [named("door", gatewayClassName="ours"), named("shut", gatewayClassName="no-such-class")]
    doors.append(named("far", "edge", gatewayClassName="ours"))
    parents = [
        {"name": "shut"},
        {"name": "door", "sectionName": "http"},
        {"name": "far"},
        {"name": "far", "namespace": "edge"},
        {"name": "door", "kind": "Service", "group": ""},
        {"name": "nowhere"},
    ]
    routes = [named("way", parentRefs=parents), named("lost")]

    def told(classes: list[Json]) -> dict[str, str]:
        return {one["metadata"]["name"]: note for _, one, note in notes(classes, doors, routes)}

    assert told([named("ours", "")]) == {"door": "ours", "shut": "", "far": "ours", "way": "1,3", "lost": ""}
    assert set(told([]).values()) == {""}
