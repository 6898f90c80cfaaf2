"""Is there a way in from outside?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbooks_lib.results import Json

OWNED = {"gateway.envoyproxy.io/owning-gateway-name": "g", "gateway.envoyproxy.io/owning-gateway-namespace": "csghub"}
SECRET: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
GATEWAY: Json = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}}


def service(*ports: int, name: str = "web", kind: str = "NodePort", **more: Any) -> Json:
    spec = {"type": kind, "ports": [{"port": 80, "nodePort": port} for port in ports]} | more.pop("spec", {})
    meta = {"name": name, "namespace": "csghub", "creationTimestamp": "2026-01-01T00:00:00Z"} | more.pop("meta", {})
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, **more}


def proxy(*ports: int) -> Json:
    value = {"spec": {"ports": [{"port": 80, "nodePort": port} for port in ports]}}
    spec = {"provider": {"kubernetes": {"envoyService": {"patch": {"value": value}}}}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": "p"},
        "spec": spec,
    }


OTHER = {"name": "other", "namespace": "elsewhere"}
SERVED = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}


@pytest.mark.parametrize(
    ("rendered", "live", "status", "observed"),
    [
        ([SECRET], [service(30080)], "skip", "the chart asks for no node port and for no load balancer"),
        ([service(30080)], [], "pass", "node port 30080 is free"),
        ([service(30080)], [service(30081, meta=OTHER)], "pass", "node port 30080 is free"),
        (
            [service(30080)],
            [service(30080, meta=OTHER)],
            "fail",
            "node port 30080 of Service web is taken by Service elsewhere/other",
        ),
        ([service(30080)], [service(30080)], "pass", "node port 30080 is free"),
        ([service(30080)], [service(30080, meta={"namespace": "elsewhere"})], "fail", "taken by Service elsewhere/web"),
        ([service(30000), proxy(32767)], [], "pass", "node port 32767 is free"),
        ([service(29999)], [], "warn", "node port 29999 of Service web is outside of the usual range, 30000 to 32767"),
        ([proxy(32768)], [], "warn", "node port 32768 of EnvoyProxy p is outside of the usual range"),
        ([service(8080)], [service(8080, meta=OTHER)], "fail", "8080 of Service web is taken"),
        ([proxy(30080, 30443)], [], "pass", "node port 30443 is free"),
        ([proxy(30443)], [service(30443, meta=OTHER)], "fail", "node port 30443 of EnvoyProxy p is taken"),
        ([proxy(30443)], [service(meta=OTHER, spec={"healthCheckNodePort": 30443})], "fail", "30443 of EnvoyProxy p"),
        ([proxy(30080), GATEWAY], [service(30080, name="envoy", meta={"labels": OWNED})], "pass", "30080 is free"),
        ([proxy(30080)], [service(30080, name="envoy", meta={"labels": OWNED})], "fail", "csghub/envoy"),
    ],
)
def test_a_node_port_that_another_service_has_is_told(
    world: Any, ask: Any, rendered: list[Json], live: list[Json], status: str, observed: str
) -> None:
    world.settings["gateway"]["service_type"] = "NodePort"
    if rendered == [SECRET]:
        world.settings["gateway"]["service_type"] = "LoadBalancer"
    world.renders(yaml.safe_dump_all(rendered))
    world.cluster.add(*live)
    answer = ask("ports.free")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


@pytest.mark.parametrize(
    ("ports", "tls", "wanted"),
    [
        ({}, False, "30080"),
        ({}, True, "30080, 30443"),
        ({"http": 31000}, True, "30443, 31000"),
        ({"http": 31000, "https": 31001}, True, "31000, 31001"),
    ],
)
def test_where_the_render_shows_no_port_the_parameters_say_it(
    world: Any, ask: Any, ports: Json, tls: bool, wanted: str
) -> None:
    world.settings["gateway"] |= {"service_type": "NodePort", "node_ports": ports}
    world.settings["gateway"]["tls"] = {"enabled": True, "secret_name": "t"} if tls else {}
    world.renders(yaml.safe_dump(GATEWAY))
    lines = ask("ports.free").observed.splitlines()
    assert sorted(lines) == [f"node port {port} is free" for port in wanted.split(", ")]


@pytest.mark.parametrize(
    ("rendered", "live", "status", "observed"),
    [
        (GATEWAY, [], "warn", "the cluster has no Service of type LoadBalancer yet"),
        (service(kind="LoadBalancer"), [], "warn", "the cluster has no Service of type LoadBalancer yet"),
        (GATEWAY, [service(kind="NodePort", **SERVED)], "warn", "the cluster has no Service of type LoadBalancer yet"),
        (
            GATEWAY,
            [service(kind="LoadBalancer", meta=OTHER)],
            "warn",
            "no Service of type LoadBalancer has an address: Service elsewhere/other",
        ),
        (
            GATEWAY,
            [service(kind="LoadBalancer"), service(kind="LoadBalancer", meta=OTHER, **SERVED)],
            "pass",
            "load balancers get addresses here, such as Service elsewhere/other",
        ),
    ],
)
def test_whether_load_balancers_get_addresses_is_seen_by_those_that_are_there(
    world: Any, ask: Any, rendered: Json, live: list[Json], status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(rendered))
    world.cluster.add(*live)
    answer = ask("ports.free")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed
    assert "gateway.service_type" in answer.remedy
