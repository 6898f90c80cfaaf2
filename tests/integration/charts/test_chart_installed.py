"""The rehearsal chart on a real API server: what only a live Secret and a second release can show."""

import base64

import pytest

from runbooks_lib import process
from runbooks_lib.cluster import Cluster
from sandbox import lifecycle, toolchain

PASSWORDS = {
    "dataflow-postgresql": ("POSTGRES_PASSWORD", "canary-postgresql"),
    "dataflow-mongo": ("MONGO_INITDB_ROOT_PASSWORD", "canary-mongo"),
}
VALUES = """
global: {minReadySeconds: 0, gateway: {service: {type: NodePort}, external: {domain: csghub.example.com}}}
externalUrl: https://csghub.company.com
"""


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    monkeypatch.setenv(toolchain.BUILD_VARIABLE, "0")
    said = []
    try:
        state = lifecycle.up("chart", root=tmp_path, say=said.append)
    except toolchain.ToolchainMissing as missing:
        pytest.skip(missing.summary)
    yield state
    lifecycle.down("chart", root=tmp_path, say=said.append)


@pytest.fixture
def cluster(sandbox):
    with Cluster.connect(sandbox.kubeconfig, "") as connected:
        yield connected


@pytest.fixture
def helm(sandbox, helm_environment, tmp_path):
    def call(*arguments, namespace="csghub", ok=True):
        argv = [sandbox.helm, *arguments, "--namespace", namespace]
        environment = {**helm_environment, "KUBECONFIG": str(sandbox.kubeconfig)}
        ended = process.run(argv, timeout=120, stdin=VALUES, env=environment, cwd=tmp_path)
        assert ended.ok == ok, ended.stderr
        return ended.stdout + ended.stderr

    def to(command, version, release="dataflow", **settings):
        source = ("dataflow", "--repo", sandbox.url("charts"), "--version", version)
        return call(command, release, *source, "--values", "-", **settings)

    return call, to


def secret_made_beforehand(name, key, password):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "dataflow", "meta.helm.sh/release-namespace": "csghub"},
        },
        "data": {key: base64.b64encode(password.encode()).decode()},
    }


def assert_passwords_are_kept(cluster):
    for name, (key, password) in PASSWORDS.items():
        secret = cluster.get("v1", "Secret", name, "csghub")
        assert base64.b64decode(secret["data"][key]).decode() == password


def assert_passwords_are_used(cluster):
    told = cluster.get("v1", "ConfigMap", "dataflow-dataflow", "csghub")["data"]
    assert told["DATABASE_PASSWORD"] == "canary-postgresql"
    assert told["MONG_HOST_URL"] == "mongodb://root:canary-mongo@dataflow-mongo:27017"


def test_a_release_keeps_the_passwords_it_finds_through_its_whole_life(cluster, helm):
    call, to = helm
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}})
    for name, (key, password) in PASSWORDS.items():
        cluster.create(secret_made_beforehand(name, key, password), "csghub")

    notes = to("install", "1.16.0")
    assert "Access your Dataflow at: http://dataflow.example.com:30080" in notes
    assert "Access your Label Studio at: http://label-studio.example.com:30080" in notes
    assert "Access your CSGHub at: https://csghub.company.com" in notes
    assert_passwords_are_kept(cluster)
    assert_passwords_are_used(cluster)

    refused = to("install", "1.16.0", release="other", namespace="default", ok=False)
    assert 'GatewayClass "csghub-gateway" in namespace "" exists' in refused

    to("upgrade", "1.16.1")
    assert_passwords_are_kept(cluster)
    assert_passwords_are_used(cluster)

    said = call("uninstall", "dataflow", "--wait", "--timeout", "60s")
    assert {line for line in said.splitlines() if line.startswith("[")} == {
        "[Secret] dataflow-postgresql",
        "[Secret] dataflow-mongo",
    }
    assert_passwords_are_kept(cluster)
    claims = {claim["metadata"]["name"] for claim in cluster.list("v1", "PersistentVolumeClaim", "csghub")}
    assert claims == {
        f"data-dataflow-{service}-0" for service in ("dataflow", "label-studio", "postgresql", "redis", "mongo")
    }
    assert cluster.list("apps/v1", "StatefulSet", "csghub") == []
    # Hooks are nobody's after the install, so Helm leaves them.
    hook = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "dataflow-envoy-injector")
    assert cluster.get(*hook) is not None
    assert cluster.get("v1", "ServiceAccount", "dataflow-envoy-certgen", "csghub") is not None

    to("install", "1.16.0")
    assert_passwords_are_used(cluster)
