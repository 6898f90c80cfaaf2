"""What is seen of a release that does not work, and that no secret is in it."""

from __future__ import annotations

import secrets
from types import SimpleNamespace
from typing import Any

import pytest

from runbooks_lib.checks.release import Subject
from runbooks_lib.checks.signs import Sign, signs_of
from runbooks_lib.cluster import Forbidden
from runbooks_lib.results import Json, Report
from runbooks_lib.stages import diagnose

PASSWORD = secrets.token_urlsafe(24)
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {replicas: 1, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {}}}
"""


def crashed(image: str = "r/dataflow:1") -> Json:
    """A pod that is given its password by a value of the chart, in no Secret."""
    variable = {"name": "DATABASE_PASSWORD", "value": PASSWORD}
    status = {"name": "api", "restartCount": 3, "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api-1", "namespace": "csghub", "labels": {"app": "api"}},
        "spec": {"containers": [{"name": "api", "image": image, "env": [variable]}]},
        "status": {"containerStatuses": [status]},
    }


def logged(world: Any) -> list[Sign]:
    world.stored(MANIFEST)
    world.cluster.add(crashed())
    return [sign for sign in signs_of(Subject(world.boundaries), []) if sign.kind == "log"]


def test_a_log_is_told_without_a_password_that_stands_in_no_secret_also_where_a_line_is_cut(world: Any) -> None:
    world.cluster.texts["api-1/api", True] = f"using {PASSWORD}\n{'x' * 290} {PASSWORD}\n"
    told = [sign.text for sign in logged(world)]
    assert told[0].startswith("using «redacted:")
    assert not any(PASSWORD[:4] in text for text in told)


def test_where_secrets_can_not_be_read_no_log_is_told(world: Any) -> None:
    world.cluster.texts["api-1/api", True] = f"using {PASSWORD}\n"
    world.cluster.lists["Secret"] = Forbidden("May not.")
    assert logged(world) == []


def test_evidence_is_saved_when_every_check_has_told_the_redactor_what_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def ask(title: str, *_: Any) -> Report:
        order.append(title)
        return Report(stage="diagnose", title=title)

    monkeypatch.setattr(diagnose, "collect", lambda *_: order.append("evidence"))
    monkeypatch.setattr(diagnose, "signs_of", lambda *_: [])
    run: Any = SimpleNamespace(ask=ask, boundaries=None, save=None)
    diagnose.look(run)
    assert order == ["Release", "Prerequisites", "evidence", "Causes"]
