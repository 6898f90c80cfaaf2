from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_api import Answer, ScriptedApi, event, page, status, thing

from runbooks_lib.cluster import Cluster, Forbidden, Untrusted
from runbooks_lib.cluster.watches import difference
from runbooks_lib.errors import OutcomeUnknown, Unreachable

PODS = "/api/v1/namespaces/ns/pods"
QUIET = Answer(lines=[b"\n"])


def _seen(cluster: Cluster, count: int) -> list[tuple[str, str, str]]:
    """The first changes: what happened, to what, and the version it has now."""
    found = []
    for kind, obj in cluster.watch("v1", "Pod", "ns", timeout=20):
        found.append((kind, obj["metadata"]["name"], obj["metadata"]["resourceVersion"]))
        if len(found) == count:
            break
    return found


def _watches(api: ScriptedApi) -> list[dict[str, str]]:
    return [asked.query for asked in api.requests(PODS) if "watch" in asked.query]


def test_what_is_there_comes_first_as_added_then_each_change(api: ScriptedApi, cluster: Cluster) -> None:
    changes = [
        event("MODIFIED", thing("a", "11")),
        event("ADDED", thing("b", "12")),
        event("DELETED", thing("a", "13")),
    ]
    api.script("GET", PODS, page(thing("a", "9"), version="10"), Answer(lines=changes), QUIET)
    assert _seen(cluster, 4) == [
        ("ADDED", "a", "9"),
        ("MODIFIED", "a", "11"),
        ("ADDED", "b", "12"),
        ("DELETED", "a", "13"),
    ]
    first = _watches(api)[0]
    assert first["resourceVersion"] == "10"


@pytest.mark.parametrize(
    ("broken", "resumed_from"),
    [
        (Answer(lines=[event("MODIFIED", thing("a", "11"))]), "11"),
        (Answer(lines=[event("MODIFIED", thing("a", "11"))], drop=True), "11"),
        (Answer(lines=[event("MODIFIED", thing("a", "11")), b'{"type": "MODI'], drop=True), "11"),
        (Answer(lines=[event("MODIFIED", thing("a", "11")), b'{"type": "MODI\n']), "11"),
        (Answer(lines=[event("MODIFIED", thing("a", "11")), event("ERROR", {"code": 500, "message": "x"})]), "11"),
    ],
    ids=["ended", "dropped", "dropped in a line", "garbled", "server error"],
)
def test_it_goes_on_where_it_broke_off(api: ScriptedApi, cluster: Cluster, broken: Answer, resumed_from: str) -> None:
    rest = Answer(lines=[event("MODIFIED", thing("a", "40"))])
    api.script("GET", PODS, page(thing("a", "9"), version="10"), broken, rest, QUIET)
    assert _seen(cluster, 3) == [("ADDED", "a", "9"), ("MODIFIED", "a", "11"), ("MODIFIED", "a", "40")]
    assert _watches(api)[1]["resourceVersion"] == resumed_from


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_fails_for_a_while_is_waited_for(api: ScriptedApi, cluster: Cluster, code: int) -> None:
    later = Answer(lines=[event("MODIFIED", thing("a", "11"))])
    api.script("GET", PODS, page(thing("a", "9")), status(code, "not now"), Answer(drop=True), later, QUIET)
    assert _seen(cluster, 2) == [("ADDED", "a", "9"), ("MODIFIED", "a", "11")]


@pytest.mark.parametrize(
    "gone",
    [status(410, "too old resource version"), Answer(lines=[event("ERROR", {"kind": "Status", "code": 410})])],
    ids=["as an answer", "as an event"],
)
def test_a_forgotten_version_is_bridged_by_the_difference(api: ScriptedApi, cluster: Cluster, gone: Answer) -> None:
    before = page(thing("same", "1"), thing("changed", "2"), thing("gone", "3"), thing("again", "4", uid="old"))
    after = page(thing("same", "1"), thing("changed", "22"), thing("again", "24", uid="new"), thing("fresh", "25"))
    api.script("GET", PODS, before, gone, after, QUIET)
    assert _seen(cluster, 9)[4:] == [
        ("DELETED", "gone", "3"),
        ("DELETED", "again", "4"),
        ("ADDED", "again", "24"),
        ("ADDED", "fresh", "25"),
        ("MODIFIED", "changed", "22"),
    ]


def test_it_ends_when_its_time_is_up(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", PODS, page(thing("a")), QUIET)
    assert [kind for kind, _ in cluster.watch("v1", "Pod", "ns", timeout=0.1)] == ["ADDED"]


def test_a_cluster_that_does_not_come_back_in_time_is_unreachable(
    api: ScriptedApi, connect: Callable[..., Any]
) -> None:
    cluster = connect(api.url)
    api.script("GET", PODS, page(thing("a")), Answer(drop=True))
    watching = cluster.watch("v1", "Pod", "ns", timeout=0.2)
    assert next(watching)[0] == "ADDED"
    with pytest.raises(Unreachable, match="closed without an answer"):
        next(watching)


def test_a_cluster_that_is_not_there_at_the_beginning_is_an_error_at_once(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", PODS, status(500, "no leader"))
    with pytest.raises(OutcomeUnknown, match="no leader"):
        next(cluster.watch("v1", "Pod", "ns", timeout=60))


@pytest.mark.parametrize(
    ("answer", "kind"), [(status(401, "Unauthorized"), Untrusted), (status(403, "forbidden: no"), Forbidden)]
)
def test_a_refusal_in_the_middle_is_not_waited_out(
    api: ScriptedApi, cluster: Cluster, answer: Answer, kind: type[Exception]
) -> None:
    api.script("GET", PODS, page(thing("a")), answer)
    with pytest.raises(kind):
        _seen(cluster, 2)
    assert len(_watches(api)) == 1


def test_closing_the_watch_closes_its_connection(api: ScriptedApi, cluster: Cluster) -> None:
    def endless() -> Any:
        number = 10
        while not api.closing.wait(0.01):
            number += 1
            yield event("MODIFIED", thing("a", str(number)))

    api.script("GET", PODS, page(thing("a")), Answer(lines=endless()))
    watching = cluster.watch("v1", "Pod", "ns", timeout=60)
    assert [next(watching)[0], next(watching)[0]] == ["ADDED", "MODIFIED"]
    watching.close()  # type: ignore[attr-defined]
    # The server's next lines meet a closed connection: it stops by itself, long before it is told to.
    assert api.stream_broke.wait(5)


objects = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"))


@given(before=objects, now=objects)
def test_replaying_a_difference_leads_from_one_state_to_the_other(before: dict[str, str], now: dict[str, str]) -> None:
    def built(state: dict[str, str]) -> dict[str, dict[str, Any]]:
        return {uid: thing(uid, version, uid=uid) for uid, version in state.items()}

    replayed = built(before)
    for kind, obj in difference(built(before), built(now)):
        uid = obj["metadata"]["uid"]
        assert (uid in replayed) == (kind != "ADDED")
        if kind == "DELETED":
            del replayed[uid]
        else:
            assert replayed.get(uid) != obj
            replayed[uid] = obj
    assert replayed == built(now)
