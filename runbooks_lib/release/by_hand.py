"""The plain `helm` and `kubectl` commands that a plan or a check stands for, to be pasted into bash."""

import re
import shlex
from pathlib import Path

from runbooks_lib.parameters import Parameters, references, resolve_path
from runbooks_lib.results import Plan, Step
from runbooks_lib.tables import table

_STEPS: dict[str, list[str]] = table(__package__, "by_hand.yaml")
#: One entry of a Secret: 32 random characters, made when the command runs and shown nowhere.
_ENTRY = "--from-file={key}=<(LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c 32)"
#: Where a command begins, alone or within a sentence, and which program it calls.
_PROGRAM = re.compile(r"(^|\| |`|: )(helm|kubectl)(?= )")
_SCALING = ("stop-writers", "start-writers")
_UNKEPT = "  # the values.yaml that a run of the notebook keeps in its record"
_REFERENCES = "  # in that file replace each {from: …} by what it refers to"


def addressed(command: str, parameters: Parameters) -> str:
    """A command, or what to do with commands in it, with the program and the cluster that the parameters name.

    Without, a command would act on whatever is current.
    """
    target, programs = parameters.target, {"helm": parameters.helm.executable, "kubectl": "kubectl"}
    kubeconfig = str(resolve_path(target.kubeconfig)) if target.kubeconfig else ""

    def called(found: re.Match[str]) -> str:
        program = programs[found[2]]
        flags = {"--kubeconfig": kubeconfig, "--kube-context" if found[2] == "helm" else "--context": target.context}
        words = [str(resolve_path(program)) if "/" in program else program]
        words += [word for flag, value in flags.items() if value for word in (flag, value)]
        return found[1] + shlex.join(words)

    return _PROGRAM.sub(called, command)


def commands_of(plan: Plan, parameters: Parameters, record: Path | None) -> tuple[str, ...]:
    """What a plan's steps stand for; its values are in the record, where there is one."""
    made = plan.bindings.get("chart") or dict.fromkeys(("name", "version", "source"), "")
    name, source, version = made["name"], made["source"], f"--version {made['version']}"
    chart = f"{name} --repo {source} {version}" if source.startswith("http") else source
    chart = f"{source}/{name} {version}" if source.startswith("oci") else chart
    chart = shlex.quote(str(resolve_path(source))) if chart == source else chart
    values = f"{shlex.quote(str(record / 'values.yaml'))}" if record else f"values.yaml{_UNKEPT}"
    known = {
        **plan.target,
        "chart": chart,
        "flags": "",
        "values": values + (_REFERENCES if references(parameters) else ""),
    }
    gone = {change.name for change in plan.changes if change.action == "remove"}
    lines = []
    for step in plan.steps:
        filled = known | _filling(step, gone) | step.data
        # What the change removes can be stopped before it, and not be started after it.
        told = _STEPS.get(step.kind, ()) if filled["scaled"] or step.kind not in _SCALING else ()
        lines += [line.format_map(filled) for line in told]
        for protocol, names in step.data.get("protocols", {}).items():
            lines += [line.format(copied=", ".join(names)) for line in _STEPS[f"{step.kind} {protocol}"]]
    return tuple(addressed(line, parameters) for line in lines)


def _filling(step: Step, gone: set[str]) -> dict[str, str]:
    """What stands in a step's data as lists, in the words of a command."""
    listed = step.data.get("objects", ()) if step.kind in {"remove-data", "remove-jobs"} else ()
    scaled = step.data["workloads"] if step.kind in _SCALING else ()
    still = [each for each in scaled if step.kind == "stop-writers" or " ".join(each) not in gone]
    return {
        "entries": " ".join(_ENTRY.format(key=key) for key in step.data.get("keys", ())),
        "listed": " ".join(f"{kind.lower()}/{name}" for kind, name, _ in listed),
        "scaled": " ".join(f"{kind.lower()}/{name}" for kind, name in still),
    }
