"""Whether pods reach CSGHub: the question is really run, by this machine's Python in place of the container's."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from runbooks_lib import process
from runbooks_lib.checks import prerequisites, release
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.cluster import Forbidden
from runbooks_lib.cluster.execs import Ended
from runbooks_lib.errors import OutcomeUnknown
from runbooks_lib.results import Finding, Json

HERE = socket.gethostname().partition(".")[0]
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: csghub}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: main, image: "r.example/dataflow:1"}]}
"""


def pod(name: str, *, image: str = "r.example/dataflow:1", ready: bool = True, **spec: Any) -> Json:
    condition = {"type": "Ready", "status": str(ready)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "csghub", "labels": {"app": "api"}},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
        "status": {"conditions": [condition]},
    }


class _Csghub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def csghub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Csghub) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def asked(world: Any) -> list[tuple[str, ...]]:
    """What was run; what a container would be given as CSGHub's address is world.endpoint."""
    world.stored(MANIFEST)
    world.endpoint = ""
    commands: list[tuple[str, ...]] = []

    def execute(namespace: str, name: str, container: str, *command: str) -> Ended:
        commands.append((namespace, name, container, *command))
        env = {"CSGHUB_ENDPOINT": world.endpoint}
        done = process.run((sys.executable, "-I", *command[1:]), env=env, timeout=20, cwd=Path(world.home))
        return Ended(done.stdout, done.stderr, done.returncode, "")

    world.cluster.execute = execute
    return commands


def finding(world: Any, stage: str = "verify") -> Finding:
    (check,) = [one for one in FAMILIES[stage] if one.id == "csghub.reached-by-pods"]
    subject = (release if stage == "verify" else prerequisites).Subject(world.boundaries)
    return report(stage, "R", [check], subject, observe=world.told.append).findings[0]


@pytest.mark.parametrize(
    ("status", "told"), [("200", "pass"), ("404", "pass"), ("401", "pass"), ("500", "fail"), ("503", "fail")]
)
def test_a_pod_asks_the_address_that_it_was_given(
    world: Any, asked: list[Any], csghub: str, status: str, told: str
) -> None:
    world.cluster.add(pod(HERE))
    world.endpoint = f"{csghub}/{status}"
    found = finding(world)
    says = f"from inside {HERE}, what CSGHUB_ENDPOINT says answered {status}"
    assert (found.status, found.observed) == (told, says)
    assert [command[:4] for command in asked] == [("csghub", HERE, "main", "python3")]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://nowhere.invalid", "", "csghub.example.com"])
def test_what_keeps_it_from_there_is_told_with_what_to_look_at(world: Any, asked: list[Any], endpoint: str) -> None:
    world.cluster.add(pod(HERE))
    world.endpoint = endpoint
    found = finding(world)
    assert (found.status, "NetworkPolicy" in found.remedy, len(asked)) == ("fail", True, 1)
    assert found.observed.startswith(f"{HERE} can't reach what CSGHUB_ENDPOINT says: ")


def test_before_an_upgrade_the_address_of_the_parameters_is_asked(world: Any, asked: list[Any], csghub: str) -> None:
    world.cluster.add(pod(HERE))
    world.endpoint = "http://127.0.0.1:1"
    world.settings["csghub"] = {"external_url": f"{csghub}/200"}
    found = finding(world, "prerequisites")
    assert (found.status, found.observed) == ("pass", f"from inside {HERE}, {csghub}/200 answered 200")


@pytest.mark.parametrize(
    ("stage", "status", "said"),
    [("prerequisites", "warn", "runs yet that could ask"), ("verify", "skip", "no pod of this release")],
)
@pytest.mark.parametrize("there", [[], [pod(HERE, ready=False)], [pod(HERE, image="r.example/redis:7")]])
def test_without_a_ready_pod_of_a_client_nobody_can_be_asked(
    world: Any, asked: list[Any], stage: str, status: str, said: str, there: list[Json]
) -> None:
    world.cluster.add(*there)
    found = finding(world, stage)
    assert (found.status, said in found.observed, asked) == (status, True, [])


@pytest.mark.parametrize(
    ("spec", "status"),
    [({}, "warn"), ({"hostNetwork": True}, "pass"), ({"hostname": HERE}, "pass"), ({"hostname": "other"}, "warn")],
)
def test_an_answer_from_another_machine_than_the_pod_is_none(
    world: Any, asked: list[Any], csghub: str, spec: Json, status: str
) -> None:
    world.cluster.add(pod("api-0", **spec))
    world.endpoint = f"{csghub}/200"
    found = finding(world)
    assert found.status == status
    assert status == "pass" or "runs on another machine" in found.observed


def refuses(error: Exception) -> Callable[..., Ended]:
    def execute(*_: str) -> Ended:
        raise error

    return execute


@pytest.mark.parametrize(
    ("execute", "said"),
    [
        (refuses(Forbidden("jane may not create pods/exec.")), "jane may not create pods/exec"),
        (refuses(OutcomeUnknown("python3 did not end.", next_step="Look.")), "python3 did not end"),
        (lambda *_: Ended("", "", None, "python3: not found"), "can't be made to ask: python3: not found"),
        (lambda *_: Ended("", "Traceback\nSyntaxError: x\n", 1, ""), "can't be made to ask: SyntaxError: x"),
        (lambda *_: Ended("[]", "", 0, ""), "it said nothing that can be read"),
    ],
)
def test_what_can_not_be_asked_is_a_warning_with_the_command_that_tells(world: Any, execute: Any, said: str) -> None:
    world.stored(MANIFEST)
    world.cluster.add(pod(HERE))
    world.cluster.execute = execute
    found = finding(world)
    assert (found.status, said in found.observed) == ("warn", True), found.observed
    assert f"kubectl --namespace csghub exec {HERE} --container main -- python3 -c" in found.remedy
