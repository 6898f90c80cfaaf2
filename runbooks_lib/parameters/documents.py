"""YAML files as plain data that remembers its lines.

Scalars are read as Helm reads them, with two exceptions that only ever surprise: a date stays text, and
``10:30`` is not a number of base sixty. A duplicate key is an error; YAML would silently keep the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters.secret_references import Path

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
#: The name of an alias may be a password that begins with a star.
_QUOTED = re.compile(r"'[^'\s]{3,}'")
_CHECK = "Mend the file, then try `runbooks parameters check FILE`."


class _Loader(yaml.SafeLoader):
    """The safe loader without dates, base sixty, infinities and ``=``."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - pyyaml's own way to give a loader its rules


for _tag, _pattern, _first in (
    ("bool", r"(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)", "yYnNtTfFoO"),
    ("int", r"[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^{_pattern}$"), list(_first))


@dataclass(frozen=True)
class Document:
    """A YAML file that was read.

    Attributes:
        shown: The file as the user named it.
        data: Its plain data; a mapping.
    """

    shown: str
    data: dict[str, Any]
    node: yaml.MappingNode = field(repr=False)

    def line(self, path: Path) -> int | None:
        """The line, from 1, of the key or item at a path; ``None`` when the file does not have it."""
        return _line(self.node, path)

    def text(self, path: Path) -> str:
        """A scalar as it was typed, without quotes; empty when there is none at this path."""
        node: yaml.Node | None = self.node
        for step in path:
            _, node = _descend(node, step)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def read(path: FilePath, shown: str) -> Document:
    """Read one YAML file.

    Raises:
        ParametersError: Missing, unreadable, empty, malformed, not a mapping, or with duplicate keys.
    """
    content = _content(path, shown)
    loader: _Loader | None = None
    try:
        loader = _Loader(content)
        loader.name = shown
        node = loader.get_single_node()
        if node is None or _is_null(node):
            raise ParametersError(f"{shown} is empty.", next_step=_CHECK)
        if not isinstance(node, yaml.MappingNode):
            raise ParametersError(
                f"{shown}:{node.start_mark.line + 1}: the top level must be a mapping (key: value), "
                f"not {_kind(node)}.",
                next_step=_CHECK,
            )
        problems = list(_structure(node))
        if problems:
            raise ParametersError(explain(shown, problems), next_step=_CHECK)
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ParametersError(_malformed(error, shown), next_step=_CHECK) from error
    except RecursionError as error:
        raise ParametersError(f"{shown} is nested too deeply to be read.", next_step=_CHECK) from error
    finally:
        if loader is not None:
            loader.dispose()
    return Document(shown, data, node)


def scalar(text: str) -> Any:
    """What YAML makes of a plain scalar: text, number, truth or nothing."""
    loader = _Loader("")
    try:
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return loader.construct_object(yaml.ScalarNode(tag, text)) if tag in _TAGS else text
    finally:
        loader.dispose()


def flow(text: str) -> Any:
    """What YAML makes of a text that begins with a bracket, a brace or a quote.

    Raises:
        ValueError: It is malformed.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None or list(_structure(node)):
            raise ValueError("is not well-formed YAML")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError("is not well-formed YAML") from error
    finally:
        loader.dispose()


def dotted(path: Path) -> str:
    """A path as people write it: ``values.env[0].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def explain(shown: str, lines: list[str]) -> str:
    """One message for all that is wrong with a file, one line each."""
    if len(lines) == 1:
        return lines[0]
    return "\n".join([f"{shown} has {len(lines)} problems:", *lines])


def _content(path: FilePath, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ParametersError(f"{shown} does not exist (looked for {path}).", next_step=_CHECK) from error
    except IsADirectoryError as error:
        raise ParametersError(f"{shown} is a folder, not a YAML file.", next_step=_CHECK) from error
    except OSError as error:
        raise ParametersError(f"{shown} can't be read: {error.strerror}.", next_step=_CHECK) from error


def _structure(node: yaml.Node) -> list[str]:
    """Duplicate keys, keys that are no text, foreign tags and loops; each node is looked at once."""
    messages: list[str] = []
    _walk(node, (), set(), set(), messages)
    return messages


def _walk(node: yaml.Node, path: Path, above: set[int], done: set[int], messages: list[str]) -> None:
    shown, line = node.start_mark.name, node.start_mark.line + 1
    if id(node) in above:
        messages.append(f"{shown}:{line}: {dotted(path)} contains itself")
        return
    if id(node) in done:
        return
    done.add(id(node))
    if node.tag not in _TAGS:
        messages.append(f"{shown}:{line}: {dotted(path)} has a tag (!…): quote it if it is text")
        return
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            where = f"{shown}:{key.start_mark.line + 1}"
            if key.tag == "tag:yaml.org,2002:merge":
                _walk(value, (*path, "<<"), inside, done, messages)
                continue
            if key.tag != "tag:yaml.org,2002:str":
                messages.append(
                    f"{where}: a key under {dotted(path) or 'the top level'} is not text: quote it"
                )
                continue
            here = (*path, str(key.value))
            if key.value in seen:
                messages.append(f"{where}: {dotted(here)} is there already, on line {seen[key.value]}")
            seen.setdefault(key.value, key.start_mark.line + 1)
            _walk(value, here, inside, done, messages)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _walk(value, (*path, number), inside, done, messages)


def _line(root: yaml.Node, path: Path) -> int | None:
    node: yaml.Node | None = root
    line: int | None = root.start_mark.line + 1
    for step in path:
        line, node = _descend(node, step)
    return line


def _descend(node: yaml.Node | None, step: str | int) -> tuple[int | None, yaml.Node | None]:
    """The line and the value of one step down; nothing when it is not there."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        value = node.value[step]
        return value.start_mark.line + 1, value
    return None, None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"


def _malformed(error: yaml.YAMLError, shown: str) -> str:
    """Line, column and pyyaml's own words, without anything of the file's text, which may be a secret."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        return f"{shown}{where}: not well-formed YAML: {_QUOTED.sub('…', said)}."
    if isinstance(error, yaml.reader.ReaderError):
        return f"{shown}: not text in UTF-8: {error.reason} at position {error.position}."
    return f"{shown}: not well-formed YAML."
