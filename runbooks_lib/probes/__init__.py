"""Questions to what runs in the cluster, or beside it: HTTP. A probe answers; it never raises for a network."""

from runbooks_lib.probes import http

__all__ = ["http"]
