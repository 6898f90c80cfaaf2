"""What every section of a parameters file shares, and the kinds of text that its keys hold."""

import ipaddress
import re
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from runbooks_lib.parameters.reference import is_reference, no_reference, parse_reference

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def _matching(pattern: str, said: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(said)
        return text

    return AfterValidator(check)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("must be a day, such as 2026-12-31") from None


def _a_reference(data: Any) -> Any:
    if not is_reference(data):
        raise ValueError(no_reference(data))
    parse_reference(data["from"])
    return data


_NAMED = rf"{_LABEL}(\.{_LABEL})*"
#: The name of a namespace, a release, a Secret.
Name = Annotated[str, _matching(_LABEL, "must be lower-case letters, digits and -, at most 63")]
#: Of a release: its Services begin with it, whose names begin with a letter, and Helm takes 53.
ReleaseName = Annotated[
    str,
    _matching(
        "(?=[a-z])[a-z0-9-]{0,52}[a-z0-9]", "must be lower-case letters, digits and -, a letter first, at most 53"
    ),
]
ObjectName = Annotated[
    str, _matching(f"|{_NAMED}", "must be the name of an object: lower-case letters, digits, - and .")
]
Folder = Annotated[str, _matching("|[A-Za-z0-9][-._A-Za-z0-9]{0,119}", "must be usable as the name of a folder")]
SignerName = Annotated[str, _matching("[A-Za-z0-9][-._+@A-Za-z0-9]{0,99}", "must be letters, digits and - . _ + @")]
Domain = Annotated[
    str, _matching(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})+", "must be a domain alone, such as example.com")
]
_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_WORD = "[A-Za-z0-9_]([-_A-Za-z0-9]{0,61}[A-Za-z0-9_])?"
#: A name, but none of numbers alone, which only an IP address is; or an address.
_HOST = rf"(?=.{{1,253}}$)(?![0-9.]+$){_WORD}(\.{_WORD})*\.?"
_BRACKETED = r"\[[0-9A-Fa-f:.]+\]"
_AUTHORITY = rf"((?=[^/:]{{1,253}}([:/]|$))(?![0-9.]+([:/]|$)){_WORD}(\.{_WORD})*|{_BRACKETED}|[0-9.]+)(:{_PORT})?"
_ADDRESS = rf"://{_AUTHORITY}(/\S*)?"


def _is_host(host: str) -> str:
    """Refuse numbers between dots or colons that are no IP address."""
    if ":" in host or (host and not re.search(r"[^0-9.]", host)):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError("must be a host's name or an IP address, and these numbers are neither") from None
    return host


def _has_host(address: str) -> str:
    """The same of what has a host at its beginning, or after a scheme."""
    host = re.sub(r"^\w+://|/.*", "", address)
    _is_host(host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0])
    return address


Url = Annotated[
    str,
    _matching(
        f"https?{_ADDRESS}", "must be an http(s):// address without user or password, such as https://example.com"
    ),
    AfterValidator(_has_host),
]
Repository = Annotated[
    str,
    _matching(f"|(https?|oci){_ADDRESS}", "must be an http(s):// or oci:// address without user or password"),
    AfterValidator(_has_host),
]
#: A host alone: a scheme or a port in it would become a part of the name that pods look up.
Host = Annotated[
    str,
    _matching(
        rf"|{_HOST}|[0-9.]+|[0-9a-fA-F]*:[0-9a-fA-F:.]+", "must be a host or an IP address alone: no scheme, no port"
    ),
    AfterValidator(_is_host),
]
Port = Annotated[int, Field(ge=1, le=65535)]
#: As Kubernetes writes it; bytes without a unit would be a claim of 10 bytes.
Size = Annotated[
    str, _matching(r"|[1-9][0-9]{0,4}(\.[0-9]{1,3})?[MGTP]i", "must be a size with its unit, such as 50Gi")
]
_PART = "[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*"
#: The name of an image, between its registry and its tag.
ImageName = Annotated[
    str, _matching(f"|{_PART}(/{_PART})*", "must be an image's name alone, such as team/app: no registry, no tag")
]
Registry = Annotated[
    str,
    _matching(
        rf"|{_AUTHORITY}(/{_PART})*",
        "must be a registry alone, such as registry.example.com:5000/path: no scheme, no / at its end",
    ),
    AfterValidator(_has_host),
]
Tag = Annotated[str, _matching(r"|[A-Za-z0-9_][-._A-Za-z0-9]{0,127}", "must be an image's tag")]
#: One version; a range would be another one tomorrow.
Version = Annotated[
    str,
    _matching(r"|v?(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}([-+][-.+0-9A-Za-z]+)?", 'must be one version, in full: "1.16.0"'),
]
#: As PostgreSQL takes it unquoted, and the script that makes databases; empty: the chart's own.
Database = Annotated[
    str, _matching("|[A-Za-z_][A-Za-z0-9_-]{0,62}", "must be a database's name: letters, digits, _ and -, at most 63")
]
Digest = Annotated[str, _matching("|sha256:[0-9a-f]{64}", "must be a digest: sha256: and 64 hexadecimal digits")]
#: A day that somebody has written down.
Day = Annotated[str, _matching(r"\d{4}-\d\d-\d\d", "must be a day, such as 2026-12-31"), AfterValidator(_day)]
#: What somebody has said, and not a space.
Said = Annotated[str, Field(pattern=r"\S")]
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
