"""With a mirror: does every image come from it, and which value of the chart moves one that does not?"""

from collections.abc import Iterator

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.containers import few, mentions, parsed, uses_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.parameters.helm_values import merge, own_key
from runbooks_lib.release.manifest import key_of
from runbooks_lib.results import Json


def mirrored(subject: Subject) -> Answer:
    """Whether all images come from the registries that the parameters' mirror stands for."""
    own = subject.boundaries.parameters.images
    if not subject.boundaries.parameters.mirror:
        return Answer("skip", "the parameters set no mirror")
    mirrors = {prefix.partition("/")[0] for prefix in (own.registry, own.envoy_registry)}
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
    values = merge(subject.boundaries.chart_source.defaults, subject.proposal.values)
    moves = dict.fromkeys(_line_to_move(values, text, own.registry) for text in (*outside, *later))
    return Answer("fail" if outside else "warn", "\n".join(lines), remedy="\n".join(moves))


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
