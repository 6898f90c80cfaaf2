"""One password put wherever one can be put, and looked for in every byte that is kept or shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from runbooks_lib import headless, parameters, process, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.redaction import Redactor, forms_of
from runbooks_lib.results import Json

pytestmark = pytest.mark.xdist_group("notebooks")

ROOT = parameters.project_root()
#: What a cell may do with a password that stands in its environment.
CELLS = (
    "import os, sys, logging\nprint(dict(os.environ))\nsys.stderr.write(os.environ['CANARY'])\nlogging.warning(os.environ['CANARY'])",
    "%xmode Verbose\ndef failing(secret):\n    raise ValueError(secret)\nfailing(os.environ['CANARY'])",
    "from IPython.display import HTML, display\ndisplay(HTML(os.environ['CANARY']))",
    "import ipywidgets\nipywidgets.Text(os.environ['CANARY'])",
    "!printenv CANARY",
    "import base64, json, urllib.parse\nprint(base64.b64encode(b'user:' + os.environ['CANARY'].encode()).decode())",
    "print(json.dumps(json.dumps(os.environ['CANARY'])), urllib.parse.quote(os.environ['CANARY']))",
    "print('postgresql://user:' + os.environ['CANARY'] + '@db:5432/things')",
    "run.boundaries.helm.render('x', run.boundaries.chart, {'a': os.environ['CANARY'], 'dataflow': os.environ['CANARY']}, upgrade=False)",
    "run.save('evidence/' + os.environ['CANARY'].replace('/', '') + '.txt', os.environ['CANARY'])",
)


def planted(cluster: Cluster, namespace: str, canary: str) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made: list[Json] = [
        {"kind": "Secret", "stringData": {"password": canary}},
        {"kind": "ConfigMap", "data": {"DB_PASSWORD": canary, "dsn": f"redis://:{canary}@redis:6379/0"}},
    ]
    for obj in made:
        cluster.create({"apiVersion": "v1", "metadata": {"name": "canary"}, **obj}, namespace)


def test_a_canary_is_in_no_byte_of_records_plans_and_transcripts(
    sandbox: Any, target: dict[str, str], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = f"Canary'{token_urlsafe(12)}\"ß&<%"
    monkeypatch.setenv("CANARY", canary)
    planted(cluster, target["target.namespace"], canary)
    # An image that is not found: the install fails, and its evidence is saved.
    overrides: Json = {**target, "chart.version": "2.2.3", "values.canary": {"from": "env:CANARY"}}
    plan = headless.preview("install", sandbox.parameters_file, overrides=overrides)

    notebook = nbformat.read(ROOT / "notebooks" / "02_install.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    given = {"parameters_file": sandbox.parameters_file, "overrides": overrides, "approve": plan.digest}
    given |= {"output_directory": str(tmp_path)}
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    (act,) = [at for at, cell in enumerate(notebook.cells) if "mutates" in cell.metadata.get("tags", ())]
    notebook.cells[act + 1 : act + 1] = [nbformat.v4.new_code_cell(source) for source in CELLS]
    how: Json = {"resources": {"metadata": {"path": str(ROOT)}}, "timeout": 240}
    NotebookClient(notebook, allow_errors=True, **how).execute()

    (summary,) = records.listing(tmp_path)
    assert (summary.outcome, summary.exit_code) == ("failed", 5), summary.summary
    words = [
        sys.executable,
        "-m",
        "runbooks_lib",
        "records",
        "show",
        summary.run_id,
        "--output-directory",
        str(tmp_path),
    ]
    told = process.run(words, timeout=60, env={**os.environ, "RUNBOOKS_HOME": str(ROOT)}, cwd=ROOT)
    assert told.ok, told.stderr
    shown = {"plan": plan.model_dump_json().encode(), "transcript": (told.stdout + told.stderr).encode()}
    # What a front end was shown, and what papermill would write into its own notebook.
    outputs = json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    shown["the front end's notebook"] = outputs.encode()
    assert json.dumps("«redacted:env:CANARY»")[1:-1] in outputs
    files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any("evidence/" in name for name in files)
    redactor = Redactor()
    redactor.register(canary, "canary")
    for name, content in {**files, **shown}.items():
        assert not redactor.hits(content.decode("utf-8", "replace")), name
        assert not redactor.hits(name), name
    # It was seen and masked, not left out.
    events = (Path(summary.folder) / "events.jsonl").read_text()
    assert events.count("«redacted:env:CANARY»") > len(CELLS)
    assert not any(form in events for form in forms_of(canary) if len(form) > 8)
