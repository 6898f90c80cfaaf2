"""What the second person does, elsewhere than who runs it: make a key, read a plan, sign a yes to it."""

import getpass
import json
import os
import re
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from runbooks_lib import secrets, signing
from runbooks_lib.parameters import resolve_path
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.signed import KIND, LONGEST, Statement
from runbooks_lib.results import Json, Plan

_ASKED = "prompt:passphrase of the key"


def make_key(path: str, name: str, passphrase: str) -> str:
    """Write a new private key that only its owner may read; the line by which its public half is listed.

    Args:
        name: Whose it is; the user's name where it is empty.
        passphrase: A reference to it; it is asked for where that is empty.
    """
    chosen = secrets.passphrase_of(passphrase or _ASKED, Redactor())
    if not passphrase and secrets.passphrase_of("prompt:the same again", Redactor()) != chosen:
        raise refused("two passphrases")
    pem = signing.new_key(chosen)
    line = signing.signer(pem, chosen, name or getpass.getuser())[0].line
    try:
        signing.listed(line)
    except ValueError as error:
        raise refused("no name", name=name) from error
    _write(path, pem, 0o600)
    return line


def read_plan(file: str) -> Plan:
    """A plan that was written as JSON, by a run or by ``runbooks plan``.

    Raises:
        UsageError: It can't be read, is no plan, or has nothing to approve.
        ApprovalError: It was altered.
    """
    path = resolve_path(file)
    try:
        found = json.loads(secrets.read_small(path))
        # The commands are no part of the digest: they could say something else than it does.
        digest, plan = found.pop("digest"), Plan.model_validate({**found, "commands": ()})
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise refused("no plan", path=path) from error
    if digest != plan.digest or plan.empty:
        raise refused(
            "plan altered" if plan.steps else "nothing to approve", path=path, digest=plan.digest, said=digest
        )
    return plan


def sign(plan: Plan, by: signing.Signer, lasts: timedelta) -> str:
    """The approval of a plan from now on, as the text of a file."""
    now, (person, _) = datetime.now(UTC).replace(microsecond=0), by
    said: Json = {"digest": plan.digest, "stage": plan.stage, "target": plan.target, "nonce": token_hex(16)}
    said |= {"approver": person.name, "fingerprint": person.fingerprint, "not_before": now, "expires": now + lasts}
    return signing.sealed(Statement(**said).model_dump_json().encode(), KIND, by)


def approve(plan: Plan, key: str, *, name: str, passphrase: str, lasts: str, out: str) -> str:
    """Write the approval of a plan, which holds for a while (``30m``, ``2h``, ``3d``); who gave it, in a sentence."""
    found = re.fullmatch("([1-9][0-9]{0,4})([mhd])", lasts)
    time = timedelta(minutes=int(found[1]) * {"m": 1, "h": 60, "d": 1440}[found[2]]) if found else timedelta.max
    if time > LONGEST:
        raise refused("no duration", text=lasts)
    by = secrets.signer(key, passphrase or _ASKED, name or getpass.getuser(), Redactor())
    _write(out, sign(plan, by, time).encode(), 0o644)
    return f"Approved by {by[0].name} ({by[0].fingerprint}): who runs it gives --approve {out}"


def _write(name: str, content: bytes, mode: int) -> None:
    """Write a file that is not there yet, nor a link of this name."""
    path = resolve_path(name)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except OSError as error:
        raise refused("unwritten", path=path, said=error.strerror) from error
