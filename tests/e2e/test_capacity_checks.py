from __future__ import annotations

from runs import Open

from runbooks_lib.checks.capacity import CHECKS
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.prerequisites import Subject


def test_x(opened: Open) -> None:
    run = opened("prerequisites")
    made = report("p", "P", CHECKS, Subject(run.boundaries), observe=lambda _: None)
    for f in made.findings:
        print(f.id, f.status, f.observed)
    c = run.boundaries.cluster
    import json

    n = c.list("v1", "Node")[0]
    print(json.dumps(n["status"].get("nodeInfo")), n["spec"])
    print(c.clock())
