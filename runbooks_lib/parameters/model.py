"""The typed model of a parameters file: its keys, their defaults, and what each is for.

A key's docstring becomes its description in ``parameters/schema.json``, which editors show.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+"
)
_FOLDER = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]{0,119}")


def _namespace(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("must be a namespace's name: lower-case letters, digits and -, at most 63")
    return text


def _release(text: str) -> str:
    if not _LABEL.fullmatch(text) or len(text) > 53:
        raise ValueError("must be a release's name: lower-case letters, digits and -, at most 53")
    return text


def _folder(text: str) -> str:
    if text and not _FOLDER.fullmatch(text):
        raise ValueError("must be usable as a folder's name: letters, digits, dots, - and _, at most 120")
    return text


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise ValueError("must be a domain of two labels or more, without scheme, port or path: example.com")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https://")
    return _without_login(text)


def _repository(text: str) -> str:
    if text and not text.startswith(("http://", "https://", "oci://")):
        raise ValueError("must begin with http://, https:// or oci://; a folder or .tgz goes into chart.path")
    return _without_login(text)


def _without_login(text: str) -> str:
    if "@" in urlsplit(text).netloc:
        raise ValueError("must not hold a user or a password")
    return text


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Target(Section):
    """Which release, in which namespace, of which cluster."""

    name: Annotated[str, AfterValidator(_folder)] = ""
    """Names the folder of the target's records; left empty it is `<release>.<namespace>`."""
    kubeconfig: str = ""
    """Path of a kubeconfig file; empty: the user's own default."""
    context: str = ""
    """Context in that file; empty: its current one."""
    cluster_uid: str = ""
    """The pin: UID of the namespace kube-system. Stages that change something refuse without it."""
    namespace: Annotated[str, AfterValidator(_namespace)] = "csghub"
    """Namespace that the release is installed in."""
    release: Annotated[str, AfterValidator(_release)] = "dataflow"
    """Name of the Helm release; every object's name begins with it."""

    @model_validator(mode="before")
    @classmethod
    def _fill_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("name"):
            return data
        parts = [data.get(key, cls.model_fields[key].default) for key in ("release", "namespace")]
        # A wrong part is told by its own field, once.
        usable = all(isinstance(part, str) and _LABEL.fullmatch(part) for part in parts)
        return {**data, "name": ".".join(parts)} if usable else data


class HelmSettings(Section):
    """Which Helm is called."""

    executable: str = Field(default="helm", min_length=1)
    """A name on PATH, or a path."""


class Chart(Section):
    """Where the chart comes from: `repository`, `name` and `version`, or `path`."""

    repository: Annotated[str, AfterValidator(_repository)] = "https://charts.opencsg.com/csghub"
    """A Helm repository (http, https) or an OCI reference (oci://)."""
    name: str = Field(default="dataflow", min_length=1)
    """Name of the chart in the repository."""
    version: str = ""
    """Version of the chart, in quotes; required with a repository."""
    path: str = ""
    """A packaged chart (.tgz) or a chart's folder, instead of a repository."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone_is_enough(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("path") and "repository" not in data:
            return {**data, "repository": ""}
        return data

    @model_validator(mode="after")
    def _one_source(self) -> Chart:
        if self.repository and self.path:
            raise ValueError("has two sources, repository and path: leave one out")
        if not self.repository and not self.path:
            raise ValueError("has no source: give repository, name and version, or path")
        if self.repository and not self.version:
            raise ValueError('needs a version beside its repository, for example version: "1.16.0"')
        if self.path and self.version:
            raise ValueError("has a version beside its path: the chart at the path has its own, leave it out")
        return self


class CsgHub(Section):
    """The CSGHub that Dataflow belongs to."""

    external_url: Annotated[str, AfterValidator(_url)]
    """Address of CSGHub; the cluster's nodes must reach it."""


class Tls(Section):
    """HTTPS at the gateway."""

    enabled: bool = False
    """Whether the gateway listens on 443 too."""
    secret_name: str = ""
    """Name of the TLS Secret in the namespace; required when enabled."""

    @model_validator(mode="after")
    def _has_its_secret(self) -> Tls:
        if self.enabled and not self.secret_name:
            raise ValueError("is enabled without secret_name: name the TLS Secret")
        return self


class Gateway(Section):
    """How the release is reached from outside."""

    domain: Annotated[str, AfterValidator(_domain)]
    """Domain of the host names; of three labels or more the first is replaced by `dataflow`, `label-studio`."""
    service_type: Literal["LoadBalancer", "NodePort"] = "LoadBalancer"
    """Type of the gateway's Service."""
    tls: Tls = Field(default_factory=Tls)
    """HTTPS at the gateway."""


class Images(Section):
    """Where images are pulled from, when not from the chart's own registries."""

    registry: str = ""
    """Registry of the product's images; empty: the chart's own."""
    envoy_registry: str = ""
    """Registry, with its path, of the gateway's images; empty: the chart's own."""


class Databases(Section):
    """Names of the two databases in the built-in PostgreSQL."""

    dataflow: str = Field(default="csghub_dataflow", min_length=1)
    """Database of Dataflow."""
    label_studio: str = Field(default="csghub_label_studio", min_length=1)
    """Database of Label Studio."""


class Policy(Section):
    """Who must agree, and how long things may take."""

    approval: Literal["operator"] = "operator"
    """Who approves a plan: a person, by its digest."""
    rollout_seconds: int = Field(default=900, gt=0)
    """Seconds that workloads may take to become available after a change."""
    command_seconds: int = Field(default=300, gt=0)
    """Seconds that one call of Helm may take."""


class VerifySettings(Section):
    """What the stage verify expects."""

    expect: Literal["present", "absent"] = "present"
    """`present`: an installed and working release. `absent`: only what an uninstall's plan left."""


class Parameters(Section):
    """One target and everything its stages need to know."""

    target: Target
    """Which release, in which namespace, of which cluster."""
    helm: HelmSettings = Field(default_factory=HelmSettings)
    """Which Helm is called."""
    chart: Chart
    """Where the chart comes from."""
    csghub: CsgHub
    """The CSGHub that Dataflow belongs to."""
    gateway: Gateway
    """How the release is reached from outside."""
    images: Images = Field(default_factory=Images)
    """Where images are pulled from."""
    databases: Databases = Field(default_factory=Databases)
    """Names of the two databases."""
    policy: Policy = Field(default_factory=Policy)
    """Who must agree, and how long things may take."""
    verify: VerifySettings = Field(default_factory=VerifySettings)
    """What the stage verify expects."""
    probes: Literal["read", "write"] = "read"
    """Whether checks may write test rows, or only read."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Further values of the chart, merged last. A secret stands as a reference: `{from: "env:NAME"}`."""
    values_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """YAML files of chart values, merged in their order, before `values`."""

    _source: str = PrivateAttr(default="")

    @property
    def source(self) -> str:
        """The parameters file as the user named it."""
        return self._source
