"""What pull secrets hold, and which of their entries is for an image: as the kubelet takes them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.containers import Use, few, uses_of
from runbooks_lib.checks.referenced import absent, secret
from runbooks_lib.probes.registry import HUB, Image, Login
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.manifest import key_of, secret_values
from runbooks_lib.results import Json

if TYPE_CHECKING:
    from runbooks_lib.checks.prerequisites import Subject

#: The types of a pull secret, and the key of each.
_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
_MAKE = "docker-registry {name} --from-file=.dockerconfigjson=FILE"
_UNUSED = (
    "Nothing, where that registry lets anybody pull. Otherwise put a login for it into that Secret; one that is for nothing that is "
    "pulled can be left out of images.pull_secrets."
)

#: Namespace and name of a Secret.
Where = tuple[str, str]


def pull_secrets(subject: Subject) -> Answer:
    """Whether each Secret that pods name is there, and has a login for what they pull."""
    uses = uses_of(subject)
    named = dict.fromkeys(where for use in uses for where in use.secrets)
    if not named:
        return Answer("skip", "the chart's pods name no pull secret")
    known, lines = logins(subject, uses)
    for where, has in known.items():
        served = [use for use in uses if use.image and where in use.secrets]
        with_login = dict.fromkeys(use.image.registry for use in served if use.image and login_for(use.image, [has]))
        called = f"Secret {where[1]} in namespace {where[0]} has a login for"
        if with_login:
            lines.append(Answer("pass", f"{called} {', '.join(with_login)}"))
        else:
            pulled = few(use.image.registry for use in served if use.image)
            said = f"{called} {', '.join(has) or 'nothing'}, not for {pulled} of {few(map(_pod, served))}"
            lines.append(Answer("warn", said, _UNUSED))
    # Of a Secret that is not there, or is none, is told above.
    whole = [use for use in uses if use.secrets and all(where in known for where in use.secrets)]
    bare = [(use.image, use) for use in whole if use.image and not login_for(use.image, map(known.get, use.secrets))]
    for registry in dict.fromkeys(image.registry for image, _ in bare):
        lines.append(_without_login(subject, registry, [one for one in bare if one[0].registry == registry]))
    return together(lines)


def _without_login(subject: Subject, registry: str, bare: list[tuple[Image, Use]]) -> Answer:
    """Whether a registry gives what is pulled from it without a login."""
    says = f"no Secret has a login for {registry} of {few(_pod(use) for _, use in bare)}"
    states = {image: subject.seen[image] for image, _ in bare}
    if refused := [image.name for image, seen in states.items() if seen.state == "refused"]:
        return Answer("fail", f"{says}, and it does not give {few(refused)} without one")
    if unknown := [image.name for image, seen in states.items() if seen.state not in {"found", "missing"}]:
        return Answer("warn", f"{says}; whether it gives {few(unknown)} without one is not known", _UNUSED)
    return Answer("warn", f"{says}, who pull from it without one, as anybody may", _UNUSED)


def with_logins(subject: Subject) -> dict[Image, Login | None]:
    """Each image with the login that its pods' Secrets have for it."""
    uses = uses_of(subject)
    known, _ = logins(subject, uses)
    named: dict[Image, list[Where]] = {}
    for use in uses:
        if use.image:
            named.setdefault(use.image, []).extend(use.secrets)
    return {image: login_for(image, map(known.get, those)) for image, those in named.items()}


def _pod(use: Use) -> str:
    return str(key_of(use.obj))


def logins(subject: Subject, uses: Iterable[Use]) -> tuple[dict[Where, dict[str, Login]], list[Answer]]:
    """What each Secret holds that these containers pull with, and of the others why they hold nothing."""
    found: dict[Where, dict[str, Login]] = {}
    wrong = []
    for where in dict.fromkeys(where for use in uses for where in use.secrets):
        content = secret(subject, *where)
        if content is None:
            wrong.append(Answer("fail", *absent(subject, *where, _MAKE)))
            continue
        try:
            found[where] = logins_of(content, subject.boundaries.redactor)
        except ValueError as error:
            wrong.append(Answer("fail", f"Secret {where[1]} in namespace {where[0]} {error}"))
    return found, wrong


def logins_of(secret: Json, redactor: Redactor) -> dict[str, Login]:
    """The user and password for each registry, by its entry's name; the redactor knows them before this returns.

    Raises ValueError: A clause that says what is wrong with the Secret, without anything that is in it.
    """
    kind = str(secret.get("type") or "Opaque")
    if kind not in _KEYS:
        raise ValueError(f"is of type {kind}, not {next(iter(_KEYS))}")
    try:
        content = json.loads(dict(secret_values(secret)).get(_KEYS[kind], ""))
        entries = (content["auths"] if kind.endswith("json") else content).items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"holds no logins in {_KEYS[kind]}") from None
    for _, entry in entries:
        _learn(entry, f"{secret['metadata']['name']}#{_KEYS[kind]}", redactor)
    found = {name: _login(entry) for name, entry in entries}
    if empty := sorted(name for name, login in found.items() if login is None):
        raise ValueError(f"has an entry without user and password: {', '.join(empty)}")
    return {name: login for name, login in found.items() if login}


def _learn(entry: Any, name: str, redactor: Redactor) -> None:
    """Everything in an entry but the names."""
    login = _login(entry)
    texts = (
        [value for key, value in entry.items() if key not in {"username", "email"}] if isinstance(entry, dict) else []
    )
    for value in [*texts, *((login[1], ":".join(login)) if login else ())]:
        redactor.register(str(value), name)


def _login(entry: Any) -> Login | None:
    try:
        if entry.get("auth"):
            # It wins over the other two.
            user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        else:
            user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    except (AttributeError, ValueError, TypeError):
        return None
    return (user, password) if user and password else None


def login_for(image: Image, secrets: Iterable[Mapping[str, Login] | None]) -> Login | None:
    """The login of the first Secret that has one for an image, of several the one for the longest path."""
    for has in secrets:
        fitting = [name for name in has or () if fits(name, image)]
        if has and fitting:
            return has[max(fitting, key=lambda name: (len(_split(name)[1]), name))]
    return None


def fits(name: str, image: Image) -> bool:
    """Whether an entry's name (host, port, path; ``*`` in a label of the host) is for an image."""
    host, path = _split(name)
    if image.registry == HUB and host == f"index.{HUB}":
        return True
    wanted, has = host.split("."), image.registry.split(".")
    within = f"{image.repository}/".startswith(f"{path}/") if path else True
    return within and len(wanted) == len(has) and all(map(fnmatchcase, has, wanted))


def _split(name: str) -> tuple[str, str]:
    """Host and path of an entry's name, which may be a URL of the registry's API."""
    host, _, path = re.sub(r"^https?://", "", name).partition("/")
    return host, re.sub(r"^v[12](/|$)", "", path).strip("/")
