"""The rehearsal chart as the real helm renders it: its made-up passwords are found and are no part of a digest."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runbooks_lib import process
from runbooks_lib.helm import Release
from runbooks_lib.helm.chart import ChartSource, source_of
from runbooks_lib.parameters import Parameters
from runbooks_lib.redaction import Redactor
from runbooks_lib.release import passwords
from runbooks_lib.release.manifest import objects_of, workloads
from runbooks_lib.release.plan import fingerprint
from sandbox import charts


class NoSecrets:
    """A cluster in which no Secret is."""

    def get(self, *_: object) -> None:
        return None


class Target(NamedTuple):
    """As much of the boundaries as looking for passwords needs."""

    cluster: Any
    redactor: Redactor
    parameters: Parameters
    namespace: str = "csghub"
    release: str = "dataflow"

    @property
    def chart_source(self) -> ChartSource:
        """The rehearsal chart's own values."""
        return source_of(charts.TREE)


@pytest.fixture
def target() -> Any:
    chosen = {"chart": {"path": "."}, "csghub": {"external_url": "https://csghub.example.com"}, "target": {}}
    return Target(NoSecrets(), Redactor(), Parameters.model_validate(chosen | {"gateway": {"domain": "example.com"}}))


@pytest.fixture(scope="module")
def manifest(helm_executable: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Version 1.16.0 with no values at all."""
    home = tmp_path_factory.mktemp("helm")
    env = {**os.environ, **{f"HELM_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "CACHE", "DATA")}}
    argv = [helm_executable, "template", "dataflow", str(charts.TREE), "--namespace", "csghub"]
    ended = process.run(argv, timeout=60, env=env, cwd=Path(home))
    assert ended.ok, ended.stderr
    return ended.stdout


def release(manifest: str) -> Release:
    return Release(name="dataflow", namespace="csghub", revision=1, status="pending-install", manifest=manifest)


def another_minute(manifest: str, made: tuple[passwords.Generated, ...]) -> str:
    """What the chart would render at another time."""
    for one in made:
        other = passwords.strong()[: len(one.rendered)]
        for before, after in ((one.rendered, other), (_encoded(one.rendered), _encoded(other))):
            manifest = manifest.replace(before, after)
    return manifest


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_made_up_passwords_of_both_databases_are_found(target: Any, manifest: str) -> None:
    made = passwords.generated(target, release(manifest), {})
    assert {(one.name, one.key) for one in made} == {
        ("dataflow-postgresql", "POSTGRES_PASSWORD"),
        ("dataflow-mongo", "MONGO_INITDB_ROOT_PASSWORD"),
    }


def test_given_passwords_are_not_taken_for_made_up_ones(target: Any, manifest: str) -> None:
    made = passwords.generated(target, release(manifest), {})
    values = {"any": {"place": [one.rendered for one in made]}}
    assert passwords.generated(target, release(manifest), values) == ()


def test_renders_of_two_minutes_have_one_fingerprint(target: Any, manifest: str) -> None:
    made = passwords.generated(target, release(manifest), {})
    later = another_minute(manifest, made)
    assert later != manifest
    prints = set()
    for text in (manifest, later):
        passwords.learn(target.redactor, release(text))
        prints.add(fingerprint(target, release(text)))
    assert len(prints) == 1


def test_no_made_up_password_is_left_in_the_redacted_objects(target: Any, manifest: str) -> None:
    made = passwords.generated(target, release(manifest), {})
    passwords.learn(target.redactor, release(manifest))
    text = target.redactor.redact(manifest)
    assert not any(form in text for one in made for form in (one.rendered, _encoded(one.rendered)))


def test_only_the_passwords_are_redacted(target: Any, manifest: str) -> None:
    passwords.learn(target.redactor, release(manifest))
    target.redactor.redact_data(workloads(manifest))
    assert set(target.redactor.counts) == {
        "dataflow-postgresql#POSTGRES_PASSWORD",
        "dataflow-mongo#MONGO_INITDB_ROOT_PASSWORD",
    }


def test_the_secrets_made_beforehand_hold_all_other_entries(target: Any, manifest: str) -> None:
    for one in passwords.generated(target, release(manifest), {}):
        strong = passwords.strong()
        secret = passwords.owned_secret(target, one.secret, {one.key: strong})
        assert set(secret["data"]) | set(secret["stringData"]) == set(one.secret["data"])
        assert secret["stringData"] == {one.key: strong}
        assert one.rendered not in str(secret)
        assert _encoded(one.rendered) not in str(secret)


def test_every_rendered_object_is_read(manifest: str) -> None:
    written = sum(line.startswith("kind: ") for line in manifest.splitlines())
    assert len(objects_of(manifest)) == written
