"""What a fresh control plane is given: CRDs, a StorageClass, nodes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import yaml

from sandbox.api import Api
from sandbox.interruption import checkpoint
from sandbox.parts import until
from sandbox.toolchain import Toolchain

Json = dict[str, Any]

MANIFESTS = Path(__file__).parent / "manifests"
#: The kinds that kwok is told to watch (controlplane.kwok), as they are spelt in its file names.
_KWOK_KINDS = {"clusterportforwards", "portforwards", "clusterexecs", "execs", "clusterlogs", "logs"}

_DELETED_SECONDS = 10.0
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_PATHS = {"StorageClass": "/apis/storage.k8s.io/v1/storageclasses", "Node": "/api/v1/nodes"}


def furnish(api: Api, tools: Toolchain) -> None:
    """Create what is missing; what is there stays as it is.

    Raises:
        RunbookError: The server refused an object, or does not answer.
    """
    _drop_stuck_crds(api)
    work = [(_CRDS, file.read_text(), file.stem) for file in _crd_files(tools)]
    work += [(_PATHS[body["kind"]], json.dumps(body), body["metadata"]["name"]) for body in _cluster()]
    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            made = [pool.submit(api.create, path, body, name=name) for path, body, name in work]
            # In slices: a signal that another thread has taken does not wake one that waits.
            while wait(made, timeout=0.5).not_done:
                pass
            for each in made:
                each.result()
    finally:
        # A signal makes the threads give up: it is told, not their failure.
        checkpoint()


def crds_missing(api: Api, tools: Toolchain) -> set[str]:
    """The CRDs that the server does not serve yet: kwok must not start before."""
    wanted = {_crd_name(file) for file in _crd_files(tools)}
    return wanted - {name for name, served in _crds_found(api).items() if served}


def _drop_stuck_crds(api: Api) -> None:
    """Delete CRDs that an API server left half-established when it was stopped.

    The next server never establishes them. There can be no object of such a kind, so nothing is lost.
    """
    stuck = [f"{_CRDS}/{name}" for name, served in _crds_found(api).items() if not served]
    for path in stuck:
        api.delete(path)
    until(lambda: all(api.get(path) is None for path in stuck), _DELETED_SECONDS)


def _crds_found(api: Api) -> dict[str, bool]:
    found = api.get(_CRDS) or {}
    return {crd["metadata"]["name"]: _has_condition(crd, "Established") for crd in found.get("items", [])}


def settled(api: Api) -> bool:
    """Whether the controllers and kwok have done their first work: accounts are made, nodes are ready."""
    account = api.get("/api/v1/namespaces/default/serviceaccounts/default")
    nodes = (api.get("/api/v1/nodes") or {}).get("items", [])
    return bool(account) and bool(nodes) and all(_has_condition(node, "Ready") for node in nodes)


def renew_nodes(api: Api, port: int) -> None:
    """Make the nodes again if they name another kubelet port: kwok writes it only into new ones."""
    nodes = (api.get("/api/v1/nodes") or {}).get("items", [])
    bodies = {body["metadata"]["name"]: body for body in _cluster() if body["kind"] == "Node"}
    for node in nodes:
        endpoint = node.get("status", {}).get("daemonEndpoints", {}).get("kubeletEndpoint", {})
        name = node["metadata"]["name"]
        if name in bodies and endpoint.get("Port", port) != port:
            api.delete(f"/api/v1/nodes/{name}")
            api.create(_PATHS["Node"], json.dumps(bodies[name]), name=name)


def cluster_uid(api: Api) -> str:
    """The pin: the UID of the namespace ``kube-system``; empty as long as it is not there."""
    namespace = api.get("/api/v1/namespaces/kube-system") or {}
    return str(namespace.get("metadata", {}).get("uid", ""))


def _crd_files(tools: Toolchain) -> list[Path]:
    """Each is called ``GROUP_PLURAL.yaml``, in the modules they come from and here."""
    of_modules = [
        file for file in tools.crds() if file.parent.name != "kwok" or file.stem.rpartition("_")[2] in _KWOK_KINDS
    ]
    return [*of_modules, *MANIFESTS.glob("*_*.yaml")]


def _crd_name(file: Path) -> str:
    group, _, plural = file.stem.rpartition("_")
    return f"{plural}.{group}"


def _cluster() -> list[Json]:
    return list(yaml.safe_load_all((MANIFESTS / "cluster.yaml").read_text()))


def _has_condition(body: Json, kind: str) -> bool:
    """Whether a condition is True; a fresh object has ``conditions: null``."""
    return any(
        condition["type"] == kind and condition["status"] == "True"
        for condition in body.get("status", {}).get("conditions") or []
    )
