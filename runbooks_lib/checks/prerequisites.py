"""What must be there before Dataflow can be installed: the guide's §2, and what it takes for granted."""

import re
from dataclasses import replace
from typing import Any

from runbooks_lib import probes
from runbooks_lib.checks import release
from runbooks_lib.checks.catalogue import Answer, Moot
from runbooks_lib.checks.pull_secrets import with_logins
from runbooks_lib.checks.trials import Trial, tried
from runbooks_lib.cluster import Forbidden
from runbooks_lib.errors import OutcomeUnknown, RunbookError
from runbooks_lib.helm import Release
from runbooks_lib.probes.registry import Image, Seen, look
from runbooks_lib.release import passwords
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import ObjectKey, annotation
from runbooks_lib.release.plan import Proposal, all_objects, contents, propose
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.rendered import pods_of
from runbooks_lib.release.stored import STUCK, state_of
from runbooks_lib.results import Json
from runbooks_lib.threads import once

KUBERNETES = (1, 33)
HELM = (3, 12)
#: `helm install --dry-run=server`, without which a chart's `lookup` sees nothing, came with this one.
HELM_TO_PLAN = (3, 13)

#: Asked for when the chart can't be rendered, and so can't say what it uses.
_GATEWAY_KINDS = tuple(("gateway.networking.k8s.io/v1", kind) for kind in ("GatewayClass", "Gateway", "HTTPRoute"))

#: Told once, of all other answers.
_CONTENTS = "What the other checks say of the chart's objects is of a render without the cluster (`helm template`)."

_UNREADABLE = (
    "Ask the cluster's administrator for the permission to get the namespace kube-system; the ClusterRole that the check of "
    "permissions shows has it."
)


class Subject:
    """A target about to be installed or changed; what is looked at twice is asked for once. Plans are made without it."""

    def __init__(self, boundaries: Boundaries) -> None:
        self.boundaries = boundaries

    @once
    def stored(self) -> Release | None:
        """The release as Helm stored it; None where there is none yet."""
        return self.boundaries.helm.status(self.boundaries.release)

    @once
    def installed(self) -> release.Subject:
        """What runs already."""
        return release.Subject(self.boundaries, lambda: self.stored)

    @once
    def namespace(self) -> Json | None:
        """The release's namespace; None while it is still to be made."""
        return self.boundaries.cluster.get("v1", "Namespace", self.boundaries.namespace)

    @property
    def ending(self) -> bool:
        """Whether the namespace is being removed: then nothing can be created in it."""
        return ((self.namespace or {}).get("status") or {}).get("phase") == "Terminating"

    def require_place(self) -> None:
        """Raise Moot where the server would refuse whatever it is asked about in the namespace."""
        if self.ending:
            raise Moot(f"{self.boundaries.namespace} is being removed and takes nothing")

    @once
    def _proposal(self) -> Proposal | RunbookError:
        try:
            if self.stored is not None and self.stored.pending:
                # Helm would refuse it in words that don't say why.
                told = state_of(self.boundaries, self.stored)
                raise refused("stuck", release=self.boundaries.release, told=told, stuck=STUCK)
            return propose(self.boundaries, upgrade=self.stored is not None)
        except RunbookError as error:
            return error

    @once
    def _contents(self) -> Proposal | RunbookError:
        try:
            return contents(self.boundaries)
        except RunbookError as error:
            return error

    @property
    def proposal(self) -> Proposal:
        """The chart as it would be applied; where that is refused, for the sake of its objects, as it renders without a cluster."""
        proposal = self._proposal if self.refusal is None else self._contents
        if isinstance(proposal, RunbookError):
            raise OutcomeUnknown("the chart could not be rendered, so there is nothing to compare with")
        return proposal

    def with_values(self, values: dict[str, Any]) -> Proposal:
        """The same with other values, rendered in the same way; raises RunbookError: it can't be."""
        boundaries, proposal = self.boundaries, self.proposal
        if self.refusal is not None:
            return contents(boundaries, values)
        upgrade = self.stored is not None
        rendered = boundaries.helm.render(boundaries.release, proposal.chart, values, upgrade=upgrade)
        passwords.learn(boundaries.redactor, rendered)
        return replace(proposal, values=values, rendered=rendered)

    @property
    def rendered(self) -> bool:
        """Whether it is known what the chart contains."""
        return self.refusal is None or not isinstance(self._contents, RunbookError)

    @property
    def refusal(self) -> RunbookError | None:
        """Why the chart can't be rendered."""
        proposal = self._proposal
        return proposal if isinstance(proposal, RunbookError) else None

    @property
    def objects(self) -> list[Json]:
        """All rendered objects, those of hooks included."""
        return all_objects(self.proposal.rendered)

    @once
    def nodes(self) -> list[Json]:
        """All nodes of the cluster."""
        return self.boundaries.cluster.list("v1", "Node")

    @once
    def live(self) -> dict[ObjectKey, Json | None]:
        """What is in the cluster of each rendered object; None where it is not there."""
        return self.boundaries.all_live(self.objects)

    @once
    def seen(self) -> dict[Image, Seen]:
        """What its registry says of each image, as a pod would ask; once, since registries count questions."""
        return look(with_logins(self))

    @once
    def may_try(self) -> bool:
        """Whether the server can be asked about the rendered pods in their namespace."""
        there = self.namespace is not None and not self.ending
        return there and self.boundaries.cluster.can_i("create", "", "pods", self.boundaries.namespace)

    @once
    def trials(self) -> list[Trial]:
        """One pod of each rendered template, as the server would have it."""
        pods = pods_of(self.objects)
        return tried(self.boundaries, pods) if self.may_try else [Trial(each, each.spec) for each in pods]

    @once
    def classes(self) -> dict[str, Json]:
        """All StorageClasses by their names."""
        found = self.boundaries.cluster.list("storage.k8s.io/v1", "StorageClass")
        return {item["metadata"]["name"]: item for item in found}


