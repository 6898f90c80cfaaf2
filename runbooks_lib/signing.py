"""Ed25519 keys of persons, and envelopes signed with them (DSSE): one signed text, whose bytes alone are believed."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

#: What OpenSSH writes before the 32 bytes of a public key.
_BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"


class Person(NamedTuple):
    """Who signs, by name and public key."""

    name: str
    key: bytes

    @property
    def line(self) -> str:
        """As OpenSSH writes it: ``ssh-ed25519 AAAA… NAME``."""
        return f"ssh-ed25519 {_text(_BLOB + self.key)} {self.name}"

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it: ``SHA256:…``."""
        return f"SHA256:{_text(hashlib.sha256(_BLOB + self.key).digest()).rstrip('=')}"


#: A person, and what their private key makes of a text.
Signer = tuple[Person, Callable[[bytes], bytes]]


def listed(line: str) -> Person:
    """Whom a line as OpenSSH writes it names; raises ValueError: it is no such line."""
    kind, body, name = line.split()
    blob = base64.b64decode(body, validate=True)
    known = kind == "ssh-ed25519" and blob.startswith(_BLOB) and len(blob) == len(_BLOB) + 32
    if not known or not re.fullmatch("[A-Za-z0-9][-._+@A-Za-z0-9]{0,99}", name):
        raise ValueError("no Ed25519 key with a name")
    return Person(name, blob.removeprefix(_BLOB))


def new_key(passphrase: bytes) -> bytes:
    """A private key, locked by a passphrase, as PEM (PKCS 8)."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    how = form.BestAvailableEncryption(passphrase)
    return Ed25519PrivateKey.generate().private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, how)


def signer(pem: bytes, passphrase: bytes, name: str) -> Signer:
    """Who signs with a private key; raises ValueError: the passphrase does not open it, or it is another kind of key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with suppress(TypeError):  # of a key without a lock
        key = load_pem_private_key(pem, passphrase)
        if isinstance(key, Ed25519PrivateKey):
            return Person(name, key.public_key().public_bytes_raw()), key.sign
    raise ValueError("another kind of key")


def sealed(content: bytes, kind: str, by: Signer) -> str:
    """The envelope of a text, as JSON."""
    person, sign = by
    signature = {"keyid": person.fingerprint, "sig": _text(sign(_encoded(content, kind)))}
    return json.dumps({"payload": _text(content), "payloadType": kind, "signatures": [signature]})


def opened(envelope: bytes, kind: str, persons: Mapping[str, Person]) -> tuple[Person, bytes] | None:
    """Who of some persons, by their fingerprints, has signed an envelope, and the text; None: nobody of them, or not this.

    Raises ValueError: It is no envelope of this kind.
    """
    try:
        found = json.loads(envelope)
        (signature,) = found["signatures"]
        content, signed = (base64.b64decode(text, validate=True) for text in (found["payload"], signature["sig"]))
        person, told = persons.get(signature["keyid"]), found["payloadType"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("no envelope") from error
    if told != kind:
        raise ValueError("an envelope of something else")
    return (person, content) if person and verifies(person, signed, _encoded(content, kind)) else None


def verifies(person: Person, signature: bytes, content: bytes) -> bool:
    """Whether a signature is that of a person under exactly these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(person.key).verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _encoded(content: bytes, kind: str) -> bytes:
    """What is signed: DSSE's pre-authentication encoding, which binds the kind to the text."""
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(content), content)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
