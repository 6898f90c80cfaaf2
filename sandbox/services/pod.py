"""One pod: from its init containers to its orderly end. Programs stand for those of its containers that have one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress

from runbooks_lib.cluster import Cluster, NotFound
from runbooks_lib.cluster.environment import Missing, expand
from runbooks_lib.parameters.components import component_of
from runbooks_lib.results import Json
from sandbox.nodes import PREFIX
from sandbox.ports import free_port
from sandbox.services import mounts, notes
from sandbox.services.containers import Container, arguments
from sandbox.services.inits import Inits
from sandbox.services.needs import Needs
from sandbox.services.places import Places
from sandbox.services.programs import answers, program_for, reaching, unreached
from sandbox.services.telling import Told
from sandbox.services.unit import Unit, end_saved, saved

#: The key of a row that tells a program from a later one with its pid.
STARTED = "start_time"

#: Unanswered questions after which a ready pod is not ready any more.
_NOT_THERE = re.compile(r"^(Secret|ConfigMap) (\S+) is not there$")
_MISSES = 3


class Pod:
    """One pod, as the service controller sees it.

    Attributes:
        seen: The pod as it was last seen.
        ready: Whether all its programs answer.
        missed: How many questions in a row they have not answered.
    """

    def __init__(self, seen: Json, cluster: Cluster, places: Places) -> None:
        self.seen = seen
        self.ready = False
        self.missed = 0
        self.ended = False
        self._cluster = cluster
        self._places = places
        self._folder = places.pod(seen)
        self._objects = Told(cluster, seen)
        self._needs = Needs(seen, cluster, places)
        self._units: dict[str, Unit] = {}
        self._inits = Inits(self._folder, self._serve_logs)
        self._initialised = False
        self._told: dict[str, str] = {}
        self._unknown: set[str] = set()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.seen["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.seen["metadata"]["namespace"])

    @property
    def ports(self) -> dict[int, int] | None:
        """The ports of all its containers, to those of this machine; None where no program runs in it."""
        units = self._units.values()
        return {port: local for unit in units for port, local in unit.container.ports.items()} if units else None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Its containers without a program that are ready, or done, all the same.

        A container of a strange image is told only where it was to end by itself: nothing did its work.
        """
        if not self._over or notes.faulty(self.seen):
            return tuple(sorted(self._unknown | self._needs.excused))
        names = (container["name"] for container in self.seen["spec"]["containers"])
        return tuple(name for name in names if saved(self._folder / name) is None)

    def rows(self) -> Iterator[dict[str, str]]:
        """One row a program, for ``sandbox status``."""
        about = {"pod": f"{self.namespace}/{self.name}"}
        if self._over:
            for status in self._status.get("containerStatuses") or ():
                code = (status["state"].get("terminated") or {}).get("exitCode")
                if saved(self._folder / status["name"]):
                    yield about | {"container": status["name"], "state": f"ended with {code}", "pid": ""}
            return
        for name, unit in self._units.items():
            state = "ready" if self.ready else "running" if unit.running else f"ended with {unit.exit_code}"
            told = about | {"container": name, "state": state, "pid": ""}
            if unit.started and unit.running:
                told |= {"pid": str(unit.started.pid), STARTED: str(unit.started.start_time)}
            yield told

    def step(self) -> None:
        """Do what is next; called again and again, never from two threads at once."""
        if self.seen["metadata"].get("deletionTimestamp"):
            self.stop()
            self._tell(ready="false", stopped="true")
            return
        if self._over:
            self.ended = True
        if self.ended or not self.seen["spec"].get("nodeName"):
            return
        if notes.faulty(self.seen):
            # kwok carries it out alone.
            self._objects.pulling(self._status)
            return
        try:
            if wrong := notes.refused(self.seen):
                self._initialised = True
                raise Missing(wrong)
            if self._mount() and self._initialise():
                self._run()
        except Missing as missing:
            self._hold(missing)

    def forget(self) -> None:
        """The pod is gone: end what is left of it, and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End its programs, also those of a controller before this one; the pod itself stays as it is."""
        for unit in self._units.values():
            unit.stop()
        end_saved(self._folder)

    @property
    def _status(self) -> Json:
        return dict(self.seen.get("status") or {})

    @property
    def _over(self) -> bool:
        return self._status.get("phase") in {"Succeeded", "Failed"}

    @property
    def _begun(self) -> bool:
        """Whether its containers have been started, by whichever controller."""
        return bool(self._status.get("phase") == "Running")

    @property
    def _ends(self) -> bool:
        return bool(self.seen["spec"].get("restartPolicy", "Always") != "Always")

    def _mount(self) -> bool:
        """Whether its volumes are there; until then none of its containers is made."""
        try:
            self._needs.mount(begun=self._begun)
        except Missing as missing:
            self._objects.event("FailedMount", str(missing))
            return False
        return True

    def _initialise(self) -> bool:
        """Whether all init containers have ended."""
        ended = self._initialised or self._begun
        if not ended and not self._inits.ended(self.seen, self._needs.environment, self._places.hosts(self.namespace)):
            self._tell(**{"init-running": str(self._inits.at)}, fail="")
            return False
        self._initialised = True
        return True

    def _run(self) -> None:
        containers = self.seen["spec"]["containers"]
        ours = [each for each in containers if component_of(each["image"]) is not None]
        if not self._begun:
            for strange in (each for each in containers if each not in ours):
                self._needs.environment(strange)
        new = {each["name"]: self._unit(each) for each in ours if each["name"] not in {*self._units, *self._unknown}}
        if new:
            self._units |= new
            self._serve()
        for name in [each["name"] for each in ours if each["name"] not in self._unknown]:
            unit = self._units[name]
            unit.look()
            if unit.running:
                continue
            if unit.exit_code is not None and self._final(unit):
                return
            if not unit.start():
                self._unknown.add(name)
                del self._units[name]
        self._judge()

    def _judge(self) -> None:
        """Say how the pod is: ready, or on its way, or in a crash loop."""
        if not self._units:
            # Nothing of ours runs in it: what it does is nobody's business, and a Job of it has ended well.
            code = notes.asked(self.seen).get("exit-code", "0")
            self._tell(**({"exit-code": code} if self._ends else {"ready": "true"}), fail="")
            self.ended, self.ready = self._ends, not self._ends
            if self._ends:
                unmade = self._places.unmade(self.namespace)
                unmade.parent.mkdir(exist_ok=True)
                unmade.touch()
            return
        ends = [str(unit.last_exit) for unit in self._units.values() if unit.last_exit is not None]
        told = {"restarts": str(sum(unit.restarts for unit in self._units.values()))}
        # A container that was started again is not ready, however short the pause was.
        self.ready = self.ready and self._told.get("restarts", told["restarts"]) == told["restarts"]
        told |= {"last-exit": ends[0]} if ends else {}
        broken = [unit for unit in self._units.values() if not unit.running]
        if broken:
            self.ready = False
            uid = self.seen["metadata"]["uid"]
            named = f"container={broken[0].container.name} pod={self.name}_{self.namespace}({uid})"
            why = f"back-off {broken[0].pause:g}s restarting failed {named}"
            told |= {"last-exit": str(broken[0].exit_code), "fail-message": why}
            self._tell(ready="false", fail="CrashLoopBackOff", **told)
            return
        slow = float(notes.asked(self.seen).get("slow-start") or 0)
        answered = all(unit.age >= slow and answers(unit.container) for unit in self._units.values())
        specs = {each["name"]: each for each in self.seen["spec"]["containers"]}
        for unit in self._units.values():
            if said := unreached(unit.container, specs[unit.container.name]):
                answered = False
                self._objects.event("Unhealthy", said)
        self.missed = 0 if answered else self.missed + 1
        # As a kubelet does by default: of a ready one three questions in a row must stay unanswered.
        self.ready = answered or (self.ready and self.missed < _MISSES)
        self._tell(ready="true" if self.ready else "false", fail="", **told)

    def _final(self, unit: Unit) -> bool:
        """Whether a program's end is the pod's end, which it then is."""
        if not self._ends or (self.seen["spec"].get("restartPolicy") == "OnFailure" and unit.exit_code):
            return False
        self.ended = True
        self._tell(**{"exit-code": str(unit.exit_code)}, fail="")
        return True

    def _hold(self, missing: Missing) -> None:
        """A container can't be made: say so in the words of a kubelet."""
        where = {} if self._initialised else {"init-running": str(self._inits.at)}
        said = _NOT_THERE.sub(lambda found: f'{found[1].lower()} "{found[2]}" not found', str(missing))
        self._tell(fail="CreateContainerConfigError", **{"fail-message": said}, **where)
        self._objects.event("Failed", f"Error: {said}")

    def _unit(self, spec: Json) -> Unit:
        folder = self._folder / spec["name"]
        scratch = folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        env = self._needs.environment(spec)
        before = saved(folder)
        kept = before.ports if before else {}
        wanted = [int(port["containerPort"]) for port in spec.get("ports") or ()]
        container = Container(
            name=spec["name"],
            image=spec["image"],
            args=tuple(expand(word, env) for word in arguments(spec)),
            env=env,
            ports={port: kept.get(port) or free_port() for port in wanted},
            folders=mounts.folders(spec, self._needs.volumes),
            scratch=scratch,
            hosts=self._places.hosts(self.namespace),
            ends=self._ends,
        )
        unit = Unit(folder, container, lambda: program_for(container))
        unit.log.touch()
        return unit

    def _serve(self) -> None:
        """Have kwok forward the ports, serve the logs and run commands for ``exec``."""
        forwards = [
            {"ports": [port], "target": {"address": "127.0.0.1", "port": local}}
            for port, local in (self.ports or {}).items()
        ]
        if forwards:
            self._objects.serve("PortForward", {"forwards": forwards})
        execs = [{"containers": [name], "local": self._shell(unit)} for name, unit in self._units.items()]
        self._objects.serve("Exec", {"execs": execs})
        self._serve_logs()

    def _serve_logs(self) -> None:
        logs = {name: unit.log for name, unit in self._units.items()}
        self._objects.serve_logs(self._inits.logs | logs, self._places.empty)

    def _shell(self, unit: Unit) -> Json:
        """Where and with what a command runs; what comes from Secrets is left out, since everyone may read an Exec.

        kwok has no way to hand on the exit code of one that fails: it stands in the error's text alone.
        """
        spec = next(each for each in self.seen["spec"]["containers"] if each["name"] == unit.container.name)
        given = [entry["name"] for entry in spec.get("env") or () if "valueFrom" not in entry]
        component = component_of(unit.container.image)
        given += [component.csghub] if component and component.csghub else []
        envs = {name: unit.container.env.get(name, "") for name in given} | reaching(unit.container)
        return {"workDir": str(unit.container.scratch), "envs": [{"name": key, "value": envs[key]} for key in envs]}

    def _tell(self, **said: str) -> None:
        """Put our annotations on the pod, those that have changed; all of them at once."""
        if self._initialised:
            said["init-done"] = "true"
        new = {key: value for key, value in said.items() if self._told.get(key) != value}
        if not new:
            return
        annotations = {f"{PREFIX}{key}": value or None for key, value in new.items()}
        with suppress(NotFound):
            self._cluster.patch("v1", "Pod", self.name, {"metadata": {"annotations": annotations}}, self.namespace)
        self._told |= new
