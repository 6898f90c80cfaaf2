"""Is there a way in from outside: free ports on the nodes, or somebody who gives load balancers addresses?"""

from collections.abc import Iterator
from typing import Any

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.release.manifest import key_of
from runbooks_lib.results import Json, worst

#: What the chart takes for node ports where the parameters name none.
_HTTP, _HTTPS = 30080, 30443
#: What an API server hands out unless it was told otherwise.
_RANGE = range(30000, 32768)
#: How Envoy Gateway marks the Service that it makes for a Gateway.
_OWNER = "gateway.envoyproxy.io/owning-gateway-"


def ports(subject: Subject) -> Answer:
    """Whether the node ports are free, and whether load balancers get addresses here."""
    services = subject.boundaries.cluster.list("v1", "Service")
    found = [each for each in (_node_ports(subject, services), _balancer(subject, services)) if each]
    if not found:
        return Answer("skip", "the chart asks for no node port and for no load balancer")
    remedy = next((each.remedy for each in found if each.remedy), "")
    return Answer(worst(each.status for each in found), "; ".join(each.observed for each in found), remedy=remedy)


def _node_ports(subject: Subject, services: list[Json]) -> Answer | None:
    wanted = {port: str(key_of(obj)) for obj in subject.objects for port in ports_in(obj)}
    gateway = subject.boundaries.parameters.gateway
    if gateway.service_type == "NodePort" and not wanted:
        # Its controller makes the Service, by values that the render need not show.
        wanted[gateway.node_ports.http or _HTTP] = "gateway.node_ports.http"
        wanted |= {gateway.node_ports.https or _HTTPS: "gateway.node_ports.https"} if gateway.tls.enabled else {}
    if not wanted:
        return None
    others = [service for service in services if not _own(subject, service)]
    taken = {port: service["metadata"] for service in others for port in ports_in(service)}
    clashes = [
        f"node port {port} of {whose} is taken by Service {taken[port]['namespace']}/{taken[port]['name']}"
        for port, whose in wanted.items()
        if port in taken
    ]
    if clashes:
        return Answer("fail", "; ".join(clashes))
    told = f"node ports {', '.join(map(str, sorted(wanted)))} are free"
    if outside := [str(port) for port in wanted if port not in _RANGE]:
        usual = f"{_RANGE.start} to {_RANGE.stop - 1}"
        return Answer("warn", f"{told}, but {', '.join(outside)} is outside of the usual range {usual}")
    return Answer("pass", told)


def ports_in(data: Any) -> Iterator[int]:
    """Each node port that stands anywhere in an object: also in what a controller is to make a Service of."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in {"nodePort", "healthCheckNodePort"} and isinstance(value, int) and value:
                yield value
            else:
                yield from ports_in(value)
    elif isinstance(data, list):
        for each in data:
            yield from ports_in(each)


def _own(subject: Subject, service: Json) -> bool:
    """Whether a live Service is of this release, or made for a Gateway of it."""
    namespace, meta = subject.boundaries.namespace, service["metadata"]
    labels = meta.get("labels") or {}
    keys = {key_of(obj, namespace) for obj in subject.objects if obj["kind"] in {"Service", "Gateway"}}
    named = {(key.kind, key.namespace, key.name) for key in keys}
    gateway = ("Gateway", labels.get(f"{_OWNER}namespace"), labels.get(f"{_OWNER}name"))
    return ("Service", meta.get("namespace"), meta["name"]) in named or gateway in named


def _balancer(subject: Subject, services: list[Json]) -> Answer | None:
    kinds = {obj["kind"] for obj in subject.objects}
    direct = any(_is_balancer(obj) for obj in subject.objects)
    if not direct and not ("Gateway" in kinds and subject.boundaries.parameters.gateway.service_type == "LoadBalancer"):
        return None
    live = sorted((each for each in services if _is_balancer(each)), key=lambda each: _since(each))
    served = [each for each in live if ((each.get("status") or {}).get("loadBalancer") or {}).get("ingress")]
    if served:
        return Answer("pass", f"load balancers get addresses here, such as Service {_name(served[0])}")
    if live:
        waits = f"no Service of type LoadBalancer has an address, Service {_name(live[0])} since {_since(live[0])}"
        return Answer("warn", waits)
    return Answer(
        "warn", "no Service of type LoadBalancer is in the cluster, so that nobody knows whether one gets an address"
    )


def _is_balancer(obj: Json) -> bool:
    return bool(obj["kind"] == "Service" and (obj.get("spec") or {}).get("type") == "LoadBalancer")


def _since(service: Json) -> str:
    return str(service["metadata"].get("creationTimestamp") or "an unknown time")


def _name(service: Json) -> str:
    return f"{service['metadata'].get('namespace')}/{service['metadata']['name']}"
