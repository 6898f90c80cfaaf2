"""Would the API server take the rendered pods? It is asked itself, by a dry run of one of each."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.demand import Pods, pods_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster import Forbidden
from runbooks_lib.results import Json

_LABEL = "pod-security.kubernetes.io/"


def pod_security(subject: Subject) -> Answer:
    """The level that the namespace enforces, against each pod template."""
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    found = subject.namespace
    labels = {} if found is None else found["metadata"].get("labels") or {}
    levels = {mode: labels[_LABEL + mode] for mode in ("enforce", "warn", "audit") if labels.get(_LABEL + mode)}
    told = ", ".join(f"{mode}={level}" for mode, level in levels.items() if mode != "enforce")
    level = levels.get("enforce", "")
    seen = f"the level {level} is enforced in {namespace}" if level else "no level is enforced by a label"
    seen += f" ({told} only tell)" if told else ""
    if found is None:
        return Answer("pass", f"{seen}: {namespace} is not there yet")
    if not cluster.can_i("create", "", "pods", namespace):
        why = "what the rendered pods would meet can't be tried without the right to create pods"
        return Answer("pass" if level in {"", "privileged"} else "unknown", f"{seen}; {why}")
    pods = pods_of(subject.objects)
    with ThreadPoolExecutor(8) as pool:
        refused = list(filter(None, pool.map(partial(_refused, subject), pods)))
    if refused:
        return Answer("fail", "\n".join([seen, *refused]))
    return Answer("pass", f"{seen}; the API server takes a pod of each of {len(pods)} templates (dry run)")


def _refused(subject: Subject, pods: Pods) -> str:
    """The API server's reason not to take such a pod."""
    try:
        subject.boundaries.cluster.dry_run("create", _trial(pods), subject.boundaries.namespace)
    except Forbidden as error:
        # A quota is looked at last, and has a check of its own.
        return "" if " quota: " in error.summary else f"{pods.name}: {error.summary}"
    return ""


def _trial(pods: Pods) -> Json:
    """One of these pods, without what is only there after the install: its account; its claims need not be."""
    spec = {key: value for key, value in pods.spec.items() if key not in {"serviceAccount", "serviceAccountName"}}
    templates = (pods.owner.get("spec") or {}).get("volumeClaimTemplates") or ()
    names = [template["metadata"]["name"] for template in templates]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    spec["volumes"] = [*volumes, *(each for each in spec.get("volumes") or () if each["name"] not in names)]
    if pods.owner["kind"] == "CronJob" or pods.owner["kind"] == "Job":
        spec.setdefault("restartPolicy", "Never")
    meta = pods.template.get("metadata") or {}
    kept = {key: meta[key] for key in ("labels", "annotations") if meta.get(key)}
    name = f"{pods.owner['metadata'].get('name') or 'hook'}-dry-run"[-63:].lstrip("-.")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**kept, "name": name}, "spec": spec}
