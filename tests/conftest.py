"""What holds for every test: none reaches a cluster that it did not make.

Tests that need a control plane get a real one: one sandbox for each worker of the test run.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from stores import ferretdb, pods, postgres, redis_password, redis_with_password, redis_without_password  # noqa: F401

from runbooks_lib import parameters
from runbooks_lib.cluster import Cluster
from sandbox import lifecycle, state, toolchain

# A busy machine is no fault of what is tested.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# A shell that runs the tests in its background has SIGINT ignored, and every program they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_GATEWAY = "gateway.networking.k8s.io/v1"
#: Cluster-scoped kinds that a release of the chart leaves behind when its namespace is simply deleted.
_CLUSTER_SCOPED = (
    (_GATEWAY, "GatewayClass"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
)

FreshTarget = Callable[[], AbstractContextManager[dict[str, str]]]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox; ``parameters_file`` is relative to the project's root, as a user gives it."""

    name: str
    kubeconfig: Path
    context: str
    parameters_file: str


@pytest.fixture(scope="session")
def tools() -> toolchain.Toolchain:
    """The sandbox's programs; built now if need be, unless RUNBOOKS_TOOLCHAIN_BUILD=0."""
    try:
        return toolchain.find()
    except toolchain.ToolchainMissing as missing:
        pytest.skip(missing.summary)


@pytest.fixture(scope="session")
def sandbox(tools: toolchain.Toolchain) -> Iterator[Sandbox]:
    """This worker's sandbox, up for the whole session."""
    name = f"e2e-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}"
    try:
        made = lifecycle.up(name)
        file = os.path.relpath(made.parameters_file, parameters.project_root())
        yield Sandbox(name, made.kubeconfig, state.CONTEXT, file)
    finally:
        lifecycle.down(name)


@pytest.fixture(scope="session")
def fresh_target(sandbox: Sandbox) -> FreshTarget:
    """Makes overrides that give a test a namespace and a release of its own; what it leaves is removed."""

    @contextmanager
    def fresh() -> Iterator[dict[str, str]]:
        mark = uuid.uuid4().hex[:6]
        namespace, release = f"test-{mark}", f"r{mark}"
        try:
            yield {"target.namespace": namespace, "target.release": release}
        finally:
            with Cluster.connect(sandbox.kubeconfig, sandbox.context) as cluster:
                # Now, and not whenever the namespace comes to it: the next test's plans name who uses a class.
                for gateway in cluster.list(_GATEWAY, "Gateway", namespace):
                    cluster.delete(_GATEWAY, "Gateway", gateway["metadata"]["name"], namespace)
                cluster.delete("v1", "Namespace", namespace)
                for api_version, kind in _CLUSTER_SCOPED:
                    for found in cluster.list(api_version, kind):
                        name = found["metadata"]["name"]
                        owner = found["metadata"].get("annotations", {}).get("meta.helm.sh/release-namespace", "")
                        if owner == namespace or name.startswith(f"{release}-"):
                            cluster.delete(api_version, kind, name)

    return fresh


@pytest.fixture
def target(fresh_target: FreshTarget) -> Iterator[dict[str, str]]:
    """The overrides of one test."""
    with fresh_target() as overrides:
        yield overrides


@pytest.fixture(scope="session", autouse=True)
def _no_cluster_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    nowhere: Path = tmp_path_factory.mktemp("kube") / "none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(nowhere))
        yield
