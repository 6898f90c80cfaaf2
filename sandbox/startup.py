"""Starting a sandbox, part after part; what runs as it should is left alone."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from sandbox import certificates, charts, controlplane, furniture, nodes, parameters_file, parts
from sandbox.api import Api
from sandbox.daemon import Settings
from sandbox.ports import free_port
from sandbox.services import controller
from sandbox.services.programs import make_clients
from sandbox.state import PARTS, PORTS, State
from sandbox.toolchain import Toolchain

Say = Callable[[str], None]

#: Whose kubeconfigs are written beside the administrator's.
_CLIENTS = ("kube-controller-manager", "kube-scheduler", "kwok")


def as_wanted(state: State) -> bool:
    """Whether every part was started with the command line that it would be given now."""
    wanted = {name: argv_of for name, (argv_of, _) in controlplane.CONTROL_PLANE.items()}
    wanted |= {"daemon": _daemon_argv, "services": _services_argv}
    return all(name in state.parts and state.parts[name].argv == wanted[name](state) for name in PARTS)


def start(state: State, tools: Toolchain, say: Say) -> None:
    """Start every part that does not run as wanted, in order, and write the parameters file.

    Raises:
        RunbookError: A part ended, does not answer, or refused an object.
    """
    begun = time.monotonic()

    def tell(what: str) -> None:
        say(f"{time.monotonic() - begun:5.1f} s  {what}")

    for port in PORTS:
        state.ports.setdefault(port, free_port())
    state.save()
    pki = state.folder / "pki"
    certificates.make(pki)
    with ThreadPoolExecutor(max_workers=1) as pool:
        published = pool.submit(_publish, state)
        _control_plane(state, tools, tell)
        versions = published.result()
    tell(f"chart repository holds dataflow {' and '.join(versions)}")
    repository = state.ports["charts"]
    nodes_file = state.folder / nodes.file_name()
    nodes_file.write_text(nodes.configuration(), encoding="utf-8")
    api = Api(state.ports["kube-apiserver"], pki)
    make_clients(state.folder / "bin")
    _daemon(state, pki)
    for old in set(state.folder.glob("kwok-*.yaml")) - {nodes_file}:
        old.unlink()
    if state.ports["charts"] != repository:
        _publish(state)
    furniture.renew_nodes(api, state.ports["kwok"])
    tell(f"kwok runs the nodes; charts at {state.url('charts')}, CSGHub stand-in at {state.url('csghub')}")
    _services(state)
    tell("the service controller waits for pods")
    _settle(state, api)
    state.cluster_uid = furniture.cluster_uid(api)
    state.save()
    parameters_file.write(state)
    tell(f"sandbox {state.name} is ready: {state.parameters_file}")


def _control_plane(state: State, tools: Toolchain, tell: Say) -> None:
    pki = state.folder / "pki"

    def etcd_answers() -> bool:
        return Api(state.ports["etcd"], pki, holder="etcd-client").ready()

    def server_answers() -> bool:
        # Ready is said a moment before the namespace is made that gives the cluster its identity.
        api = Api(state.ports["kube-apiserver"], pki)
        return api.ready() and bool(furniture.cluster_uid(api))

    _ensure(state, "etcd", etcd_answers, tell)
    anew = _ensure(state, "kube-apiserver", server_answers, tell)
    if state.kubeconfig.exists() and _server(state) not in state.kubeconfig.read_text(encoding="utf-8"):
        # Whoever read the old port from a kubeconfig would look for the server there for ever.
        parts.stop_all(state, [name for name in PARTS if name not in controlplane.CONTROL_PLANE or name in _CLIENTS])
    elif anew:
        # While it was away they asked less and less often, and would be blind for up to a minute more.
        parts.stop_all(state, _CLIENTS)
    _write_kubeconfigs(state, pki)
    for name in ("kube-controller-manager", "kube-scheduler"):
        _ensure(state, name, lambda: True, tell)
    api = Api(state.ports["kube-apiserver"], pki)
    furniture.furnish(api, tools)
    if not parts.until(lambda: not furniture.crds_missing(api, tools), parts.READY_SECONDS):
        raise parts.PartFailed(
            f"The sandbox's API server does not serve {', '.join(furniture.crds_missing(api, tools))}.",
            next_step=f"Run `runbooks sandbox reset --name {state.name}`.",
            evidence=str(state.log("kube-apiserver")),
        )
    tell("CRDs, storage class and nodes are there")


def _ensure(state: State, name: str, ready: Callable[[], bool], tell: Say) -> bool:
    argv_of, ports = controlplane.CONTROL_PLANE[name]
    started = parts.ensure(state, name, argv_of, ports=ports, ready=ready)
    tell(f"{name} {'started' if started else 'was running'}")
    return started


def _write_kubeconfigs(state: State, pki: Path) -> None:
    files = {"admin": state.kubeconfig} | {client: state.folder / f"{client}.kubeconfig" for client in _CLIENTS}
    for holder, file in files.items():
        certificates.write_kubeconfig(file, certificates=pki, holder=holder, server=_server(state))


def _server(state: State) -> str:
    return f"https://127.0.0.1:{state.ports['kube-apiserver']}"


def _daemon_argv(state: State) -> list[str]:
    """The command line of the sandbox's own process."""
    settings = Settings(
        folder=str(state.folder),
        kwok=controlplane.kwok(state),
        charts=state.path("charts"),
        charts_port=state.ports["charts"],
        csghub_port=state.ports["csghub"],
    )
    return [sys.executable, "-m", "sandbox.daemon", json.dumps(asdict(settings))]


def _daemon(state: State, pki: Path) -> None:
    parts.ensure(
        state,
        "daemon",
        _daemon_argv,
        ports=("kwok", "charts", "csghub"),
        ready=lambda: Api(state.ports["kwok"], pki, holder="kubelet-client").ready("/healthz"),
        logs=("kwok",),
    )


def _services_argv(state: State) -> list[str]:
    """The command line of the service controller."""
    settings = controller.Settings(
        folder=str(state.services), volumes=str(state.services / "claims"), kubeconfig=str(state.kubeconfig)
    )
    return [sys.executable, "-m", "sandbox.services.controller", json.dumps(asdict(settings))]


def _services(state: State) -> None:
    def answers() -> bool:
        return controller.fresh(state.services, state.parts["services"].pid)

    parts.ensure(state, "services", _services_argv, ready=answers)


def _publish(state: State) -> tuple[str, ...]:
    folder = state.folder / "charts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    helm = str(Path(state.toolchain) / "bin" / "helm")
    return charts.publish(folder, helm=helm, url=state.url("charts"))


def _settle(state: State, api: Api) -> None:
    """Wait until controllers and nodes have begun their work, and nobody has died meanwhile."""

    def dead() -> list[str]:
        return [name for name in PARTS if not state.parts[name].started.alive]

    if not parts.until(lambda: furniture.settled(api), parts.READY_SECONDS, unless=lambda: bool(dead())):
        raise parts.failure(state, (dead() or ["daemon"])[0])
    if dead():
        raise parts.failure(state, dead()[0])
