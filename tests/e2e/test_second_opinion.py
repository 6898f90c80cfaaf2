"""What the API server says of a real plan: what a webhook makes of an object, what is immutable, and definitions that Helm leaves."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from releases import change
from runs import Open
from servers import Certificates

from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Json
from runbooks_lib.stages import install, upgrade

WEBHOOKS = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
GROUP = "opinion.example.com"
_API = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-api}
spec:
  replicas: {{ .Values.replicas }}
  strategy: {type: {{ .Values.strategy }}}
  selector: {matchLabels: {app: {{ .Values.app }}}}
  template:
    metadata: {labels: {app: {{ .Values.app }}}}
    spec:
      containers:
        - name: api
          image: registry.example/tiny:1
          resources: {requests: {cpu: {{ .Values.cpu }}}}
          {{- if .Values.env }}
          env: [{name: GOES, value: "1"}]
          {{- end }}
"""
_VALUES = {"replicas": 0, "strategy": "RollingUpdate", "app": "api", "cpu": "100m", "env": True}


def crd(*versions: str, stored: str) -> Json:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    listed = [{"name": each, "served": True, "storage": each == stored, "schema": schema} for each in versions]
    names = {"plural": "opinions", "singular": "opinion", "kind": "Opinion"}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": listed}
    made = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**made, "metadata": {"name": f"opinions.{GROUP}"}, "spec": spec}


def chart(folder: Path, version: str, *definitions: Json) -> Path:
    made = folder / version
    (made / "templates").mkdir(parents=True)
    (made / "Chart.yaml").write_text(f"apiVersion: v2\nname: opinions\nversion: {version}\n")
    (made / "values.yaml").write_text(yaml.safe_dump(_VALUES))
    (made / "templates" / "api.yaml").write_text(_API)
    for number, each in enumerate(definitions):
        (made / "crds").mkdir(exist_ok=True)
        (made / "crds" / f"{number}.yaml").write_text(yaml.safe_dump(each))
    return made


def of(path: Path, **values: Any) -> Json:
    return {"chart__repository": "", "chart__version": "", "chart__path": str(path), "values": values}


@pytest.fixture
def webhook(cluster: Cluster, target: dict[str, str], tmp_path: Path) -> Iterator[Json]:
    """A webhook that sets fields of this test's Deployments: what is in this dictionary, by their paths."""
    sets: Json = {}

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            patch = json.dumps([{"op": "add", "path": path, "value": value} for path, value in sets.items()])
            says = {"uid": asked["request"]["uid"], "allowed": True, "patchType": "JSONPatch"}
            says["patch"] = base64.b64encode(patch.encode()).decode()
            body = json.dumps(
                {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": says}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    certificates = Certificates(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.socket = certificates.context("localhost").wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trusted = base64.b64encode(certificates.trusted.read_bytes()).decode()
    client = {"url": f"https://localhost:{server.server_port}/", "caBundle": trusted}
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}]
    space = {"matchLabels": {"kubernetes.io/metadata.name": target["target.namespace"]}}
    hook = {"name": f"sets.{GROUP}", "clientConfig": client, "rules": rules, "namespaceSelector": space}
    hook |= {"sideEffects": "None", "admissionReviewVersions": ["v1"]}
    name = f"sets-{target['target.namespace']}"
    made = {"apiVersion": WEBHOOKS[0], "kind": WEBHOOKS[1], "metadata": {"name": name}, "webhooks": [hook]}
    cluster.create(made)
    yield sets
    cluster.delete(*WEBHOOKS, name)
    server.shutdown()
    server.server_close()


def said(plan: Any) -> list[str]:
    return [line for line in plan.impact if "server" in line]


def test_a_plan_says_where_the_server_disagrees_with_it(
    opened: Open, target: dict[str, str], webhook: Json, tmp_path: Path
) -> None:
    path, name = chart(tmp_path, "1.0.0"), f"Deployment {target['target.release']}-api"
    change(opened("install", **of(path)), install)

    # What is really merged, made anew or taken away is no news, whatever the server has filled in.
    assert said(upgrade.plan(opened("upgrade", **of(path, strategy="Recreate", env=False, cpu="200m")))) == []

    plan = upgrade.plan(opened("upgrade", **of(path, cpu=0.1)))
    assert said(plan) == [f"No change after all, says the server: to it both manifests of {name} are the same."]

    plan = upgrade.plan(opened("upgrade", **of(path, app="other")))
    assert said(plan) == [f"REFUSED by the server, so that Helm would fail there: {name}."]
    assert "field is immutable" in "".join(plan.notes)

    digests = set()
    for seconds in (7, 8):
        webhook |= {"/spec/replicas": 0, "/spec/template/spec/terminationGracePeriodSeconds": seconds}
        plan = upgrade.plan(opened("upgrade", **of(path, replicas=2)))
        digests.add(plan.digest)
        assert said(plan) == [f"Other than the chart says: the server makes something else of {name}: spec.replicas."]
        assert f"The server on {name}: spec.replicas is 0, and the chart says 2." in plan.notes
    assert len(digests) == 1


def test_a_plan_names_definitions_that_helm_leaves_as_they_are(
    opened: Open, cluster: Cluster, target: dict[str, str], tmp_path: Path
) -> None:
    name = f"opinions.{GROUP}"
    first = chart(tmp_path, "1.0.0", crd("v1", stored="v1"))
    try:
        run = opened("install", **of(first))
        assert f"Makes definitions of kinds first, which an uninstall leaves: {name}." in install.plan(run).impact
        change(run, install)
        same = upgrade.plan(opened("upgrade", **of(first, replicas=1)))
        assert not any(name in line for line in same.impact)

        second = chart(tmp_path, "2.0.0", crd("v2", stored="v2"))
        lines = "\n".join(upgrade.plan(opened("upgrade", **of(second))).impact)
        assert (
            f"Helm does not upgrade CRDs: {name} on the cluster differs from the chart's; its versions are v1" in lines
        )
        assert f"STORED VERSION GOES: the chart's {name} has no v1 any more" in lines
        change(opened("upgrade", **of(second)), upgrade)
        live = cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
        assert live is not None
        assert [each["name"] for each in live["spec"]["versions"]] == ["v1"]
    finally:
        cluster.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    lines = "\n".join(upgrade.plan(opened("upgrade", **of(first))).impact)
    assert f"NOT MADE by Helm, which makes the definitions of crds/ at an install only: {name}." in lines
