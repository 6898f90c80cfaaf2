"""Stand-ins at the two protocols: a program that answers from a table, and a cluster that is a dictionary."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster import Conflict, Forbidden, NotFound
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.helm import Helm
from runbooks_lib.parameters import Parameters
from runbooks_lib.process import Completed
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.results import Event, Finding, Json

NAMESPACE = "csghub"
RELEASE = "dataflow"
UID = "11111111-2222-3333-4444-555555555555"

#: What a cluster of ours serves; CRDs are the ones with a dot and no k8s.io of the core.
SERVED = (
    ("v1", "Namespace", "namespaces", False),
    ("v1", "Pod", "pods", True),
    ("v1", "Secret", "secrets", True),
    ("v1", "ConfigMap", "configmaps", True),
    ("v1", "Service", "services", True),
    ("v1", "Event", "events", True),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True),
    ("v1", "Node", "nodes", False),
    ("v1", "ResourceQuota", "resourcequotas", True),
    ("v1", "LimitRange", "limitranges", True),
    ("apps/v1", "Deployment", "deployments", True),
    ("apps/v1", "StatefulSet", "statefulsets", True),
    ("apps/v1", "DaemonSet", "daemonsets", True),
    ("apps/v1", "ReplicaSet", "replicasets", True),
    ("batch/v1", "Job", "jobs", True),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", True),
    ("coordination.k8s.io/v1", "Lease", "leases", True),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", False),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", False),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", False),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", False),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", False),
    ("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", False),
    ("gateway.networking.k8s.io/v1", "Gateway", "gateways", True),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", True),
)


class Call(NamedTuple):
    """One program that was run, as it was asked for."""

    argv: tuple[str, ...]
    timeout: float
    stdin: str | None
    env: Mapping[str, str] | None
    cwd: Path | None


class Program:
    """Stands where ``process.run`` stands: keeps each call, and answers by the words of its command line."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[tuple[tuple[str, ...], Callable[[], Completed]]] = []

    def answer(self, *words: str, **how: Any) -> Program:
        """What comes back when a command line has all these words; the newest answer that fits is given."""
        ended = {"stdout": "", "stderr": "", "returncode": 0, "seconds": 0.25, "timed_out": False} | how
        if not isinstance(ended["stdout"], str):
            ended["stdout"] = json.dumps(ended["stdout"])
        self.answers.insert(0, (words, lambda: Completed(argv=(), **ended)))
        return self

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        self.calls.append(Call(tuple(argv), timeout, stdin, env, cwd))
        for words, ended in self.answers:
            if set(words) <= set(argv):
                made = ended()
                return Completed(tuple(argv), made.returncode, made.stdout, made.stderr, made.seconds, made.timed_out)
        return Completed(tuple(argv), 0, "", "", 0.25)

    @property
    def call(self) -> Call:
        """The only call."""
        assert len(self.calls) == 1, [call.argv for call in self.calls]
        return self.calls[0]


