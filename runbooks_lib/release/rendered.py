"""The pods and the volume claims that rendered objects make."""

from collections.abc import Iterable
from typing import NamedTuple

from runbooks_lib.release.manifest import claim_names, key_of, labelled
from runbooks_lib.results import Json


class Pods(NamedTuple):
    """The equal pods that a rendered object makes.

    Attributes:
        copies: How many at once; of a DaemonSet one, since there is one on a node.
    """

    owner: Json
    template: Json
    copies: int

    @property
    def name(self) -> str:
        """Their owner, for people."""
        return str(key_of(self.owner))

    @property
    def spec(self) -> Json:
        """The specification of each."""
        return dict(self.template["spec"])


class Claim(NamedTuple):
    """A rendered volume claim; ``owner`` is the StatefulSet whose template it comes from, None where it stands alone."""

    name: str
    spec: Json
    owner: Json | None

    @property
    def made(self) -> Json:
        """The object."""
        kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        return {**kind, "metadata": {"name": self.name}, "spec": self.spec}


def pods_of(objects: Iterable[Json]) -> list[Pods]:
    """The pods of all rendered objects, those of Jobs and hooks included."""
    found = []
    for obj in objects:
        spec = obj.get("spec") or {}
        spec = (spec.get("jobTemplate") or {}).get("spec") or spec
        template = obj if obj["kind"] == "Pod" else spec.get("template")
        if isinstance(template, dict) and (template.get("spec") or {}).get("containers"):
            copies = spec.get("replicas", spec.get("parallelism"))
            found.append(Pods(obj, template, 1 if copies is None else int(copies)))
    return found


def claims_of(objects: Iterable[Json]) -> list[Claim]:
    """The claims of all rendered objects, those that StatefulSets make included."""
    found = []
    for obj in objects:
        spec = obj.get("spec") or {}
        if obj["kind"] == "PersistentVolumeClaim":
            found.append(Claim(obj["metadata"]["name"], spec, None))
        for template in spec.get("volumeClaimTemplates") or ():
            names = claim_names({**obj, "spec": {**spec, "volumeClaimTemplates": [template]}})
            found += [Claim(name, template.get("spec") or {}, obj) for name in names]
    return found


def selects(service: Json, template: Json) -> bool:
    """Whether a Service leads to the pods of a template."""
    return labelled(template, (service.get("spec") or {}).get("selector") or {})


def target_of(service: Json, containers: Iterable[Json], port: int) -> int | None:
    """The port of a pod with these containers to which a Service sends one of its own; None: it has no such port."""
    spec = service.get("spec") or {}
    if spec.get("clusterIP") == "None":
        # Without an address of its own it leads to the pods themselves.
        return port
    targets = {each["port"]: each.get("targetPort") or each["port"] for each in spec.get("ports") or ()}
    named = {each.get("name"): each["containerPort"] for one in containers for each in one.get("ports") or ()}
    target = str(named.get(targets.get(port), targets.get(port)))
    return int(target) if target.isdigit() else None


def size_of(claim: Json) -> str:
    """The size that a claim's specification asks for, as it is written."""
    return str(((claim.get("resources") or {}).get("requests") or {}).get("storage", "0"))


def mounted(spec: Json) -> list[str]:
    """The names of the claims that a pod's specification mounts by name."""
    volumes = (volume.get("persistentVolumeClaim") or {} for volume in spec.get("volumes") or ())
    return [str(claim["claimName"]) for claim in volumes if claim.get("claimName")]
