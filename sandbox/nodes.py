"""The simulated nodes: kwok's configuration, with the life of a pod.

What a pod's processes do is told by annotations under :data:`PREFIX`, which kwok turns into its status. Until
anything is told, its containers are being created:

=============================  ======================================================================
``init-running: "1"``          the number of the init container that waits
``init-done: "true"``          its init containers have ended well, or it has none: its containers start
``ready: "true"``              its processes answer
``exit-code: "0"``             its program has ended so, for good (restartPolicy is not Always)
``fail: CrashLoopBackOff``     its containers wait for this reason, or, before ``init-done``, the init container
                               of ``init-running`` does; with ``fail-message``
``restarts: "2"``              how often they were started again; with ``last-exit: "1"``
``stopped: "true"``            its processes have ended: it may go
=============================  ======================================================================

Faults can be asked for in a workload's template, and kwok carries them out alone: ``fault: image-not-found``,
``image-unauthorized``, ``image-rate-limit``, ``image-no-platform``, ``image-unreachable``, ``crash-loop``,
``out-of-memory``, ``evicted`` or ``stuck-init`` (of a pod with init containers); ``slow-start: "20"`` (seconds that it
runs before it is ready). The ``exit-code`` of a Job's template is kept, where there is no program for it. A Gateway takes ``fault: not-programmed``; a claim of the
StorageClass ``unbound`` is never bound.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from runbooks_lib.parameters.components import COMPONENTS

Json = dict[str, Any]

PREFIX = "sandbox.dataflow-runbooks.dev/"
#: What the annotation ``fault`` of a pod may be.
FAULTS = (
    *("image-not-found", "image-unauthorized", "image-rate-limit", "image-no-platform", "image-unreachable"),
    *("crash-loop", "out-of-memory", "evicted", "stuck-init"),
)

_MANIFESTS = Path(__file__).parent / "manifests"


def configuration() -> str:
    """The text of kwok's configuration file."""
    names = "|".join(sorted(name for component in COMPONENTS for name in component.images))
    pattern = rf"(?:^|/)(?:{names})(?::[^/@]+)?(?:@[^/]+)?$"
    images = json.dumps(pattern)[1:-1]  # it stands between quotes
    stages = yaml.safe_load(_text("pods.yaml", images))
    decision, status = _text("pods.jq", images), _text("pods.gotmpl", images)
    # Written as JSON, which is YAML too: half a second sooner.
    pods = [json.dumps(_stage(name, row, decision, status)) for name, row in stages.items()]
    return "\n---\n".join([_text("kwok.yaml", images), *pods]) + "\n"


def file_name() -> str:
    """What that file is called: another one for each content, so that a kwok with an older one is started anew."""
    return f"kwok-{hashlib.sha256(configuration().encode()).hexdigest()[:12]}.yaml"


def _text(name: str, images: str) -> str:
    return (_MANIFESTS / name).read_text(encoding="utf-8").replace("%PREFIX%", PREFIX).replace("%IMAGES%", images)


def _stage(name: str, row: Json, decision: str, status: str) -> Json:
    """One kwok Stage; a row of pods.yaml says what it does."""
    condition = {"key": f"{decision}step == {json.dumps(name)}", "operator": "In", "values": ["true"]}
    spec: Json = {"resourceRef": {"apiGroup": "v1", "kind": "Pod"}, "selector": {"matchExpressions": [condition]}}
    spec["next"] = {"event": row["event"]} if "event" in row else {}
    if "from" in row:
        spec["delay"] = {"durationFrom": {"expressionFrom": f"{decision}{row['from']}"}}
    if "milliseconds" in row:
        spec["delay"] = {"durationMilliseconds": row["milliseconds"]}
    if "status" in row:
        given = " ".join(f"{json.dumps(key)} {json.dumps(value)}" for key, value in row["status"].items())
        template = f'{status}{{{{ template "status" (dict "pod" . {given}) }}}}'
        spec["next"]["patches"] = [
            {"subresource": "status", "root": "status", "type": "strategic", "template": template}
        ]
    else:
        spec["next"]["delete"] = True
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": f"pod-{name}"}, "spec": spec}
