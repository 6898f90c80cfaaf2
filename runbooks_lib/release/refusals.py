"""Why a change is refused or has failed, by the cases of ``refusals.yaml``."""

from runbooks_lib.errors import sentences

refused = sentences(__package__, "refusals.yaml")
