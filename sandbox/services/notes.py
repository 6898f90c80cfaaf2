"""What is asked of a pod by annotations of ours, in its workload's template or by hand."""

from __future__ import annotations

import re

from runbooks_lib.results import Json
from sandbox.nodes import FAULTS, PREFIX


def asked(pod: Json) -> dict[str, str]:
    """Our annotations, without their prefix."""
    annotations = pod["metadata"].get("annotations") or {}
    return {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}


def faulty(pod: Json) -> bool:
    """Whether it has a fault, which kwok carries out alone."""
    fault = asked(pod).get("fault", "")
    waiting = [each for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy") != "Always"]
    return fault in FAULTS and (fault != "stuck-init" or bool(waiting))


def refused(pod: Json) -> str:
    """What of it can't be done, in words that name it; empty when all can."""
    notes = asked(pod)
    if (fault := notes.get("fault", "")) and fault not in FAULTS:
        return f"annotation {PREFIX}fault: {fault!r} is no fault of a pod; there are {', '.join(FAULTS)}"
    if (slow := notes.get("slow-start", "")) and not re.fullmatch(r"\d+(\.\d+)?", slow):
        return f"annotation {PREFIX}slow-start: {slow!r} is no number of seconds"
    return ""
