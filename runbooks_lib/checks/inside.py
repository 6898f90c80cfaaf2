"""Can CSGHub be reached from where its clients are: from inside a pod of the release?"""

import json
from collections.abc import Iterator
from typing import Any

from runbooks_lib.checks import prerequisites, release
from runbooks_lib.checks.catalogue import Answer, Moot, together
from runbooks_lib.cluster import Forbidden
from runbooks_lib.errors import RunbookError
from runbooks_lib.parameters.components import component_of
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.pods import is_ready
from runbooks_lib.results import Json

#: A GET of the URL that it is given, or that a variable of that name holds, with the container's own proxies and
#: certificates. It says which machine it ran on: what stands in for a node may run it somewhere else.
_SCRIPT = """
import json, os, socket, sys, urllib.error, urllib.request
url, said = os.environ.get(sys.argv[1], sys.argv[1]), {"host": socket.gethostname()}
try:
    said["status"] = urllib.request.urlopen(url, timeout=10).status
except urllib.error.HTTPError as error:
    said["status"] = error.code
except Exception as error:
    said["error"] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""
_BY_HAND = (
    "Ask by hand: kubectl --namespace {namespace} exec {pod} --container {container} -- python3 -c "
    "'import os, urllib.request; print(urllib.request.urlopen(os.environ[\"{variable}\"]).status)'"
)
_FROM_THERE = (
    "If CSGHub answers from elsewhere, its name, a proxy, a NetworkPolicy or a firewall keeps the pods from it; if only its "
    "certificate is at fault, the pods don't trust who has signed it. A wrong address is corrected in csghub.external_url."
)


def _asked(boundaries: Boundaries, pod: Json, container: str, variable: str, asks: str) -> Answer:
    """What CSGHub says to one container."""
    name = str(pod["metadata"]["name"])
    by_hand = _BY_HAND.format(namespace=boundaries.namespace, pod=name, container=container, variable=variable)
    try:
        ended = boundaries.cluster.execute(boundaries.namespace, name, container, "python3", "-c", _SCRIPT, asks)
    except Forbidden as error:
        # Few accounts may, and none needs it for anything else.
        return Answer("unknown", error.summary.removesuffix("."), by_hand)
    except RunbookError as error:
        return Answer("unknown", error.summary.removesuffix("."), f"{error.next_step} {by_hand}")
    try:
        said: dict[str, Any] = {**json.loads(ended.out)}
    except (TypeError, ValueError):
        why = ended.why or ended.complaints.strip().rpartition("\n")[2] or "it said nothing that can be read"
        return Answer("unknown", f"{name} can't be made to ask: {why}", by_hand)
    if not _is_in(pod, str(said.get("host"))):
        return Answer("unknown", f"{name} can't be made to ask: what is run in it runs on another machine", by_hand)
    url = boundaries.parameters.csghub.external_url
    what = url if asks == url else f"what {variable} says"
    if "error" in said:
        return Answer("fail", f"{name} can't reach {what}: {said['error']}", _FROM_THERE)
    told = f"from inside {name}, {what} answered {said.get('status')}"
    return Answer("pass" if int(said.get("status") or 500) < 500 else "fail", told)


def _is_in(pod: Json, host: str) -> bool:
    """Whether a host name is the pod's; one in its node's network has the node's."""
    spec = pod.get("spec") or {}
    own = str(spec.get("hostname") or pod["metadata"]["name"])[:63]
    return bool(spec.get("hostNetwork")) or host.partition(".")[0] == own.partition(".")[0]


def _clients(subject: release.Subject) -> Iterator[tuple[Json, str, str]]:
    """A ready pod of each kind of client of CSGHub, its container, and the variable that has CSGHub's address."""
    told = set()
    for pod in filter(is_ready, subject.pods):
        for container in pod["spec"]["containers"]:
            component = component_of(str(container.get("image", "")))
            if component and component.csghub and component.name not in told:
                told.add(component.name)
                yield pod, container["name"], component.csghub


def seen_by_pods(subject: release.Subject) -> Answer:
    """Whether each kind of client reaches CSGHub under the address that it was given."""
    found = list(_clients(subject))
    if not found:
        raise Moot("no pod of this release that could ask is ready")
    return together(_asked(subject.boundaries, *client, asks=client[2]) for client in found)


def will_be_seen(wanted: prerequisites.Subject) -> Answer:
    """Whether the address in the parameters is reached from a pod, where one runs already."""
    subject = wanted.installed
    found = list(_clients(subject))
    if not found:
        return Answer("unknown", "no pod of this release runs yet that could ask", "03_verify asks when there is one.")
    url = wanted.boundaries.parameters.csghub.external_url
    return together(_asked(wanted.boundaries, *client, asks=url) for client in found)
