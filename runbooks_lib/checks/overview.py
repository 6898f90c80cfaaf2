"""The guide's §6 as tables: the pods and the services of a release."""

from runbooks_lib.checks.release import Subject
from runbooks_lib.release.pods import trouble_of
from runbooks_lib.results import Json, Row, Table


def tables(subject: Subject) -> tuple[Table, ...]:
    """The guide's two tables: pods and services."""
    if subject.stored is None:
        return ()
    namespace = subject.boundaries.namespace
    names = {obj["metadata"]["name"] for obj in subject.rendered("Service")}
    services = subject.boundaries.cluster.list("v1", "Service", namespace)
    live = [item for item in services if item["metadata"]["name"] in names]
    return (
        Table(title="Pods", rows=tuple(_pod_row(pod) for pod in subject.pods)),
        Table(title="Services", rows=tuple(_service_row(item) for item in live)),
    )


def _pod_row(pod: Json) -> Row:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ready = sum(1 for status in statuses if status.get("ready"))
    restarts = sum(int(status.get("restartCount", 0)) for status in statuses)
    return {
        "pod": pod["metadata"]["name"],
        "ready": f"{ready}/{len(pod['spec']['containers'])}",
        "phase": str((pod.get("status") or {}).get("phase", "unknown")),
        "restarts": str(restarts),
        "node": pod["spec"].get("nodeName", ""),
        "image": ", ".join(container["image"] for container in pod["spec"]["containers"]),
        "trouble": trouble_of(pod),
    }


def _service_row(service: Json) -> Row:
    spec = service["spec"]
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return {
        "service": service["metadata"]["name"],
        "type": spec.get("type", ""),
        "cluster ip": spec.get("clusterIP", ""),
        "external ip": ", ".join(str(item.get("ip") or item.get("hostname")) for item in ingress),
        "ports": ", ".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ()),
    }
