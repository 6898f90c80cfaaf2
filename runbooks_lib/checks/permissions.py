"""May this account do what the stages and Helm do; and if not, which role would let it?"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import yaml

from runbooks_lib.checks import release
from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster import Forbidden
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.errors import RunbookError
from runbooks_lib.release.manifest import WORKLOAD_KINDS, kept, key_of
from runbooks_lib.results import Json
from runbooks_lib.tables import table
from runbooks_lib.threads import at_once

#: What Helm and the stages need beside the rendered kinds.
_BESIDES: list[Json] = table(__package__, "permissions.yaml")
_VERBS: tuple[str, ...] = ("get", "list", "create", "update", "patch", "delete")
_RBAC = "rbac.authorization.k8s.io"
#: What lets an account make and bind roles with rights that it has not itself.
_LENDING = ("escalate", "bind")
_LENDER = " (who makes a role must have every right in it, or these)"
_ADVISORY = "only read for advice: the checks that need it are warnings without"


class Need(NamedTuple):
    """Some verbs on one kind of objects; ``namespace`` is where, None in all of them or for the whole cluster.

    ``only`` is the name of the one object that is meant.
    """

    resource: Resource
    namespace: str | None
    verbs: tuple[str, ...]
    advisory: bool = False
    only: str = ""

    @property
    def name(self) -> str:
        """As permissions call it, with the place where that is not the kind's own."""
        name = f"{self.resource.plural}.{self.resource.group}".removesuffix(".")
        if self.only:
            return f"{name}/{self.only} in {self.namespace}"
        return f"{name} in all namespaces" if self.resource.namespaced and self.namespace is None else name


def permissions(subject: Subject) -> Answer:
    """Whether this account may do all that is needed, and else the roles that would let it."""
    cluster = subject.boundaries.cluster
    rendered = subject.objects if subject.rendered else []
    kinds = sorted({(str(obj["apiVersion"]), str(obj["kind"])) for obj in rendered})
    unknown = [f"{kind} ({version})" for version, kind in kinds if cluster.resource(version, kind) is None]
    needs = _merged([*_rendered(subject, kinds), *_besides(subject)])

    def refused(need: Need) -> list[str]:
        group, plural, where = need.resource.group, need.resource.plural, need.namespace
        # One question answers for most accounts; verb by verb only where it is refused.
        if cluster.can_i("*", group, plural, where):
            return []
        lacks = [verb for verb in need.verbs if not cluster.can_i(verb, group, plural, where, name=need.only)]
        if group == _RBAC and set(lacks) & set(_LENDING) and _lent(subject, need.resource.kind):
            lacks = [verb for verb in lacks if verb not in _LENDING]
        return [f"{'/'.join(lacks)} {need.name}{_LENDER if set(lacks) & set(_LENDING) else ''}"] if lacks else []

    answers = list(zip(needs, at_once(refused, needs), strict=True))
    missing = [line for need, lines in answers for line in lines if not need.advisory]
    advice = [line for need, lines in answers for line in lines if need.advisory]
    evidence = roles(needs, subject.boundaries.release) if missing or advice else ""
    also = f"{_ADVISORY}: {', '.join(advice)}" if advice else ""
    if missing:
        told = f"not allowed: {', '.join(missing[:12])}{' …' if len(missing) > 12 else ''}"
        return Answer("fail", f"{told}\n{also}" if also else told, evidence=evidence)
    told = f"{len(needs)} kinds, all allowed" if not also else f"{len(needs)} kinds, allowed; not allowed, and {also}"
    if not subject.rendered:
        return Answer("unknown", f"{told}; which others the chart uses is not known", evidence=evidence)
    told += f"; not known to this cluster yet: {', '.join(unknown)}" if unknown else ""
    return Answer("warn" if advice else "pass", told, evidence=evidence)


def removal(subject: release.Subject) -> Answer:
    """Whether this account may delete each kind that goes with a release; told as one role that would let it."""
    boundaries = subject.boundaries
    cluster, own, policy = boundaries.cluster, boundaries.namespace, boundaries.parameters.uninstall.policy
    going = {
        (str(obj["apiVersion"]), str(obj["kind"]), key_of(obj, own).namespace)
        for obj in subject.objects
        if not kept(obj)
    }
    # Helm's own record of the release is one.
    going |= {("v1", "Secret", own)} | ({("v1", "PersistentVolumeClaim", own)} if policy != "keep-data" else set())
    going |= {("v1", "Namespace", "")} if policy == "remove-namespace" else set()
    needs = [
        Need(resource, place if resource.namespaced else None, ("get", "delete"))
        for version, kind, place in sorted(going)
        if (resource := cluster.resource(version, kind))
    ]
    may = at_once(
        lambda need: cluster.can_i("delete", need.resource.group, need.resource.plural, need.namespace), needs
    )
    lacking = [need for need, allowed in zip(needs, may, strict=True) if not allowed]
    if not lacking:
        return Answer("pass", f"{len(needs)} kinds, all allowed")
    told = ", ".join(f"delete {need.name}" for need in lacking)
    # Under a name of its own: those that 01 shows would lose every other right when this one is applied.
    return Answer("fail", f"not allowed: {told}", evidence=roles(lacking, f"{boundaries.release}-removal"))


