"""The sections that say what the chart runs: images, volumes, services and their data stores (the guide's section 5)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runbooks_lib.parameters.section import (
    Database,
    Host,
    ImageName,
    ObjectName,
    Port,
    Registry,
    Secret,
    Section,
    Size,
    Tag,
)

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"]


class Images(Section):
    """Where all images come from, when not from the chart's own registries, and how they are pulled."""

    registry: Registry = ""
    envoy_registry: Registry = ""
    tag: Tag = ""
    pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    pull_secrets: Annotated[tuple[ObjectName, ...], Field(strict=False)] = ()


class Image(Section):
    """The image of one service."""

    registry: Registry = ""
    repository: ImageName = ""
    tag: Tag = ""


class Persistence(Section):
    """The volume of one service; what is empty is the chart's own."""

    size: Size = ""
    access_modes: Annotated[tuple[AccessMode, ...], Field(strict=False)] = ()
    storage_class: ObjectName = ""


class RedisAddress(Section):
    """A Redis and how to get into it."""

    host: Host = ""
    port: Port | None = None
    password: Secret | None = None


class MongoAddress(RedisAddress):
    """A MongoDB and how to get into it."""

    user: str = ""


class PostgreSQLAddress(MongoAddress):
    """A PostgreSQL and how to get into it."""

    timezone: str = ""
    sslmode: Literal["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = ""


class DataflowDatabase(PostgreSQLAddress):
    """What Dataflow is told of PostgreSQL otherwise than everybody."""

    database: Database = "csghub_dataflow"


class LabelStudioDatabase(PostgreSQLAddress):
    """What Label Studio is told of PostgreSQL otherwise than everybody."""

    database: Database = "csghub_label_studio"


class Dataflow(Section):
    """The service Dataflow."""

    image: Image = Image()
    persistence: Persistence = Persistence()
    postgresql: DataflowDatabase = DataflowDatabase()
    redis: RedisAddress = RedisAddress()
    mongo: MongoAddress = MongoAddress()


class SecurityContext(Section):
    """As whom a container runs."""

    run_as_user: Annotated[int, Field(ge=0)] | None = None


class LabelStudio(Section):
    """The service Label Studio."""

    image: Image = Image()
    persistence: Persistence = Persistence()
    security_context: SecurityContext = SecurityContext()
    postgresql: LabelStudioDatabase = LabelStudioDatabase()


class _Store(Section):
    """A data store: the chart's own, or, where ``external`` is given, one that is there already."""

    external: RedisAddress | None = None
    image: Image = Image()
    persistence: Persistence = Persistence()

    @property
    def built_in(self) -> bool:
        """Whether the chart brings it."""
        return self.external is None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.external is None:
            return self
        if not self.external.host:
            raise ValueError("is external without a host: name it in external.host")
        settings = {name: field.default for name, field in type(self).model_fields.items() if name != "image"}
        unused = [name for name, default in settings.items() if getattr(self, name) != default][1:]
        if unused:
            raise ValueError(f"is external, so that {', '.join(unused)} would mean nothing: leave out one of both")
        return self


class PostgreSQL(_Store):
    """The databases of Dataflow and Label Studio."""

    external: PostgreSQLAddress | None = None
    databases: Annotated[tuple[Database, ...], Field(strict=False)] = ()


class Redis(_Store):
    """The queue of Dataflow's jobs."""


class Mongo(_Store):
    """The logs of Dataflow's jobs."""

    external: MongoAddress | None = None
