"""Passwords that a chart would make up are found, replaced by strong ones, and are no part of a digest."""

from __future__ import annotations

import base64
import io
import tarfile
from typing import Any

import pytest

from runbooks_lib.helm import Release
from runbooks_lib.redaction import Redactor
from runbooks_lib.release import passwords
from runbooks_lib.release.manifest import objects_of, secret_values
from runbooks_lib.release.plan import fingerprint
from runbooks_lib.results import Json

#: As the chart renders them: the password stands in its Secret, in a ConfigMap and in an init container.
MANIFEST = """
---
# Source: dataflow/templates/postgresql.yaml
apiVersion: v1
kind: Secret
metadata:
  name: dataflow-postgresql
  labels:
    app.kubernetes.io/name: dataflow
    app.kubernetes.io/managed-by: Helm
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
data:
  POSTGRES_USER: {user}
  POSTGRES_PASSWORD: {encoded}
  POSTGRES_HOST_AUTH_METHOD: {method}
  CERTIFICATE: /////w==
---
# Source: dataflow/templates/dataflow.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: dataflow-config
data:
  DATABASE_URL: postgresql://dataflow:{password}@dataflow-postgresql:5432/csghub_dataflow
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: dataflow-api
spec:
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      initContainers:
        - name: wait
          image: postgres:16
          command: [sh, -c, "until PGPASSWORD={password} psql; do sleep 1; done"]
      containers:
        - {{name: api, image: "dataflow:1"}}
"""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def manifest(password: str) -> str:
    return MANIFEST.format(
        password=password, encoded=encoded(password), user=encoded("dataflow"), method=encoded("scram-sha-256")
    )


def render(password: str) -> Release:
    return Release(
        name="dataflow", namespace="csghub", revision=1, status="pending-install", manifest=manifest(password)
    )


def live(name: str = "dataflow-postgresql") -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "csghub"}}


@pytest.fixture(autouse=True)
def chart(world: Any) -> None:
    """A chart whose own values have a password."""
    world.renders(MANIFEST)
    with tarfile.open(world.settings["chart"]["path"], "w:gz") as archive:
        content = b"store: {password: fixed-in-the-chart}"
        info = tarfile.TarInfo("dataflow/values.yaml")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


def test_a_password_of_the_charts_own_values_is_not_made_up(world: Any) -> None:
    assert passwords.generated(world.boundaries, render("fixed-in-the-chart"), {}) == ()


def test_a_password_that_nobody_gave_and_no_secret_holds_is_made_up(world: Any) -> None:
    (made,) = passwords.generated(world.boundaries, render("6fa1b2c3d4"), {"a": {"b": ["other", 5]}})
    assert (made.name, made.key, made.rendered) == ("dataflow-postgresql", "POSTGRES_PASSWORD", "6fa1b2c3d4")


@pytest.mark.parametrize(
    "values",
    [
        {"postgresql": {"password": "6fa1b2c3d4"}},
        {"list": [{"deep": ["6fa1b2c3d4"]}]},
        {"global": {"x": {"y": {"z": "6fa1b2c3d4"}}}},
    ],
)
def test_a_password_among_the_values_is_not_made_up(world: Any, values: Json) -> None:
    assert passwords.generated(world.boundaries, render("6fa1b2c3d4"), values) == ()


def test_a_password_of_digits_may_have_been_given_as_a_number(world: Any) -> None:
    assert passwords.generated(world.boundaries, render("1234567890"), {"password": 1234567890}) == ()


def test_the_password_of_a_live_secret_is_not_made_up(world: Any) -> None:
    world.cluster.add(live())
    assert passwords.generated(world.boundaries, render("6fa1b2c3d4"), {}) == ()


def test_a_secret_of_that_name_in_another_namespace_does_not_count(world: Any) -> None:
    other = live()
    other["metadata"]["namespace"] = "elsewhere"
    world.cluster.add(other)
    assert len(passwords.generated(world.boundaries, render("6fa1b2c3d4"), {})) == 1


def test_what_the_redactor_happens_to_know_does_not_decide(world: Any) -> None:
    rendered = render("6fa1b2c3d4")
    passwords.learn(world.redactor, rendered)
    assert len(passwords.generated(world.boundaries, rendered, {})) == 1


