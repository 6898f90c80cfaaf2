"""The typed model of a parameters file; parameters/builtin.yaml, the manual page, says what each key is for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator


def _matching(pattern: str, said: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(said)
        return text

    return AfterValidator(check)


def _filled(name: str, info: ValidationInfo) -> str:
    return name or f"{info.data.get('release')}.{info.data.get('namespace')}"


_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = _matching(_LABEL, "must be lower-case letters, digits and -, at most 63")
_FOLDER = _matching("|[A-Za-z0-9][-._A-Za-z0-9]{0,119}", "must be usable as the name of a folder")
_DOMAIN = _matching(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+", "must be a domain alone, such as example.com")
_URL = _matching(r"https?://[^/@\s]+(/\S*)?", "must be an http(s):// address without user or password")
_REPOSITORY = _matching(
    r"|(https?|oci)://[^/@\s]+(/\S*)?", "must be an http(s):// or oci:// address without user or password"
)


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_default(cls, data: Any) -> Any:
        """A key with nothing after its colon, or a section with all of it commented out, has its defaults."""
        if not isinstance(data, dict | None):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {key: value for key, value in (data or {}).items() if value is not None or key not in optional}


class Target(Section):
    """Which release, in which namespace, of which cluster."""

    kubeconfig: str = ""
    context: str = ""
    cluster_uid: str = ""
    namespace: Annotated[str, _NAME] = "csghub"
    release: Annotated[str, _NAME] = Field(default="dataflow", max_length=53)
    name: Annotated[str, _FOLDER, AfterValidator(_filled)] = Field(default="", validate_default=True)


class HelmSettings(Section):
    """Which Helm is called."""

    executable: str = Field(default="helm", min_length=1)


class Chart(Section):
    """Where the chart comes from: `repository`, `name` and `version`, or `path`."""

    repository: Annotated[str, _REPOSITORY] = "https://charts.opencsg.com/csghub"
    name: str = Field(default="dataflow", min_length=1)
    version: str = ""
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

    external_url: Annotated[str, _URL]


class Tls(Section):
    """HTTPS at the gateway."""

    enabled: bool = False
    secret_name: str = ""

    @model_validator(mode="after")
    def _has_its_secret(self) -> Tls:
        if self.enabled and not self.secret_name:
            raise ValueError("is enabled without secret_name: name the TLS Secret")
        return self


class Gateway(Section):
    """How the release is reached from outside."""

    domain: Annotated[str, _DOMAIN]
    service_type: Literal["LoadBalancer", "NodePort"] = "LoadBalancer"
    tls: Tls = Tls()


class Images(Section):
    """Where images are pulled from, when not from the chart's own registries."""

    registry: str = ""
    envoy_registry: str = ""


class Databases(Section):
    """Names of the two databases in the built-in PostgreSQL."""

    dataflow: str = Field(default="csghub_dataflow", min_length=1)
    label_studio: str = Field(default="csghub_label_studio", min_length=1)


class Policy(Section):
    """Who must agree, and how long things may take."""

    approval: Literal["operator"] = "operator"
    rollout_seconds: int = Field(default=900, gt=0)
    command_seconds: int = Field(default=300, gt=0)
    take_over: str = ""


class VerifySettings(Section):
    """What the stage verify expects."""

    expect: Literal["present", "absent"] = "present"


class Parameters(Section):
    """One target and everything its stages need to know."""

    target: Target
    helm: HelmSettings = HelmSettings()
    chart: Chart
    csghub: CsgHub
    gateway: Gateway
    images: Images = Images()
    databases: Databases = Databases()
    policy: Policy = Policy()
    verify: VerifySettings = VerifySettings()
    probes: Literal["read", "write"] = "read"
    values: dict[str, Any] = {}
    values_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    _source: str = ""

    @property
    def source(self) -> str:
        """The parameters file as the user named it."""
        return self._source


def _fields(model: type[BaseModel], *above: str) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for name, field in model.model_fields.items():
        yield (*above, name), field.annotation
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, *above, name)


#: The type of every key there is, by its path.
FIELDS = dict(_fields(Parameters))
