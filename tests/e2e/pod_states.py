"""Pods for tests: made, told of, and read as ``kubectl get pods`` prints them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Json
from sandbox.nodes import PREFIX

PLAIN = "registry.example.com/team/web:1"
DATABASE = "docker.io/library/postgres:16.4@sha256:" + "0" * 64


def pod_of(image: str, inits: int = 0, *, policy: str = "Always", **notes: str) -> Json:
    """A pod's metadata and spec; an underscore in a note stands for a hyphen."""
    waiting = [{"name": f"wait-{number}", "image": "busybox"} for number in range(inits)]
    spec = {"containers": [{"name": "main", "image": image}], "initContainers": waiting, "restartPolicy": policy}
    # Without init containers it has only to be told that it may start.
    told = {"init_done": "true"} | notes if not inits else notes
    return {"metadata": {"annotations": annotations(**told)}, "spec": spec}


def annotations(**notes: str | None) -> dict[str, str | None]:
    return {PREFIX + key.replace("_", "-"): value for key, value in notes.items()}


def create(cluster: Cluster, space: str, template: Json, name: str = "one") -> None:
    metadata = template["metadata"] | {"name": name}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, space)


def tell(cluster: Cluster, space: str, name: str = "one", **notes: str | None) -> None:
    cluster.patch("v1", "Pod", name, {"metadata": {"annotations": annotations(**notes)}}, space)


def shown(pod: Json | None) -> str:
    """A pod as ``kubectl get pods`` prints it: containers ready, status, restarts."""
    if pod is None:
        return "gone"
    status = pod["status"]
    containers = status.get("containerStatuses") or []
    word = status.get("phase", "")
    for one in containers:
        (kind, detail), *_ = one["state"].items()
        word = detail.get("reason") or ("Running" if kind == "running" else word)
    inits = status.get("initContainerStatuses") or []
    behind = [number for number, one in enumerate(inits) if "terminated" not in one["state"]]
    if behind:
        word = f"Init:{behind[0]}/{len(inits)}"
    ready = sum(one["ready"] for one in containers)
    return f"{ready}/{len(pod['spec']['containers'])} {word} {sum(one['restartCount'] for one in containers)}"


def becomes(cluster: Cluster, space: str, wanted: str, name: str = "one", seconds: float = 20) -> Json:
    """The pod as soon as it shows this; the test fails with what it showed instead."""
    deadline = time.monotonic() + seconds
    seen = [""]
    while time.monotonic() < deadline:
        pod = cluster.get("v1", "Pod", name, space)
        if (now := shown(pod)) == wanted:
            return pod or {}
        if now != seen[-1]:
            seen.append(now)
    pytest.fail(f"never {wanted}: {' → '.join(seen[1:])}")


def stays(cluster: Cluster, space: str, wanted: str, seconds: float = 1.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if shown(cluster.get("v1", "Pod", "one", space)) != wanted:
            return False
    return True


def conditions(pod: Json) -> dict[str, str]:
    return {one["type"]: f"{one['status']} {one.get('reason', '')}".strip() for one in pod["status"]["conditions"]}


def uid_of(pod: Json | None) -> str:
    return str(pod["metadata"]["uid"]) if pod else ""


def new_space(cluster: Cluster, name: str) -> str:
    """A namespace in which pods can be made; gives its name."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    assert until(lambda: cluster.get("v1", "ServiceAccount", "default", name) is not None)
    return name


def until(question: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
    return False
