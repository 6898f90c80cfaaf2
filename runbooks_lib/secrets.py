"""Looks up what a reference stands for, and makes the run's redactor know it before anyone else does."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from runbooks_lib.errors import UsageError
from runbooks_lib.parameters import Reference, parse_reference, resolve_path
from runbooks_lib.redaction import Redactor

ReadSecret = Callable[[str, str], Mapping[str, str]]


class SecretText:
    """A secret that does not show itself: not when printed, formatted or pickled."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self.__value

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


def resolve(reference: str, *, read_secret: ReadSecret | None, redactor: Redactor) -> SecretText:
    """The secret that a reference names.

    Args:
        reference: ``env:NAME``, ``file:PATH`` or ``k8s:NAMESPACE/NAME#KEY``.
        read_secret: Gives the decoded keys of a Kubernetes Secret by namespace and name, none for one that
            does not exist; ``None`` where there is no cluster to ask.
        redactor: Knows the secret before this returns.

    Raises:
        UsageError: The reference is malformed, or what it names is missing, empty or open to other users.
    """
    try:
        parsed = parse_reference(reference)
    except ValueError as error:
        raise UsageError(
            f"A reference to a secret {error}.", next_step="Mend it in the parameters."
        ) from error
    if parsed.scheme == "env":
        value = _from_environment(parsed)
    elif parsed.scheme == "file":
        value = _from_file(parsed)
    else:
        value = _from_cluster(parsed, read_secret)
    redactor.register(value, reference)
    return SecretText(value)


def _from_environment(reference: Reference) -> str:
    value = os.environ.get(reference.name)
    if not value:
        raise UsageError(
            f"The environment variable {reference.name} is {'not set' if value is None else 'empty'}.",
            next_step=f"Set it where the runbook is started: export {reference.name}=…",
        )
    return value


def _from_file(reference: Reference) -> str:
    path = resolve_path(reference.name)
    try:
        _refuse_open_file(path)
        value = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The secret's file {path} can't be read: {error.strerror}.",
            next_step="Mend the path; a relative one starts at the project's folder.",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The secret's file {path} is not text in UTF-8.", next_step="Save it as UTF-8 text."
        ) from error
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise UsageError(f"The secret's file {path} is empty.", next_step="Write the secret into it.")
    return value


def _refuse_open_file(path: Path) -> None:
    status = path.stat()
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        raise UsageError(
            f"The secret's file {path} can be read by every user of this machine.",
            next_step=f"chmod 600 {path}   (a mounted Secret: defaultMode 0400)",
        )


def _from_cluster(reference: Reference, read_secret: ReadSecret | None) -> str:
    named = f"The Secret {reference.namespace}/{reference.name}"
    if read_secret is None:
        raise UsageError(
            f"{named} can't be read here: this command does not talk to a cluster.",
            next_step="Use a reference of env: or file:, or run a stage.",
        )
    keys = read_secret(reference.namespace, reference.name)
    if not keys:
        raise UsageError(
            f"{named} does not exist, or holds no keys.",
            next_step=f"Look with: kubectl get secrets -n {reference.namespace}",
        )
    if not keys.get(reference.key):
        state = "holds nothing under the key" if reference.key in keys else "has no key"
        raise UsageError(
            f"{named} {state} {reference.key}; its keys are {', '.join(sorted(keys))}.",
            next_step=f"Mend the part after # in {reference.text}.",
        )
    return keys[reference.key]
