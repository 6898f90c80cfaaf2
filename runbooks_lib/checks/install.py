"""What must not be there before a first install: other people's objects, and a claim without its Secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from runbooks_lib.checks.catalogue import Answer, Check
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.parameters.components import COMPONENTS
from runbooks_lib.release.manifest import annotation, claim_names, images, key_of, objects_of, secret_values
from runbooks_lib.results import Json


def _release_name(subject: Subject) -> Answer:
    found = subject.boundaries.helm.status(subject.boundaries.release)
    if found is None:
        return Answer("pass", "free")
    return Answer("fail", f"revision {found.revision} of {found.name} is {found.status} in {found.namespace}")


def _ownership(subject: Subject) -> Answer:
    boundaries = subject.boundaries
    objects = objects_of(subject.proposal.rendered.manifest)

    def live(obj: Json) -> Json | None:
        key = key_of(obj, boundaries.namespace)
        if boundaries.cluster.resource(obj["apiVersion"], key.kind) is None:
            return None
        return boundaries.cluster.get(obj["apiVersion"], key.kind, key.name, key.namespace)

    with ThreadPoolExecutor(8) as pool:
        there = [(obj, found) for obj, found in zip(objects, pool.map(live, objects), strict=True) if found]
    foreign, ours = [], []
    for obj, found in there:
        owner = annotation(found, "meta.helm.sh/release-name")
        space = annotation(found, "meta.helm.sh/release-namespace")
        if (owner, space) == (boundaries.release, boundaries.namespace):
            ours.append(str(key_of(obj)))
        else:
            foreign.append(f"{key_of(obj)} ({f'release {owner} in {space}' if owner else 'of no release'})")
    if foreign:
        return Answer("fail", f"exists and is not this release's: {', '.join(foreign)}")
    return Answer(
        "pass", f"adopted from an earlier install: {', '.join(ours)}" if ours else "nothing in the way"
    )


def _pairs(subject: Subject) -> Answer:
    boundaries = subject.boundaries
    objects = objects_of(subject.proposal.rendered.manifest)
    alone = []
    for component in COMPONENTS:
        if not component.password_key:
            continue
        claims = [
            name
            for obj in objects
            if any(component.image.search(image) for image in images(obj).values())
            for name in claim_names(obj)
            if boundaries.cluster.get("v1", "PersistentVolumeClaim", name, boundaries.namespace)
        ]
        secrets = [
            obj["metadata"]["name"]
            for obj in objects
            if obj["kind"] == "Secret" and component.password_key in dict(secret_values(obj))
        ]
        lost = [
            name for name in secrets if not boundaries.cluster.get("v1", "Secret", name, boundaries.namespace)
        ]
        alone += [f"claim {claim} is there, Secret {name} is not" for claim in claims for name in lost]
    if alone:
        return Answer("fail", "; ".join(alone))
    return Answer("pass", "no claim without its Secret")


CHECKS: tuple[Check[Subject], ...] = (
    Check(
        "release.name",
        "Release name",
        "no release of this name yet",
        "An install never changes a release that is there.",
        "Run 04_upgrade to change it, or 05_uninstall to remove it first.",
        _release_name,
    ),
    Check(
        "objects.ownership",
        "Objects in the way",
        "none that belongs to somebody else",
        "Helm stops in the middle when it meets one; two releases with one GatewayClass remove it from each other.",
        "Find the owner; rename the release, or remove the object by hand if it is of nobody's use.",
        _ownership,
    ),
    Check(
        "claims.secrets",
        "Claims and their Secrets",
        "both of a pair, or neither",
        "A database keeps the password of its first start on its volume: with a new Secret it lets nobody in.",
        "Restore the Secret from a backup, or remove the claim if its data may be lost.",
        _pairs,
    ),
)
