"""The typed model of a parameters file; parameters/builtin.yaml, the manual page, says what each key is for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, model_validator

from runbooks_lib.parameters import services
from runbooks_lib.parameters.section import (
    Day,
    Digest,
    Domain,
    Folder,
    Name,
    ObjectName,
    Port,
    ReleaseName,
    Repository,
    Said,
    Secret,
    Section,
    SignerName,
    Url,
    Version,
)
from runbooks_lib.tables import table

#: The registries that each mirror stands for.
MIRRORS: dict[str, dict[str, str]] = table(__package__, "mirrors.yaml")


def _filled(name: str, info: ValidationInfo) -> str:
    return name or f"{info.data.get('release')}.{info.data.get('namespace')}"


def _not_later(day: str) -> str:
    if day > datetime.now(UTC).date().isoformat():
        raise ValueError("must be a day that has been")
    return day


def _once_each(waivers: tuple[Waiver, ...]) -> tuple[Waiver, ...]:
    names = [waiver.check for waiver in waivers]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"has {twice} twice: keep one of them")
    return waivers


class Target(Section):
    """Which release, in which namespace, of which cluster."""

    kubeconfig: str = ""
    context: str = ""
    cluster_uid: str = ""
    namespace: Name = "csghub"
    release: ReleaseName = "dataflow"
    name: Annotated[Folder, AfterValidator(_filled)] = Field(default="", validate_default=True)


class HelmSettings(Section):
    """Which Helm is called."""

    executable: str = Field(default="helm", min_length=1)


class Chart(Section):
    """Where the chart comes from: `repository`, `name` and `version`, or `path`."""

    repository: Repository = "https://charts.opencsg.com/csghub"
    name: Folder = "dataflow"
    version: Version = ""
    path: str = ""

    @model_validator(mode="before")
    @classmethod
    def _path_alone_is_enough(cls, data: Any) -> Any:
        alone = isinstance(data, dict) and data.get("path") and data.get("repository") is None
        return {**data, "repository": ""} if alone else data

    @model_validator(mode="after")
    def _one_source(self) -> Chart:
        if bool(self.repository) == bool(self.path):
            raise ValueError("needs one source: repository, name and version, or path alone")
        if bool(self.repository) != bool(self.version):
            raise ValueError('needs a version ("1.16.0", in quotes) with a repository, and none with a path')
        return self


class CsgHub(Section):
    """The CSGHub that Dataflow belongs to."""

    external_url: Url
    release: ObjectName = ""
    namespace: Name = "csghub"


class Tls(Section):
    """HTTPS at the gateway."""

    enabled: bool = False
    secret_name: ObjectName = ""

    @model_validator(mode="after")
    def _has_its_secret(self) -> Tls:
        if self.enabled and not self.secret_name:
            raise ValueError("is enabled without secret_name: name the TLS Secret")
        return self


class NodePorts(Section):
    """The ports of the nodes, where the gateway's service is a NodePort."""

    http: Port | None = None
    https: Port | None = None

    @model_validator(mode="after")
    def _two(self) -> NodePorts:
        if self.http is not None and self.http == self.https:
            raise ValueError("are one port for both: they need one each")
        return self


class Gateway(Section):
    """How the release is reached from outside."""

    domain: Domain
    service_type: Literal["LoadBalancer", "NodePort"] = "LoadBalancer"
    node_ports: NodePorts = NodePorts()
    tls: Tls = Tls()


class Approvers(Section):
    """Where the public keys of those who approve stand: `configmap` and its `namespace`, or `file` and its `digest`."""

    configmap: ObjectName = ""
    namespace: Name = "kube-system"
    file: str = ""
    digest: Digest = ""

    @model_validator(mode="after")
    def _one_place(self) -> Approvers:
        if bool(self.configmap) == bool(self.file) or bool(self.file) != bool(self.digest):
            raise ValueError("need one place: configmap, or file and its digest")
        return self


class Policy(Section):
    """Who must agree, and how long things may take."""

    approval: Literal["operator", "two-person"] = "operator"
    approvers: Approvers | None = None
    on_failure: Literal["stop", "rollback"] = "stop"
    rollout_seconds: int = Field(default=900, gt=0, le=86_400)
    command_seconds: int = Field(default=300, gt=0, le=86_400)
    take_over: str = ""


