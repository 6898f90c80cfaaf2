"""What a pod's own status says of why it does not get on."""

from collections.abc import Iterator
from typing import NamedTuple

from runbooks_lib.results import Json

#: Why a container waits that is on its way.
_BENIGN = {"PodInitializing", "ContainerCreating", ""}


class Trouble(NamedTuple):
    """One thing that is amiss: ``pod``, ``scheduling``, ``container``, ``exit`` or ``init``, and of which container."""

    kind: str
    container: str
    says: str


def statuses_of(pod: Json) -> Iterator[tuple[str, Json, bool]]:
    """Name and status of each container, and whether it is an init container, which come first."""
    for key in ("initContainerStatuses", "containerStatuses"):
        for status in (pod.get("status") or {}).get(key) or ():
            yield status["name"], status, key.startswith("init")


def troubles_of(pod: Json) -> Iterator[Trouble]:
    """Everything that is amiss."""
    status, listed = pod.get("status") or {}, (pod.get("spec") or {}).get("initContainers") or ()
    sidecars = {item["name"] for item in listed if item.get("restartPolicy") == "Always"}
    if status.get("reason"):
        yield Trouble("pod", "", f"{status['reason']}: {status.get('message', '')}")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield Trouble("scheduling", "", str(condition.get("message") or condition.get("reason") or ""))
    for name, container, init in statuses_of(pod):
        state, last = container.get("state") or {}, container.get("lastState") or {}
        waiting = state.get("waiting") or {}
        if waiting.get("reason", "") not in _BENIGN:
            yield Trouble("container", name, f"{waiting['reason']} {waiting.get('message', '')}".strip())
        for ended in (state.get("terminated"), last.get("terminated")):
            if ended and ended.get("exitCode"):
                yield Trouble("exit", name, f"exit {ended['exitCode']} {ended.get('reason', '')}")
        if init and state.get("running") is not None and name not in sidecars:
            yield Trouble("init", name, f"init container {name} has not ended: what it waits for does not answer")


def trouble_of(pod: Json) -> str:
    """Why a pod does not get on now, in one clause; empty when nothing is known."""
    before = {"scheduling": "not scheduled: ", "container": "{container}: ", "init": ""}
    now = (one for one in troubles_of(pod) if one.kind in before)
    return next((before[one.kind].format(container=one.container) + one.says for one in now), "")


def is_ready(pod: Json) -> bool:
    """Whether a pod is ready, and stays."""
    listed = (pod.get("status") or {}).get("conditions") or ()
    ready = any((each.get("type"), each.get("status")) == ("Ready", "True") for each in listed)
    return ready and not pod["metadata"].get("deletionTimestamp")
