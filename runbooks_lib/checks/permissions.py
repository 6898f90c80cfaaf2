"""May this account do what the stages and Helm do; and if not, which role would let it?"""

from collections import defaultdict
from collections.abc import Mapping

import yaml

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.release.manifest import WORKLOAD_KINDS
from runbooks_lib.results import Json
from runbooks_lib.tables import table
from runbooks_lib.threads import at_once

Kind = tuple[str, str]

#: What Helm and the stages need beside the rendered kinds.
_BESIDES: dict[Kind, tuple[str, ...]] = {
    (version, kind): tuple(verbs) for version, kind, verbs in table(__package__, "permissions.yaml")
}
_VERBS: tuple[str, ...] = ("get", "list", "create", "update", "patch", "delete")


def permissions(subject: Subject) -> Answer:
    """Whether this account may do all that is needed, and else the roles that would let it."""
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    rendered = [] if subject.refusal else subject.objects
    kinds = sorted({(str(obj["apiVersion"]), str(obj["kind"])) for obj in rendered})
    # The roll-out is watched.
    wanted = {kind: (*_VERBS, "watch") if kind[1] in WORKLOAD_KINDS else _VERBS for kind in kinds} | _BESIDES
    known = {what: _resource(subject, what) for what in wanted}
    unknown = [f"{kind} ({version})" for (version, kind), resource in known.items() if resource is None]

    def refused(what: Kind) -> list[str]:
        resource = known[what]
        if resource is None:
            return []
        where = namespace if resource.namespaced else None
        # One question answers for most accounts; verb by verb only where it is refused.
        if cluster.can_i("*", resource.group, resource.plural, where):
            return []
        name = f"{resource.plural}.{resource.group}".removesuffix(".")
        verbs = wanted[what]
        return [f"{verb} {name}" for verb in verbs if not cluster.can_i(verb, resource.group, resource.plural, where)]

    missing = [line for lines in at_once(refused, wanted) for line in lines]
    if missing:
        told = f"not allowed: {', '.join(missing[:12])}{' …' if len(missing) > 12 else ''}"
        needed = {resource: wanted[what] for what, resource in known.items() if resource is not None}
        return Answer("fail", told, evidence=roles(needed, namespace, subject.boundaries.release))
    if subject.refusal:
        return Answer("unknown", f"{len(wanted)} kinds, all allowed; which others the chart uses is not known")
    told = f"{len(wanted) - len(unknown)} kinds, all allowed"
    return Answer("pass", f"{told}; not known to this cluster yet: {', '.join(unknown)}" if unknown else told)


def _resource(subject: Subject, what: Kind) -> Resource | None:
    """What permissions call a kind, or a subresource of one, as in ``Pod/log``."""
    version, kind = what
    name, slash, sub = kind.partition("/")
    found = subject.boundaries.cluster.resource(version, name)
    return found.model_copy(update={"plural": f"{found.plural}{slash}{sub}"}) if found else None


def roles(needed: Mapping[Resource, tuple[str, ...]], namespace: str, release: str) -> str:
    """The least Role and ClusterRole with these permissions, as YAML for ``kubectl apply -f -``."""
    documents = []
    for kind, namespaced in (("Role", True), ("ClusterRole", False)):
        rules: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        for resource, verbs in needed.items():
            if resource.namespaced == namespaced:
                rules[resource.group, verbs].append(resource.plural)
        metadata: Json = {"name": f"runbooks-{release}"} | ({"namespace": namespace} if namespaced else {})
        listed = [
            {"apiGroups": [group], "resources": sorted(names), "verbs": list(verbs)}
            for (group, verbs), names in sorted(rules.items())
        ]
        documents.append(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": listed}
        )
    return yaml.safe_dump_all(documents, sort_keys=False)
