"""The tables beside the code: YAML files of this package, read once each."""

from importlib import resources
from typing import Any

import yaml

#: libyaml where it is there: ten times as fast, the same result.
FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def table(package: str, name: str) -> Any:
    """The data of a YAML file that lies beside the modules of a package."""
    return yaml.load(resources.files(package).joinpath(name).read_bytes(), FastLoader)  # noqa: S506 - a safe one
