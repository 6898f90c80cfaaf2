"""Handing the log of a target over to another key."""

from runbooks_lib import parameters, records, secrets
from runbooks_lib.errors import refused
from runbooks_lib.redaction import Redactor


def rotate(target: str, parameters_file: str, new: str, passphrase: str, name: str, output_directory: str) -> str:
    """Hand it over; a sentence about it.

    Raises:
        UsageError: One of the keys can't be used, or the parameters name none.
        RecordError: The log is signed by another one than that of the parameters, or can't be written.
    """
    settings, redactor = parameters.load(parameters_file), Redactor()
    seal = secrets.seal_of(settings.records, redactor)
    if seal is None:
        raise refused("no key", file=parameters_file)
    following = secrets.signer(new, passphrase or "prompt:passphrase of the new key", name, redactor)
    shelf = parameters.resolve_path(output_directory or "records") / target
    head = records.rotate(shelf, seal, following)
    return f"From entry {head.size} on the log of {target} is signed by {name} ({following[0].fingerprint}): name {new} in records.key."
