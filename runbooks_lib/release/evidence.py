"""What is saved from the cluster when a change fails: before anything else is touched."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from runbooks_lib.cluster.environment import Missing
from runbooks_lib.errors import RunbookError
from runbooks_lib.parameters.components import component_of
from runbooks_lib.release.access import access_of
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.passwords import learn_secret
from runbooks_lib.release.pods import statuses_of
from runbooks_lib.results import Event, Json
from runbooks_lib.tables import table

#: Kinds whose live objects tell what happened. Secrets are read for redaction only and never saved.
_KINDS: dict[str, list[str]] = table(__package__, "evidence.yaml")

_TAIL = 500  # lines of each container's log
_LAST, _LONGEST = 5, 300  # lines in which the last words are, and characters of them

#: Writes one file of the record, given its relative path and text; it redacts.
Save = Callable[[str, str], None]


def collect(boundaries: Boundaries, save: Save) -> tuple[str, ...]:
    """Save objects, events and logs (of the previous container too) of the target's namespace.

    Nothing that can't be read stops the rest: what is missing is told in ``evidence/missing.json``.

    Returns:
        The relative paths of the files saved.
    """
    cluster, namespace = boundaries.cluster, boundaries.namespace
    files: list[str] = []
    missing: dict[str, str] = {}

    def keep(name: str, text: str) -> None:
        save(f"evidence/{name}", text)
        files.append(f"evidence/{name}")

    # First of all: pod logs print passwords, also such that nobody handed to the runbook.
    try:
        for secret in cluster.list("v1", "Secret", namespace):
            learn_secret(boundaries.redactor, secret)
    except RunbookError as error:
        missing["Secrets, and so all logs"] = error.summary
    pods: list[Json] = []
    for api_version, kind in ((version, kind) for version, kinds in _KINDS.items() for kind in kinds):
        try:
            found = cluster.list(api_version, kind, namespace)
        except RunbookError as error:
            missing[kind] = error.summary
            continue
        pods += found if kind == "Pod" else []
        keep(f"{kind.lower()}s.json", json.dumps(boundaries.redactor.redact_data(found), indent=1, sort_keys=True))
    if not any(name.startswith("Secrets") for name in missing):
        for pod in pods:
            _logs(boundaries, pod, keep, missing)
    if missing:
        keep("missing.json", json.dumps(missing, indent=1))
    boundaries.observe(Event(kind="evidence.saved", data={"files": files}))
    return tuple(files)


def last_words(boundaries: Boundaries, pod: Json) -> Iterator[str]:
    """The last line that each container of a pod has said that is not ready, and has not ended well."""
    if not learn(boundaries, pod):
        return
    for name, status, _ in statuses_of(pod):
        ended = (status.get("state") or {}).get("terminated") or {"exitCode": 1}
        if status.get("ready") or ended["exitCode"] == 0:
            continue
        with suppress(RunbookError):
            log = boundaries.cluster.logs(boundaries.namespace, pod["metadata"]["name"], name, tail=_LAST)
            if lines := [line.strip() for line in log.splitlines() if line.strip()]:
                # In an address that is no URL nobody could tell a password from a port.
                line = re.sub(r":[^\s:@]+@", ":…@", boundaries.redactor.redact(lines[-1]))
                yield f"{name} said last: {line[:_LONGEST]}"


def learn(boundaries: Boundaries, pod: Json) -> bool:
    """Know the secrets of the namespace, and those that a pod's containers are given otherwise.

    Where that can't be, nothing of its logs may be told: a log prints passwords.
    """
    try:
        for secret in boundaries.cluster.list("v1", "Secret", boundaries.namespace):
            learn_secret(boundaries.redactor, secret)
        for container in (pod.get("spec") or {}).get("containers") or ():
            if component := component_of(str(container.get("image", ""))):
                for login in (component.itself, *component.uses):
                    access_of(boundaries, container, pod, component, login)
    except (RunbookError, Missing, ValueError):
        return False
    return True


def _logs(boundaries: Boundaries, pod: Json, keep: Save, missing: dict[str, str]) -> None:
    name = pod["metadata"]["name"]
    for container, status, _ in statuses_of(pod):
        for previous in (False, True) if status.get("restartCount") else (False,):
            label = f"logs/{name}.{container}{'.previous' if previous else ''}.log"
            try:
                text = boundaries.cluster.logs(boundaries.namespace, name, container, previous=previous, tail=_TAIL)
            except RunbookError as error:
                missing[label] = error.summary
            else:
                keep(label, text)
