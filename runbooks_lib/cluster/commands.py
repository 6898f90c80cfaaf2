"""The words of a container's command, read and never executed."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping

from runbooks_lib.cluster.environment import expand

SHELLS = ("sh", "bash", "ash", "dash")
_SHELL_REFERENCE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


def words(args: Iterable[str], variables: Mapping[str, str]) -> list[str]:
    """The words of a command and its arguments: variables looked up, the line of a shell taken apart."""
    found: list[str] = []
    for written in args:
        arg = expand(str(written), variables)
        if found and posixpath.basename(found[0]) in SHELLS and re.fullmatch(r"-\w*c", found[-1]):
            found += _line(arg, variables)
        else:
            found.append(arg)
    return found


def _line(line: str, variables: Mapping[str, str]) -> list[str]:
    try:
        parts = shlex.split(line)
    except ValueError:
        return [line]
    return [shell_expand(part, variables) for part in parts]


def shell_expand(word: str, variables: Mapping[str, str]) -> str:
    """Put variables in the places where a shell does: ``$NAME``, ``${NAME}``, ``${NAME:-otherwise}``."""
    return _SHELL_REFERENCE.sub(lambda hit: variables.get(hit[1] or hit[3]) or hit[2] or "", word)


def option(listed: list[str], name: str) -> str:
    """The value of an option, as ``--name value`` or ``--name=value``; empty without one."""
    for number, word in enumerate(listed):
        if word == name and number + 1 < len(listed):
            return listed[number + 1]
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return ""
