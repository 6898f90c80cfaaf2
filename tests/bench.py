"""Speed and size as ratios of one run, printed as they are measured: ``make bench``.

Nothing here passes or fails: a busy machine is slow for both sides of a ratio, but not for a test that
watches the clock. A ratio of 1 means: as much as the reference beside it. The practice cluster is one of its
own, in a project folder of its own; both are removed at the end.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import bench_records
import nbformat
import psutil

from runbooks_lib import headless, parameters, process, records
from runbooks_lib.checks.catalogue import Check, report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import RunbookError
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.release.plan import plan_upgrade, propose
from runbooks_lib.results import Event, RunSummary
from runbooks_lib.run import Run
from sandbox import lifecycle, rehearsal, toolchain
from sandbox.state import State

ROOT = Path(__file__).parents[1]
NAME = "bench"

#: What the project allows itself, warm.
UP_SECONDS, UP_MIB, REHEARSAL_SECONDS, STAGE_SECONDS = 10.0, 1.2 * 1024, 90.0, 1.5
#: For the checks that ask the cluster alone: what four such checks of another project take.
CLUSTER_SECONDS = 1.24
#: Those that ask somebody else: Helm, a registry, a name server, CSGHub, external stores.
ELSEWHERE = frozenset(
    {"helm.version", "values.effect", "csghub.external-url", "csghub.notes", "images.found", "dns.hosts"}
    | {f"external.{name}" for name in ("postgresql", "redis", "mongodb")}
)
CELLS = (1, 20, 100)
ROUNDS = 3
#: What the kernel of an upgrade has imported at its end, besides what comes with these.
IMPORTS = (
    "from runbooks_lib.run import Run\nfrom runbooks_lib.stages import upgrade\nfrom runbooks_lib.views import ask, show",
    "import httpx, kubernetes.client, kubernetes.config, kubernetes.stream.ws_client, psutil, psycopg, pymongo, redis",
)


def told(what: str, measured: float, reference: float, unit: str, than: str) -> None:
    """Print one line of the table."""
    ratio = measured / reference
    print(f"{what:<44} {measured:8.2f} {unit:<4} {reference:8.2f} {unit:<4} {ratio:6.2f}  {than}", flush=True)


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The shortest of some rounds: the others were disturbed."""
    return min(seconds(work) for _ in range(rounds))


def imports() -> None:
    """What a command pays before it does anything."""

    def python(code: str) -> Callable[[], object]:
        return lambda: process.run([sys.executable, "-c", code], timeout=60)

    bare = best(python("pass"))
    told("import runbooks_lib.run", best(python("import runbooks_lib.run")), bare, "s", "an empty Python")


def notebooks(folder: Path) -> None:
    """Trivial notebooks under our engine and under papermill's own."""
    with kernels_hushed():
        for engine in (None, "runbooks"):
            executing(folder, ["pass"], engine)()
        for cells in CELLS:
            sources = [f"print({number})" for number in range(cells)]
            stock, ours = (best(executing(folder, sources, engine)) for engine in (None, "runbooks"))
            told(f"a notebook, cells: {cells}", ours, stock, "s", "papermill's own engine")


def executing(folder: Path, sources: Sequence[str], engine: str | None) -> Callable[[], object]:
    """Runs a notebook of these cells; each time into an output of its own, since none is overwritten."""
    import papermill

    content = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(source) for source in sources],  # type: ignore[no-untyped-call]
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    path = folder / f"{len(sources)}.ipynb"
    path.write_text(nbformat.writes(content))  # type: ignore[no-untyped-call]

    def execute() -> None:
        output = str(folder / f"{time.monotonic_ns()}.ipynb")
        papermill.execute_notebook(str(path), output, engine_name=engine, progress_bar=False)

    return execute


