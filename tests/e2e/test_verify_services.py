"""03_verify on real data services: what it says of each, and that it leaves them as they were."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from releases import Live, change, ready

from runbooks_lib import headless, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.probes.asking import PREFIX
from runbooks_lib.release.rollout import await_rollout
from runbooks_lib.results import Json
from runbooks_lib.run import Run
from runbooks_lib.stages import install

#: The cases share one release, each in the state in which the one before has left it.
pytestmark = pytest.mark.xdist_group("verify")

_KWOK = "kwok.x-k8s.io/v1alpha1"


class Verified:
    """A run of the notebook: how it ended, and what was found, by the check's id."""

    def __init__(self, sandbox: Any, target: dict[str, str], folder: Path) -> None:
        done = headless.run_stage("verify", sandbox.parameters_file, overrides=target, output_directory=str(folder))
        self.outcome, self.exit_code, self.folder = done.outcome, done.exit_code, Path(done.folder)
        self.next_step = done.next_step
        events = records.read_events(self.folder)
        answers = [event["data"] for event in events if event["kind"] == "check.answered"]
        self.said = {answer["id"]: answer["observed"] for answer in answers}
        self.red = {answer["id"]: answer["status"] for answer in answers if answer["status"] != "pass"}
        # No CSGHub of the sandbox uses it, and what is run in its pods runs on this machine.
        for name in ("csghub.sees-dataflow", "csghub.reached-by-pods"):
            if self.red.get(name) == "warn":
                del self.red[name]
        # Some tests kill what then starts again; a release without TLS has no Secret; no kubelet tells of volumes.
        for name, state in (("pods.restarts", "warn"), ("tls.secret", "skip"), ("volumes.room", "skip")):
            assert self.red.pop(name, state) == state

    def lines(self, check: str) -> set[str]:
        return set(self.said[check].split("\n"))


@pytest.fixture(scope="module")
def target(fresh_target: Any) -> Iterator[dict[str, str]]:
    with fresh_target() as overrides:
        yield overrides


