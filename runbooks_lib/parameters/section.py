"""What every section of a parameters file shares, and the kinds of text that its keys hold."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from runbooks_lib.parameters.reference import HOW, is_reference, parse_reference

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def _matching(pattern: str, said: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(said)
        return text

    return AfterValidator(check)


def _a_reference(data: Any) -> Any:
    if not is_reference(data):
        raise ValueError(f"must not hold a secret in clear; write {HOW}")
    parse_reference(data["from"])
    return data


_NAMED = rf"{_LABEL}(\.{_LABEL})*"
#: The name of a namespace, a release, a Secret.
Name = Annotated[str, _matching(_LABEL, "must be lower-case letters, digits and -, at most 63")]
ObjectName = Annotated[
    str, _matching(f"|{_NAMED}", "must be the name of an object: lower-case letters, digits, - and .")
]
Folder = Annotated[str, _matching("|[A-Za-z0-9][-._A-Za-z0-9]{0,119}", "must be usable as the name of a folder")]
Domain = Annotated[
    str, _matching(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+", "must be a domain alone, such as example.com")
]
Url = Annotated[str, _matching(r"https?://[^/@\s]+(/\S*)?", "must be an http(s):// address without user or password")]
Repository = Annotated[
    str,
    _matching(r"|(https?|oci)://[^/@\s]+(/\S*)?", "must be an http(s):// or oci:// address without user or password"),
]
#: A host alone: a scheme or a port in it would become a part of the name that pods look up.
Host = Annotated[
    str,
    _matching(
        r"|[A-Za-z0-9_]([-_.A-Za-z0-9]*[A-Za-z0-9])?|[0-9a-fA-F]*:[0-9a-fA-F:.]+",
        "must be a host or an IP address alone: no scheme, no port",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
#: As Kubernetes writes it; bytes without a unit would be a claim of 10 bytes.
Size = Annotated[str, _matching(r"|[1-9][0-9]*(\.[0-9]+)?[KMGTPE]i", "must be a size with its unit, such as 50Gi")]
Registry = Annotated[
    str,
    _matching(
        r"|[A-Za-z0-9][-._A-Za-z0-9]*(:[0-9]+)?(/[-._a-z0-9]+)*",
        "must be a registry alone, such as registry.example.com:5000/path: no scheme, no / at its end",
    ),
]
Tag = Annotated[str, _matching(r"|[A-Za-z0-9_][-._A-Za-z0-9]{0,127}", "must be an image's tag")]
#: A secret by its reference; what it stands for is looked up when a stage needs it.
Secret = Annotated[
    dict[str, str],
    BeforeValidator(_a_reference),
    WithJsonSchema(
        {
            "type": "object",
            "required": ["from"],
            "additionalProperties": False,
            "properties": {"from": {"type": "string", "pattern": "^(env|file|k8s|prompt):"}},
        }
    ),
]


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_default(cls, data: Any) -> Any:
        """A key with nothing after its colon, or a section with all of it commented out, has its defaults."""
        if not isinstance(data, dict | None):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {key: value for key, value in (data or {}).items() if value is not None or key not in optional}