def whole_rehearsal() -> None:
    """Seven runs, the practice cluster's start and end included."""
    summaries: list[RunSummary] = []
    took = seconds(lambda: summaries.extend(rehearsal.rehearse(NAME, say=quiet)))
    require(summaries)
    told("a rehearsal, warm", took, REHEARSAL_SECONDS, "s", "the limit")


def practice_cluster() -> State:
    """Starting a practice cluster whose programs are built, and the memory it then has."""
    states: list[State] = []
    took = seconds(lambda: states.append(lifecycle.up(NAME, say=quiet)))
    told("a practice cluster starts, warm", took, UP_SECONDS, "s", "the limit")
    told("  its memory (resident, all processes)", resident(states[0]), UP_MIB, "MiB", "the limit")
    return states[0]


def resident(state: State) -> float:
    """The memory of a practice cluster's processes and their children, in MiB; shared pages count twice."""
    found = [psutil.Process(part.pid) for part in state.parts.values()]
    found += [child for parent in found for child in parent.children(recursive=True)]
    return sum(one.memory_info().rss for one in set(found)) / 2**20


def stage_with_nothing_to_do(state: State) -> None:
    """What a headless stage costs over the helm calls that it makes."""
    file = os.path.relpath(state.parameters_file, state.root)
    plan = headless.preview("install", file)
    installed = headless.run_stage("install", file, approve=plan.digest)
    require([installed])
    bench_records.sealing(told, installed)
    runbooks = str(Path(sys.executable).with_name("runbooks"))

    def in_process() -> RunSummary:
        return headless.run_stage("upgrade", file)

    def as_command() -> RunSummary:
        done = process.run([runbooks, "run", "upgrade", "-p", file, "--json"], timeout=120)
        return RunSummary.model_validate_json(done.stdout)

    for what, work in (("headless", in_process), ("as a command", as_command)):
        took, helm, calls = min((_over_helm(work) for _ in range(ROUNDS)), key=lambda each: each[0] - each[1])
        told(f"an upgrade with nothing to do, {what}", took, helm, "s", f"its {calls} helm calls")
        told("  the difference", took - helm, STAGE_SECONDS, "s", "the limit")
        if work is in_process:
            with kernels_hushed():
                stock = best(executing(Path(state.root), IMPORTS, None))
            told("  the difference", took - helm, stock, "s", "stock papermill, a notebook with the same imports")


def plans(state: State, folder: Path) -> None:
    """The plan of an upgrade of the practice release, and of one of many objects, over rendering the same chart once."""
    file, changed = str(state.parameters_file), {"gateway.domain": "other.example.com"}
    many = {"chart.path": str(many_objects(folder)), "chart.repository": "", "chart.version": "", "chart.name": "many"}
    many |= {"target.release": "many", "target.namespace": "many", "values.size": "large"}
    settings = Run.open("upgrade", file, record=False).boundaries
    where = ["--namespace", "many", "--kubeconfig", str(state.kubeconfig)]
    argv = [settings.helm.executable, "install", "many", many["chart.path"], "--create-namespace", *where]
    if not (done := process.run(argv, timeout=120)).ok:
        raise RunbookError(f"The chart of many objects was not installed: {done.stderr}", next_step="Read its words.")
    for overrides in (changed, many):
        boundaries = Run.open("upgrade", file, overrides=overrides, record=False).boundaries
        number = len(objects_of(boundaries.helm.status(boundaries.release).manifest))  # type: ignore[union-attr]
        rendered = [settings.helm.executable, "template", boundaries.release, boundaries.chart.path]
        values = json.dumps(parameters.chart_values(boundaries.parameters))
        plain = best(lambda argv=rendered, text=values: process.run([*argv, "--values", "-"], timeout=60, stdin=text))  # type: ignore[misc]
        planned = best(partial(plan_upgrade, boundaries))
        told(f"a plan of {number} objects", planned, plain, "s", "helm template, alone")
        dry = best(partial(propose, boundaries, upgrade=True))
        told("  of which is Helm's own dry run on the server", dry, plain, "s", "helm template, alone")
        told("  the plan over that dry run", planned, dry, "s", "what no plan can be made without")


