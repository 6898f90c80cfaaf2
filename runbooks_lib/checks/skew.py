"""How far apart are things that have to agree: clocks, and versions of Kubernetes?"""

import re
from collections import defaultdict

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject, version_of
from runbooks_lib.results import Status

#: Seconds. Leases and tokens still work with the first, no longer with the second.
_NOTICED, _HARMFUL = 5, 60
#: How many minor versions a kubelet may be behind its API server.
_BEHIND = 3


def clock(subject: Subject) -> Answer:
    """The API server's clock against this machine's."""
    server, here = subject.boundaries.cluster.clock()
    # Its header has whole seconds.
    apart = max(0.0, abs((server - here).total_seconds()) - 1)
    observed = f"the API server's clock says {server:%Y-%m-%dT%H:%M:%SZ}, this machine's {here:%Y-%m-%dT%H:%M:%SZ}"
    status: Status = "fail" if apart > _HARMFUL else "warn" if apart > _NOTICED else "pass"
    return Answer(status, observed if status == "pass" else f"{observed}: {apart:.0f} s or more apart")


def versions(subject: Subject) -> Answer:
    """The kubelets' versions against the API server's."""
    text = subject.boundaries.cluster.version()
    server, kubelets = version_of(text), defaultdict(list)
    for node in subject.nodes:
        info = (node.get("status") or {}).get("nodeInfo") or {}
        kubelets[str(info.get("kubeletVersion") or "none")].append(node["metadata"]["name"])
    # A simulated one may name its own version, which is none of Kubernetes.
    known = {version: names for version, names in kubelets.items() if re.match(r"v?\d+\.\d+", version)}
    if not known:
        return Answer(
            "skip", f"no kubelet tells its version of Kubernetes ({', '.join(kubelets) or 'there are no nodes'})"
        )
    wrong = []
    for version, names in known.items():
        own = version_of(version)
        if own > server:
            wrong.append(f"kubelet {version} of {', '.join(names)} is newer than the API server {text}")
        elif own[0] < server[0] or own[1] < server[1] - _BEHIND:
            wrong.append(
                f"kubelet {version} of {', '.join(names)} is over {_BEHIND} minor versions older than the API server {text}"
            )
    listed = ", ".join(f"{version} ({len(names)})" for version, names in sorted(kubelets.items()))
    return Answer("fail", "; ".join(wrong)) if wrong else Answer("pass", f"API server {text}, kubelets {listed}")
