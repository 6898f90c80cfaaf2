"""What the cluster can carry: room on its nodes and in the namespace, ways in, and whether its parts agree."""

from runbooks_lib.checks.apis import apis
from runbooks_lib.checks.catalogue import Check, catalogue
from runbooks_lib.checks.nodes import room
from runbooks_lib.checks.pod_security import pod_security
from runbooks_lib.checks.ports import ports
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.quota import quota
from runbooks_lib.checks.release_size import size
from runbooks_lib.checks.skew import clock, versions
from runbooks_lib.checks.storage import storage_classes

CHECKS: tuple[Check[Subject], ...] = catalogue(
    {
        "storage.classes": storage_classes,
        "nodes.room": room,
        "namespace.quota": quota,
        "namespace.pod-security": pod_security,
        "ports.free": ports,
        "apis.available": apis,
        "clock.skew": clock,
        "release.size": size,
        "version.skew": versions,
    }
)
