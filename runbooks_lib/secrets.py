"""Looks up what a reference stands for, and makes the run's redactor know it before anyone else does."""

import os
import stat
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from pathlib import Path

from pydantic import SecretStr

from runbooks_lib import signing
from runbooks_lib.errors import UsageError, refused
from runbooks_lib.filesystems import is_url
from runbooks_lib.parameters import RecordsSettings, Reference, parse_reference, resolve_path
from runbooks_lib.records import Seal
from runbooks_lib.redaction import Redactor
from runbooks_lib.signing import Signer

#: Bytes of a file with a secret in it.
LARGEST = 1 << 16

ReadSecret = Callable[[str, str], Mapping[str, str]]


def resolve(
    reference: str, *, read_secret: ReadSecret | None, redactor: Redactor, typed: dict[str, str] | None = None
) -> SecretStr:
    """The secret that a reference names; the redactor knows it before this returns.

    Args:
        reference: ``env:NAME``, ``file:PATH``, ``k8s:NAMESPACE/NAME#KEY`` or ``prompt:NAME``.
        read_secret: Gives a Secret's decoded keys by namespace and name; ``None`` where there is no cluster.
        typed: What a person has typed already, by its reference; ``None`` where nobody is to be asked.

    Raises UsageError: The reference is malformed, or what it names is missing, empty or open to other users.
    """
    try:
        parsed = parse_reference(reference)
    except ValueError as error:
        raise UsageError(f"A reference to a secret {error}.", next_step="Mend it in the parameters.") from error
    if parsed.scheme == "env":
        value, step = os.environ.get(parsed.name, ""), f"export {parsed.name}=… where the runbook is started"
    elif parsed.scheme == "file":
        value, step = _from_file(resolve_path(parsed.name)), "Write the secret into it."
    elif parsed.scheme == "prompt":
        value, step = _typed(parsed, typed), "Type it when you are asked for it."
    elif read_secret is not None:
        keys = read_secret(parsed.namespace, parsed.name)
        value = keys.get(parsed.key, "")
        known = ", ".join(sorted(keys))
        step = f"Create it, or name one of its keys that hold text: {known}." if known else "Create it, with that key."
    else:
        value, step = "", "This command does not talk to a cluster: use env: or file:, or run a stage."
    if not value:
        raise UsageError(f"The secret {reference} is missing or empty.", next_step=step)
    if "\0" in value or not _is_text(value):
        step = "Write it anew: no database, URL or variable takes such a password."
        raise UsageError(f"The secret {reference} is not text in UTF-8.", next_step=step)
    redactor.register(value, reference)
    return SecretStr(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _typed(parsed: Reference, typed: dict[str, str] | None) -> str:
    """What a person types, unseen, once in a kernel."""
    if typed is None or not ("ipykernel" in sys.modules or sys.stdin.isatty()):
        raise refused("nobody to ask", name=parsed.name)
    if parsed.text not in typed:
        try:
            typed[parsed.text] = getpass(f"{parsed.name}: ")
        except (EOFError, NotImplementedError) as error:  # the latter is how a kernel says that no front end answers
            raise refused("nobody to ask", name=parsed.name) from error
    return typed[parsed.text]


def read_small(path: Path) -> bytes:
    """What is in a small file; raises UsageError: it can't be read, or is something else."""
    # A pipe would be waited for, by every later run too, and a device has no end.
    said = "" if path.is_file() or path.is_dir() or not path.exists() else "it is no regular file"
    try:
        if not said and path.stat().st_size > LARGEST:
            said = f"it is larger than {LARGEST >> 10} KiB"
        content = b"" if said else path.read_bytes()
    except (OSError, ValueError) as error:
        raise refused("unreadable file", path=path, said=getattr(error, "strerror", None) or error) from error
    if said:
        raise refused("unreadable file", path=path, said=said)
    return content


def read_private(path: Path) -> bytes:
    """The same of a file that nobody else may read."""
    content = read_small(path)
    if path.stat().st_mode & stat.S_IROTH:
        raise refused("open secret", path=path)
    return content


def _from_file(path: Path) -> str:
    try:
        return read_private(path).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise refused("unreadable file", path=path, said="it is not text in UTF-8") from error


def passphrase_of(reference: str, redactor: Redactor) -> bytes:
    """What unlocks a key, by a reference that needs no cluster; raises UsageError: it can't be resolved."""
    return resolve(reference, read_secret=None, redactor=redactor, typed={}).get_secret_value().encode()


def signer(key: str, passphrase: str, name: str, redactor: Redactor) -> Signer:
    """Who signs with a private key, the passphrase given by reference; raises UsageError: one of them can't be used."""
    path, word = resolve_path(key), passphrase_of(passphrase, redactor)
    try:
        return signing.signer(read_private(path), word, name)
    except ValueError as error:
        raise refused("key unusable", path=path) from error


def seal_of(settings: RecordsSettings, redactor: Redactor) -> Seal | None:
    """With what the parameters have records sealed; None: with nothing. Raises UsageError: the key can't be used."""
    if not settings.key or settings.passphrase is None:
        return None
    anchor = str(resolve_path(settings.anchor)) if settings.anchor and not is_url(settings.anchor) else settings.anchor
    by = signer(settings.key, settings.passphrase["from"], settings.signer, redactor)
    return Seal(by, anchor, settings.anchor_required)
