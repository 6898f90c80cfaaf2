"""Do data stores outside of the release let its clients in, asked from here as each client will ask them?

Who the clients are, and what they are told, comes from the rendered chart.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from runbooks_lib.checks import mirror
from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.services import ASKS, PRODUCTS, from_a_pod
from runbooks_lib.checks.units import Unit, units_in
from runbooks_lib.cluster.environment import Missing, Read
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.parameters.components import COMPONENTS, Access
from runbooks_lib.parameters.documents import at
from runbooks_lib.parameters.helm_values import contradictions, merge
from runbooks_lib.probes.asking import Answered, NotFromHere
from runbooks_lib.release.access import access_of
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import key_of, secret_values
from runbooks_lib.release.passwords import learn_secret
from runbooks_lib.release.plan import Proposal, all_objects
from runbooks_lib.release.stores import service_names
from runbooks_lib.release.values import given
from runbooks_lib.results import Json, Status
from runbooks_lib.threads import at_once

#: Told of a store that the parameters name, while values win over what they say of it.
_NOT_USED = "named in the parameters, though values lead elsewhere: "


class Store(NamedTuple):
    """A server outside of the release, as clients reach it.

    Attributes:
        protocol: How it is spoken to.
        variable: Which of the client's variables holds the password, if any does.
        given: Which value of the chart gives a password for it, whether or not the variable holds it.
    """

    protocol: str
    access: Access
    variable: str
    given: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.access.host}:{self.access.port}"


def reader(boundaries: Boundaries, objects: Iterable[Json]) -> Read:
    """Reads what the chart renders and, where it renders none, what is in the cluster."""
    keys = ((key_of(obj, boundaries.namespace), obj) for obj in objects)
    rendered = {(key.kind, key.name): obj for key, obj in keys if key.namespace == boundaries.namespace}

    def read(kind: str, name: str) -> Json | None:
        found = rendered.get((kind, name)) or boundaries.cluster.get("v1", kind, name, boundaries.namespace)
        if found is None or kind != "Secret":
            return found
        learn_secret(boundaries.redactor, found)
        # A rendered one may hold its entries in clear.
        return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in secret_values(found)}}

    return read


def _stores(boundaries: Boundaries, proposal: Proposal, protocol: str) -> tuple[dict[Store, list[str]], list[Answer]]:
    """The stores outside of the release with the names of their clients, and what is wrong with other clients."""
    stores: dict[Store, list[str]] = {}
    lines: list[Answer] = []
    objects = all_objects(proposal.rendered)
    read = reader(boundaries, objects)
    services = {key_of(obj).name for obj in objects if obj["kind"] == "Service"}
    for unit in (each for each in units_in(objects, protocol) if each.client):
        try:
            access = access_of(
                boundaries, unit.container, unit.workload["spec"]["template"], unit.component, unit.login, read
            )
        except Missing as missing:
            lines.append(Answer("unknown", f"{unit.name}: {missing}, so what it uses can't be told"))
            continue
        except ValueError as error:
            lines.append(Answer("fail", f"{unit.name} can't start: {error}"))
            continue
        variable = unit.login.password or unit.login.url
        if not access.host or services & {*service_names(access.host.rstrip("."), boundaries.namespace)}:
            continue
        values = proposal.values
        if not access.sslmode:
            access = access.model_copy(update={"sslmode": _setting(values, unit, "sslmode")[1]})
        store = Store(protocol, access, variable, _setting(values, unit, "password")[0])
        stores.setdefault(store, []).append(unit.name)
    return stores, lines


def _setting(values: Mapping[str, Any], unit: Unit, key: str) -> tuple[str, str]:
    """Where the chart's values say something of a client's store, and what: its own before that for everybody."""
    kinds = (component.values_key for component in COMPONENTS if component.itself.protocol == unit.login.protocol)
    for kind in kinds:
        for path in ((unit.component.values_key, kind, key), ("global", kind, "external", key)):
            if found := at(values, path):
                return ".".join(path), str(found)
    return "", ""


def _told(subject: Subject, store: Store, clients: list[str]) -> Answer:
    """What one store says to its clients. Nothing is written, whatever ``probes`` says: this is a look before a change."""
    who, access, product = ", ".join(dict.fromkeys(clients)), store.access, PRODUCTS[store.protocol]
    try:
        found = ASKS[store.protocol]((access.host, access.port), access, "", subject.boundaries.ended)
    except CheckFailed as error:
        says = f"{who} at {store.place}: {error.summary}".removesuffix(".")
        if isinstance(error, NotFromHere):
            return Answer("fail", f"{says} (asked from here, not from a node)", from_a_pod(subject.boundaries, access))
        if "none is given" not in error.summary:
            return Answer("fail", says, error.next_step)
        # The commonest one, since the chart may know the password and not hand it on.
        says = f"{product} at {store.place} asks for a password, and {store.variable} of {who} holds none"
        return Answer(
            "fail", f"{says}: {store.given} gives one, which the chart does not put there" if store.given else says
        )
    return _judged(f"{who} at {store.place}", store, found)


def _judged(who: str, store: Store, found: Answered) -> Answer:
    if store.given and not store.access.password:
        unasked = f"{store.given} gives a password, and the server asks for none"
        found = found.model_copy(update={"doubts": (*found.doubts, unasked)})
    status: Status = "fail" if found.lacks else "warn" if found.doubts else "pass"
    return Answer(status, f"{who}: {found.says}")


def stores(protocol: str) -> Callable[[Subject], Answer]:
    """The check of all stores outside of the release that speak a protocol."""

    def ask(subject: Subject) -> Answer:
        stores, lines = _stores(subject.boundaries, subject.proposal, protocol)
        lines += at_once(partial(_told, subject), stores, stores.values())
        named = _stores(subject.boundaries, _as_named(subject), protocol)[0].items() if _contradicted(subject) else ()
        for store, clients in named:
            if store not in stores:
                answer = _told(subject, store, clients)
                lines.append(answer._replace(observed=f"{_NOT_USED}{answer.observed}"))
        return together(lines or [Answer("skip", f"the release uses no {PRODUCTS[protocol]} outside of it")])

    return ask


def _contradicted(subject: Subject) -> list[str]:
    parameters = subject.boundaries.parameters
    return [str(each) for each in (*mirror.contradictions(parameters), *contradictions(parameters))]


def _as_named(subject: Subject) -> Proposal:
    """The chart as the parameters' own keys would have it; where that can't be rendered, as it is."""
    boundaries = subject.boundaries
    keys = boundaries.parameters.model_copy(update={"values": {}, "values_files": ()})
    with suppress(RunbookError):
        return subject.with_values(merge(subject.proposal.values, given(replace(boundaries, parameters=keys))))
    return subject.proposal


def contradicted(subject: Subject) -> Answer:
    """Where values say otherwise than the parameters' own keys."""
    parameters = subject.boundaries.parameters
    if not (parameters.values or parameters.values_files or parameters.mirror):
        return Answer("skip", "the parameters have neither values nor values_files")
    found = _contradicted(subject)
    return Answer("warn" if found else "pass", "\n".join(found) or "they say nothing against the other keys")


postgresql, redis, mongodb = map(stores, ASKS)
