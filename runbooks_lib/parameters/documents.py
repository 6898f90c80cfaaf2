"""YAML files as plain data, with the line of each key for whoever finds it wrong."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from runbooks_lib.errors import ParametersError

Path = tuple[str | int, ...]
#: Where each key and item of a file stands: ``file:line``, and at the empty path the file.
Places = Mapping[Path, str]

#: The place of what stands in no file, but was given beside it.
OVERRIDE = "override"

_MEND = "Mend it, and try `runbooks parameters check FILE`."
_TAG = "tag:yaml.org,2002:"
#: What YAML's own messages quote may be a password that begins with a star or an exclamation mark.
_QUOTED = re.compile(r"'[^'\s]{3,}'")


class _Loader(yaml.SafeLoader):
    """The safe loader, but as Helm reads: dates and ``10:30`` are texts, and no key is there twice."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        base_sixty = tag in {f"{_TAG}int", f"{_TAG}float"} and ":" in value
        is_text = base_sixty or tag in {f"{_TAG}timestamp", f"{_TAG}value"}
        return f"{_TAG}str" if is_text else tag

    def compose_node(self, parent: Any, index: Any) -> Any:
        node = super().compose_node(parent, index)
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            said = "is there already" if str(key.value) in seen else ""
            if key.tag not in {f"{_TAG}str", f"{_TAG}merge"}:
                said = "is not text: quote it"
            if said:
                name = key.value if isinstance(key, yaml.ScalarNode) else "a key in brackets (as in `{{ }}`)"
                raise yaml.MarkedYAMLError(problem=f"{name} {said}", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


def read(path: FilePath, shown: str) -> tuple[dict[str, Any], Places]:
    """The data of a YAML file, which messages name as ``shown``, and where its keys stand.

    Raises ParametersError: Missing, unreadable, empty, malformed, or not a mapping.
    """
    try:
        loader = _Loader(path.read_bytes())
        node = loader.get_single_node()
        places = {(): shown, **dict(_places(node, shown))}
        data = loader.construct_document(node) if node else None
    except OSError as error:
        if not path.exists():
            near = difflib.get_close_matches(path.name, [each.name for each in path.parent.glob("*")], n=1)
            named = f"Did you mean {path.parent / near[0]}?" if near else "Name one that is there."
            step = f"{named} `runbooks sandbox up` writes parameters/sandbox.yaml."
            raise ParametersError(f"{shown} does not exist (looked for {path}).", next_step=step) from error
        raise _refusal(f"{shown} can't be read: {error.strerror} (looked for {path}).") from error
    except (yaml.YAMLError, ValueError) as error:
        raise _refusal(f"{shown}{_malformed(error)}.") from error
    except RecursionError as error:
        raise _refusal(f"{shown} is nested too deeply, or contains itself.") from error
    if not isinstance(data, dict):
        said = "is empty" if data is None else "must be a mapping (key: value) at its top level"
        raise _refusal(f"{shown} {said}.")
    return data, places


def typed(text: str) -> Any:
    """What YAML makes of a text, but ``1.30`` and ``#fff``, of which it would lose something, stay texts.

    Raises yaml.YAMLError: It is malformed.
    """
    value = yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader
    may_lose = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    return text if may_lose and text not in {str(value), "null", "~"} else value


def at(data: Any, path: Path) -> Any:
    """The value at a path of plain data; None where there is none."""
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        else:
            there = isinstance(data, list) and isinstance(step, int) and step < len(data)
            data = data[step] if there else None
    return data


def leaves(data: Any, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no mapping with something in it, by its path; a reference is one value, and so is a list."""
    if isinstance(data, Mapping) and data and set(data) != {"from"}:
        for key, value in data.items():
            yield from leaves(value, (*above, key))
    elif above:
        yield above, data


def dotted(path: Path) -> str:
    """A path as people write it: ``values.env[0].name``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def nearest(places: Places, path: Path) -> str:
    """The place of the nearest key there is, from a path upwards."""
    return next(places[above] for length in range(len(path), -1, -1) if (above := path[:length]) in places)


def refuse(places: Places, problems: Iterable[tuple[Path, str]]) -> None:
    """Raise one ParametersError for all that is wrong; each has the place of the nearest key there is."""
    lines = []
    for path, said in problems:
        lines.append(f"{nearest(places, path)}: {dotted(path)} {said}")
    if lines:
        only_overrides = all(line.startswith(f"{OVERRIDE}: ") for line in lines)
        raise _refusal(*lines, mend="Correct what overrides the file." if only_overrides else _MEND)


def _refusal(*lines: str, mend: str = _MEND) -> ParametersError:
    heading = [f"There are {len(lines)} problems:"] if len(lines) > 1 else []
    check = f"{mend} parameters/builtin.yaml shows every key."
    return ParametersError("\n".join([*heading, *lines]), next_step=check)


def _places(node: yaml.Node | None, shown: str, above: Path = ()) -> Iterator[tuple[Path, str]]:
    children: list[tuple[Any, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(number, value, value) for number, value in enumerate(node.value)]
    for step, marked, value in children:
        yield (*above, step), f"{shown}:{marked.start_mark.line + 1}"
        yield from _places(value, shown, (*above, step))


def _malformed(error: Exception) -> str:
    """Line, column and YAML's own words, without anything of the file's text, which may be a secret."""
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return ": not text in UTF-8"
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return f":{mark.line + 1}:{mark.column + 1}: not well-formed YAML: {_QUOTED.sub('…', said)}"
