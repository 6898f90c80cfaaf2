"""The life of a sandbox: up, status, reset, down.

::

    state = up("try", say=print)      # idempotent: what runs is left alone, what died is mended
    state.parameters_file             # what a stage is run with
    down("try", say=print)            # leaves no process, no port and no file of it
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from runbooks_lib import parameters
from runbooks_lib.errors import UsageError
from runbooks_lib.helm import kube_cache
from sandbox import parameters_file, parts, startup, toolchain
from sandbox.interruption import interruptible, shielded
from sandbox.locks import locked
from sandbox.services import unit
from sandbox.state import PARTS, State, folder_of, load
from sandbox.status import Status, look

Say = Callable[[str], None]


def up(name: str = "sandbox", *, helm: str = "", root: Path | None = None, say: Say = print) -> State:
    """Have a sandbox running.

    Args:
        name: Sandboxes of different names live side by side.
        helm: The Helm that its parameters file names; else ``RUNBOOKS_HELM``, else the pinned one.
        root: The project's root; found when left out.
        say: Gets a line for each step.

    Raises:
        RunbookError: A part could not be built or started; what this call started is ended again.
    """
    root = root or parameters.project_root()
    folder_of(name, root)
    with interruptible(f"Run `runbooks sandbox up --name {name}` to go on; what is built is kept."):
        tools = toolchain.find(say=say)
        with _alone(name, root, say):
            state = load(name, root) or State(name=name, root=str(root))
            state.toolchain = str(tools.folder)
            state.helm = helm or os.environ.get(toolchain.HELM_VARIABLE, "") or tools.program("helm")
            if state.cluster_uid and startup.as_wanted(state) and look(state).ready:
                parameters_file.write(state)
                say(f"The sandbox {name} is already running: {state.parameters_file}")
                return state
            _start_or_undo(state, tools, say)
            return state


def down(name: str = "sandbox", *, root: Path | None = None, say: Say = print) -> bool:
    """End a sandbox and remove all that is left of it; says whether there was one.

    The toolchain's cache and the records stay.
    """
    root = root or parameters.project_root()
    folder = folder_of(name, root)
    with interruptible(f"Run `runbooks sandbox down --name {name}` again."), _alone(name, root, say):
        if not folder.exists():
            say(f"There is no sandbox called {name}; nothing to do.")
            return False
        started = time.monotonic()
        _remove(load(name, root) or State(name=name, root=str(root)))
        say(f"The sandbox {name} is down after {time.monotonic() - started:.1f} s.")
    with suppress(OSError):
        folder.parent.rmdir()
    return True


def reset(name: str = "sandbox", *, root: Path | None = None, say: Say = print) -> State:
    """Throw every object away: stop, forget the store, start again with the same ports and certificates.

    The cluster is another one afterwards: its pin changes, and with it the parameters file.

    Raises:
        UsageError: There is no such sandbox.
    """
    root = root or parameters.project_root()
    with interruptible(f"Run `runbooks sandbox reset --name {name}` again."):
        tools = toolchain.find(say=say)
        with _alone(name, root, say):
            state = _known(name, root)
            _stop(state)
            shutil.rmtree(state.folder / "etcd", ignore_errors=True)
            state.cluster_uid = ""
            state.save()
            _start_or_undo(state, tools, say)
            return state


def status(name: str = "sandbox", *, root: Path | None = None) -> Status:
    """How each part of a sandbox is.

    Raises:
        UsageError: There is no such sandbox.
    """
    return look(_known(name, root or parameters.project_root()))


def kubeconfig(name: str = "sandbox", *, root: Path | None = None) -> Path:
    """The path of its kubeconfig.

    Raises:
        UsageError: There is no such sandbox.
    """
    return _known(name, root or parameters.project_root()).kubeconfig


def _known(name: str, root: Path) -> State:
    state = load(name, root)
    if state is None:
        raise UsageError(
            f"There is no sandbox called {name}.", next_step=f"Start one with `runbooks sandbox up --name {name}`."
        )
    return state


def _alone(name: str, root: Path, say: Say) -> AbstractContextManager[None]:
    lock = folder_of(name, root).with_name(f".{name}.lock")
    return locked(lock, waiting_for=f"another command that works on the sandbox {name}", say=say)


def _start_or_undo(state: State, tools: toolchain.Toolchain, say: Say) -> None:
    """Start what does not run; if that fails or is interrupted, end what this call started."""
    fresh = not state.parts
    before = {name: part.pid for name, part in state.parts.items()}
    try:
        startup.start(state, tools, say)
    except BaseException as error:
        with shielded():
            _undo(state, before, fresh and isinstance(error, KeyboardInterrupt), say)
        raise


def _undo(state: State, before: dict[str, int], remove: bool, say: Say) -> None:
    begun = [name for name, part in state.parts.items() if before.get(name) != part.pid]
    with suppress(OSError):  # whoever read our lines may be gone; the ending matters more
        say(f"Ending what was started: {', '.join(begun) or 'nothing yet'}.")
    if remove:
        _remove(state)
    else:
        # After a failure the logs are the evidence: `down` removes them.
        parts.stop_all(state, begun)
        state.save()


def _stop(state: State) -> None:
    parts.stop_all(state, PARTS)
    # What a service controller that was killed has left running, and the data of all claims.
    unit.end_all(state.services)
    shutil.rmtree(state.services, ignore_errors=True)


def _remove(state: State) -> None:
    _stop(state)
    parameters_file.remove(state)
    # What Helm keeps of this API server; another cluster may get the port.
    served = kube_cache(Path(state.root) / ".runbooks" / "helm") / "discovery"
    shutil.rmtree(served / f"127.0.0.1_{state.ports.get('kube-apiserver', 0)}", ignore_errors=True)
    shutil.rmtree(state.folder, ignore_errors=True)
