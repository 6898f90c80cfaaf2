"""What several tests of databases and their copies have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

from runbooks_lib.parameters.model import BackupSettings, Waiver

#: Who works with the database `things` of a PostgreSQL at `db`.
CLIENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: any/dataflow:v1
          env:
            - {name: DATABASE_HOSTNAME, value: db}
            - {name: DATABASE_PORT, value: "5432"}
            - {name: DATABASE_USERNAME, value: app}
            - {name: DATABASE_PASSWORD, value: app-password-1}
            - {name: DATABASE_DB, value: things}
"""


def with_settings(world: Any, *waivers: Waiver, **settings: Any) -> Any:
    """The boundaries of a world whose parameters have these settings of backups, and these waivers."""
    boundaries = world.boundaries
    update = {"backup": BackupSettings(**settings), "waivers": tuple(waivers)}
    return dataclasses.replace(boundaries, parameters=boundaries.parameters.model_copy(update=update))
