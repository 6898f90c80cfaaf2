"""One pod whose containers are stood for by programs: from its init containers to its orderly end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runbooks_lib.cluster import Cluster, Conflict, NotFound
from runbooks_lib.cluster.environment import Missing, environment, expand
from runbooks_lib.parameters.components import component_of
from runbooks_lib.results import Json
from sandbox.nodes import PREFIX
from sandbox.ports import free_port
from sandbox.services import connections, hosts, knocks
from sandbox.services.containers import Container, reach
from sandbox.services.places import Places
from sandbox.services.programs import answers, program_for, reaching
from sandbox.services.unit import Unit, end_saved, saved

_KWOK = "kwok.x-k8s.io/v1alpha1"
#: The key of a row that tells a program from a later one with its pid.
STARTED = "start_time"


class Pod:
    """One pod, as the service controller sees it.

    Attributes:
        seen: The pod as it was last seen.
        ready: Whether all its programs answer.
    """

    def __init__(self, seen: Json, cluster: Cluster, places: Places) -> None:
        self.seen = seen
        self.ready = False
        self.ended = False
        self._cluster = cluster
        self._places = places
        self._units: dict[str, Unit] = {}
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
    def ports(self) -> dict[int, int]:
        """The ports of all its containers, to those of this machine."""
        return {port: local for unit in self._units.values() for port, local in unit.container.ports.items()}

    @property
    def unknown(self) -> tuple[str, ...]:
        """Its containers that no program of ours stands for, although their image is a known one."""
        return tuple(sorted(self._unknown))

    def rows(self) -> Iterator[dict[str, str]]:
        """One row a program, for ``sandbox status``."""
        for name, unit in self._units.items():
            state = "ready" if self.ready else "running" if unit.running else f"ended with {unit.exit_code}"
            told = {"pod": f"{self.namespace}/{self.name}", "container": name, "state": state, "pid": ""}
            if unit.started and unit.running:
                told |= {"pid": str(unit.started.pid), STARTED: str(unit.started.start_time)}
            yield told

    def step(self) -> None:
        """Do what is next; called again and again, never from two threads at once."""
        metadata = self.seen["metadata"]
        if metadata.get("deletionTimestamp"):
            self.stop()
            self._tell(ready="false", stopped="true")
            return
        if self.ended or "fault" in self._asked or not self.seen["spec"].get("nodeName"):
            return
        if not self._initialised():
            return
        try:
            self._run()
        except Missing as missing:
            self._tell(fail="CreateContainerConfigError", **{"fail-message": str(missing)})

    def forget(self) -> None:
        """The pod is gone: end what is left of it, and remove its folder."""
        self.stop()
        shutil.rmtree(self._places.pod(self.seen), ignore_errors=True)

    def stop(self) -> None:
        """End its programs, also those of a controller before this one; the pod itself stays as it is."""
        for unit in self._units.values():
            unit.stop()
        end_saved(self._places.pod(self.seen))

    @property
    def _asked(self) -> dict[str, str]:
        """Our annotations that came with the workload's template, or that were put on by hand."""
        annotations = self.seen["metadata"].get("annotations") or {}
        return {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}

    def _initialised(self) -> bool:
        """Whether all init containers have ended: each waits until the hosts that it names answer."""
        if self._told.get("init-done") == "true" or self._asked.get("init-done") == "true":
            return True
        table = self._places.hosts(self.namespace)
        for number, container in enumerate(self.seen["spec"].get("initContainers") or ()):
            try:
                env = self._environment(container)
            except Missing:
                env = {}
            words = [expand(word, env) for word in _arguments(container)]
            named = list(hosts.places([*words, *env.values()]))
            if not all(_answers(table, *place) for place in named):
                self._tell(**{"init-running": str(number)})
                return False
        self._tell(**{"init-done": "true"})
        return True

    def _run(self) -> None:
        ours = [each for each in self.seen["spec"]["containers"] if component_of(each["image"]) is not None]
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
            never = self.seen["spec"].get("restartPolicy", "Always") != "Always"
            self._tell(**({"exit-code": "0"} if never else {"ready": "true"}))
            self.ended, self.ready = never, not never
            return
        broken = [unit for unit in self._units.values() if not unit.running]
        if broken:
            self.ready = False
            named = f"container={broken[0].container.name} pod={self.name}_{self.namespace}"
            last = {"last-exit": str(broken[0].exit_code), "fail-message": f"back-off restarting failed {named}"}
            self._tell(ready="false", fail="CrashLoopBackOff", restarts=str(self._restarts), **last)
            return
        slow = float(self._asked.get("slow-start") or 0)
        self.ready = all(unit.age >= slow and answers(unit.container) for unit in self._units.values())
        self._tell(ready="true" if self.ready else "false", fail="", restarts=str(self._restarts))

    @property
    def _restarts(self) -> int:
        return sum(unit.restarts for unit in self._units.values())

    def _final(self, unit: Unit) -> bool:
        """Whether a program's end is the pod's end, which it then is."""
        policy = self.seen["spec"].get("restartPolicy", "Always")
        if policy == "Always" or (policy == "OnFailure" and unit.exit_code):
            return False
        self.ended = True
        self._tell(**{"exit-code": str(unit.exit_code)})
        return True

    def _environment(self, container: Json) -> dict[str, str]:
        return environment(container, self.seen, lambda kind, name: self._cluster.get("v1", kind, name, self.namespace))

    def _unit(self, spec: Json) -> Unit:
        folder = self._places.pod(self.seen) / spec["name"]
        scratch = folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        env = self._environment(spec)
        before = saved(folder)
        kept = before.ports if before else {}
        wanted = [int(port["containerPort"]) for port in spec.get("ports") or ()]
        container = Container(
            name=spec["name"],
            image=spec["image"],
            args=tuple(expand(word, env) for word in _arguments(spec)),
            env=env,
            ports={port: kept.get(port) or free_port() for port in wanted},
            folders=self._folders(spec, folder),
            scratch=scratch,
            hosts=self._places.hosts(self.namespace),
            ends=self.seen["spec"].get("restartPolicy", "Always") != "Always",
        )
        unit = Unit(folder, container, lambda: program_for(container))
        unit.log.touch()
        return unit

    def _folders(self, spec: Json, folder: Path) -> dict[str, Path]:
        """Where each mount of a container is on this machine."""
        volumes = {volume["name"]: volume for volume in self.seen["spec"].get("volumes") or ()}
        found: dict[str, Path] = {}
        for mount in spec.get("volumeMounts") or ():
            volume = volumes.get(mount["name"], {})
            if claim := volume.get("persistentVolumeClaim"):
                place = self._places.claim(self.namespace, claim["claimName"])
                if place is None:
                    raise Missing(f"PersistentVolumeClaim {claim['claimName']} is not there")
            else:
                place = folder.parent / "volumes" / mount["name"]
                place.mkdir(parents=True, exist_ok=True)
                if source := volume.get("configMap"):
                    _fill(place, self._cluster.get("v1", "ConfigMap", source["name"], self.namespace))
            found[mount["mountPath"]] = place / mount.get("subPath", "")
        return found

    def _serve(self) -> None:
        """Have kwok forward the ports, serve the logs and run commands for ``exec``; all of it goes with the pod."""
        units = self._units.values()
        ports = [pair for unit in units for pair in unit.container.ports.items()]
        specs: dict[str, Json] = {
            "PortForward": {
                "forwards": [
                    {"ports": [port], "target": {"address": "127.0.0.1", "port": local}} for port, local in ports
                ]
            },
            "Logs": {
                "logs": [
                    {
                        "containers": [unit.container.name],
                        "logsFile": str(unit.log),
                        "previousLogsFile": str(unit.folder / "previous.log"),
                        "follow": True,
                    }
                    for unit in units
                ]
            },
            "Exec": {"execs": [{"containers": [unit.container.name], "local": self._shell(unit)} for unit in units]},
        }
        owner = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.seen["metadata"]["uid"]}
        for kind, spec in specs.items():
            about = {"name": self.name, "namespace": self.namespace, "ownerReferences": [owner]}
            if any(spec.values()):
                self._cluster.delete(_KWOK, kind, self.name, self.namespace)
                with suppress(Conflict):
                    self._cluster.create({"apiVersion": _KWOK, "kind": kind, "metadata": about, "spec": spec})

    def _shell(self, unit: Unit) -> Json:
        """Where and with what a command runs; what comes from Secrets is left out, since everyone may read an Exec."""
        spec = next(each for each in self.seen["spec"]["containers"] if each["name"] == unit.container.name)
        given = [entry["name"] for entry in spec.get("env") or () if "valueFrom" not in entry]
        envs = {name: unit.container.env.get(name, "") for name in given} | reaching(unit.container)
        return {"workDir": str(unit.container.scratch), "envs": [{"name": key, "value": envs[key]} for key in envs]}

    def _tell(self, **said: str) -> None:
        """Put our annotations on the pod, those that have changed."""
        new = {key: value for key, value in said.items() if self._told.get(key) != value}
        if not new:
            return
        annotations = {f"{PREFIX}{key}": value or None for key, value in new.items()}
        with suppress(NotFound):
            self._cluster.patch("v1", "Pod", self.name, {"metadata": {"annotations": annotations}}, self.namespace)
        self._told |= new


def _arguments(container: Json) -> list[str]:
    return [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]


def _fill(folder: Path, config: Json | None) -> None:
    for name, text in ((config or {}).get("data") or {}).items():
        (folder / name).write_text(text)


def _answers(table: Path, url: str, host: str, port: int) -> bool:
    """Whether what an init container waits for is there: a login where it tries one, else a listener."""
    try:
        if url.startswith(("postgresql://", "postgres://")):
            asked = connections.parsed(url)
            login = connections.Login(
                host, port, asked.pop("user", ""), asked.pop("password", ""), asked.pop("dbname", ""), {}
            )
            with connections.postgresql(login, table):
                return True
        if url.startswith("mongodb://"):
            connections.ask_mongo(url, table)
            return True
    except connections.Unavailable:
        return False
    return knocks.listens(*reach(table, host, port))