class DictCluster:
    """A cluster whose objects are dictionaries; it speaks the part of the protocol that reading code uses."""

    server = "https://127.0.0.1:6443"

    def __init__(self, *objects: Json) -> None:
        self.objects = list(objects)
        self.refused: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []
        self.gitversion = "v1.33.13"
        self.ahead = timedelta()
        self.tried: list[Json] = []
        self.rejected: dict[str, Exception] = {}
        #: What the server makes of a dry run's object, by its name; else it is what was sent.
        self.makes: dict[str, Json] = {}
        #: What kubelets tell, by their nodes.
        self.stats: dict[str, Json] = {}
        #: What the server puts into each container of a pod that it is tried with.
        self.defaults: dict[str, Any] = {}
        self.lists: dict[str, Exception] = {}
        self.texts: dict[tuple[str, bool], str | Exception] = {}
        self.news: dict[str, list[tuple[str, Json]]] = {}
        self.served = [
            Resource(
                group=api.rpartition("/")[0],
                version=api.rpartition("/")[2],
                kind=kind,
                plural=plural,
                namespaced=namespaced,
                verbs=("get", "list", "create"),
            )
            for api, kind, plural, namespaced in SERVED
        ]

    def add(self, *objects: Json) -> DictCluster:
        self.objects += objects
        return self

    def forget(self, *kinds: str) -> DictCluster:
        """A cluster that does not serve these kinds."""
        self.served = [resource for resource in self.served if resource.kind not in kinds]
        return self

    def uid(self) -> str:
        return UID

    def version(self) -> str:
        return self.gitversion

    def clock(self) -> tuple[datetime, datetime]:
        here = datetime.now(UTC)
        return here + self.ahead, here

    def who(self) -> Json:
        return {"username": "tester"}

    def resources(self) -> tuple[Resource, ...]:
        return tuple(self.served)

    def resource(self, api_version: str, kind: str) -> Resource | None:
        found = (item for item in self.served if (item.api_version, item.kind) == (api_version, kind))
        return next(found, None)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Json | None:
        if ("get", name) in self.refused:
            raise Forbidden("It may not be read.")
        resource = self.resource(api_version, kind)
        if resource is None:
            return None
        where = namespace if resource.namespaced else None
        return next((obj for obj in self._of(kind, where) if obj["metadata"]["name"] == name), None)

    def definition(self, resource: Resource) -> Json | None:
        name = f"{resource.plural}.{resource.group}"
        return self.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Json]:
        if kind in self.lists:
            raise self.lists[kind]
        return self._of(kind, namespace)

    def _of(self, kind: str, namespace: str | None) -> list[Json]:
        return [
            obj
            for obj in self.objects
            if obj["kind"] == kind and (namespace is None or obj["metadata"].get("namespace") == namespace)
        ]

    def dry_run(self, how: str, obj: Json, namespace: str | None = None) -> Json:
        self.tried.append(obj)
        if obj["metadata"]["name"] in self.rejected:
            raise self.rejected[obj["metadata"]["name"]]
        if obj["kind"] == "Pod":
            containers = [each | self.defaults for each in obj["spec"]["containers"]]
            return obj | {"spec": obj["spec"] | {"containers": containers}}
        return self.makes.get(obj["metadata"]["name"], obj)

    def create(self, obj: Json, namespace: str | None = None) -> Json:
        if obj["kind"] == "Lease" and self.get(obj["apiVersion"], "Lease", obj["metadata"]["name"], namespace):
            raise Conflict("It exists.")
        obj["metadata"].setdefault("resourceVersion", "1")
        self.objects.append(obj)
        return obj

    def patch(self, api_version: str, kind: str, name: str, body: Json, namespace: str | None = None) -> Json:
        found = self.get(api_version, kind, name, namespace)
        if found is None:
            raise NotFound("It is not there.")
        version = found["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", version) != version:
            raise Conflict("Someone changed it.")
        # As over a network: who has read it before has what was there before.
        self.objects.remove(found)
        found = copy.deepcopy(found)
        self.objects.append(found)
        _merge(found, body)
        found["metadata"]["resourceVersion"] = str(int(version) + 1)
        return found

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> bool:
        found = self.get(api_version, kind, name, namespace)
        if found is not None:
            self.objects.remove(found)
        return found is not None

    def can_i(self, verb: str, group: str, plural: str, namespace: str | None = None, *, name: str = "") -> bool:
        self.asked.append((verb, plural))
        if verb == "*":
            return not any(what == plural for _, what in self.refused)
        return (verb, plural) not in self.refused

    def kubelet_stats(self, node: str) -> Json:
        if node not in self.stats:
            raise NotFound("It says nothing.")
        return self.stats[node]

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool = False, tail: int = 500) -> str:
        text = self.texts.get((f"{pod}/{container}", previous), "")
        if isinstance(text, Exception):
            raise text
        return text

    def watch(
        self, api_version: str, kind: str, namespace: str | None, *, timeout: float
    ) -> Iterator[tuple[str, Json]]:
        for obj in self._of(kind, namespace):
            yield "ADDED", obj
        yield from self.news.get(kind, [])
        # As a real one: it lasts its time, also when nothing more happens.
        threading.Event().wait(timeout)


