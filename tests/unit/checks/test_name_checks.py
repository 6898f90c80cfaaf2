"""Under which names the release and its CSGHub are reached: asked of this machine's resolver, and of Helm."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.checks import release
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.names import url_in
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.results import Finding, Json

#: As CSGHub's chart tells it.
NOTES = """\
NOTES:
CHART NAME: csghub

Access your CSGHub or Casdoor or Temporal instance:

  🌐 CSGHub: http://csghub.example.com
  🔐 Casdoor Admin Console: http://casdoor.example.com
  🔑 Credentials: root / hunter2-hunter2

📘 More info:
https://docs.example.com
"""


def finding(world: Any, ident: str) -> Finding:
    chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
    (made,) = report("prerequisites", "P", chosen, Subject(world.boundaries), observe=world.told.append).findings
    return made


def route(*hosts: str) -> str:
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}}
    return yaml.safe_dump(kind | {"spec": {"hostnames": list(hosts)} if hosts else {}})


# ---- names of the routes


@pytest.mark.parametrize(
    ("hosts", "status", "lines"),
    [
        (["localhost"], "pass", ["localhost: "]),
        (["localhost", "dataflow.invalid"], "warn", ["localhost: ", "dataflow.invalid: no address is known here"]),
        (["dataflow.invalid", "dataflow.invalid"], "warn", ["dataflow.invalid: no address is known here"]),
        (["localhost", "*.dataflow.invalid"], "pass", ["localhost: "]),
        (["*.dataflow.invalid"], "skip", ["the chart's routes name no host"]),
        ([], "skip", ["the chart's routes name no host"]),
    ],
)
def test_a_host_of_a_route_has_an_address_or_a_record_is_to_be_made(
    world: Any, hosts: list[str], status: str, lines: list[str]
) -> None:
    world.renders(route(*hosts))
    answer = finding(world, "dns.hosts")
    assert answer.status == status
    told = answer.observed.splitlines()
    assert all(said.startswith(line) for said, line in zip(told, lines, strict=True))
    assert "127.0.0.1" in answer.observed or "localhost" not in hosts
    assert "Before the gateway has an address that is usual" in answer.remedy


# ---- CSGHub's notes


@pytest.mark.parametrize("url", ["http://csghub.example.com", "http://csghub.example.com/"])
def test_the_address_in_the_notes_is_that_of_the_parameters(world: Any, url: str) -> None:
    world.settings["csghub"] = {"external_url": url, "release": "hub", "namespace": "front"}
    world.program.answer("notes", stdout=NOTES)
    answer = finding(world, "csghub.notes")
    said = "the notes of release hub in namespace front say http://csghub.example.com, as csghub.external_url does"
    assert (answer.status, answer.observed) == ("pass", said)
    (call,) = [call for call in world.program.calls if "notes" in call.argv]
    assert call.argv[:4] == ("helm", "get", "notes", "hub")
    assert call.argv[call.argv.index("--namespace") + 1] == "front"


def test_another_address_is_a_warning_with_the_line_to_paste(world: Any) -> None:
    world.settings["csghub"] = {"external_url": "http://old.example.com", "release": "hub"}
    world.program.answer("notes", stdout=NOTES)
    answer = finding(world, "csghub.notes")
    assert answer.status == "warn"
    assert "say http://csghub.example.com, csghub.external_url is http://old.example.com" in answer.observed
    assert answer.remedy.endswith('under csghub: external_url: "http://csghub.example.com"')
    assert "hunter2" not in answer.model_dump_json()


@pytest.mark.parametrize(
    ("answered", "status", "observed", "remedy"),
    [
        (
            {"returncode": 1, "stderr": "Error: release: not found\n"},
            "fail",
            "there is no release hub in namespace csghub",
            "`helm list --namespace csghub`",
        ),
        ({"stdout": "NOTES:\nHello\n"}, "unknown", "tell no address below", "`helm get notes hub --namespace csghub`"),
        ({"returncode": 1, "stderr": "Error: secrets is forbidden\n"}, "unknown", "may not do this", ""),
    ],
)
def test_a_release_that_tells_no_address(
    world: Any, answered: dict[str, Any], status: str, observed: str, remedy: str
) -> None:
    world.settings["csghub"]["release"] = "hub"
    world.program.answer("notes", **answered)
    answer = finding(world, "csghub.notes")
    assert answer.status == status
    assert observed in answer.observed
    assert remedy in answer.remedy


def test_a_csghub_that_no_release_is_named_for_is_asked_nothing(world: Any) -> None:
    answer = finding(world, "csghub.notes")
    assert (answer.status, answer.observed) == ("skip", "csghub.release is not set")
    assert not any("notes" in call.argv for call in world.program.calls)


@pytest.mark.parametrize(
    ("notes", "url"),
    [
        (NOTES, "http://csghub.example.com"),
        ("Access your CSGHub at: https://hub.example.com:8443/path.", "https://hub.example.com:8443/path"),
        (f"Access your CSGHub{chr(10) * 6}https://a", "https://a"),
        (f"Access your CSGHub{chr(10) * 7}https://a", ""),
        ("Access your CSGHub: http://root:hunter2@hub.example.com http://b", "http://b"),
        ("https://before.example.com\nAccess your CSGHub\n", ""),
        ("https://a", ""),
        ("", ""),
    ],
)
def test_the_address_is_the_first_one_near_the_heading(notes: str, url: str) -> None:
    assert url_in(notes) == url


@given(st.text(max_size=80), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20))
def test_no_password_of_an_address_is_ever_taken_for_a_part_of_it(text: str, password: str) -> None:
    secret = f"S3cret{password.replace('/', '')}"
    assert "S3cret" not in url_in(f"Access your CSGHub: http://root:{secret}@hub {text.replace('S3cret', '')}")


# ---- does CSGHub use it

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: dataflow}
spec: {hostnames: [dataflow.example.com]}
---
apiVersion: v1
kind: Service
metadata: {name: dataflow-dataflow}
"""


