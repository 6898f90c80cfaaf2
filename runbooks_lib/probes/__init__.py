"""Questions to what runs in the cluster, or beside it.

Whoever asks a database gives an address, credentials and seconds to wait for each answer; what does not answer, is
something else, or refuses, is told by a ``CheckFailed`` whose sentence never holds a password.
"""

import threading
from importlib import import_module

from runbooks_lib.probes import dns, http, mongodb, postgresql, redis_server, registry, rows, tls

__all__ = ["dns", "http", "mongodb", "postgresql", "prepare", "redis_server", "registry", "rows", "tls"]


def prepare() -> None:
    """Load the drivers, which takes half a second, while somebody else is waited for."""
    threading.Thread(target=lambda: [*map(import_module, ("psycopg", "redis", "pymongo"))], daemon=True).start()
