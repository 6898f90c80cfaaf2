"""A change that does not end, in a command of its own, and the processes that it consists of."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil
import unseen_chart
import yaml

from runbooks_lib import headless, parameters, process, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.records.folder import RUN_VARIABLE
from runbooks_lib.results import Json, Plan
from runbooks_lib.run import Run
from runbooks_lib.stages import install, recover, uninstall, upgrade
from sandbox import lifecycle, state

#: What controllers make and remove by themselves, and the Lease of a run.
DERIVED = {
    "Event",
    "Endpoints",
    "EndpointSlice",
    "ControllerRevision",
    "Lease",
    "PersistentVolume",
    "CSINode",
    "IPAddress",
}

STAGES = {"install": install, "upgrade": upgrade, "uninstall": uninstall, "recover": recover}

Found = TypeVar("Found")


def until(question: Callable[[], Found | None], why: Callable[[], str] = str, seconds: float = 120) -> Found:
    """The answer as soon as there is one."""
    waited = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if (found := question()) is not None:
            return found
        waited.wait(0.02)
    raise AssertionError(why())


class Moment(NamedTuple):
    """A command in the middle of a change."""

    command: process.Started
    kernel: psutil.Process
    helm: psutil.Process | None
    folder: Path
    server: psutil.Process


class Scene:
    """A release of the unseen chart, of which a part waits for a door: a label that no node has.

    Args:
        waits: Which part: the hook's Job, so that Helm does not end; or the Deployment, so that the roll-out does not.
        program: Another helm than the sandbox's own.
    """

    def __init__(
        self,
        sandbox: Any,
        target: dict[str, str],
        cluster: Cluster,
        folder: Path,
        *,
        waits: str = "tide",
        program: str = "",
    ) -> None:
        self.sandbox, self.cluster, self.root = sandbox, cluster, folder / "records"
        self.namespace, self.release = target["target.namespace"], target["target.release"]
        self.log = folder / "command.log"
        self.door = f"open-{self.namespace}"
        self.charts = [unseen_chart.write(folder, version) for version in ("0.1.0", "0.2.0")]
        self.target, self.waits = target | ({"helm.executable": program} if program else {}), waits
        self.policy = {"policy.rollout_seconds": 120, "policy.command_seconds": 120}
        self.extra: dict[str, Any] = {}
        self._lease = ("coordination.k8s.io/v1", "Lease", f"runbooks-{self.release}", self.namespace)

    def given(self, stage: str) -> dict[str, Any]:
        """The overrides for a stage; an upgrade is to the second version."""
        chart = unseen_chart.overrides(self.charts[stage == "upgrade"])
        values: dict[str, Any] = {"values.store.enabled": False, f"values.{self.waits}.waitsFor": self.door}
        # That no node has the door is the point.
        why = {"images.found": "simulated pods pull nothing", "nodes.room": "the door is opened later"}
        values["waivers"] = [{"check": name, "reason": said, "until": "2999-12-31"} for name, said in why.items()]
        chart = {key: chart[key] for key in chart if key != "values"}
        return {**self.target, **self.policy, **chart, **values, **self.extra}

    def helm(self, *words: str) -> str:
        """What Helm says, called by hand."""
        settings = yaml.safe_load((parameters.project_root() / self.sandbox.parameters_file).read_text())
        where = ["--namespace", self.namespace, "--kubeconfig", str(self.sandbox.kubeconfig)]
        program = self.target.get("helm.executable", settings["helm"]["executable"])
        done = process.run([program, *words, *where], timeout=60)
        assert done.ok, done.stderr
        return done.stdout

    def helm_secrets(self) -> set[str]:
        """The names of the Secrets in which Helm keeps what it knows."""
        listed = self.cluster.list("v1", "Secret", self.namespace)
        return {each["metadata"]["name"] for each in listed if each.get("type") == "helm.sh/release.v1"}

    def have(self, stage: str) -> None:
        """What the stage needs to begin: a release, unless it is the one that makes it."""
        if stage != "install":
            values = [
                "--set",
                f"store.enabled=false,{self.waits}.waitsFor={self.door}",
                "--create-namespace",
                "--no-hooks",
            ]
            self.helm("install", self.release, str(self.charts[0]), *values)

    def begin(self, stage: str, front_end: str = "runbooks", *, at: str = "", resume: str = "") -> Moment:
        """Start the command, and wait until it is in the step that does not end, or comes to one of this kind.

        Args:
            resume: The id of the stopped run whose approval holds for what is left of it.
        """
        given, before = self.given(stage), set(self.root.glob("*/2*"))
        digest = "" if resume else headless.preview(stage, self.sandbox.parameters_file, overrides=given).digest
        words = ["-m", "runbooks_lib", "run", stage, "-p", self.sandbox.parameters_file]
        words += ["--resume", resume] if resume else ["--approve", digest]
        words += ["--output-directory", str(self.root), *(f"--set={key}={text(given[key])}" for key in given)]
        if front_end == "papermill":
            taken = {"parameters_file": self.sandbox.parameters_file, "approve": digest, "overrides": given}
            taken |= {"output_directory": str(self.root)}
            notebook = parameters.notebook_path(stage)
            words = ["-m", "papermill", str(notebook), str(self.log.with_suffix(".ipynb")), "-y", yaml.safe_dump(taken)]
        command = process.start([sys.executable, *words], log=self.log, cwd=parameters.project_root())

        known = state.load(self.sandbox.name)
        assert known is not None
        server = psutil.Process(known.parts["kube-apiserver"].pid)

        def at_work() -> Moment | None:
            assert command.alive, self.log.read_text()
            folder = next((each for each in self.root.glob("*/2*") if each not in before), None)
            steps = records.read_events(folder) if folder else []
            step = at or (f"helm-{stage}" if self.waits == "tide" else "await-rollout")
            if folder is None or not any(each["data"].get("kind") == step for each in steps):
                return None
            (kernel,) = psutil.Process(command.pid).children()
            if at or self.waits != "tide":
                return Moment(command, kernel, None, folder, server)
            # Once its Job is there, it is no helm any more that is about to end.
            if self.cluster.get("batch/v1", "Job", f"{self.release}-tide", self.namespace) is None:
                return None
            (helm,) = [one for one in kernel.children() if stage in one.cmdline()]
            return Moment(command, kernel, helm, folder, server)

        return until(at_work, self.log.read_text)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The hook's Job can end."""
        node = self.cluster.list("v1", "Node")[0]["metadata"]["name"]
        self.cluster.patch("v1", "Node", node, {"metadata": {"labels": {self.door: "yes"}}})
        yield
        self.cluster.patch("v1", "Node", node, {"metadata": {"labels": {self.door: None}}})

    def mend(self) -> None:
        """The API server answers again."""
        lifecycle.up(self.sandbox.name, say=lambda _: None)

    def lease(self) -> Json | None:
        """The Lease of the release."""
        return self.cluster.get(*self._lease)

    def expire(self) -> None:
        """Let the Lease's time be over: nobody has renewed it for long."""
        api, kind, name, namespace = self._lease
        long_ago = {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}
        self.cluster.patch(api, kind, name, long_ago, namespace)

    def inventory(self) -> dict[str, str]:
        """The UID of each object of this namespace and of the whole cluster, by ``Kind name``; without what controllers and Helm keep."""
        found = {}
        # Asked anew: which kinds there are changes too.
        with Cluster.connect(self.sandbox.kubeconfig, self.sandbox.context) as cluster:
            kinds = {(one.group, one.kind): one for one in reversed(cluster.resources()) if one.holds_objects}
            for one in kinds.values():
                for obj in cluster.list(one.api_version, one.kind, self.namespace if one.namespaced else None):
                    metadata = obj["metadata"]
                    ours = one.kind != "Namespace" or metadata["name"] == self.namespace
                    own = obj.get("type") == "helm.sh/release.v1" or one.kind in DERIVED
                    if ours and not own and not metadata.get("ownerReferences"):
                        found[f"{one.kind} {metadata['name']}"] = metadata["uid"]
        return found

    def opens(self, stage: str) -> Run:
        """A run of this stage, without a kernel."""
        given = {"overrides": self.given(stage), "output_directory": str(self.root)}
        return Run.open(stage, self.sandbox.parameters_file, **given)

    def change(self, stage: str) -> tuple[Run, Plan]:
        """Carry a stage out, without a kernel."""
        run = self.opens(stage)
        plan = STAGES[stage].plan(run)
        run.approve(plan.digest)
        STAGES[stage].apply(run, plan, run.approval(plan))
        return run, plan


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def ended(command: process.Started) -> int:
    """The exit code of a command that was started here."""
    _, status = os.waitpid(command.pid, 0)
    return os.waitstatus_to_exitcode(status)


