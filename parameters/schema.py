"""Writes schema.json beside it, the JSON Schema by which editors complete and check parameters files: ``make generated``."""

import json
from pathlib import Path

from runbooks_lib.parameters import Parameters


def schema() -> str:
    """The schema's text, made of the model."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Parameters.model_json_schema()}
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("schema.json").write_text(schema(), encoding="utf-8")