# ---- learning


def test_a_rendered_password_is_known_in_every_place_it_stands(world: Any) -> None:
    passwords.learn(world.redactor, render("6fa1b2c3d4"))
    text = world.redactor.redact(manifest("6fa1b2c3d4"))
    assert "6fa1b2c3d4" not in text
    assert encoded("6fa1b2c3d4") not in text
    assert text.count("«redacted:dataflow-postgresql#POSTGRES_PASSWORD»") == 3


def test_names_of_users_stay_readable(world: Any) -> None:
    passwords.learn(world.redactor, render("6fa1b2c3d4"))
    assert world.redactor.redact("user dataflow, scram-sha-256") == "user dataflow, scram-sha-256"


def test_an_empty_entry_makes_no_word_unreadable() -> None:
    redactor = Redactor()
    passwords.learn_secret(redactor, live() | {"stringData": {"A": None, "B": ""}})
    assert redactor.redact("None of it") == "None of it"


def test_what_helm_stores_of_its_releases_is_not_learnt() -> None:
    redactor = Redactor()
    blob = "H4sIAAAAAAAC" * 10
    passwords.learn_secret(redactor, live() | {"type": "helm.sh/release.v1", "data": {"release": encoded(blob)}})
    assert redactor.hits(blob) == ()


# ---- the Secret made beforehand


def test_passwords_are_long_different_and_need_no_quotes() -> None:
    made = {passwords.strong() for _ in range(50)}
    assert len(made) == 50
    assert all(len(text) == 32 and text.replace("-", "").replace("_", "").isalnum() for text in made)


def test_the_secret_made_beforehand_is_the_rendered_one_with_our_password_and_helms_ownership(world: Any) -> None:
    template = objects_of(manifest("6fa1b2c3d4"))[0]
    made = passwords.owned_secret(world.boundaries, template, {"POSTGRES_PASSWORD": "strong-strong"})
    assert (made["apiVersion"], made["kind"], made["type"]) == ("v1", "Secret", "Opaque")
    assert made["metadata"] == {
        "name": "dataflow-postgresql",
        "namespace": "csghub",
        "labels": {"app.kubernetes.io/name": "dataflow", "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "helm.sh/resource-policy": "keep",
            "meta.helm.sh/release-name": "dataflow",
            "meta.helm.sh/release-namespace": "csghub",
        },
    }
    assert dict(secret_values(made)) == {
        "POSTGRES_USER": "dataflow",
        "POSTGRES_PASSWORD": "strong-strong",
        "POSTGRES_HOST_AUTH_METHOD": "scram-sha-256",
    }
    assert "6fa1b2c3d4" not in str(made)
    assert encoded("6fa1b2c3d4") not in str(made)


def test_an_entry_that_is_no_text_is_kept_as_it_is(world: Any) -> None:
    template = objects_of(manifest("6fa1b2c3d4"))[0]
    made = passwords.owned_secret(world.boundaries, template, {"POSTGRES_PASSWORD": "strong-strong"})
    assert made["data"]["CERTIFICATE"] == "/////w=="


def test_the_template_is_not_altered(world: Any) -> None:
    template = objects_of(manifest("6fa1b2c3d4"))[0]
    passwords.owned_secret(world.boundaries, template, {"POSTGRES_PASSWORD": "strong-strong"})
    assert template == objects_of(manifest("6fa1b2c3d4"))[0]


# ---- fingerprints


def test_two_renders_with_different_passwords_have_one_fingerprint(world: Any) -> None:
    prints = []
    for password in ("6fa1b2c3d4", passwords.strong()):
        rendered = render(password)
        passwords.learn(world.redactor, rendered)
        prints.append(fingerprint(world.boundaries, rendered))
    assert prints[0] == prints[1]


def test_a_fingerprint_changes_with_anything_that_is_no_secret(world: Any) -> None:
    rendered = render("6fa1b2c3d4")
    passwords.learn(world.redactor, rendered)
    other = rendered.model_copy(update={"manifest": rendered.manifest.replace("postgres:16", "postgres:17")})
    assert fingerprint(world.boundaries, rendered) != fingerprint(world.boundaries, other)
