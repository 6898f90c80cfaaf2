"""Whose is what the chart would make, where it is there already? Helm takes over only what carries three marks of its own.

Helm's dry run stops at the first object that is another's; here each is asked about.
"""

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import RunbookError
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import ObjectKey, annotation, key_of, objects_of
from runbooks_lib.release.owners import LABELS, annotations_of, other_owner
from runbooks_lib.results import Json
from runbooks_lib.threads import at_once

_ANOTHERS = (
    "Two releases can't have one object. Ask whoever runs {owner}: have it removed or changed so that it makes none of these; or leave "
    "them out here, where the chart has a value for that{rename}."
)
_NOBODYS = (
    "What was not made by Helm: remove it if nobody needs it; or choose another target.release, where its name follows that; or "
    "let Helm adopt it and make it what the chart renders, by its label and two annotations:"
)


def owned(subject: Subject) -> Answer:
    """Whether each rendered object is still to be made, or Helm would take it over; what hooks make it deletes before."""
    boundaries = subject.boundaries
    rendered = objects_of(subject.proposal.rendered.manifest)
    stored = objects_of(subject.stored.manifest) if subject.stored else []
    # What is in the release already Helm changes without a look at its marks.
    own = {key_of(obj, boundaries.namespace) for obj in stored}
    asked = [obj for obj in rendered if key_of(obj, boundaries.namespace) not in own]
    answers = [answer for answer in at_once(lambda obj: _answer(boundaries, obj), asked) if answer]
    whole = together(answers or [Answer("pass", f"of {len(rendered)} objects none is there that is somebody else's")])
    commands = [line for line in whole.remedy.splitlines() if line.startswith("`")]
    others = [line for line in whole.remedy.splitlines() if line not in commands]
    return whole._replace(remedy="\n".join([*others, *([_NOBODYS] if commands else []), *commands]))


def _answer(boundaries: Boundaries, obj: Json) -> Answer | None:
    """What keeps Helm from making or adopting an object, its remedy a sentence or commands; None: nothing does."""
    key = key_of(obj, boundaries.namespace)
    try:
        live = boundaries.live(obj)
    except RunbookError as error:
        return Answer("unknown", f"{key}: whose it is is not known: {error.summary.rstrip('.')}", error.next_step)
    if live is None:
        return None
    labels = live["metadata"].get("labels") or {}
    lacks = {
        "label": [f"{name}={value}" for name, value in LABELS.items() if labels.get(name) != value],
        "annotate": [
            f"{name}={value}" for name, value in annotations_of(boundaries).items() if annotation(live, name) != value
        ],
    }
    if not any(lacks.values()):
        return None
    space = live["metadata"].get("namespace", "")
    where = f"{key}{f' in namespace {space}' if space else ', one for the whole cluster,'} is there"
    follows = boundaries.release in key.name
    rename = "; or choose another target.release, which its name follows" if follows else ""
    if owner := other_owner(boundaries, live):
        return Answer("fail", f"{where} and belongs to {owner}", _ANOTHERS.format(owner=owner, rename=rename))
    managers = [f"; {name} is {labels[name]}" for name, value in LABELS.items() if labels.get(name, value) != value]
    told = f"{where} and was not made by this release: it lacks {', '.join(mark for marks in lacks.values() for mark in marks)}"
    return Answer("fail", told + "".join(managers), "\n".join(_commands(key, space, lacks)))


def _commands(key: ObjectKey, space: str, lacks: dict[str, list[str]]) -> list[str]:
    """The commands that give an object the marks that it lacks."""
    what = f"{key.kind.lower()}{f'.{key.group}' if key.group else ''} {key.name}"
    where = f" --namespace {space}" if space else ""
    return [f"`kubectl {verb} {what}{where} --overwrite {' '.join(marks)}`" for verb, marks in lacks.items() if marks]
