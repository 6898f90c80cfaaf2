"""What a record says of its run in the field's common form: in-toto Statements, v1.

One is SLSA provenance, whose subjects are all files of the record; where checks were asked, another one is a test result.
"""

from collections import defaultdict
from pathlib import Path

from runbooks_lib.records.folder import INPUT, MANIFEST, PARAMETERS, PLAN, run_id, stage_of
from runbooks_lib.records.journal import read_events
from runbooks_lib.records.shelf import read_manifest
from runbooks_lib.results import Json, digest_bytes

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
#: What kind of build a run is, for SLSA: version 1 of the files that design and docs/auditors.md describe.
_BUILD_TYPE = "https://opencsg.com/dataflow-runbooks/run/v1"
#: How the test result calls our statuses; what could not be made or was left out is configuration, not a test.
_LISTS = {"pass": "passedTests", "warn": "warnedTests", "fail": "failedTests"}


def statements(folder: Path) -> dict[str, Json]:
    """The statements of a closed record, by the name of the envelope that each goes into; raises RecordError: it can't be read."""
    manifest, events = read_manifest(folder), read_events(folder)
    subjects = [_subject(name, told["sha256"]) for name, told in manifest["files"].items()]
    subjects.append(_subject(MANIFEST, digest_bytes((folder / MANIFEST).read_bytes())))
    made = {"record": _statement(subjects, PROVENANCE, _provenance(folder, manifest, events))}
    answers = [event["data"] for event in events if event["kind"] == "check.answered"]
    if answers:
        made["report"] = _statement(subjects[-1:], TEST_RESULT, _test_result(answers))
    return made


def _statement(subjects: list[Json], kind: str, predicate: Json) -> Json:
    return {"_type": STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate}


def _subject(name: str, digest: str) -> Json:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}


def _provenance(folder: Path, manifest: Json, events: list[Json]) -> Json:
    opened: Json = next((event["data"] for event in events if event["kind"] == "run.opened"), {})
    inside: Json = {name: opened[name] for name in ("target", "who", "host") if name in opened}
    inside |= {name: manifest[name] for name in ("outcome", "exit_code", "summary", "searched") if name in manifest}
    files = manifest["files"]
    used: list[Json] = [_subject(name, files[name]["sha256"]) for name in (INPUT, PARAMETERS, PLAN) if name in files]
    if git := opened.get("git"):
        used.append(
            {"name": "project", "digest": {"gitCommit": git["commit"]}, "annotations": {"changed": git["changed"]}}
        )
    definition: Json = {"buildType": _BUILD_TYPE, "externalParameters": {"stage": stage_of(folder)}}
    times = {"invocationId": run_id(folder), "startedOn": manifest["started"], "finishedOn": manifest["ended"]}
    return {
        "buildDefinition": definition | {"internalParameters": inside, "resolvedDependencies": used},
        "runDetails": {"builder": {"id": _BUILD_TYPE, "version": opened.get("versions", {})}, "metadata": times},
    }


def _test_result(answers: list[Json]) -> Json:
    lists: dict[str, list[str]] = defaultdict(list)
    for answer in answers:
        lists[_LISTS.get(answer["status"], "configuration")].append(answer["id"])
    worst = (
        "FAILED" if lists["failedTests"] else "WARNED" if lists["warnedTests"] or lists["configuration"] else "PASSED"
    )
    beside = [{"name": name} for name in lists.pop("configuration", [])]
    return {"result": worst, "configuration": beside, **{name: lists[name] for name in _LISTS.values()}}
