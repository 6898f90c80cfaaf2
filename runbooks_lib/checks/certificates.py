"""Can the gateway show a certificate for every name that it is reached by?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.names import routes_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.referenced import absent, secret
from runbooks_lib.probes import tls
from runbooks_lib.probes.tls import Certificate
from runbooks_lib.release.manifest import key_of, secret_values
from runbooks_lib.results import Json, Status

#: Fewer days left are told.
DAYS = 30
_TYPE = "kubernetes.io/tls"
#: ``create`` alone would be refused, since the Secret is there.
_REPLACE = (
    "`kubectl create secret tls {name} --namespace {namespace} --cert=FILE --key=FILE --dry-run=client -o yaml "
    "| kubectl apply -f -`"
)
_ANOTHER = "Put a right one in: {replace}; or name another in gateway.tls.secret_name."
#: The type of a Secret can't be changed.
_ANEW = "Remove it and make it anew: `kubectl delete secret {name} --namespace {namespace}`, then {replace}."


class Reference(NamedTuple):
    """A TLS Secret, who names it, and the host names that are reached with it."""

    namespace: str
    name: str
    by: str
    hosts: tuple[str, ...]


def _references(subject: Subject) -> Iterator[Reference]:
    here, objects = subject.boundaries.namespace, subject.objects
    for obj in objects:
        spec, own = obj.get("spec") or {}, key_of(obj, here).namespace
        if obj["kind"] == "Ingress":
            for part in spec.get("tls") or ():
                if part.get("secretName"):
                    yield Reference(own, part["secretName"], str(key_of(obj)), tuple(part.get("hosts") or ()))
        for listener in (spec.get("listeners") or ()) if obj["kind"] == "Gateway" else ():
            hosts = tuple(_served(obj, listener, objects, here))
            for ref in (listener.get("tls") or {}).get("certificateRefs") or ():
                if ref.get("kind", "Secret") == "Secret":
                    by = f"{key_of(obj)} (listener {listener['name']})"
                    yield Reference(ref.get("namespace") or own, ref["name"], by, hosts)


def _served(gateway: Json, listener: Json, objects: list[Json], namespace: str) -> dict[str, None]:
    """The host names of the routes that attach to a listener; its own where none has one."""
    own = str(listener.get("hostname") or "")
    hosts: dict[str, None] = {}
    for route in routes_of(objects):
        if any(_attaches(ref, gateway, listener, route, namespace) for ref in route["spec"].get("parentRefs") or ()):
            named = route["spec"].get("hostnames") or ()
            # A listener serves only what its own name covers.
            hosts |= dict.fromkeys(host for host in named if not own or own == host or _below(own, host))
    return hosts or ({own: None} if own else {})


def _below(own: str, host: str) -> bool:
    # Unlike in a certificate, ``*`` is any number of labels here.
    return own.startswith("*.") and host.endswith(own[1:])


def _attaches(ref: Json, gateway: Json, listener: Json, route: Json, namespace: str) -> bool:
    to = (ref.get("kind", "Gateway"), ref.get("namespace") or key_of(route, namespace).namespace, ref["name"])
    part = ref.get("sectionName", listener["name"]), ref.get("port", listener["port"])
    return to == key_of(gateway, namespace)[1:] and part == (listener["name"], listener["port"])


def secrets(subject: Subject) -> Answer:
    """Whether each TLS Secret fits the names that are reached with it."""
    wanted: dict[tuple[str, str], list[Reference]] = {}
    for reference in _references(subject):
        wanted.setdefault(reference[:2], []).append(reference)
    if not wanted:
        return Answer("skip", "no listener of the chart names a TLS Secret")
    return together(line for where, references in wanted.items() for line in _judged(subject, where, references))


def _judged(subject: Subject, where: tuple[str, str], references: list[Reference]) -> Iterator[Answer]:
    content = secret(subject, *where)
    by = ", ".join(dict.fromkeys(reference.by for reference in references))
    if content is None:
        said, remedy = absent(subject, *where, "tls {name} --cert=FILE --key=FILE")
        yield Answer("fail", f"{said}; {by} names it", remedy)
        return
    called = f"Secret {where[1]} in namespace {where[0]}"
    named = {"namespace": where[0], "name": where[1]}
    replace = _REPLACE.format_map(named)
    if content.get("type") != _TYPE:
        said = f"{called} is of type {content.get('type') or 'Opaque'}, not {_TYPE}"
        yield Answer("fail", said, _ANEW.format_map(named | {"replace": replace}))
        return
    remedy = _ANOTHER.format(replace=replace)
    values: dict[str, Any] = dict(secret_values(content))
    try:
        certificate = tls.read(values.get("tls.crt", "").encode(), values.get("tls.key", "").encode())
    except ValueError as error:
        yield Answer("fail", f"{called}: {error}", remedy)
        return
    hosts = dict.fromkeys(host for reference in references for host in reference.hosts)
    wrong = list(_wrong(certificate, list(hosts)))
    yield from (Answer(status, f"{called}: {said}", remedy) for status, said in wrong)
    if not wrong:
        names = ", ".join(hosts) or "any host name"
        yield Answer("pass", f"{called} is for {names}, and valid for {certificate.days()} days more")


def _wrong(certificate: Certificate, hosts: list[str]) -> Iterator[tuple[Status, str]]:
    """What is to be said against a certificate."""
    now, names = datetime.now(UTC), ", ".join(certificate.names) or "no DNS name"
    if uncovered := certificate.uncovered(hosts):
        yield "fail", f"its certificate is for {names}, not for {', '.join(uncovered)}"
    if certificate.ends <= now:
        yield "fail", f"its certificate, or one of its chain, has expired on {certificate.ends:%Y-%m-%d}"
    elif certificate.starts > now:
        yield (
            "fail",
            f"its certificate, or one of its chain, is not valid before {certificate.starts:%Y-%m-%d %H:%M} UTC",
        )
    elif certificate.days(now) < DAYS:
        yield "warn", f"its certificate, or one of its chain, is valid for {certificate.days(now)} days more only"
    if certificate.chain:
        yield "warn", f"its certificates are in a wrong order: {certificate.chain}"
    if certificate.self_signed:
        yield "warn", "its certificate is self-signed: no browser trusts it unasked"
