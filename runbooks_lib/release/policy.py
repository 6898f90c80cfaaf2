"""Who must say yes to a change: what the cluster rules, else what the parameters do; see docs/adr/0015."""

from dataclasses import dataclass, field

from runbooks_lib.cluster import Forbidden
from runbooks_lib.parameters import resolve_path
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Json, digest_bytes, digest_of
from runbooks_lib.secrets import read_small
from runbooks_lib.signing import Person, listed

#: Looked up whatever the parameters say: who may change a release can seldom write in this namespace.
RULING = ("kube-system", "runbooks-approval")


@dataclass(frozen=True)
class Rule:
    """Who must say yes.

    Attributes:
        approvers: By the fingerprints of their keys; nobody where the operator's own yes is enough.
        source, digest: Where they stand, and the digest of what stands there.
        namespace: Of the ConfigMap, if it is one.
    """

    approvers: dict[str, Person] = field(default_factory=dict)
    source: str = ""
    digest: str = ""
    namespace: str = ""

    @property
    def names(self) -> str:
        """Those who may approve."""
        return ", ".join(person.name for person in self.approvers.values())


def rule_of(boundaries: Boundaries) -> Rule:
    """Who must say yes to a change of this release; the parameters may ask for more than the cluster, never for less.

    Raises ApprovalError: It can't be known, or those who may approve are not named as they should be.
    """
    policy, ruling = boundaries.parameters.policy, _entries(boundaries, *RULING)
    # Any other word than this one asks for two: one that is misspelt weakens nothing.
    strict = ruling is not None and str(ruling.get("policy")).strip() != "operator"
    if not strict and policy.approval == "operator":
        return Rule()
    named = None if strict else policy.approvers
    if named and named.file:
        content, source = read_small(resolve_path(named.file)), named.file
        if (digest := digest_bytes(content)) != named.digest:
            raise refused("approvers differ", source=source, digest=digest, pinned=named.digest)
        return Rule(_approvers(content.decode("utf-8", "replace"), source), source, digest)
    place = (named.namespace, named.configmap) if named else RULING
    entries = _entries(boundaries, *place) or {}
    source = f"ConfigMap {'/'.join(place)}"
    return Rule(_approvers(str(entries.get("approvers", "")), source), source, digest_of(entries), place[0])


def _entries(boundaries: Boundaries, namespace: str, name: str) -> Json | None:
    try:
        found = boundaries.cluster.get("v1", "ConfigMap", name, namespace)
    except Forbidden as error:
        # An account that may not look could be made on purpose: not knowing is not a permission.
        raise refused("policy unreadable", name=name, namespace=namespace) from error
    return found and (found.get("data") or {})


def _approvers(text: str, source: str) -> dict[str, Person]:
    """The persons of a list, one a line; a wrong line spoils it, since it could be the one that was meant."""
    found: dict[str, Person] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                person = listed(line)
            except ValueError as error:
                raise refused("wrong approver", source=source, number=number) from error
            found[person.fingerprint] = person
    if not found:
        raise refused("no approvers", source=source)
    return found
