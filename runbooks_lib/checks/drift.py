"""Is what is in the cluster what Helm stored?"""

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.release import REPLICAS, Subject
from runbooks_lib.release import passwords
from runbooks_lib.release.manifest import WORKLOAD_KINDS

_BACK = "04_upgrade puts it back, and its plan names each field; what is to stay belongs into the parameters."
_ENTRY = (
    "Put the Secret's entry back by hand: `helm get manifest` still shows what was stored, and a volume keeps that password; "
    "a chart that looks its Secret up would take over what is there now."
)
_TAKE_AWAY = (
    "Helm leaves what the chart has no word about: take it away with `kubectl -n {namespace} edit {kind} {name}` "
    "(a variable: `kubectl -n {namespace} set env {kind}/{name} NAME-`), or set it in the values."
)
_TAKE_OUT = (
    "Helm leaves what the chart has no word about: take it away with `kubectl -n {namespace} edit {kind} {name}`."
)


def as_stored(subject: Subject) -> Answer:
    """Whether its objects are as Helm stored them; how many pods a workload has is told with the workloads."""
    shown, namespace = subject.boundaries.redactor.redact, subject.boundaries.namespace
    if subject.stored:
        passwords.learn(subject.boundaries.redactor, subject.stored)
    lines, remedies = [], []
    for key, each in subject.drift:
        if each.path == REPLICAS:
            continue
        says = f"{key}: {each.says(shown)}"
        lines.append(f"{says}; stored is {each.was(shown)}" if each.stored else says)
        away = (_TAKE_AWAY if key.kind in WORKLOAD_KINDS else _TAKE_OUT).format(
            namespace=namespace, kind=key.kind.lower(), name=key.name
        )
        remedies.append(away if each.added else _ENTRY if key.kind == "Secret" else _BACK)
    if lines:
        # What was only added the chart has no word about, and whether it harms others tell.
        changed = any(not each.added for _, each in subject.drift if each.path != REPLICAS)
        return Answer("fail" if changed else "warn", "\n".join(lines), remedy=" ".join(dict.fromkeys(remedies)))
    return Answer("pass", f"each field of {len(subject.objects)} objects that the release sets")
