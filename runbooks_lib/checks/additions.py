"""What the rendered pods would add to what the quotas of their namespace count already."""

from typing import NamedTuple

from runbooks_lib.checks.demand import asked
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.trials import Trial
from runbooks_lib.cluster.quantities import ONE, Amounts
from runbooks_lib.release.manifest import annotation
from runbooks_lib.results import Json


class Additions(NamedTuple):
    """Under the names that a quota has for it.

    Attributes:
        pods: What all pods need beside those that they replace.
        peak: The same while a Deployment starts its largest pod before it ends an old one.
        refused: The pods that the server would not take, without those that only lack the room of the ones they replace.
    """

    pods: Amounts
    peak: Amounts
    refused: list[Trial]


def additions(subject: Subject) -> Additions:
    """Of an install, or of an upgrade where there is a release."""
    change = "install" if subject.stored is None else "upgrade"
    before, after, kept, surge = Amounts(), Amounts(), Amounts(), Amounts()
    refused = []
    for each in subject.trials:
        one, owner, copies = _named(each.spec), each.pods.owner, each.pods.copies
        hooks = annotation(owner, "helm.sh/hook")
        running = [pod for pod in subject.boundaries.pods_of([owner]) if _counts(pod)]
        if owner["kind"] == "DaemonSet":
            copies = max(copies, len(running))
        everything = Amounts({name: need * copies for name, need in one.items()})
        if hooks:
            # One hook after the other, and before the workloads or when these are there.
            before |= everything if f"pre-{change}" in hooks else Amounts()
            after |= everything if f"post-{change}" in hooks else Amounts()
            copies *= change in hooks
            # Its pods are done with, and still objects, until Helm removes the Job.
            if "succeeded" not in annotation(owner, "helm.sh/hook-delete-policy"):
                kept["count/pods"] += ONE * copies
        else:
            kept.update(everything)
            for pod in running:
                kept.subtract(_named(pod["spec"]))
            surge |= one if change == "upgrade" and running and copies and _surges(owner) else Amounts()
        if each.said and copies and (copies > len(running) or "exceeded quota" not in each.said):
            refused.append(each)
    return Additions(before | (kept + after), before | (kept + surge), refused)


def _named(spec: Json) -> Amounts:
    requests, limits = asked(spec, "requests"), asked(spec, "limits")
    named = requests + Amounts({"pods": ONE, "count/pods": ONE})
    named.update({f"requests.{name}": need for name, need in requests.items()})
    named.update({f"limits.{name}": need for name, need in limits.items()})
    return named


def _counts(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}


def _surges(owner: Json) -> bool:
    strategy = owner["spec"].get("strategy") or {}
    most = (strategy.get("rollingUpdate") or {}).get("maxSurge", 1)
    return owner["kind"] == "Deployment" and strategy.get("type") != "Recreate" and str(most) not in {"0", "0%"}
