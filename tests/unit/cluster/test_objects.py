from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from scripted_api import Answer, ScriptedApi, page, status, thing

from runbooks_lib.cluster import Cluster, Invalid, NotFound, Untrusted
from runbooks_lib.errors import CheckFailed, Unreachable, UsageError
from runbooks_lib.results import Event

PODS = "/api/v1/namespaces/ns/pods"


def _names(objects: list[dict[str, dict[str, str]]]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def test_a_list_is_read_to_its_last_page(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", PODS, page(thing("a"), more="next"), page(thing("b"), more="last"), page(thing("c")))
    assert _names(cluster.list("v1", "Pod", "ns")) == ["a", "b", "c"]
    asked = api.requests(PODS)
    assert [each.query.get("continue") for each in asked] == [None, "next", "last"]
    assert {each.query["limit"] for each in asked} == {"500"}


def test_a_list_whose_next_page_is_gone_is_not_handed_out(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", PODS, page(thing("a"), more="next"), status(410, "the continue token is too old"))
    with pytest.raises(CheckFailed) as caught:
        cluster.list("v1", "Pod", "ns")
    assert caught.value.summary == (
        "The cluster no longer has what «list pods in the namespace ns» asked for (410): the continue token is too old."
    )


def test_items_say_what_they_are_and_keep_fields_that_no_model_knows(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", PODS, page(thing("a", brandNew={"x": 1})))
    found = cluster.list("v1", "Pod", "ns")[0]
    assert (found["apiVersion"], found["kind"], found["brandNew"]) == ("v1", "Pod", {"x": 1})


def test_without_a_namespace_every_namespace_is_listed(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", "/api/v1/pods", page(thing("a")))
    assert _names(cluster.list("v1", "Pod")) == ["a"]


def test_what_does_not_exist_is_none(api: ScriptedApi, cluster: Cluster) -> None:
    assert cluster.get("v1", "Pod", "nope", "ns") is None
    assert cluster.get("example.org/v1", "Thing", "nope", "ns") is None
    assert cluster.delete("v1", "Pod", "nope", "ns") is False


def test_one_object_of_a_namespace_needs_the_namespace(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="The Pod a needs a namespace"):
        cluster.get("v1", "Pod", "a")


def test_a_namespace_is_left_out_for_what_belongs_to_the_cluster(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", "/api/v1/namespaces/ns", Answer(body=thing("ns")))
    assert cluster.get("v1", "Namespace", "ns", "elsewhere") is not None


def test_a_kind_that_is_not_served_can_neither_be_listed_nor_created(cluster: Cluster) -> None:
    with pytest.raises(NotFound) as caught:
        cluster.list("example.org/v1", "Thing")
    assert caught.value.summary == "The cluster does not serve the kind Thing of example.org/v1."
    with pytest.raises(NotFound):
        cluster.create({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a"}}, "ns")


def test_writes_send_what_they_are_given_and_are_told(api: ScriptedApi, cluster: Cluster, told: list[Event]) -> None:
    api.script("POST", PODS, Answer(201, thing("a")))
    api.script("PATCH", f"{PODS}/a", Answer(body=thing("a")))
    api.script("DELETE", f"{PODS}/a", Answer(body=thing("a")))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}
    cluster.create(pod)
    cluster.patch("v1", "Pod", "a", {"metadata": {"labels": {"x": None}}}, "ns")
    assert cluster.delete("v1", "Pod", "a", "ns") is True
    create, patch, delete = (asked for asked in api.asked if asked.method != "GET")
    assert (create.body, create.headers["content-type"]) == (pod, "application/json")
    assert patch.body == {"metadata": {"labels": {"x": None}}}
    assert patch.headers["content-type"] == "application/merge-patch+json"
    assert delete.body["propagationPolicy"] == "Background"
    assert [(event.data["verb"], event.data["status"]) for event in told] == [
        ("create", 201),
        ("patch", 200),
        ("delete", 200),
    ]


def test_a_dry_run_says_so_and_is_no_write(api: ScriptedApi, cluster: Cluster, told: list[Event]) -> None:
    api.script("POST", PODS, status(503, "busy"), Answer(201, thing("a")))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}
    assert cluster.dry_run("create", pod)["metadata"]["name"] == "a"
    assert [asked.query for asked in api.requests(PODS)] == [{"dryRun": "All"}] * 2
    assert told == []


@pytest.mark.parametrize("hours", [0, 3, -3])
def test_the_servers_clock_is_read_off_its_answer(api: ScriptedApi, cluster: Cluster, hours: int) -> None:
    away = datetime.now(UTC) + timedelta(hours=hours)
    api.script("GET", "/version", Answer(body={}, headers={"Date": format_datetime(away, usegmt=True)}))
    server, here = cluster.clock()
    assert abs((server - here) - timedelta(hours=hours)) < timedelta(minutes=1)


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_server_without_a_clock_is_no_api_server(api: ScriptedApi, cluster: Cluster, date: str) -> None:
    api.script("GET", "/version", Answer(body={}, headers={"Date": date}))
    with pytest.raises(Unreachable, match="is not a Kubernetes API server"):
        cluster.clock()


def test_a_server_that_refuses_tells_no_time(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", "/version", status(401, "Unauthorized"))
    with pytest.raises(Untrusted, match="does not accept the credentials"):
        cluster.clock()


def test_logs_are_text_and_their_absence_is_a_sentence(api: ScriptedApi, cluster: Cluster) -> None:
    api.script("GET", f"{PODS}/a/log", Answer(body=b"one\ntwo \xff\n"))
    assert cluster.logs("ns", "a", "c", previous=True, tail=2) == "one\ntwo �\n"
    assert api.asked[-1].query == {"container": "c", "previous": "true", "tailLines": "2"}
    api.script("GET", f"{PODS}/a/log", status(400, 'container "c" in pod "a" is waiting to start: ContainerCreating'))
    with pytest.raises(Invalid, match=r"«get pods/a/log in the namespace ns» .*is waiting to start"):
        cluster.logs("ns", "a", "c")


def test_an_object_from_which_a_secret_was_taken_is_never_written(api: ScriptedApi, cluster: Cluster) -> None:
    masked = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"a": "«redacted:db#a»"}}
    for write in (
        lambda: cluster.create(masked, "ns"),
        lambda: cluster.patch("v1", "Secret", "db", {"stringData": masked["stringData"]}, "ns"),
    ):
        with pytest.raises(CheckFailed, match=r"^Secret db holds «redacted:…», which stands for a secret"):
            write()
    assert not [each for each in api.requests("/api/v1/namespaces/ns/secrets") if each.method != "GET"]
    assert not api.requests("/api/v1/namespaces/ns/secrets/db")
