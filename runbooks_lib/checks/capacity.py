"""What the cluster can carry: volumes, pods as its policy wants them, and whether its parts agree."""

from runbooks_lib.checks.catalogue import Check, catalogue
from runbooks_lib.checks.pod_security import pod_security
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.skew import clock, versions
from runbooks_lib.checks.storage import storage_classes

CHECKS: tuple[Check[Subject], ...] = catalogue(
    {
        "storage.classes": storage_classes,
        "namespace.pod-security": pod_security,
        "clock.skew": clock,
        "version.skew": versions,
    }
)
