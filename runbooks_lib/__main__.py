"""The command line: the same functions as the notebooks, for pipelines and terminals."""

import os
import signal
import sys

if (
    sys.argv[0].endswith(("/runbooks", "runbooks_lib/__main__.py"))
    and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
):
    # Until main() listens, an interrupt would be a stack trace of the imports.
    signal.signal(signal.SIGINT, lambda *_: os._exit(os.write(2, b"runbooks: Stopped before it began.\n") and 130))

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from runbooks_lib.errors import Interrupted, RunbookError, UsageError, words
from runbooks_lib.results import Event, Finding, Json, RunSummary, drawn, unobserved
from runbooks_lib.telling import ending, plan_text, telling, visible

app = typer.Typer(
    name="runbooks",
    help="Runbooks for CSGHub Dataflow on Kubernetes.",
    epilog="Exit codes: 0 done · 2 usage · 3 a check failed · 4 not approved · 5 the change failed · "
    "6 unknown · 7 busy or another cluster · 8 record · 129/130/143 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
records_app = typer.Typer(help="Look at the records that runs leave.", no_args_is_help=True)
parameters_app = typer.Typer(help="Check parameters files.", no_args_is_help=True)
app.add_typer(records_app, name="records")
app.add_typer(parameters_app, name="parameters")
checks_app = typer.Typer(help="What is looked at.", no_args_is_help=True)
app.add_typer(checks_app, name="checks")
keys_app = typer.Typer(help="Keys of those who approve.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

File = Annotated[str, typer.Option("--parameters", "-p", help="Parameters file, relative to the project.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="One key, for example chart.version=1.16.1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]
KeyFile = Annotated[str, typer.Argument(metavar="PATH", help="Where the private key goes.")]
Name = Annotated[str, typer.Option(help="Who you are, as the cluster knows you; your user's name when left out.")]
Passphrase = Annotated[str, typer.Option(help="env:NAME or file:PATH; asked for when left out.", show_default=False)]
Checkpoint = Annotated[str, typer.Option(help="An earlier checkpoint of a log, or a folder of them.")]
Keys = Annotated[str, typer.Option("--key", help="A file with the keys that you trust, one a line.")]
Output = Annotated[str, typer.Option("--output-directory", help="Where records go; records/ by default.")]


@app.command(epilog="Example: runbooks run install -p parameters/sandbox.yaml --approve sha256:…")
def run(
    stage: Annotated[
        str, typer.Argument(help="prerequisites, install, verify, upgrade, uninstall, diagnose or recover.")
    ],
    parameters_file: File,
    overrides: Set = None,
    approve: Annotated[str, typer.Option(help="The plan's digest, sha256:…, or another person's approval file.")] = "",
    resume: Annotated[str, typer.Option(help="A stopped run's id: what it has left is done by the yes it had.")] = "",
    output_directory: Output = "",
    as_json: AsJson = False,
) -> None:
    """Run a stage's notebook without a front end; it leaves a record."""
    from runbooks_lib import headless, parameters, records

    if resume and approve:
        raise UsageError("A run is resumed by the yes that it had.", next_step="Give --resume or --approve, not both.")
    if resume:
        approve = str(records.find(parameters.resolve_path(output_directory or "records"), resume))
    how: Json = {"overrides": overrides or (), "approve": approve, "output_directory": output_directory}
    _end(partial(headless.run_stage, stage, parameters_file, **how), as_json=as_json)


@app.command(epilog="Example: runbooks backup -p parameters/sandbox.yaml")
def backup(
    parameters_file: File, overrides: Set = None, output_directory: Output = "", as_json: AsJson = False
) -> None:
    """Copy the databases of the release and prove each copy; stops and changes nothing, leaves a record."""
    from runbooks_lib.headless import backups

    how: Json = {"overrides": overrides or (), "output_directory": output_directory}
    _end(partial(backups.back_up, parameters_file, **how), as_json=as_json)


def _end(running: Callable[..., RunSummary], *, as_json: bool) -> NoReturn:
    """Tell of a run as it goes, and how it ended, by its exit code too."""
    heard: list[str] = []

    def hear(event: Event) -> None:
        tell(event)
        heard.extend([event.data.get("summary", "")] if event.kind == "error.raised" else [])

    summary = running(observe=unobserved if as_json else hear)
    say(_with_findings(summary).model_dump_json(indent=2) if as_json else ending(summary, heard))
    raise typer.Exit(summary.exit_code)


@app.command(epilog="Example: runbooks plan upgrade -p parameters/sandbox.yaml --set chart.version=1.16.1")
def plan(
    stage: Annotated[str, typer.Argument(help="install, upgrade or uninstall.")],
    parameters_file: File,
    overrides: Set = None,
    as_json: AsJson = False,
) -> None:
    """Show what a stage would do, and the digest to approve. Changes nothing, leaves no record."""
    from runbooks_lib import headless

    made = headless.preview(stage, parameters_file, overrides=overrides or ())
    content = made.model_dump(mode="json") | {"digest": made.digest, "notes": list(made.notes)}
    say(json.dumps(content, indent=2, ensure_ascii=False) if as_json else plan_text(made))


@keys_app.command("new", epilog="Example: runbooks keys new ~/.config/approver.pem --name li.wei")
def keys_new(path: KeyFile, name: Name = "", passphrase: Passphrase = "") -> None:
    """Make an Ed25519 key, and print the line by which an administrator lists you as an approver."""
    from runbooks_lib.release import approver

    say(approver.make_key(path, name, passphrase))


@keys_app.command("list")
def keys_list(output_directory: Output = "") -> None:
    """The keys by which the log of each target was signed, one a line; the last one of a target signs it now."""
    from runbooks_lib import parameters, records

    found = records.signers(parameters.resolve_path(output_directory or "records"))
    say(
        "\n".join(f"{target}  {person.line}  {person.fingerprint}" for target, person in found)
        or "No record is signed."
    )


@keys_app.command(
    "rotate", epilog="Example: runbooks keys rotate production --new new.pem -p parameters/production.yaml"
)
def keys_rotate(
    target: Annotated[str, typer.Argument(help="The folder of the target's records, below records/.")],
    new: Annotated[str, typer.Option(help="The private key that signs from now on.")],
    parameters_file: File,
    new_passphrase: Passphrase = "",
    name: Name = "runbooks",
    output_directory: Output = "",
) -> None:
    """Hand a target's log over to another key; the one of the parameters file, which signs it now, vouches for it."""
    from runbooks_lib.headless.rotation import rotate

    say(rotate(target, parameters_file, new, new_passphrase, name, output_directory))


@app.command(epilog="Example: runbooks approve plan.json --key ~/.config/approver.pem --name li.wei")
def approve(
    file: Annotated[str, typer.Argument(help="plan.json of a record, or what `runbooks plan … --json` printed.")],
    key: Annotated[str, typer.Option(help="Your private key.")],
    lasts: Annotated[str, typer.Option("--for", help="How long it holds: 30m, 2h, 3d; at most 7d.")] = "2h",
    out: Annotated[str, typer.Option(help="The file to write.")] = "approval.json",
    name: Name = "",
    passphrase: Passphrase = "",
) -> None:
    """Show a plan, and sign a yes to it with your key: your passphrase is the yes."""
    from runbooks_lib.release import approver

    made = approver.read_plan(file)
    where = "{release} in namespace {namespace} of the cluster {cluster_uid}".format_map(made.target)
    text = f"{plan_text(made)}\n{made.stage} of {where}; a yes holds for {lasts} and for one change."
    # A value of a chart that moves the cursor could hide what stands beside it.
    say(visible(text))
    say(approver.approve(made, key, name=name, passphrase=passphrase, lasts=lasts, out=out))


@records_app.command("list")
def records_list(output_directory: Output = "", as_json: AsJson = False) -> None:
    """List all runs, oldest first."""
    from runbooks_lib import parameters, records

    found = records.listing(parameters.resolve_path(output_directory or "records"))
    if as_json:
        say(json.dumps([summary.model_dump(mode="json", exclude={"findings"}) for summary in found], indent=2))
    else:
        say(visible(drawn([summary.row() for summary in found])) or "No records yet: `runbooks run` makes them.")


@records_app.command("show")
def records_show(
    run_id: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    output_directory: Output = "",
    as_json: AsJson = False,
) -> None:
    """Show one run: how it ended, its plan and who approved it, what happened, and what of it can be proved."""
    from runbooks_lib import parameters, records
    from runbooks_lib.portal.story import Story, proofs_of

    root = parameters.resolve_path(output_directory or "records")
    folder = records.find(root, run_id)
    story = Story(records.summary_of(folder), proofs_of(root, records.Given(), folder))
    problems = records.verify(folder)
    if as_json:
        told = {"folder": str(folder), "events": story.events, "problems": problems} | story.data()
        say(json.dumps(told, indent=2))
    else:
        say(visible(story.text()))
        say("\n".join(problems) if problems else "All files are as the manifest says.")
    if problems:
        raise typer.Exit(8)


@records_app.command(
    "portal", epilog="Example: runbooks records portal portal/ --key trusted.keys --checkpoint anchored/"
)
def records_portal(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A new folder for the pages.")],
    checkpoint: Checkpoint = "",
    key: Keys = "",
    output_directory: Output = "",
) -> None:
    """Write all records as pages to read, search and print: no server, nothing from elsewhere, nothing of a record runs."""
    from runbooks_lib import parameters, records
    from runbooks_lib.portal.pages import build

    known = records.given(*(str(parameters.resolve_path(name)) if name else "" for name in (key, checkpoint)))
    site = parameters.resolve_path(folder)
    number = build(parameters.resolve_path(output_directory or "records"), site, known)
    say(f"{number} records are in {site / 'index.html'}: open it in a browser.")


@records_app.command(
    "verify", epilog="Example: runbooks records verify --all --key trusted.keys --checkpoint anchored/"
)
def records_verify(
    run_id: Annotated[str, typer.Argument(help="The run's id, or its beginning; or --all.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All records, and that none is missing.")] = False,
    checkpoint: Checkpoint = "",
    key: Keys = "",
    cluster: Annotated[
        str, typer.Option(help="A parameters file: was each revision of its release made by a run?")
    ] = "",
    output_directory: Output = "",
    as_json: AsJson = False,
) -> None:
    """Prove that records are what was sealed: files, signatures, places in the log. Needs no secret, and no cluster else."""
    from runbooks_lib import parameters, records

    if every == bool(run_id):
        raise UsageError("Name a run, or --all.", next_step="`runbooks records list` lists them.")
    root = parameters.resolve_path(output_directory or "records")
    known = records.given(*(str(parameters.resolve_path(name)) if name else "" for name in (key, checkpoint)))
    found = records.verify_all(root, known, records.find(root, run_id) if run_id else None)
    if cluster:
        from runbooks_lib.headless.existing import history

        found = found.with_(records.held_against(root, history(cluster)))
    say(found.model_dump_json(indent=2) if as_json else found.text)
    if found.problems or not found.proved:
        raise typer.Exit(8)


@parameters_app.command("check")
def parameters_check(file: Annotated[str, typer.Argument(help="The parameters file.")], overrides: Set = None) -> None:
    """Say whether a parameters file can be used, without a cluster."""
    from runbooks_lib import parameters
    from runbooks_lib.checks.catalogue import require_known

    made = parameters.load(file, overrides or ())
    require_known(made.waivers)
    chart = made.chart.path or f"{made.chart.name} {made.chart.version}"
    say(f"{file} is good: {chart} as release {made.target.release} in namespace {made.target.namespace}.")


@parameters_app.command("from-release")
def parameters_from_release(
    release: Annotated[str, typer.Argument(help="The release that Helm has.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "csghub",
    kubeconfig: Annotated[str, typer.Option(help="The user's own when left out.")] = "",
    context: Annotated[str, typer.Option(help="The current one when left out.")] = "",
    helm: Annotated[str, typer.Option(help="A name on PATH, or a path.")] = "helm",
    repository: Annotated[str, typer.Option(help="Where its chart comes from.")] = "https://charts.opencsg.com/csghub",
) -> None:
    """Print a parameters file of a release that was installed by hand; passwords become references."""
    from runbooks_lib.headless.existing import from_release

    target = {"kubeconfig": kubeconfig, "context": context, "namespace": namespace, "release": release}
    say(from_release(target, helm=helm, repository=repository).rstrip("\n"))


@checks_app.command("list")
def checks_list() -> None:
    """All checks: the stage that asks each, its id (which waivers name), and what should be seen."""
    from runbooks_lib.checks.families import rows
    from runbooks_lib.results import drawn

    say(drawn(rows("stage", "id", "check", "expected")))


def _with_findings(summary: RunSummary) -> RunSummary:
    """How a run ended, with every answer to its checks."""
    from runbooks_lib import records

    events = records.read_events(Path(summary.folder))
    answers = (Finding.model_validate(event["data"]) for event in events if event["kind"] == "check.answered")
    return summary.model_copy(update={"findings": tuple(answers)})


def tell(event: Event) -> None:
    """Print an event as it happens."""
    if event.kind != "run.ended" and (line := telling(event)):
        say(line)


def say(text: str) -> None:
    """Print; when nobody reads on (``| head``) or a disk is full, what is done goes on, and its exit code stays true."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plug_in() -> None:
    """Add the commands of other packages (the sandbox's), found by entry point."""
    for point in entry_points(group="runbooks.commands"):
        command: Any = point.load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=point.name)
        else:
            app.command(point.name)(command)


def _watch_signals() -> list[int]:
    """Let Ctrl-C, SIGTERM and SIGHUP arrive as ``KeyboardInterrupt``; the list names those that came."""
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Ignored (nohup, a shell's background) it stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    return came


def main() -> None:
    """The console script: every failure a sentence and the exit code of its kind."""
    came = _watch_signals()
    try:
        _plug_in()
        # Outside of its standalone mode typer gives the code of `raise typer.Exit` back, and 130 for Ctrl-C.
        code = app(standalone_mode=False)
        if came and code == Interrupted.exit_code:
            raise KeyboardInterrupt
    except RunbookError as error:
        if "--json" in sys.argv:
            say(json.dumps(error.data(), indent=2, ensure_ascii=False))
        print(f"runbooks: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        # The sandbox's libraries are an extra, and so are the portal's.
        print(f"runbooks: {error}.\nNext: Install what it needs: pip install '.[sandbox,portal]'", file=sys.stderr)
        sys.exit(UsageError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        stopped = Interrupted("Stopped before anything was changed.", next_step="Run it again when you want.")
        print(f"runbooks: {stopped}", file=sys.stderr)
        sys.exit(128 + max(came, default=signal.SIGINT))
    except typer.TyperException as wrong:
        sys.exit(_wrong_call(wrong))
    except Exception as error:
        if os.environ.get("RUNBOOKS_TRACEBACK"):
            raise
        told = f"{words(error)}\nNext: Run it again with RUNBOOKS_TRACEBACK=1 and report what it shows."
        print(f"runbooks: This should not happen: {told}", file=sys.stderr)
        sys.exit(RunbookError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _wrong_call(wrong: typer.TyperException) -> int:
    """Say what is wrong with a flag or an argument."""
    context = getattr(wrong, "ctx", None)
    path = context.command_path if context else "runbooks"
    say: Callable[[], str] = getattr(wrong, "format_message", lambda: str(wrong))
    # Without any argument typer has shown the help already, and has nothing to add.
    words = " ".join(say().split()) or "A command is missing."
    error = UsageError(words, next_step=f"`{path} --help` shows the arguments and an example.")
    print(f"runbooks: {error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.path[:0] = [str(Path.cwd())]
    main()
