"""Is there a way in from outside: free ports on the nodes, or somebody who gives load balancers addresses?"""

from collections.abc import Iterator
from typing import Any

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.release.manifest import key_of
from runbooks_lib.results import Json

#: What the chart takes for node ports where the parameters name none.
_HTTP, _HTTPS = 30080, 30443
#: What a server gives node ports from unless it was told otherwise, which nobody can ask it.
_USUAL = range(30000, 32768)
#: How Envoy Gateway marks the Service that it makes for a Gateway.
_OWNER = "gateway.envoyproxy.io/owning-gateway-"


def ports(subject: Subject) -> Answer:
    """Whether the node ports are free, and whether load balancers get addresses here."""
    services = subject.boundaries.cluster.list("v1", "Service")
    lines = [*_node_ports(subject, services), *_balancer(subject, services)]
    return together(lines) if lines else Answer("skip", "the chart asks for no node port and for no load balancer")


def service_of(subject: Subject, obj: Json) -> Json | None:
    """The Service that a controller is still to make for a Gateway, as the parameters have it; None of anything else."""
    live = subject.live[key_of(obj, subject.boundaries.namespace)] or {}
    if obj["kind"] != "Gateway" or (live.get("status") or {}).get("addresses"):
        return None
    listened = {each.get("port") for each in (obj.get("spec") or {}).get("listeners") or ()}
    spec = {"type": subject.boundaries.parameters.gateway.service_type, "ports": [{"port": port} for port in listened]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec}


def _node_ports(subject: Subject, services: list[Json]) -> Iterator[Answer]:
    wanted = {port: str(key_of(obj)) for obj in subject.objects for port in _ports_in(obj)}
    gateway = subject.boundaries.parameters.gateway
    if gateway.service_type == "NodePort" and not wanted:
        # Its controller makes the Service, by values that the render need not show.
        wanted[gateway.node_ports.http or _HTTP] = "gateway.node_ports.http"
        wanted |= {gateway.node_ports.https or _HTTPS: "gateway.node_ports.https"} if gateway.tls.enabled else {}
    others = [service for service in services if not _own(subject, service)]
    taken = {port: service["metadata"] for service in others for port in _ports_in(service)}
    for port, whose in wanted.items():
        if holder := taken.get(port):
            by = f"Service {holder.get('namespace')}/{holder['name']}"
            yield Answer("fail", f"node port {port} of {whose} is taken by {by}")
        elif port not in _USUAL:
            usual = (
                f"outside of the usual range, {_USUAL[0]} to {_USUAL[-1]}: whether this server gives it is not known"
            )
            yield Answer("warn", f"node port {port} of {whose} is {usual}")
        else:
            yield Answer("pass", f"node port {port} is free")


def _ports_in(data: Any) -> Iterator[int]:
    """Each node port that stands anywhere in an object: also in what a controller is to make a Service of."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data if isinstance(data, list) else ()):
        if key in {"nodePort", "healthCheckNodePort"} and isinstance(value, int) and value:
            yield value
        yield from _ports_in(value)


def _own(subject: Subject, service: Json) -> bool:
    """Whether a live Service is of this release, or made for a Gateway of it."""
    namespace, meta = subject.boundaries.namespace, service["metadata"]
    labels = meta.get("labels") or {}
    keys = {key_of(obj, namespace)[1:] for obj in subject.objects}
    gateway = ("Gateway", labels.get(f"{_OWNER}namespace"), labels.get(f"{_OWNER}name"))
    return ("Service", meta.get("namespace"), meta["name"]) in keys or gateway in keys


def _balancer(subject: Subject, services: list[Json]) -> Iterator[Answer]:
    by_gateway = subject.boundaries.parameters.gateway.service_type == "LoadBalancer"
    if not any(_balances(obj) or (by_gateway and obj["kind"] == "Gateway") for obj in subject.objects):
        return
    live = [each for each in services if _balances(each)]
    served = [each for each in live if ((each.get("status") or {}).get("loadBalancer") or {}).get("ingress")]
    names = [f"Service {each['metadata'].get('namespace')}/{each['metadata']['name']}" for each in served or live]
    if served:
        yield Answer("pass", f"load balancers get addresses here, such as {names[0]}")
    elif live:
        yield Answer("warn", f"no Service of type LoadBalancer has an address: {', '.join(names[:5])}")
    else:
        yield Answer(
            "warn", "the cluster has no Service of type LoadBalancer yet: whether one gets an address is not known"
        )


def _balances(obj: Json) -> bool:
    return bool(obj["kind"] == "Service" and (obj.get("spec") or {}).get("type") == "LoadBalancer")