def config(release: str, text: str) -> Json:
    annotations = {"meta.helm.sh/release-name": release}
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "csghub-server", "namespace": "csghub", "annotations": annotations},
        "data": {"DATAFLOW": text},
    }


@pytest.mark.parametrize(
    ("named", "maps", "status", "said"),
    [
        (
            "",
            [config("csghub", "http://dataflow.example.com")],
            "warn",
            "csghub.release is not set, and nobody has said",
        ),
        ("csghub", [], "warn", "no ConfigMap of release csghub names it"),
        ("csghub", [config("other", "http://dataflow.example.com")], "warn", "no ConfigMap of release csghub names it"),
        (
            "csghub",
            [config("csghub", "http://dataflow.example.com")],
            "pass",
            "csghub-server of CSGHub names dataflow.ex",
        ),
        (
            "csghub",
            [config("csghub", "http://dataflow-dataflow.csghub:8000")],
            "pass",
            "names dataflow-dataflow.csghub (",
        ),
    ],
)
def test_csghubs_own_configuration_says_whether_it_uses_this_dataflow(
    world: Any, named: str, maps: list[Json], status: str, said: str
) -> None:
    world.stored(ROUTE)
    world.settings["csghub"]["release"] = named
    world.cluster.add(*maps)
    found = sees(world)
    assert (found.status, said in found.observed) == (status, True), found.observed
    assert "verify: csghub: {works: true" in found.remedy


@pytest.mark.parametrize(("works", "status"), [(True, "pass"), (False, "fail")])
def test_what_somebody_has_tried_is_told_with_who_and_when(world: Any, works: bool, status: str) -> None:
    world.stored(ROUTE)
    world.settings["verify"] = {"csghub": {"works": works, "by": "Li", "on": "2026-11-25", "seen": "a job ended"}}
    found = sees(world)
    assert (found.status, found.observed) == (status, "Li has tried it on 2026-11-25: a job ended")


def sees(world: Any) -> Finding:
    (check,) = [one for one in FAMILIES["verify"] if one.id == "csghub.sees-dataflow"]
    return report("verify", "R", [check], release.Subject(world.boundaries), observe=world.told.append).findings[0]
