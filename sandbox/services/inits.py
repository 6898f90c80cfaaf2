"""The init containers of one pod: each waits until the hosts that it names answer; one that names none ends at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from runbooks_lib.results import Json
from sandbox.services import waits
from sandbox.services.containers import arguments
from sandbox.services.telling import Waiting


class Inits:
    """What is known about them.

    Attributes:
        at: The number of the one that is looked at.
        logs: Of those that have waited, by name.
    """

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        self._folder = folder
        self._changed = changed
        self._waiting: dict[str, Waiting] = {}
        self.at = 0

    @property
    def logs(self) -> dict[str, Path]:
        """The logs of those that have waited."""
        return {name: waiting.log for name, waiting in self._waiting.items()}

    def ended(self, pod: Json, environment: Callable[[Json], Mapping[str, str]], table: Path) -> bool:
        """Whether all have ended; why the first one has not is in its log.

        Raises:
            Missing: One of them can't be made.
        """
        for self.at, container in enumerate(pod["spec"].get("initContainers") or ()):
            named = waits.places(arguments(container), environment(container))
            why = next(filter(None, (waits.trouble(table, place) for place in named)), "")
            if why:
                self._log(container["name"]).say(why)
                return False
        return True

    def _log(self, name: str) -> Waiting:
        if name not in self._waiting:
            self._waiting[name] = Waiting(self._folder / name / "0.log")
            self._changed()
        return self._waiting[name]
