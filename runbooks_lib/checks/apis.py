"""Does everything answer that the API server asks before it serves a kind or takes an object?"""

from collections.abc import Iterator

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.demand import pods_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.release import conditions
from runbooks_lib.checks.selectors import selects
from runbooks_lib.cluster import Resource
from runbooks_lib.release.manifest import annotation
from runbooks_lib.results import Json, worst

_CONFIGURATIONS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
#: What is made besides the rendered objects: Helm's own, and the controllers'.
_BESIDES = (("v1", "Secret"), ("v1", "Pod"), ("apps/v1", "ReplicaSet"), ("v1", "PersistentVolumeClaim"))


def apis(subject: Subject) -> Answer:
    """Whether the aggregated APIs are available and the webhooks in the way can be reached."""
    found = [*_dead_apis(subject), *_dead_webhooks(subject)]
    if not found:
        return Answer("pass", "all aggregated APIs are available, and each webhook that must answer has an endpoint")
    return Answer(worst(each.status for each in found), "\n".join(each.observed for each in found))


def _dead_apis(subject: Subject) -> Iterator[Answer]:
    groups = {str(obj["apiVersion"]).rpartition("/")[0] for obj in subject.objects}
    for api in subject.boundaries.cluster.list("apiregistration.k8s.io/v1", "APIService"):
        listed = (api.get("status") or {}).get("conditions") or []
        if conditions(listed).get("Available") != "False":
            continue
        reason = next(str(each.get("reason") or "no reason told") for each in listed if each["type"] == "Available")
        service = api["spec"].get("service") or {}
        behind = f"Service {service.get('namespace')}/{service.get('name')}"
        used = api["spec"].get("group") in groups
        served = ", whose group the chart uses" if used else ""
        told = f"APIService {api['metadata']['name']}{served}: not available ({reason}; {behind})"
        yield Answer("fail" if used else "warn", told)


def _dead_webhooks(subject: Subject) -> Iterator[Answer]:
    """Those that must be asked about something that this release needs, while nobody is there to answer."""
    wanted = _asked_about(subject)
    own = {obj["metadata"]["name"] for obj in subject.objects if obj["kind"] in _CONFIGURATIONS}
    for kind in _CONFIGURATIONS:
        for configuration in subject.boundaries.cluster.list("admissionregistration.k8s.io/v1", kind):
            name = configuration["metadata"]["name"]
            if name in own or _ours(subject, configuration):
                continue
            for webhook in configuration.get("webhooks") or ():
                service = (webhook.get("clientConfig") or {}).get("service")
                if not service or webhook.get("failurePolicy", "Fail") != "Fail":
                    continue
                stopped = sorted({what.kind for what, obj in wanted if _meant(subject, webhook, what, obj)})
                if stopped and not _answered(subject, service):
                    place = f"Service {service['namespace']}/{service['name']}"
                    told = f"{kind} {name}, webhook {webhook['name']}: {place} has no ready endpoint, so that nobody can create or change {', '.join(stopped)}"
                    # Which of them its conditions let through is the server's own language to say.
                    conditional = bool(webhook.get("matchConditions"))
                    yield Answer(
                        "warn" if conditional else "fail",
                        f"{told}{' that its matchConditions mean' if conditional else ''}",
                    )


def _asked_about(subject: Subject) -> list[tuple[Resource, Json]]:
    """What is to be made, each with its resource; with pods as their templates tell of them."""
    cluster = subject.boundaries.cluster
    objects = [(str(obj["apiVersion"]), str(obj["kind"]), obj) for obj in subject.objects]
    objects += [(version, kind, {}) for version, kind in _BESIDES if kind != "Pod"]
    objects += [("v1", "Pod", each.template) for each in pods_of(subject.objects)]
    found = [(cluster.resource(version, kind), obj) for version, kind, obj in objects]
    return [(what, obj) for what, obj in found if what is not None]


def _meant(subject: Subject, webhook: Json, what: Resource, obj: Json) -> bool:
    """Whether the server asks a webhook about such an object here."""
    if what.namespaced and not selects(webhook.get("namespaceSelector"), subject.namespace_labels):
        return False
    if not selects(webhook.get("objectSelector"), (obj.get("metadata") or {}).get("labels") or {}):
        return False
    return any(_fits(rule, what) for rule in webhook.get("rules") or ())


def _fits(rule: Json, what: Resource) -> bool:
    parts = {"apiGroups": what.group, "apiVersions": what.version, "resources": what.plural}
    scope = "Namespaced" if what.namespaced else "Cluster"
    named = all({part, "*", "*/*"} & set(rule.get(key) or ()) for key, part in parts.items())
    named = named and bool({"CREATE", "UPDATE", "*"} & set(rule.get("operations") or ()))
    return named and rule.get("scope", "*") in {"*", scope}


def _ours(subject: Subject, configuration: Json) -> bool:
    marks = [annotation(configuration, f"meta.helm.sh/release-{part}") for part in ("namespace", "name")]
    return marks == [subject.boundaries.namespace, subject.boundaries.release]


def _answered(subject: Subject, service: Json) -> bool:
    slices = subject.boundaries.cluster.list("discovery.k8s.io/v1", "EndpointSlice", service["namespace"])
    return any(
        (endpoint.get("conditions") or {}).get("ready", True)
        for each in slices
        if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == service["name"]
        for endpoint in each.get("endpoints") or ()
    )