def many_objects(folder: Path) -> Path:
    """A chart of 500 objects."""
    chart = folder / "many"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: many\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text("size: small\n")
    (chart / "templates" / "all.yaml").write_text(
        "{{- range $n := until 500 }}\n---\napiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: one-{{ $n }}}\ndata: {size: {{ $.Values.size }}}\n{{- end }}\n"
    )
    return chart


def prerequisites(state: State) -> None:
    """The checks of 01: those that ask the cluster alone, with the chart rendered beforehand, and all, which render it."""
    run = Run.open("prerequisites", str(state.parameters_file), record=False)

    def asked(checks: Iterable[Check[Any]], *, beforehand: bool = False) -> float:
        def ask() -> None:
            fresh = Subject(run.boundaries)
            if beforehand:
                fresh._proposal = rendered  # type: ignore[misc]  # what `once` would make of it
            report("prerequisites", "P", checks, fresh, observe=quiet_event)

        return best(ask)

    rendered = Subject(run.boundaries)._proposal
    local = [check for check in FAMILIES["prerequisites"] if check.id not in ELSEWHERE]
    told(
        f"{len(local)} checks that ask the cluster alone",
        asked(local, beforehand=True),
        CLUSTER_SECONDS,
        "s",
        "what they may take",
    )
    everything = FAMILIES["prerequisites"]
    slowest = max((asked([check]), check.id) for check in everything)
    told(
        f"all {len(everything)} checks of 01 at once", asked(everything), slowest[0], "s", f"the slowest, {slowest[1]}"
    )


def quiet_event(_event: Event) -> None:
    """Nobody listens."""


def _over_helm(work: Callable[[], RunSummary]) -> tuple[float, float, int]:
    """A stage's seconds, those of its helm calls, and how many these were."""
    summaries: list[RunSummary] = []
    took = seconds(lambda: summaries.append(work()))
    require(summaries)
    events = records.read_events(Path(summaries[0].folder))
    calls = [event["data"]["seconds"] for event in events if event["kind"] == "command.ended"]
    return took, sum(calls), len(calls)


def require(summaries: list[RunSummary]) -> None:
    """What failed early was not measured."""
    for summary in summaries:
        if summary.exit_code:
            raise RunbookError(
                f"{summary.stage} ended as {summary.outcome}, so there is nothing to measure: {summary.summary}",
                next_step="Run `make rehearse` and mend what it shows.",
            )


def quiet(_line: str) -> None:
    """What is measured does not print."""


@contextmanager
def kernels_hushed() -> Iterator[None]:
    """Under papermill's own engine each kernel warns on our standard error that it uses TCP."""
    ours = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(ours, 2)
            os.close(ours)


@contextmanager
def project() -> Iterator[Path]:
    """A project folder of its own: neither its records nor its Helm home are the user's."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "notebooks", folder / "notebooks")
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / "parameters").mkdir()
        os.environ["RUNBOOKS_HOME"] = name
        try:
            yield folder
        finally:
            lifecycle.down(NAME, root=folder, say=quiet)


def _ended(number: int, _frame: Any) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Measure everything; 0 when all could be measured."""
    signal.signal(signal.SIGTERM, _ended)
    tools = toolchain.find()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}, Python {platform.python_version()}")
    print(f"programs: {tools.folder}")
    print(f"\n{'what':<44} {'measured':>13} {'reference':>13} {'ratio':>6}  than", flush=True)
    with project() as folder:
        imports()
        bench_records.measured(told, best)
        notebooks(folder)
        whole_rehearsal()
        state = practice_cluster()
        stage_with_nothing_to_do(state)
        plans(state, folder)
        prerequisites(state)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RunbookError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("bench: stopped; its practice cluster was taken down.", file=sys.stderr)
        sys.exit(130)
