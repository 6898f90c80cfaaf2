"""Names inside the cluster and where they lead on this machine: what DNS and kube-proxy do elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from runbooks_lib.results import Json
from sandbox.state import write_whole

#: A pod, its container's ports with those of this machine, or None where no program runs in it; whether it is ready.
Seen = tuple[Json, Mapping[int, int] | None, bool]


def table(services: Iterable[Json], pods: Iterable[Seen]) -> dict[str, dict[str, str]]:
    """Where each Service leads, by namespace: ``{"csghub": {"dataflow-redis:6379": "127.0.0.1:40123"}}``.

    Args:
        services: Every Service of the cluster.
        pods: A Service leads to the first ready one that it selects; to one without a program it leads nowhere, which
            is an empty address: it is simply ready.
    """
    found: dict[str, dict[str, str]] = {}
    ready = [(pod, ports) for pod, ports, is_ready in pods if is_ready]
    for service in services:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        selector = (service.get("spec") or {}).get("selector")
        for pod, ports in ready:
            labels = pod["metadata"].get("labels") or {}
            if not selector or pod["metadata"]["namespace"] != namespace or not selector.items() <= labels.items():
                continue
            for port in service["spec"].get("ports") or ():
                local = ports.get(_target(port, pod)) if ports is not None else 0
                if local is not None:
                    names = (name, f"{name}.{namespace}", f"{name}.{namespace}.svc")
                    for one in (*names, f"{names[-1]}.cluster.local"):
                        known = found.setdefault(namespace, {})
                        address = f"127.0.0.1:{local}" if local else ""
                        known[f"{one}:{port['port']}"] = known.get(f"{one}:{port['port']}") or address
    everywhere = {key: value for known in found.values() for key, value in known.items() if "." in key}
    return {namespace: {**everywhere, **known} for namespace, known in found.items()}


def _target(port: Json, pod: Json) -> int:
    """The container's port that a Service's port leads to; 0 for a name that no container has."""
    wanted = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    named = [each for container in pod["spec"]["containers"] for each in container.get("ports") or ()]
    return next((int(each["containerPort"]) for each in named if each.get("name") == wanted), 0)


def is_hollow(file: Path, host: str, port: int) -> bool:
    """Whether a Service's pods are ready and have no program: as far as anybody can tell here, it answers."""
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")).get(f"{host}:{port}") == "")
    except (OSError, ValueError):
        return False


def write(file: Path, known: Mapping[str, str]) -> None:
    """Write the table of one namespace, if it has changed."""
    text = json.dumps(dict(known), indent=1, sort_keys=True) + "\n"
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