def _rendered(subject: Subject, kinds: Iterable[tuple[str, str]]) -> Iterator[Need]:
    """What is needed for the kinds of the chart."""
    for version, kind in kinds:
        # The roll-out is watched, and by Helm its hooks' Jobs.
        verbs = (*_VERBS, "watch") if kind in {*WORKLOAD_KINDS, "Job"} else _VERBS
        verbs = (*_VERBS, *_LENDING) if version.startswith(_RBAC) and kind.endswith("Role") else verbs
        if resource := _resource(subject, version, kind):
            yield Need(resource, subject.boundaries.namespace if resource.namespaced else None, verbs)


def _besides(subject: Subject) -> Iterator[Need]:
    """What is needed by the table."""
    csghub, own = subject.boundaries.parameters.csghub, subject.boundaries.namespace
    places = {"": own, "all": None, "csghub": csghub.namespace, "kube-system": "kube-system"}
    for row in _BESIDES:
        where = row.get("where", "")
        resource = _resource(subject, row["version"], row["kind"])
        if resource is None or (where == "csghub" and not csghub.release):
            continue
        there = row["kind"] == "Namespace" and _is_there(subject)
        verbs = tuple(verb for verb in row["verbs"] if not (there and verb == "create"))
        place = places[where] if resource.namespaced else None
        yield Need(resource, place, verbs, bool(row.get("advisory")), row.get("name", ""))


def _merged(needs: Iterable[Need]) -> list[Need]:
    """Each kind once a place, with all verbs."""
    found: dict[tuple[object, ...], Need] = {}
    for need in needs:
        key = (need.resource.group, need.resource.plural, need.namespace, need.advisory, need.only)
        verbs = (*found[key].verbs, *need.verbs) if key in found else need.verbs
        found[key] = need._replace(verbs=tuple(dict.fromkeys(verbs)))
    return list(found.values())


def _is_there(subject: Subject) -> bool:
    try:
        return subject.namespace is not None
    except RunbookError:
        return False


def _lent(subject: Subject, kind: str) -> bool:
    """Whether the server lets this account make the rendered roles of a kind, since it has every right in them itself."""
    for obj in (obj for obj in subject.objects if obj["kind"] == kind):
        name = f"{obj['metadata']['name'][:200]}-dry-run"
        asked = {**obj, "metadata": {"name": name}}
        try:
            subject.boundaries.cluster.dry_run("create", asked, subject.boundaries.namespace)
        except Forbidden:
            return False
    return True


def _resource(subject: Subject, version: str, kind: str) -> Resource | None:
    """What permissions call a kind, or a subresource of one, as in ``Pod/log``."""
    name, slash, sub = kind.partition("/")
    found = subject.boundaries.cluster.resource(version, name)
    return found.model_copy(update={"plural": f"{found.plural}{slash}{sub}"}) if found else None


def roles(needs: Iterable[Need], name: str) -> str:
    """The least Roles and ClusterRoles with these permissions, as YAML for ``kubectl apply -f -``; those for advice apart."""
    documents: defaultdict[tuple[bool, str], defaultdict[tuple[str, str, tuple[str, ...]], list[str]]]
    documents = defaultdict(lambda: defaultdict(list))
    for need in needs:
        rules = documents[need.advisory, need.namespace or ""]
        rules[need.resource.group, need.only, need.verbs].append(need.resource.plural)
    return yaml.safe_dump_all(
        (
            {
                "apiVersion": f"{_RBAC}/v1",
                "kind": "Role" if namespace else "ClusterRole",
                "metadata": {"name": f"runbooks-{name}{'-advice' if advisory else ''}"}
                | ({"namespace": namespace} if namespace else {}),
                "rules": [
                    {"apiGroups": [group], "resources": sorted(names), "verbs": list(verbs)}
                    | ({"resourceNames": [only]} if only else {})
                    for (group, only, verbs), names in sorted(rules.items())
                ],
            }
            for (advisory, namespace), rules in documents.items()
        ),
        sort_keys=False,
    )
