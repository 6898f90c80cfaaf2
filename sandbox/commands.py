"""The commands that the sandbox adds to the command line, found there by entry point."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from runbooks_lib.errors import CheckFailed
from runbooks_lib.results import drawn

sandbox = typer.Typer(
    help="A Kubernetes control plane on this machine, with simulated nodes, to try everything on.", no_args_is_help=True
)

Name = Annotated[str, typer.Option("--name", help="Which sandbox; several may run side by side.")]


def _say(line: str) -> None:
    print(line, flush=True)


@sandbox.command(
    epilog="Examples: runbooks sandbox up · runbooks sandbox up --name try · "
    "then: runbooks run prerequisites -p parameters/sandbox.yaml"
)
def up(
    name: Name = "sandbox", helm: Annotated[str, typer.Option(help="The Helm that its parameters file names.")] = ""
) -> None:
    """Start it, or mend it: what runs is left alone. Writes parameters/sandbox.yaml.

    The first time its programs are built from source, which takes about 17 minutes.
    """
    from sandbox import lifecycle

    lifecycle.up(name, helm=helm, say=_say)


@sandbox.command(epilog="Example: runbooks sandbox down --name try")
def down(
    name: Name = "sandbox",
    everyone: Annotated[bool, typer.Option("--all", help="End all sandboxes of this project.")] = False,
) -> None:
    """End it: no process, port or file of it is left. The built programs and the records stay."""
    from sandbox import lifecycle
    from sandbox.state import names

    for one in names() if everyone else (name,):
        lifecycle.down(one, say=_say)


@sandbox.command(epilog="Example: RUNBOOKS_TOOLCHAIN=/opt/toolchain runbooks sandbox toolchain")
def toolchain() -> None:
    """Have its programs ready: found in RUNBOOKS_TOOLCHAIN or the user's cache, else built once."""
    from sandbox import toolchain as programs

    _say(f"The sandbox's programs are in {programs.find(say=_say).folder}")


@sandbox.command(epilog="Example: runbooks sandbox reset (the cluster is another one afterwards)")
def reset(name: Name = "sandbox") -> None:
    """Throw every object in it away and start it afresh; its pin changes, in the parameters file too."""
    from sandbox import lifecycle

    lifecycle.reset(name, say=_say)


@sandbox.command(epilog="Example: runbooks sandbox status. Exit code 3: a part does not run.")
def status(name: Name = "sandbox") -> None:
    """Show each of its processes, with its port and memory, and the programs behind its pods."""
    from sandbox import lifecycle

    found = lifecycle.status(name)
    _say(drawn(found.rows()))
    if found.programs:
        _say(f"\nBehind its pods:\n{drawn(list(found.programs))}")
    for container in found.unknown:
        _say(f"{container} has no program here: it is simply ready, or, in a Job, done with 0.")
    if found.ready:
        _say(f"The sandbox {name} is ready.")
        return
    raise CheckFailed(
        f"The sandbox {name} is not well: {found.trouble}.", next_step=f"Run `runbooks sandbox up --name {name}`."
    )


@sandbox.command(epilog="Example: kubectl --kubeconfig $(runbooks sandbox kubeconfig) get pods -A")
def kubeconfig(name: Name = "sandbox") -> None:
    """Print the path of its kubeconfig."""
    from sandbox import lifecycle

    _say(str(lifecycle.kubeconfig(name)))


def rehearse(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the sandbox running afterwards.")] = False,
    helm: Annotated[str, typer.Option(help="Rehearse with this Helm instead of the pinned one.")] = "",
    name: Annotated[str, typer.Option(help="What to call its sandbox.")] = "rehearsal",
) -> None:
    """Take a release through its whole life on a sandbox of its own, which is taken down afterwards.

    Seven runs: prerequisites, install, verify, upgrade, verify, uninstall, verify. Each leaves a record.

    Examples: runbooks rehearse · runbooks rehearse --keep · runbooks rehearse --helm /usr/local/bin/helm
    """
    from sandbox import rehearsal

    began = time.monotonic()
    summaries = rehearsal.rehearse(name, helm=helm, keep=keep, say=_say)
    _say("")
    _say(drawn(rehearsal.rows(summaries)))
    for line in rehearsal.closing(summaries, began):
        _say(line)
    raise typer.Exit(next((summary.exit_code for summary in summaries if summary.exit_code), 0))
