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
_PLAIN = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq", "merge")}
#: An integer as people write it.
_COUNTED = re.compile(r"[-+]?(0|[1-9][0-9]*)")
#: Bytes of a file, levels in it, values with all aliases followed, digits of a number.
LARGEST, DEEPEST, MOST, LONGEST_NUMBER = 1 << 20, 60, 100_000, 40
#: What YAML's own messages quote may be a password that begins with a star or an exclamation mark.
_QUOTED = re.compile(r"'[^'\s]{3,}'")


class _Loader(yaml.SafeLoader):
    """The safe loader, but as Helm reads: dates and ``10:30`` are texts, and no key is there twice.

    Only what can be handed to Helm: plain data, whose aliases don't contain themselves and don't make much of little.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0
        #: How many values each finished collection stands for.
        self._sizes: dict[int, int] = {}

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        base_sixty = tag in {f"{_TAG}int", f"{_TAG}float"} and ":" in value
        is_text = base_sixty or tag in {f"{_TAG}timestamp", f"{_TAG}value"}
        return f"{_TAG}str" if is_text else tag

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        again = self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _odd(f"it is nested more than {DEEPEST} levels deep", mark)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if again and isinstance(node, yaml.CollectionNode) and id(node) not in self._sizes:
            raise _odd("what stands here contains itself", mark)
        if again or isinstance(node, yaml.ScalarNode):
            _require_plain(node)
            return node
        children = [one for pair in node.value for one in (pair if isinstance(pair, tuple) else (pair,))]
        self._sizes[id(node)] = 1 + sum(self._sizes.get(id(child), 1) for child in children)
        if self._sizes[id(node)] > MOST:
            raise _odd(f"with its aliases it stands for more than {MOST:,} values", mark)
        _require_plain(node)
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            said = "is there already" if str(key.value) in seen else ""
            if key.tag not in {f"{_TAG}str", f"{_TAG}merge"}:
                said = "is not text: quote it"
            if said:
                name = key.value if isinstance(key, yaml.ScalarNode) else "a key in brackets (as in `{{ }}`)"
                raise _odd(f"{name} {said}", key.start_mark)
            seen.add(key.value)
        return node


def _odd(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _require_plain(node: yaml.Node) -> None:
    """Refuse a value that JSON has not, which is what Helm is given."""
    kind = node.tag.removeprefix(_TAG)
    if node.tag not in _PLAIN:
        # A tag of nobody's may be a password that begins with an exclamation mark.
        named = f"!!{kind}" if node.tag.startswith(_TAG) and kind.isalpha() else "a value with this tag"
        raise _odd(f"{named} is nothing that Helm takes", node.start_mark)
    if kind == "float" and node.value.strip("+-.").lower() in {"inf", "nan"}:
        raise _odd("it is no number that Helm takes: quote it", node.start_mark)
    if kind in {"int", "float"} and len(node.value) > LONGEST_NUMBER:
        raise _odd(f"a number of more than {LONGEST_NUMBER} digits would lose some: quote it", node.start_mark)


def read(path: FilePath, shown: str, *, ours: bool = False) -> tuple[dict[str, Any], Places]:
    """The data of a YAML file, which messages name as ``shown``, and where its keys stand.

    Args:
        ours: It is a parameters file: but for ``values``, numbers are written as people count. Helm's own files may hold
            a mode such as ``0644``.

    Raises ParametersError: Missing, unreadable, too large, empty, malformed, or not a mapping.
    """
    try:
        loader = _Loader(_content(path, shown))
        node = loader.get_single_node()
        places = {(): shown, **dict(_places(node, shown))}
        if ours:
            refuse(places, _odd_numbers(node))
        data = loader.construct_document(node) if node else None
    except OSError as error:
        if not path.exists() and not path.is_symlink():
            raise _missing(path, shown) from error
        raise _refusal(f"{shown} can't be read: {error.strerror} (looked for {path}).") from error
    except (yaml.YAMLError, ValueError) as error:
        raise _refusal(f"{shown}{_malformed(error)}.") from error
    if not isinstance(data, dict):
        said = "is empty" if data is None else "must be a mapping (key: value) at its top level"
        raise _refusal(f"{shown} {said}.")
    return data, places


def _content(path: FilePath, shown: str) -> bytes:
    """What is in a file, which is no pipe that would be waited for, nor without an end."""
    if path.exists() and not path.is_dir() and not path.is_file():
        raise _refusal(f"{shown} is no regular file (looked for {path}).")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _refusal(
            f"{shown} is larger than {LARGEST >> 20} MiB, which is more than a release can hold (looked for {path})."
        )
    return content


def _missing(path: FilePath, shown: str) -> ParametersError:
    near = difflib.get_close_matches(path.name, [each.name for each in path.parent.glob("*")], n=1)
    named = f"Did you mean {path.parent / near[0]}?" if near else "Name one that is there."
    step = f"{named} `runbooks sandbox up` writes parameters/sandbox.yaml."
    return ParametersError(f"{shown} does not exist (looked for {path}).", next_step=step)


def _odd_numbers(node: yaml.Node | None, above: Path = ()) -> Iterator[tuple[Path, str]]:
    """Integers that mean another number than they look like."""
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}int" and not _COUNTED.fullmatch(node.value):
        yield above, f"is written {node.value}, which YAML reads in a way of its own: write it plainly, or quote it"
    for step, _, value in _children(node):
        if above or step != "values":
            yield from _odd_numbers(value, (*above, step))


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


def _children(node: yaml.Node | None) -> list[tuple[Any, yaml.Node, yaml.Node]]:
    """What is in a node: key or number, the node whose line counts, and the node itself."""
    if isinstance(node, yaml.MappingNode):
        return [(key.value, key, value) for key, value in node.value]
    return (
        [(number, each, each) for number, each in enumerate(node.value)] if isinstance(node, yaml.SequenceNode) else []
    )


def _places(node: yaml.Node | None, shown: str, above: Path = ()) -> Iterator[tuple[Path, str]]:
    for step, marked, value in _children(node):
        yield (*above, step), f"{shown}:{marked.start_mark.line + 1}"
        yield from _places(value, shown, (*above, step))


def _malformed(error: Exception) -> str:
    """Line, column and YAML's own words, without anything of the file's text, which may be a secret."""
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, yaml.reader.ReaderError) and "special characters" in str(error.reason):
        return f": character {error.position + 1} is a control character, which stands in no text"
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return ": not text in UTF-8"
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return f":{mark.line + 1}:{mark.column + 1}: not well-formed YAML: {_QUOTED.sub('…', said)}"
