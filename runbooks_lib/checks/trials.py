"""What the API server would make of one pod of each rendered template: asked by a dry run, admission included."""

from functools import partial
from typing import NamedTuple

from runbooks_lib.cluster import Invalid
from runbooks_lib.errors import CheckFailed
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.rendered import Pods
from runbooks_lib.results import Json
from runbooks_lib.threads import at_once


class Trial(NamedTuple):
    """One pod of a template.

    Attributes:
        spec: As the server would have it, its namespace's defaults included; where it was not asked, as it is rendered.
        said: Why the server would not take it; empty where it would.
        remedy: What to do about that.
    """

    pods: Pods
    spec: Json
    said: str = ""
    remedy: str = ""


def tried(boundaries: Boundaries, pods: list[Pods]) -> list[Trial]:
    """What the server says to each."""
    return at_once(partial(_tried, boundaries), pods)


def _tried(boundaries: Boundaries, pods: Pods) -> Trial:
    try:
        made = boundaries.cluster.dry_run("create", _pod(pods), boundaries.namespace)
    except Invalid:
        # What the template lacks is told where its owner is asked about.
        raise
    except CheckFailed as error:
        return Trial(pods, pods.spec, error.summary, error.next_step)
    return Trial(pods, made["spec"])


def _pod(pods: Pods) -> Json:
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
