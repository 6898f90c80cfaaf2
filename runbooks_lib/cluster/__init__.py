"""The boundary to Kubernetes: the only importer of the official client, which it loads when it connects."""

from runbooks_lib.cluster.client import Cluster
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.cluster.failures import Conflict, Forbidden, Invalid, NotFound, Untrusted

__all__ = ["Cluster", "Conflict", "Forbidden", "Invalid", "NotFound", "Resource", "Untrusted"]