class BackupSettings(Section):
    """How databases are copied: at any time, and before a change that destroys what is in them."""

    folder: str = Field(default="backups", min_length=1)
    programs: str = ""
    mongodb: str = Field(default="", pattern=r"^(beside|[^\s/@]+:\d+)?$")
    leave_out: Annotated[tuple[Literal["redis", "mongodb"], ...], Field(strict=False)] = ()
    writers: Literal["stop", "keep"] = "stop"
    seconds: int = Field(default=3600, gt=0, le=604_800)


class RecordsSettings(Section):
    """By whose key records are sealed, and where the head of their log is copied to."""

    key: str = ""
    passphrase: Secret | None = None
    signer: SignerName = "runbooks"
    anchor: str = ""
    anchor_required: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key and self.passphrase is None:
            raise ValueError("passphrase is missing: what unlocks the key")
        if self.anchor_required and not (self.key and self.anchor):
            raise ValueError("anchor_required needs key and anchor")
        return self


class UninstallSettings(Section):
    """What goes with the release."""

    policy: Literal["keep-data", "remove-data", "remove-namespace"] = "keep-data"
    confirm: ObjectName = ""
    others_too: bool = False


class RecoverSettings(Section):
    """What 07_recover puts back."""

    restore: str = ""


class Tried(Section):
    """What somebody has seen who tried by hand what no check can: who, on which day, and what happened."""

    works: bool
    by: Said
    on: Annotated[Day, AfterValidator(_not_later)]
    seen: Said


class VerifySettings(Section):
    """What the stage verify expects, and what it was told."""

    expect: Literal["present", "absent"] = "present"
    csghub: Tried | None = None


class Waiver(Section):
    """A finding that somebody has accepted, why, and until when."""

    check: Said
    reason: Said
    until: Day

    @property
    def over(self) -> bool:
        """Whether its last day is over, in UTC."""
        return self.until < datetime.now(UTC).date().isoformat()


class Parameters(Section):
    """One target and everything its stages need to know."""

    target: Target
    helm: HelmSettings = HelmSettings()
    chart: Chart
    csghub: CsgHub
    gateway: Gateway
    edition: Literal["", "ce", "ee"] = ""
    mirror: Literal["", "mainland-china"] = ""
    images: services.Images = services.Images()
    persistence: services.Persistence = services.Persistence()
    dataflow: services.Dataflow = services.Dataflow()
    label_studio: services.LabelStudio = services.LabelStudio()
    postgresql: services.PostgreSQL = services.PostgreSQL()
    redis: services.Redis = services.Redis()
    mongo: services.Mongo = services.Mongo()
    policy: Policy = Policy()
    backup: BackupSettings = BackupSettings()
    records: RecordsSettings = RecordsSettings()
    recover: RecoverSettings = RecoverSettings()
    uninstall: UninstallSettings = UninstallSettings()
    verify: VerifySettings = VerifySettings()
    probes: Literal["read", "write"] = "read"
    waivers: Annotated[tuple[Waiver, ...], Field(strict=False), AfterValidator(_once_each)] = ()
    values: dict[str, Any] = Field(default_factory=dict)
    values_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    _source: str = ""

    @model_validator(mode="before")
    @classmethod
    def _a_mirror_is_its_registries(cls, data: Any) -> Any:
        """What the parameters name themselves wins."""
        if not isinstance(data, dict) or str(data.get("mirror")) not in MIRRORS:
            return data
        own = data.get("images") or {}
        unset = {
            name: to for name, to in MIRRORS[data["mirror"]].items() if isinstance(own, dict) and not own.get(name)
        }
        return {**data, "images": {**own, **unset}} if unset else data

    @property
    def source(self) -> str:
        """The parameters file as the user named it."""
        return self._source


def _fields(model: type[BaseModel], *above: str) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for name, field in model.model_fields.items():
        yield (*above, name), field.annotation
        for kind in get_args(field.annotation) or [field.annotation]:
            if isinstance(kind, type) and issubclass(kind, BaseModel) and get_origin(field.annotation) is not tuple:
                yield from _fields(kind, *above, name)


#: The type of every key there is, by its path.
FIELDS = dict(_fields(Parameters))
