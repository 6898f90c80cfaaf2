"""Would the API server take each object, as this Helm would send it? Asked by dry runs: nothing is changed."""

from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import NamedTuple

from runbooks_lib.checks.catalogue import Answer, Check, catalogue
from runbooks_lib.checks.prerequisites import Subject, version_of
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.cluster.failures import NotFound
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.release.manifest import hook_objects, key_of, objects_of
from runbooks_lib.results import Json, Status, worst

#: Asked in its place while the namespace is not there yet.
STAND_IN = "default"


class Asked(NamedTuple):
    """What the server said of one object; ``said`` is empty where it would take it."""

    name: str
    status: Status
    said: str = ""


def _accepted(subject: Subject) -> Answer:
    boundaries = subject.boundaries
    applies = version_of(boundaries.helm.version) >= (4, 0)
    there = subject.namespace is not None
    hooks = hook_objects(subject.proposal.rendered)
    asked = [(obj, False) for obj in objects_of(subject.proposal.rendered.manifest)] + [(obj, True) for obj in hooks]

    def ask(one: tuple[Json, bool]) -> Asked:
        obj, hook = one
        return _ask(subject, obj, anew=hook or not there, applies=applies)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, asked))
    told = [f"{one.name}: {one.said}" for one in answers if one.said]
    how = f"as Helm {boundaries.helm.version} sends them, by {'server-side apply' if applies else 'POST and PATCH'}"
    seen = f"{len(answers)} objects, asked {how}"
    if not there:
        seen += (
            f"; in the namespace {STAND_IN}, since {boundaries.namespace} is not there yet: what its own quota and "
            "policies would say is not known"
        )
    taken = "; ".join([*told[:10], *(["…"] if told[10:] else [])]) or "all would be taken"
    return Answer(worst(one.status for one in answers), f"{seen}: {taken}")


def _ask(subject: Subject, obj: Json, *, anew: bool, applies: bool) -> Asked:
    """Ask about one object; ``anew``: as one that is not there, whatever is."""
    boundaries, cluster = subject.boundaries, subject.boundaries.cluster
    key = key_of(obj, boundaries.namespace)
    resource = cluster.resource(obj["apiVersion"], obj["kind"])
    if resource is None:
        # Whether that matters is told by the check of the definitions.
        return Asked(str(key), "pass", f"not asked, the cluster does not know {obj['kind']} of {obj['apiVersion']}")
    namespace = key.namespace if resource.namespaced else None
    if namespace == boundaries.namespace and not subject.namespace:
        namespace = STAND_IN
    try:
        if namespace and anew:
            cluster.dry_run("apply" if applies else "create", _renamed(obj, namespace), namespace)
        else:
            cluster.dry_run(_way(subject, obj, resource, applies=applies), obj, namespace)
    except NotFound as error:
        return Asked(str(key), "unknown", error.summary)
    except CheckFailed as error:
        return Asked(str(key), "fail", error.summary)
    except RunbookError as error:
        return Asked(str(key), "unknown", error.summary)
    return Asked(str(key), "pass")


def _way(subject: Subject, obj: Json, resource: Resource, *, applies: bool) -> str:
    """How this Helm sends an object: Helm 3 creates it, or merges it into the one that is there."""
    if applies:
        return "apply"
    if subject.boundaries.live(obj) is None:
        return "create"
    name = f"{resource.plural}.{resource.group}"
    custom = subject.boundaries.cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    return "merge" if custom is None else "replace"


def _renamed(obj: Json, namespace: str) -> Json:
    """The object under a name that nobody has: one of its own name may be there, which an install would replace."""
    name = f"{str(obj['metadata'].get('name', 'x'))[:50]}-{token_hex(4)}"
    return {**obj, "metadata": {**obj["metadata"], "name": name, "namespace": namespace}}


CHECKS: tuple[Check[Subject], ...] = catalogue({"objects.accepted": _accepted})