def version_of(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``v1.33.2+k3s1``; ``(0, 0)`` when there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def kubernetes(subject: Subject) -> Answer:
    """The API server's version."""
    version = subject.boundaries.cluster.version()
    return Answer("pass" if version_of(version) >= KUBERNETES else "fail", version)


def helm(subject: Subject) -> Answer:
    """Helm's version."""
    version = subject.boundaries.helm.version
    if version_of(version) < HELM:
        return Answer("fail", version)
    if version_of(version) < HELM_TO_PLAN:
        lacks = f"{version}: enough for the guide, but it can't make a server-side dry run, so no plan can be made"
        return Answer("warn", lacks, remedy="Install Helm 3.13 or newer, or name it in helm.executable.")
    return Answer("pass", version)


def pin(subject: Subject) -> Answer:
    """Whether this is the cluster that the parameters pin."""
    cluster, pin = subject.boundaries.cluster, subject.boundaries.parameters.target.cluster_uid
    try:
        uid = cluster.uid()
    except Forbidden as error:
        # Here nobody is sent to 01, which this is.
        return Answer("unknown", f"{error.summary.rstrip('.')}, whose UID is the cluster's", remedy=_UNREADABLE)
    if pin == uid:
        return Answer("pass", f"{cluster.server} has the UID {uid}")
    if not pin:
        remedy = f'If {cluster.server} is right, add under target: cluster_uid: "{uid}"'
        return Answer("fail", "no pin in the parameters", remedy=remedy)
    return Answer("fail", f"{cluster.server} has the UID {uid}, the pin is {pin}")


def namespace(subject: Subject) -> Answer:
    """Whether the release has a place to be."""
    name = subject.boundaries.namespace
    found = subject.namespace
    if found is None:
        return Answer("pass", f"{name} is not there yet; the install makes it")
    if subject.ending:
        return Answer("fail", f"{name} is being removed", remedy="Wait until it is gone, or look at its finalizers.")
    return Answer("pass", f"{name} is there")


def gateway(subject: Subject) -> Answer:
    """Whether the cluster knows the Gateway API as the chart speaks it."""
    cluster = subject.boundaries.cluster
    kinds = _GATEWAY_KINDS
    if subject.rendered:
        rendered = {(str(obj["apiVersion"]), str(obj["kind"])) for obj in subject.objects}
        kinds = tuple(sorted(item for item in rendered if "gateway" in item[0]))
        if not kinds:
            return Answer("skip", "the chart uses no Gateway API kind")
    missing = [f"{kind} ({version})" for version, kind in kinds if cluster.resource(version, kind) is None]
    if missing:
        return Answer("fail", f"not known to this cluster: {', '.join(missing)}")
    group = "gateway.networking.k8s.io"
    definition = cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"gateways.{group}") or {}
    bundle = annotation(definition, f"{group}/bundle-version") or "of an unknown version"
    channel = annotation(definition, f"{group}/channel") or "unknown"
    return Answer("pass", f"Gateway API bundle {bundle}, channel {channel}")


def state(subject: Subject) -> Answer:
    """The release as it is now."""
    stored = subject.stored
    if stored is None:
        return Answer(
            "pass", f"no release {subject.boundaries.release} in namespace {subject.boundaries.namespace} yet"
        )
    told = state_of(subject.boundaries, stored)
    if stored.pending:
        return Answer("fail", told, remedy=STUCK)
    return Answer("pass" if stored.status == "deployed" else "warn", told)


def chart(subject: Subject) -> Answer:
    """Whether the chart can be rendered."""
    refusal = subject.refusal
    if refusal is not None:
        told = f"{refusal.summary} {_CONTENTS}" if subject.rendered else refusal.summary
        return Answer("fail", told, remedy=refusal.next_step)
    chart, hooks = subject.proposal.chart, len(subject.proposal.rendered.hooks)
    count = f"{len(subject.objects)} objects, {hooks} of them of hooks" if hooks else f"{len(subject.objects)} objects"
    return Answer("pass", f"{chart.name} {chart.version} from {chart.source}: {count}")


def external_url(subject: Subject) -> Answer:
    """Whether CSGHub answers, asked from here."""
    answer = probes.http.answer(subject.boundaries.parameters.csghub.external_url)
    if answer.error:
        return Answer("fail", f"{answer.url}: {answer.error}")
    told = f"{answer.url} answered {answer.status} in {answer.seconds:.2f} s (asked from here, not from a node)"
    return Answer("pass" if answer.status < 500 else "fail", told)
