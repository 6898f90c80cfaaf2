"""Under which names are the release and its CSGHub reached?"""

import re

from runbooks_lib import probes
from runbooks_lib.checks import release
from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.release.manifest import annotation
from runbooks_lib.results import Json

#: Below which words CSGHub's chart tells its address, and within how many lines; the guide looks there.
_HEADING, _LINES = "Access your CSGHub", 6
#: One with a password in it is none that can be told.
_URL = re.compile(r"https?://(?![^\s/]*@)[^\s/]+(/\S*)?")


def routes_of(objects: list[Json]) -> list[Json]:
    """The HTTPRoutes among these objects."""
    return [obj for obj in objects if obj["kind"] == "HTTPRoute"]


def hosts(subject: Subject) -> Answer:
    """The addresses of the routes' host names, as this machine sees them."""
    hosts = dict.fromkeys(
        str(host) for obj in routes_of(subject.objects) for host in obj["spec"].get("hostnames") or ()
    )
    named = [host for host in hosts if not host.startswith("*")]
    if not named:
        return Answer("skip", "the chart's routes name no host")
    found = probes.dns.addresses(named)
    lines = [f"{host}: {', '.join(those) or 'no address is known here'}" for host, those in found.items()]
    return Answer("pass" if all(found.values()) else "warn", "\n".join(lines))


def url_in(notes: str) -> str:
    """CSGHub's address in the notes of its release; empty where there is none."""
    _, heading, below = notes.partition(_HEADING)
    # What stands beside it are other consoles and a password: the first address is CSGHub's.
    near = "\n".join(below.splitlines()[: _LINES + 1])
    found = _URL.search(near) if heading else None
    return found.group().rstrip("/.,") if found else ""


def notes(subject: Subject) -> Answer:
    """Whether CSGHub's own notes say the address that the parameters have."""
    csghub = subject.boundaries.parameters.csghub
    if not csghub.release:
        return Answer("skip", "csghub.release is not set")
    called = f"release {csghub.release} in namespace {csghub.namespace}"
    notes = subject.boundaries.helm.notes(csghub.release, csghub.namespace)
    if notes is None:
        look = f"`helm list --namespace {csghub.namespace}` names those that are there."
        return Answer("fail", f"there is no {called}", remedy=f"Correct csghub.release or csghub.namespace; {look}")
    url = url_in(notes)
    if not url:
        command = f"`helm get notes {csghub.release} --namespace {csghub.namespace}`"
        return Answer("unknown", f"the notes of {called} tell no address below “{_HEADING}”", remedy=f"See {command}.")
    if url == csghub.external_url.rstrip("/"):
        return Answer("pass", f"the notes of {called} say {url}, as csghub.external_url does")
    said = f"the notes of {called} say {url}, csghub.external_url is {csghub.external_url}"
    return Answer("warn", said, remedy=f'If the notes are right, write under csghub: external_url: "{url}"')


def sees_us(subject: release.Subject) -> Answer:
    """Whether CSGHub's own configuration points at this release, or somebody has seen it use Dataflow."""
    parameters, cluster = subject.boundaries.parameters, subject.boundaries.cluster
    hosts = [str(host) for obj in routes_of(subject.objects) for host in obj["spec"].get("hostnames") or ()]
    hosts += [f"{obj['metadata']['name']}.{subject.boundaries.namespace}" for obj in subject.rendered("Service")]
    answer = parameters.verify.csghub
    if answer:
        return Answer("pass" if answer.works else "fail", f"{answer.by} has tried it on {answer.on}: {answer.seen}")
    for found in cluster.list("v1", "ConfigMap", parameters.csghub.namespace) if parameters.csghub.release else ():
        of = annotation(found, "meta.helm.sh/release-name")
        for key, text in (found.get("data") or {}).items() if of == parameters.csghub.release else ():
            if host := next((host for host in hosts if host in text), ""):
                return Answer("pass", f"ConfigMap {found['metadata']['name']} of CSGHub names {host} ({key})")
    looked = (
        f"no ConfigMap of release {parameters.csghub.release} names it"
        if parameters.csghub.release
        else "csghub.release is not set"
    )
    return Answer("unknown", f"{looked}, and nobody has said that it was tried")
