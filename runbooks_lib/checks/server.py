"""Would the API server take each object, as this Helm would send it, and are all its parts there to serve it?

Asked by dry runs: nothing is changed. A dead webhook that is in the way refuses them as it would refuse the change.
"""

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.release import not_true
from runbooks_lib.cluster.failures import Invalid, NotFound
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.release.manifest import hook_objects, key_of, objects_of
from runbooks_lib.release.predicted import STAND_IN, Sending
from runbooks_lib.release.rendered import claims_of
from runbooks_lib.results import SEVERITY, Json
from runbooks_lib.threads import at_once

#: Characters of a StatefulSet's name: with a revision's hash, of up to 10 digits, it is a label of its pods: 63 at most.
LONGEST = 52
_UNKNOWN_YET = "what its own quota and policies would say is not known"


def accepted(subject: Subject) -> Answer:
    """What the server says to each object, and to each claim that a StatefulSet is still to make."""
    subject.require_place()
    boundaries, rendered, there = subject.boundaries, subject.proposal.rendered, subject.namespace is not None
    asked = [(obj, not there) for obj in objects_of(rendered.manifest)]
    asked += [(obj, True) for obj in hook_objects(rendered)]
    claims = _claims(subject)
    sending = Sending(boundaries, subject.stored, subject.live)
    answers = at_once(lambda one: _ask(subject, sending, *one), [*asked, *((claim, True) for claim in claims)])
    told = sorted((one for one in answers if one.observed), key=lambda one: -SEVERITY.index(one.status))
    how = f"as Helm {boundaries.helm.version} sends them, by {'server-side apply' if sending.applies else 'POST and PATCH'}"
    seen = f"{len(asked)} objects{f' and {len(claims)} claims of StatefulSets' if claims else ''}, asked {how}"
    if not there:
        seen += f"; in the namespace {STAND_IN}, since {boundaries.namespace} is not there yet: {_UNKNOWN_YET}"
    more = f"; and {len(told) - 10} more" if told[10:] else "" if told else ": all would be taken"
    return together([*told[:10], Answer("pass", seen + more)])


def _claims(subject: Subject) -> list[Json]:
    """The claims that StatefulSets are still to make, where this account may try it in their controller's place."""
    boundaries = subject.boundaries
    if not boundaries.cluster.can_i("create", "", "persistentvolumeclaims", boundaries.namespace):
        return []
    found = [claim.made for claim in claims_of(subject.objects) if claim.owner]
    return [claim for claim in found if not boundaries.live(claim)]


def _ask(subject: Subject, sending: Sending, obj: Json, anew: bool) -> Answer:
    """Ask about one object; ``anew``: as one that is not there, whatever is. Nothing is said where it would be taken."""
    boundaries, cluster = subject.boundaries, subject.boundaries.cluster
    key = key_of(obj, boundaries.namespace)
    resource = cluster.resource(obj["apiVersion"], obj["kind"])
    if resource is None:
        # Whether that matters is told by the check of the definitions.
        return Answer("pass", f"{key}: not asked, the cluster does not know {obj['kind']} of {obj['apiVersion']}")
    if obj["kind"] == "StatefulSet" and len(key.name) > LONGEST:
        long = (
            f"{key}: its name has {len(key.name)} characters; with more than {LONGEST} the API server refuses its pods"
        )
        return Answer("fail", long, "Choose a shorter target.release, which the names of the objects begin with.")
    namespace = key.namespace if resource.namespaced else None
    if namespace == boundaries.namespace and not subject.namespace:
        namespace = STAND_IN
    try:
        if namespace and anew:
            sending.ask_elsewhere(obj, namespace)
        else:
            sending.ask(obj)
    except RunbookError as error:
        failed = isinstance(error, CheckFailed) and not isinstance(error, NotFound)
        # What is invalid is mended by the value that it names.
        remedy = "" if isinstance(error, Invalid) else error.next_step
        return Answer("fail" if failed else "unknown", f"{key}: {error.summary}", remedy)
    return Answer("pass", "")


def apis(subject: Subject) -> Answer:
    """Whether the aggregated APIs are available."""
    groups = {key_of(obj).group for obj in subject.objects}
    lines = []
    for api in subject.boundaries.cluster.list("apiregistration.k8s.io/v1", "APIService"):
        state = not_true((api.get("status") or {}).get("conditions"), "Available")
        if not state.startswith("Available=False"):
            continue
        used = api["spec"].get("group") in groups
        told = f"APIService {api['metadata']['name']}{', whose group the chart uses' if used else ''}: {state}"
        lines.append(Answer("fail" if used else "warn", told))
    return together(lines or [Answer("pass", "all aggregated APIs are available")])
