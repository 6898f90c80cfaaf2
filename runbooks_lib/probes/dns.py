"""Which addresses does a name have, as this machine sees it?"""

import socket
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic


def addresses(names: Iterable[str], *, seconds: float = 5) -> dict[str, tuple[str, ...]]:
    """The addresses of each name, sorted; none where it has none, or where none is known after the ``seconds``."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    answers: SimpleQueue[tuple[str, tuple[str, ...]]] = SimpleQueue()
    for name in found:
        # The system's resolver knows no limit of time: nothing may wait for a thread that is in it.
        Thread(target=lambda name=name: answers.put((name, _addresses(name))), daemon=True).start()
    until = monotonic() + seconds
    for _ in range(len(found)):
        try:
            name, those = answers.get(timeout=max(0, until - monotonic()))
        except Empty:
            break
        found[name] = those
    return found


def _addresses(name: str) -> tuple[str, ...]:
    try:
        return tuple(sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}))
    except (OSError, UnicodeError):
        return ()