@pytest.fixture(scope="module")
def live(sandbox: Any, target: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("installed")
    change(Run.open("install", sandbox.parameters_file, overrides=target, output_directory=str(folder)), install)
    with Cluster.connect(sandbox.kubeconfig, sandbox.context) as cluster:
        yield Live(cluster, target)


@pytest.fixture
def verify(sandbox: Any, target: dict[str, str], tmp_path: Path, live: Live) -> Callable[..., Verified]:
    return lambda **overrides: Verified(sandbox, target | overrides, tmp_path)


@pytest.fixture
def rolled_out(sandbox: Any, target: dict[str, str], live: Live) -> Callable[[], None]:
    """Waits until all workloads are available again."""
    boundaries = Run.open("verify", sandbox.parameters_file, overrides=target, record=False).boundaries

    def wait() -> None:
        workloads = [
            {"apiVersion": "apps/v1", "kind": kind, **found}
            for kind in ("Deployment", "StatefulSet")
            for found in live.cluster.list("apps/v1", kind, live.namespace)
        ]
        assert [each for each in await_rollout(boundaries, workloads, seconds=60) if not each.done] == []

    return wait


def left_by_probes(live: Live) -> list[str]:
    """Whatever has a probe's name, in any of the three."""
    found = []
    with live.postgresql() as connection:
        databases = [name for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datallowconn")]
    for database in databases:
        with live.postgresql(database) as connection:
            found += [name for (name,) in connection.execute("SELECT relname FROM pg_class")]
    with live.redis() as client:
        found += client.keys()
    with live.mongodb() as client:
        found += [
            name
            for database in client.list_database_names()
            for name in (database, *client[database].list_collection_names())
        ]
    # Each was looked into.
    assert {"pg_class", "admin", "data-flow-celery:worker:celery"} <= {name.partition("@")[0] for name in found}
    return [name for name in found if PREFIX in name]


def fits(said: str, *patterns: str) -> None:
    """Each line has its pattern, and each pattern its line."""
    lines = said.splitlines()
    unmet = [pattern for pattern in patterns if not any(re.fullmatch(pattern, line) for line in lines)]
    assert (unmet, len(lines)) == ([], len(patterns)), said


def without_database(live: Live) -> None:
    """Wait until both applications are no longer ready, since they ask it too."""
    for name in ("dataflow-0", "label-studio-0"):
        live.until(name, lambda pod: not ready(pod))


def writes(live: Live) -> tuple[int, int, int]:
    """How often each database was written to, by its own count; for Redis deletions, since the worker sets a key."""
    with live.postgresql() as connection:
        (transactions,) = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone() or ("",)
    with live.redis() as client:
        deleted = client.info("commandstats").get("cmdstat_del", {}).get("calls", 0)
    with live.mongodb() as client:
        counts = client.admin.command("serverStatus")["metrics"]["commands"]
    return int(transactions), deleted, sum(counts.get(name, {}).get("total", 0) for name in ("insert", "dropDatabase"))


def test_a_fresh_release_answers_and_what_was_written_is_gone(verify: Callable[..., Verified], live: Live) -> None:
    before = writes(live)
    done = verify()
    assert (done.outcome, done.exit_code, done.red) == ("passed", 0, {}), done.said
    store, cache, documents = (f"StatefulSet {live.release}-{name}" for name in ("postgresql", "redis", "mongo"))
    clients = [f"StatefulSet {live.release}-dataflow at ", f"Deployment {live.release}-celery-worker at "]
    studio = f"StatefulSet {live.release}-label-studio at "
    who = live.secret("postgresql")["POSTGRES_USER"]
    version = r"\d+\.[\d.]+"
    wrote = "was written, read and removed"
    fits(
        done.said["services.postgresql"],
        rf"{store}: PostgreSQL {version} lets {who} into postgres; databases .*\bcsghub_dataflow\b.*; a row {wrote}",
        *(
            f"{each}{store}: PostgreSQL {version} lets {who} into csghub_dataflow; 12 tables; a row {wrote}"
            for each in clients
        ),
        f"{studio}{store}: PostgreSQL {version} lets {who} into csghub_label_studio; 5 tables; a row {wrote}",
    )
    fits(
        done.said["services.redis"],
        *(f"{each}{cache}: Redis {version} answers; master; a key {wrote}" for each in ("", *clients)),
    )
    fits(
        done.said["services.mongodb"],
        *(f"{each}{documents}: MongoDB {version} answers; a document {wrote}" for each in ("", *clients)),
    )
    pages = "as it should: /openapi.json, .*/get_celery_server_list", "as it should: /health/, .*/user/login/"
    fits(
        done.said["services.http"],
        *(
            f"StatefulSet {live.release}-{name}: {said}"
            for name, said in zip(("dataflow", "label-studio"), pages, strict=True)
        ),
    )
    rows = [after - count for after, count in zip(writes(live), before, strict=True)]
    # A row for each question, a key, and a document with the database that it was alone in.
    assert rows == [4, 3, 2 * 3]
    assert left_by_probes(live) == []


def test_csghub_is_asked_from_inside_a_pod_that_is_on_its_nodes_network(
    verify: Callable[..., Verified], live: Live, rolled_out: Callable[[], None]
) -> None:
    """Only there a command that is run on this machine runs where the pod is."""
    studio = f"{live.release}-label-studio"

    template = live.until("label-studio", lambda _: True, kind="StatefulSet")["spec"]["template"]["spec"]
    (container,) = template["containers"]

    def network(of_the_node: bool, **given: Any) -> None:
        spec = {"hostNetwork": of_the_node, "containers": [container | given]}
        body = {"spec": {"template": {"spec": spec}}}
        live.cluster.patch("apps/v1", "StatefulSet", studio, body, live.namespace)
        rolled_out()

    told = {}
    for name, url in {"right": "", "wrong": "http://127.0.0.1:1"}.items():
        network(True, env=[{"name": "CSGHUB_ENDPOINT", "value": url}] if url else [])
        told[name] = verify().said["csghub.reached-by-pods"]
    network(False)
    elsewhere = f"{live.release}-.* can't be made to ask: what is run in it runs on another machine"
    fits(told["right"], elsewhere, f"from inside {studio}-0, what CSGHUB_ENDPOINT says answered 200")
    fits(told["wrong"], elsewhere, f"{studio}-0 can't reach what CSGHUB_ENDPOINT says: URLError: .*refused.*")


def test_nothing_is_written_where_the_parameters_only_let_it_read(verify: Callable[..., Verified], live: Live) -> None:
    before = writes(live)
    done = verify(probes="read")
    assert (done.exit_code, done.red) == (0, {}), done.said
    assert not [said for said in done.said.values() if "written" in said]
    assert writes(live) == before
    assert left_by_probes(live) == []


def test_a_database_that_is_scaled_away_is_told_by_those_who_look_for_it(
    verify: Callable[..., Verified], live: Live, rolled_out: Callable[[], None]
) -> None:
    live.scale("postgresql", 0)
    live.gone("Pod", f"{live.release}-postgresql-0")
    without_database(live)
    done = verify()
    live.scale("postgresql", 1)
    rolled_out()
    assert (done.outcome, done.exit_code) == ("failed", 3)
    store = f"StatefulSet {live.release}-postgresql"
    assert done.lines("services.postgresql") == {f"{store} has no ready pod, so its PostgreSQL can't be asked"}
    assert f"{store}: scaled to 0, the release has 1" in done.said["workloads.available"]
    assert "services.redis" not in done.red
    assert (done.red["services.postgresql"], done.red["services.http"]) == ("fail", "fail")
    assert verify().exit_code == 0


def test_a_password_that_was_changed_behind_the_release_is_refused_and_never_shown(
    verify: Callable[..., Verified], live: Live, rolled_out: Callable[[], None]
) -> None:
    known, other = live.secret("postgresql"), secrets.token_urlsafe(16)
    who, password = known["POSTGRES_USER"], known["POSTGRES_PASSWORD"]
    with live.postgresql() as connection:
        connection.execute(f"ALTER USER {who} PASSWORD '{other}'")
    without_database(live)
    done = verify()
    with live.postgresql(password=other) as connection:
        connection.execute(f"ALTER USER {who} PASSWORD '{password}'")
    rolled_out()
    assert (done.outcome, done.exit_code) == ("failed", 3)
    written = "".join(path.read_text() for path in done.folder.rglob("*") if path.is_file())
    assert f"refuses the password of {who}" in written
    # The cause comes first, though the workloads that wait for the database are not ready either.
    assert "workloads.available" in done.red
    assert done.next_step.startswith("A volume keeps the password of its first start")
    for secret in (password, other, live.secret("mongo")["MONGO_INITDB_ROOT_PASSWORD"]):
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()):
            assert form not in written
    at = " at StatefulSet {0}-postgresql"
    workloads = (
        "StatefulSet {0}-postgresql",
        f"StatefulSet {{0}}-dataflow{at}",
        f"StatefulSet {{0}}-label-studio{at}",
        f"Deployment {{0}}-celery-worker{at}",
    )
    refused = f"PostgreSQL refuses the password of {who}, or has no such user"
    assert done.lines("services.postgresql") == {f"{each.format(live.release)}: {refused}" for each in workloads}
    assert verify().exit_code == 0


def test_another_server_behind_a_port_is_found_by_its_pages(verify: Callable[..., Verified], live: Live) -> None:
    """Dataflow's port leads to Label Studio, whose pod is as ready as its own."""

    def forwards(name: str) -> Json:
        found = live.cluster.get(_KWOK, "PortForward", f"{live.release}-{name}-0", live.namespace)
        assert found is not None
        (forward,) = found["spec"]["forwards"]
        return dict(forward)

    def lead(forward: Json) -> None:
        body = {"spec": {"forwards": [forward]}}
        live.cluster.patch(_KWOK, "PortForward", f"{live.release}-dataflow-0", body, live.namespace)

    before = forwards("dataflow")
    lead(before | {"target": forwards("label-studio")["target"]})
    done = verify()
    lead(before)
    assert (done.outcome, done.exit_code, done.red) == ("failed", 3, {"services.http": "fail"})
    assert f"StatefulSet {live.release}-dataflow: /openapi.json answered 404: Not Found" in done.lines("services.http")
    assert verify().exit_code == 0


def test_a_database_that_was_dropped_is_named_by_the_client_that_misses_it(
    verify: Callable[..., Verified], live: Live
) -> None:
    with live.postgresql() as connection:
        connection.execute("DROP DATABASE csghub_label_studio WITH (FORCE)")
    done = verify()
    assert (done.outcome, done.exit_code) == ("failed", 3)
    first, *others = done.said["services.postgresql"].splitlines()
    where = f"StatefulSet {live.release}-label-studio at StatefulSet {live.release}-postgresql"
    assert first == f"{where}: PostgreSQL has no database csghub_label_studio"
    assert len(others) == 3
    assert all("written" in line for line in others)
