"""Every line of the deployment guide is a parameter, a check, a cell or a diagnosis, and a test holds it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from runbooks_lib.checks import diagnosis
from runbooks_lib.checks.families import rows
from runbooks_lib.parameters.model import FIELDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide-coverage.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| The guide")
]

#: Every flag, command and value that the guide names.
GUIDE = """
helm repo add|helm repo update|kubectl create namespace|helm get notes|global.image.registry|global.imageRegistry|
custom-values.yaml|helm install|--create-namespace|global.gateway.external.domain|externalUrl|dataflow.postgresql.database|
labelStudio.postgresql.database|helm upgrade --install|tls.enabled|tls.secretName|postgresql.enabled|redis.enabled|
mongo.enabled|sslmode|global.edition|global.image.tag|global.persistence.size|dataflow.image.repository|dataflow.image.tag|
dataflow.persistence.size|dataflow.postgresql|dataflow.redis|dataflow.mongo|labelStudio.image.repository|
labelStudio.image.tag|labelStudio.persistence.size|labelStudio.securityContext.runAsUser|postgresql.image.repository|
postgresql.databases|postgresql.persistence.size|redis.image.repository|redis.persistence.size|mongo.image.repository|
mongo.persistence.size|kubectl get pods|kubectl get svc|helm upgrade dataflow|helm uninstall dataflow|image.pullSecrets|
ReadWriteMany|v1.33+|v3.12+
"""

#: Its commands of several lines, as one searches for them: options in the guide's order, on one line.
COMMANDS = [
    "helm install dataflow csghub/dataflow --namespace csghub --create-namespace"
    ' --set global.gateway.external.domain="example.com" --set externalUrl="<csghub externalUrl>"'
    ' --set dataflow.postgresql.database="csghub_dataflow" --set labelStudio.postgresql.database="csghub_label_studio"',
    "helm upgrade --install dataflow csghub/dataflow --namespace csghub --create-namespace"
    ' --set dataflow.postgresql.database="csghub_dataflow" --set labelStudio.postgresql.database="csghub_label_studio"'
    " -f custom-values.yaml",
]


def resolves(reference: str) -> bool:
    """Whether what a reference names is there."""
    kind, _, name = reference.partition(":")
    if kind == "parameter":
        return tuple(name.split(".")) in FIELDS
    if kind == "check":
        return name in {row["id"] for row in rows("id")}
    if kind == "cause":
        return name in diagnosis._CAUSES
    if kind == "file":
        return (ROOT / name).is_file()
    notebook, _, cell = name.partition("#")
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    return kind == "cell" and cell in {each["id"] for each in cells}


def is_test(reference: str) -> bool:
    path, _, name = reference.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return name.startswith("test_") and name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_each_row_leads_to_things_that_are_there(row: list[str]) -> None:
    said, became, test = row
    references = re.findall(r"`([^`]+)`", became)
    assert said
    assert references
    assert [reference for reference in references if not resolves(reference)] == []
    assert is_test(test.strip("`"))


@pytest.mark.parametrize("word", [word.strip() for word in GUIDE.split("|")])
def test_each_command_and_value_of_the_guide_has_a_row(word: str) -> None:
    assert any(word in row[0] for row in ROWS), word


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_guide_is_found_as_a_whole(command: str) -> None:
    assert any(f"`{command}`" in row[0] for row in ROWS)


def test_the_rows_of_the_faq_name_the_tls_cause_and_the_mount_paths() -> None:
    assert any("TLS" in row[0] and "cause:certificate" in row[1] for row in ROWS if row[0].startswith("Dataflow can't"))
    assert any("MongoDB (`/data/db`)" in row[0] for row in ROWS)
