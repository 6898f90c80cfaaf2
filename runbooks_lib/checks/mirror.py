"""With a mirror: does every image come from it, and which value of the chart moves one that does not?"""

from collections.abc import Iterable, Iterator
from typing import Any

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.containers import few, mentions, parsed, texts_of, uses_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.values import without
from runbooks_lib.errors import RunbookError
from runbooks_lib.parameters import Parameters, chart_values
from runbooks_lib.parameters.documents import Path, at, dotted, leaves
from runbooks_lib.parameters.helm_values import FLAGS, Contradiction, merge, nested, own_key
from runbooks_lib.parameters.model import MIRRORS
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.plan import all_objects
from runbooks_lib.results import Json
from runbooks_lib.threads import at_once


def contradictions(parameters: Parameters) -> Iterator[Contradiction]:
    """Where keys of the parameters name another registry than their mirror does."""
    for name, to in MIRRORS.get(parameters.mirror, {}).items():
        if (own := getattr(parameters.images, name)) != to:
            yield Contradiction(f"images.{name}", own, "mirror", parameters.mirror)


def mirrored(subject: Subject) -> Answer:
    """Whether all images come from the registries that the parameters' mirror stands for, whatever other keys say."""
    if not subject.boundaries.parameters.mirror:
        return Answer("skip", "the parameters set no mirror")
    mirror = MIRRORS[subject.boundaries.parameters.mirror]
    mirrors = {prefix.partition("/")[0] for prefix in mirror.values()}
    uses = uses_of(subject)
    outside = {use.text: f"{use.text} of {{}}" for use in uses if not use.image or use.image.registry not in mirrors}
    for text, said in outside.items():
        outside[text] = said.format(few(use for use in uses if use.text == text))
    later = {
        text: f"{text}, with which {key_of(obj)} has other pods started,"
        for obj in subject.objects
        for text in mentions(obj)
        if text not in outside and text.partition("/")[0] not in mirrors
    }
    told = " or ".join(sorted(mirrors))
    if not outside and not later:
        return Answer("pass", f"{len({use.text for use in uses})} images, all from {told}")
    lines = [f"{said} does not come from {told}" for said in (*outside.values(), *later.values())]
    kept = _kept_by(subject, (*outside, *later))
    moves = dict.fromkeys(
        f"Take {name} out: it keeps {few(those)} away from the mirror." for name, those in kept.items()
    )
    moved = {text for those in kept.values() for text in those}
    values = merge(subject.boundaries.chart_source.defaults, subject.proposal.values)
    rest = (text for text in (*outside, *later) if text not in moved)
    moves |= dict.fromkeys(_line_to_move(values, text, mirror["registry"]) for text in rest)
    return Answer("fail" if outside else "warn", "\n".join(lines), remedy="\n".join(moves))


def _kept_by(subject: Subject, outside: Iterable[str]) -> dict[str, list[str]]:
    """The given values without which images would come from elsewhere, and which: tried, by renders without each."""
    parameters, given = subject.boundaries.parameters, subject.proposal.values
    flags = {f"images.{name}": to for name, to in MIRRORS[parameters.mirror].items()}
    own: dict[Path, str] = {tuple(path.split(".")): flags[key] for key, path, _ in FLAGS if key in flags}
    suspects = [
        path
        for path, value in leaves(given)
        if (path in own and value != own[path]) or any(_is_registry_of(value, text) for text in outside)
    ]

    def moved(path: Path) -> list[str]:
        # What nobody names any more is the mirror's.
        values = without(given, path)
        values = merge(values, nested(path, own[path])) if path in own else values
        try:
            still = texts_of(all_objects(subject.with_values(values).rendered))
        except RunbookError:
            return []
        return [text for text in outside if text not in still]

    found = zip(suspects, at_once(moved, suspects), strict=True)
    return {_named(parameters, path): texts for path, texts in found if texts}


def _is_registry_of(value: Any, text: str) -> bool:
    """Whether a value is the registry of an image, alone or with the beginning of its path."""
    image = parsed(text)
    return bool(image and value and f"{image.registry}/{image.repository}".startswith(f"{str(value).rstrip('/')}/"))


def _named(parameters: Parameters, path: Path) -> str:
    """Where somebody has given a value of the chart."""
    if at(parameters.values, path) is not None:
        return f"values.{dotted(path)}"
    keys = chart_values(parameters.model_copy(update={"values": {}}))
    alone = chart_values(parameters.model_copy(update={"values": {}, "values_files": ()}))
    return own_key(path) if at(keys, path) == at(alone, path) else f"{dotted(path)} in values_files"


def _line_to_move(values: Json, text: str, mirror: str) -> str:
    """The line of the parameters that has an image pulled from a mirror, or where to look for it."""
    image = parsed(text)
    found = [place for place in _places(values, mirror) if image and f"/{image.repository}".endswith(f"/{place[0]}")]
    if not found:
        return f"No value of the chart names the repository of {text}: look for it with `helm show values`."
    return f"Write in the parameters: {max(found, key=lambda place: len(place[0]))[1]}"


def _places(values: Json, mirror: str, above: str = "") -> Iterator[tuple[str, str]]:
    """Each repository that stands in a chart's values, and the line that has it come from a mirror."""
    for key, value in values.items():
        path = f"{above}.{key}".removeprefix(".")
        if isinstance(value, dict):
            yield from _places(value, mirror, path)
        image = parsed(value) if isinstance(value, str) else None
        if image and value.startswith(f"{image.registry}/"):
            yield image.repository, f"{_key(path)}: {mirror}{value.removeprefix(image.registry)}"
        elif image and key == "repository":
            yield image.repository.removeprefix("library/"), f"{_key(f'{above}.registry')}: {mirror}"


def _key(path: str) -> str:
    """The parameters' own key for a value of the chart, where there is one."""
    return own_key(tuple(path.split("."))) or f"values.{path}"