def left_of(moment: Moment) -> list[str]:
    """The processes of a run that are still there."""
    found = [
        one
        for one in psutil.process_iter(["environ"])
        if (one.info["environ"] or {}).get(RUN_VARIABLE) == str(moment.folder)
    ]
    return [f"{one.pid} {one.name()}" for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def kill_helm(moment: Moment) -> None:
    assert moment.helm is not None
    moment.helm.kill()


def kill_kernel(moment: Moment) -> None:
    moment.kernel.kill()


def kill_command(moment: Moment) -> None:
    os.kill(moment.command.pid, signal.SIGKILL)


def kill_server(moment: Moment) -> None:
    moment.server.kill()


def terminate(moment: Moment) -> None:
    os.kill(moment.command.pid, signal.SIGTERM)


def interrupt(moment: Moment) -> None:
    os.kill(moment.command.pid, signal.SIGINT)


def hang_up(moment: Moment) -> None:
    os.kill(moment.command.pid, signal.SIGHUP)


FAULTS = {
    "kill -9 helm": kill_helm,
    "kill -9 kernel": kill_kernel,
    "kill -9 command": kill_command,
    "kill -9 API server": kill_server,
    "SIGTERM": terminate,
    "SIGINT": interrupt,
    "SIGHUP": hang_up,
}