def _merge(found: Json, patch: Json) -> None:
    """As RFC 7386 merges: ``None`` removes a key."""
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            _merge(found.setdefault(key, {}), value)
        else:
            found[key] = value


class World:
    """One target: its parameters, a helm that answers from a table, a cluster that is a dictionary."""

    def __init__(self, home: Path) -> None:
        self.program = Program()
        self.cluster = DictCluster()
        self.redactor = Redactor()
        self.told: list[Event] = []
        self.home = home
        self.program.answer("version", stdout="v3.19.5")
        self.program.answer("status", returncode=1, stderr="Error: release: not found\n")
        self.program.answer("history", returncode=1, stderr="Error: release: not found\n")
        # What a test says of the render on the server holds for the one without it, unless the test says otherwise.
        self.program.answer("template", returncode=1, stderr="Error: no chart name found\n")
        self.settings: dict[str, Any] = {
            "target": {"cluster_uid": UID, "namespace": NAMESPACE, "release": RELEASE},
            "chart": {"repository": "https://charts.example.com", "name": "dataflow", "version": "1.16.0"},
            "csghub": {"external_url": "http://127.0.0.1:1"},
            "gateway": {"domain": "example.com"},
            "policy": {"rollout_seconds": 1, "command_seconds": 30},
        }

    @property
    def boundaries(self) -> Boundaries:
        helm = Helm("helm", self.home, NAMESPACE, redactor=self.redactor, run=self.program, observe=self.told.append)
        cluster: Any = self.cluster
        parameters = Parameters.model_validate(self.settings)
        return Boundaries(
            parameters, helm, cluster, self.redactor, self.told.append, note="run abc", last_change=lambda _: "run abc"
        )

    def lives(self, manifest: str) -> None:
        """The objects of a manifest are in the cluster."""
        for obj in copy.deepcopy(objects_of(manifest)):
            resource = self.cluster.resource(obj["apiVersion"], obj["kind"])
            assert resource is not None, obj["kind"]
            obj["metadata"].update({"namespace": NAMESPACE} if resource.namespaced else {})
            self.cluster.add(obj)

    def stored(self, manifest: str, **besides: Any) -> None:
        """The release that Helm has stored."""
        info = {"status": "deployed", "description": "done", "last_deployed": "2026-11-22"} | besides.get("info", {})
        release = {
            "name": RELEASE,
            "namespace": NAMESPACE,
            "version": besides.get("revision", 1),
            "info": info,
            "config": besides.get("values", {}),
            "manifest": manifest,
            "hooks": besides.get("hooks", []),
        }
        line = {"revision": 1, "status": info["status"], "chart": besides.get("chart", "dataflow-1.16.0")}
        self.program.answer("status", stdout=release)
        self.program.answer("history", stdout=[line])

    def renders(self, manifest: str, *, chart: str = "dataflow", version: str = "1.16.0", **besides: Any) -> None:
        """What helm makes of the chart, at a path of this test."""
        archive = self.home / f"{chart}.tgz"
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(f"{chart} {version}".encode())
        self.settings["chart"] = {"path": str(archive)}
        self.program.answer("show", stdout=f"name: {chart}\nversion: {version}\nappVersion: v{version}\n")
        release = {
            "name": RELEASE,
            "namespace": NAMESPACE,
            "version": 1,
            "info": {"status": "pending-install"},
            "config": {},
            "manifest": manifest,
            "hooks": besides.get("hooks", []),
        }
        self.program.answer("--dry-run=server", stdout=release)

    def kinds(self) -> list[str]:
        """The kinds of the events told so far."""
        return [event.kind for event in self.told]


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    return World(tmp_path / "helm-home")


@pytest.fixture
def ask(world: World) -> Callable[[str], Finding]:
    """Puts one question of the prerequisites to the world as it then is."""

    def put(ident: str) -> Finding:
        chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
        made = report("prerequisites", "P", chosen, Subject(world.boundaries), observe=world.told.append)
        return made.findings[0]

    return put
