"""What the pods of Helm's hooks say while they run: told as it comes, and kept, since a finished Job may take its log with it."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from runbooks_lib.errors import RunbookError
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.evidence import Save, learn
from runbooks_lib.release.pods import statuses_of
from runbooks_lib.results import Event, Json

#: Seconds between two looks.
_EVERY = 1.0
_TAIL = 2000


@contextmanager
def hook_logs(boundaries: Boundaries, hooks: Iterable[Json], old: frozenset[str], save: Save) -> Iterator[None]:
    """Tell each new line of the hooks' pods during a block, and keep their logs below ``evidence/hooks/``.

    Args:
        old: The UIDs of the pods that were there before, of which nothing is told.
    """
    jobs = {obj["metadata"].get("name") for obj in hooks if obj["kind"] == "Job"}
    if not jobs:
        yield
        return
    listener = _Listener(boundaries, jobs, old)
    over = threading.Event()

    def listen() -> None:
        while not over.wait(_EVERY):
            listener.look()

    thread = threading.Thread(target=listen, name="hooks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        listener.look()
        for name, lines in listener.heard.items():
            # A full disk must not hide how the change ended.
            with suppress(RunbookError):
                save(f"evidence/hooks/{name}.log", "\n".join(lines) + "\n")


class _Listener:
    """Keeps what was heard of each container, and tells what is new."""

    def __init__(self, boundaries: Boundaries, jobs: set[str], old: frozenset[str]) -> None:
        self._boundaries, self._jobs, self._old = boundaries, jobs, old
        self.heard: dict[str, list[str]] = {}

    def look(self) -> None:
        """Ask once; what can't be read now may be read later."""
        boundaries = self._boundaries
        with suppress(RunbookError):
            for pod in boundaries.cluster.list("v1", "Pod", boundaries.namespace):
                of = (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name")
                # Nothing of a pod is told whose secrets can't be known.
                if of in self._jobs and pod["metadata"].get("uid", "") not in self._old and learn(boundaries, pod):
                    for container, _, _ in statuses_of(pod):
                        self._container(pod["metadata"]["name"], container)

    def _container(self, pod: str, container: str) -> None:
        boundaries, name = self._boundaries, f"{pod}.{container}"
        with suppress(RunbookError):
            text = boundaries.cluster.logs(boundaries.namespace, pod, container, tail=_TAIL)
            lines = boundaries.redactor.redact(text).splitlines()
            for line in lines[len(self.heard.get(name, ())) :]:
                boundaries.observe(Event(kind="hook.said", data={"pod": pod, "container": container, "line": line}))
            self.heard[name] = max(lines, self.heard.get(name, []), key=len)
