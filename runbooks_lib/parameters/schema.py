"""The JSON Schema of a parameters file, for editors: ``python -m runbooks_lib.parameters.schema`` writes it."""

from __future__ import annotations

import json

from runbooks_lib.parameters.model import Parameters
from runbooks_lib.parameters.places import project_root

SCHEMA_FILE = "parameters/schema.json"


def schema_text() -> str:
    """The schema as it stands in the file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Parameters.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (project_root() / SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
