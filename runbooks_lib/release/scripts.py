"""The SQL and the shell that a release carries in its own objects, and who would run it when; nothing is run here."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from runbooks_lib.release import sql
from runbooks_lib.release.access import command_of
from runbooks_lib.release.manifest import annotation, key_of, secret_values
from runbooks_lib.release.rendered import pods_of
from runbooks_lib.release.sql import Destruction
from runbooks_lib.results import Json

_SHELLS = frozenset({"sh", "bash", "ash", "dash"})


class Runner(NamedTuple):
    """A container that an operation starts: of which object, and when; ``hook``: every time, not only at its pod's start."""

    obj: Json
    container: Json
    when: str
    hook: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"{key_of(self.obj)}, {self.when}"


class Carried(NamedTuple):
    """Something that would be destroyed, by whom, and where that stands; see :class:`runbooks_lib.release.sql.Destruction`."""

    runner: Runner
    place: str
    does: str
    what: str
    certain: bool


def runners(objects: Iterable[Json], hooks: Iterable[Json], verb: str) -> Iterator[Runner]:
    """The containers that run to an end: those of an operation's hooks, of Jobs, and init containers."""
    for obj in hooks:
        events = {word.strip() for word in annotation(obj, "helm.sh/hook").split(",")}
        if when := ", ".join(sorted(events & {f"pre-{verb}", f"post-{verb}"})):
            yield from (
                Runner(obj, each, f"a hook ({when})", hook=True)
                for each in _containers(obj, "initContainers", "containers")
            )
    for obj in objects:
        yield from (Runner(obj, each, "an init container") for each in _containers(obj, "initContainers"))
        if obj["kind"] == "Job":
            yield from (Runner(obj, each, "a Job") for each in _containers(obj, "containers"))


def carried(runner: Runner, objects: Iterable[Json]) -> list[Carried]:
    """What a container would destroy, by its command and by what is mounted into it of these objects."""
    words = command_of(runner.container)
    found = [("its command", each) for each in _in_command(words)]
    for place, text in _mounted(runner, list(objects)):
        # Of any other language only the words are read that are SQL's, or a shell's.
        destroyed = sql.in_sql(text) if place.endswith(".sql") else [*sql.in_shell(text), *sql.by_words(text)]
        found += [(place, each) for each in destroyed]
    return [Carried(runner, where, each.does, each.what, each.certain) for where, each in found]


def only_in_image(runner: Runner) -> bool:
    """Whether a container starts what its image alone says."""
    return not runner.container.get("command")


def _containers(obj: Json, *kinds: str) -> Iterator[Json]:
    for kind in kinds:
        yield from _spec(obj).get(kind) or ()


def _spec(obj: Json) -> Json:
    """The specification of an object's pods; empty where it makes none."""
    made = pods_of([obj])
    return made[0].spec if made else {}


def _in_command(words: list[str]) -> list[Destruction]:
    program = words[0].rpartition("/")[2] if words else ""
    if program in _SHELLS:
        return sql.in_shell("\n".join(words[1:]))
    if program != "psql":
        return sql.in_shell(" ".join(words))
    given = [after for word, after in pairwise(words) if word in {"-c", "--command"}]
    given += [word.partition("=")[2] for word in words if word.startswith("--command=")]
    return [each for text in given for each in sql.in_sql(text)]


def _mounted(runner: Runner, objects: list[Json]) -> Iterator[tuple[str, str]]:
    """The texts in a container's files that come from these objects, each with its place."""
    spec = _spec(runner.obj)
    mounts = {mount.get("name") for mount in runner.container.get("volumeMounts") or ()}
    for volume in spec.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())] if volume["name"] in mounts else []
        for source in sources:
            for kind, key, named in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
                wanted = source.get(key) or {}
                name = wanted.get(named) or wanted.get("name")
                for obj in objects if name else ():
                    if (obj["kind"], obj["metadata"].get("name")) == (kind, name):
                        yield from ((f"{kind} {name}, {file}", text) for file, text in _texts(obj))


def _texts(obj: Json) -> Iterator[tuple[str, str]]:
    if obj["kind"] == "Secret":
        return secret_values(obj)
    return ((str(key), str(value)) for key, value in (obj.get("data") or {}).items())
