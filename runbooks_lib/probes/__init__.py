"""Questions to what runs in the cluster, or beside it.

Whoever asks a database gives an address, credentials and seconds to wait for each answer; what does not answer, is
something else, or refuses, is told by a ``CheckFailed`` whose sentence never holds a password.
"""

from runbooks_lib.probes import http, mongodb, postgresql, redis_server

__all__ = ["http", "mongodb", "postgresql", "redis_server"]
