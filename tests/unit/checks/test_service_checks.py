"""What the services are asked, with whose credentials, and the sentence for each way in which they fail."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runbooks_lib import probes
from runbooks_lib.checks import prerequisites, services
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.release import Subject
from runbooks_lib.cluster.failures import Unpermitted
from runbooks_lib.errors import CheckFailed, OutcomeUnknown
from runbooks_lib.parameters.components import COMPONENTS, Access
from runbooks_lib.probes.asking import Answered, NotFromHere
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.results import Finding, Json

PASSWORD = secrets.token_urlsafe(12)
(CELERY,) = (use.commands for row in COMPONENTS for use in row.uses if use.protocol == "redis")


def workload(kind: str, name: str, image: str, *, ports: tuple[int, ...] = (), config: str = "") -> str:
    source = "secretRef" if kind == "StatefulSet" else "configMapRef"
    given = f"[{{{source}: {{name: {config}}}}}]" if config else "[]"
    named = ", ".join(f"{{name: p{port}, containerPort: {port}}}" for port in ports)
    container = f"{{name: main, image: 'r.example/team/{image}:1', ports: [{named}], envFrom: {given}}}"
    labels = f"{{app: {name}}}"
    return (
        f"---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
        f"spec: {{selector: {{matchLabels: {labels}}}, "
        f"template: {{metadata: {{labels: {labels}}}, spec: {{containers: [{container}]}}}}}}\n"
    )


def service(name: str, port: int, target: str = "", *, headless: bool = True) -> str:
    address, sent = "clusterIP: None, " * headless, f", targetPort: {target}" * bool(target)
    return (
        f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"
        f"spec: {{{address}selector: {{app: {name}}}, ports: [{{port: {port}{sent}}}]}}\n"
    )


MANIFEST = (
    workload("StatefulSet", "db", "postgres", ports=(9187, 5432), config="db")
    + service("db", 5432)
    + workload("StatefulSet", "cache", "redis", ports=(6379,))
    + service("cache", 6379)
    + workload("StatefulSet", "documents", "mongo", ports=(27017,), config="documents")
    + service("documents", 27017)
    + workload("Deployment", "api", "dataflow", ports=(8000,), config="api")
    + service("api", 80, "p8000", headless=False)
    + workload("Deployment", "worker", "dataflow", config="api")
    + workload("Deployment", "proxy", "nginx", ports=(80,))
)


def live(kind: str, name: str, **fields: Any) -> Json:
    meta = {"name": name, "namespace": "csghub", "labels": fields.pop("labels", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


def secret(name: str, **values: str) -> Json:
    return live("Secret", name, data={key: base64.b64encode(value.encode()).decode() for key, value in values.items()})


def pod(name: str, *, ready: bool = True) -> Json:
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    return live("Pod", f"{name}-0", labels={"app": name}, spec={"containers": []}, status=status)


SETTINGS = {
    "DATABASE_HOSTNAME": "db",
    "DATABASE_PORT": "5432",
    "DATABASE_USERNAME": "app",
    "DATABASE_PASSWORD": PASSWORD,
    "DATABASE_DB": "flows",
    "REDIS_HOST_URL": "redis://cache.csghub.svc:6379/2",
    "MONG_HOST_URL": f"mongodb://root:{PASSWORD}%21@documents-0.documents:27017",
}


class Asked(list[tuple[str, str, int, Access, str]]):
    """Every question: protocol, pod, port, credentials, what would be written; and the answers or refusals to give."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: dict[str, Exception] = {}
        self.broken: Exception | None = None
        self.pages: list[tuple[str, int, str]] = []
        self.absent: tuple[str, ...] = ()
        self.empty: set[str] = set()


def serve(world: Any, text: str, name: str = "db") -> None:
    """The Service of that name in the cluster is now this one."""
    objects = world.cluster.objects
    world.cluster.objects = [obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) != ("Service", name)]
    world.cluster.add(*(obj | {"metadata": obj["metadata"] | {"namespace": "csghub"}} for obj in objects_of(text)))


@pytest.fixture
def asked(world: Any, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The release above, whose pods are ready; its ports are forwarded to nowhere, and the probes only take notes."""
    world.stored(MANIFEST)
    world.cluster.add(
        *(
            obj | {"metadata": obj["metadata"] | {"namespace": "csghub"}}
            for obj in objects_of(MANIFEST)
            if obj["kind"] == "Service"
        ),
        *(pod(name) for name in ("db", "cache", "documents", "api", "worker", "proxy")),
        secret("db", POSTGRES_USER="owner", POSTGRES_PASSWORD=PASSWORD),
        secret("documents", MONGO_INITDB_ROOT_USERNAME="root", MONGO_INITDB_ROOT_PASSWORD=PASSWORD),
        live("ConfigMap", "api", data=dict(SETTINGS)),
    )
    asked = Asked()

    @contextmanager
    def forward(namespace: str, pod: str, port: int) -> Iterator[tuple[str, int]]:
        assert namespace == "csghub"
        yield pod, port
        if asked.broken:
            raise asked.broken

    def prober(protocol: str) -> Any:
        def ask(address: tuple[str, int], access: Access, write: str, ended: Any) -> Answered:
            assert ended == world.boundaries.ended
            # What is known by now would be taken out of anything that is said.
            assert not access.password or world.redactor.redact(access.password) != access.password
            asked.append((protocol, *address, access, write))
            if access.user in asked.refusals:
                raise asked.refusals[access.user]
            return Answered(product=protocol, version="1", user=access.user, database=access.database)

        return ask

    def page(address: tuple[str, int], page: Any) -> probes.http.HttpAnswer:
        asked.pages.append((*address, page.path))
        asked.empty |= {page.path} if page.empty else set()
        if page.path in asked.refusals:
            raise asked.refusals[page.path]
        return probes.http.HttpAnswer(url=page.path, status=404 if page.path in asked.absent else 200)

    world.cluster.forward = forward
    monkeypatch.setattr(services, "ASKS", {name: prober(name) for name in services.ASKS})
    monkeypatch.setattr(probes.http, "ask", page)
    return asked


def found(world: Any, protocol: str) -> Finding:
    (chosen,) = (each for each in FAMILIES["verify"] if each.id == f"services.{protocol}")
    made = report("verify", "R", [chosen], Subject(world.boundaries), observe=world.told.append)
    return next(item for item in made.findings if item.id == f"services.{protocol}")


def configured(world: Any, **changes: str | None) -> None:
    data = next(obj for obj in world.cluster.objects if obj["kind"] == "ConfigMap")["data"]
    for key, value in changes.items():
        data.pop(key) if value is None else data.update({key: value})


def own_passwords(world: Any) -> Finding:
    subject = prerequisites.Subject(world.boundaries)
    return report("upgrade", "U", FAMILIES["upgrade"], subject, observe=world.told.append).findings[0]


def test_an_upgrade_asks_each_database_for_its_own_user_only(world: Any, asked: Asked) -> None:
    finding = own_passwords(world)
    assert (finding.status, finding.observed) == ("pass", "3 of 3 asked")
    assert {(question[0], question[3].host, question[4]) for question in asked} == {
        ("postgresql", "", ""),
        ("redis", "", ""),
        ("mongodb", "", ""),
    }


def test_a_database_that_refuses_its_own_password_stops_an_upgrade_and_other_trouble_does_not(
    world: Any, asked: Asked
) -> None:
    asked.refusals["owner"] = CheckFailed("PostgreSQL takes no writes: it is read-only, or a replica.")
    assert own_passwords(world).status == "pass"
    asked.refusals["owner"] = CheckFailed("PostgreSQL refuses the password of owner, or has no such user.")
    finding = own_passwords(world)
    assert finding.status == "fail"
    assert finding.observed == "StatefulSet db: PostgreSQL refuses the password of owner, or has no such user"
    assert "Put the Secret back that belongs to the volume" in finding.remedy


def test_before_there_is_a_release_and_while_no_pod_is_ready_no_database_is_asked(world: Any, asked: Asked) -> None:
    world.cluster.objects[:] = [obj for obj in world.cluster.objects if obj["kind"] != "Pod"]
    assert own_passwords(world).status == "skip"
    world.program.answer("status", returncode=1, stderr="Error: release: not found\n")
    assert own_passwords(world).status == "skip"
    assert asked == []


def test_a_database_is_asked_as_its_own_user_and_as_each_client(world: Any, asked: Asked) -> None:
    finding = found(world, "postgresql")
    own = Access(host="", port=5432, user="owner", password=PASSWORD)
    client = Access(host="db", port=5432, user="app", password=PASSWORD, database="flows")
    questions = [question for question in asked if question[0] == "postgresql"]
    assert sorted(questions, key=lambda question: question[3].user) == [
        ("postgresql", "db-0", 5432, client, ""),
        ("postgresql", "db-0", 5432, client, ""),
        ("postgresql", "db-0", 5432, own, ""),
    ]
    assert finding.status == "pass"
    assert finding.observed.splitlines() == [
        "StatefulSet db: postgresql 1 answers",
        "Deployment api at StatefulSet db: postgresql 1 lets app into flows",
        "Deployment worker at StatefulSet db: postgresql 1 lets app into flows",
    ]


def test_addresses_in_one_variable_are_taken_apart(world: Any, asked: Asked) -> None:
    assert {found(world, protocol).status for protocol in ("redis", "mongodb")} == {"pass"}
    seen = {(question[0], question[1], question[3]) for question in asked if question[3].host}
    assert ("redis", "cache-0", Access(host="cache.csghub.svc", port=6379, database="2", commands=CELERY)) in seen
    mongo = Access(host="documents-0.documents", port=27017, user="root", password=f"{PASSWORD}!")
    assert ("mongodb", "documents-0", mongo) in seen


def test_pages_are_asked_of_what_serves_and_not_of_what_only_runs_the_same_image(world: Any, asked: Asked) -> None:
    asked.absent = ("/api/v1/dataflow/celery/get_celery_server_list",)
    finding = found(world, "http")
    paths = ["/openapi.json", "/api/v1/dataflow/ops", "/api/v1/dataflow/operator?limit=1"]
    assert asked.pages == [("api-0", 8000, path) for path in (*paths, *asked.absent)]
    assert (finding.status, finding.observed) == ("pass", f"Deployment api: as it should: {', '.join(paths)}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            service("api", 80, "8000", headless=False).replace("app: api", "app: proxy"),
            "Service api does not lead to it",
        ),
        (service("api", 80, "p8000", headless=False).replace("app: api", "app: nobody"), "no workload of this release"),
        ("", "Service api is not in the cluster"),
    ],
)
def test_a_web_server_whose_service_leads_elsewhere_fails(world: Any, asked: Asked, text: str, said: str) -> None:
    serve(world, text, "api")
    finding = found(world, "http")
    assert (finding.status, said in finding.observed) == ("fail", True), finding.observed
    assert asked.pages == []


def test_a_web_server_is_asked_on_the_port_to_which_its_service_leads(world: Any, asked: Asked) -> None:
    serve(world, service("api", 80, "9999", headless=False), "api")
    found(world, "http")
    assert {port for _, port, _ in asked.pages} == {9999}


def own(asked: Asked, protocol: str) -> Access:
    """With what a service was asked as itself."""
    (given,) = (question[3] for question in asked if question[0] == protocol and not question[3].host)
    return given


CACHE = "{name: main, image: 'r.example/team/redis:1'"


@pytest.mark.parametrize(
    "command",
    [
        "command: [redis-server, --requirepass, $(CACHE_PW)]",
        "command: [redis-server], args: ['--requirepass=$(CACHE_PW)']",
        "command: [sh, -c, 'exec redis-server --requirepass \"${CACHE_PW}\"']",
    ],
)
def test_a_service_is_asked_with_the_password_in_its_command(world: Any, asked: Asked, command: str) -> None:
    reference = "[{name: CACHE_PW, valueFrom: {secretKeyRef: {name: db, key: POSTGRES_PASSWORD}}}]"
    world.stored(MANIFEST.replace(CACHE, f"{CACHE}, {command}, env: {reference}"))
    assert found(world, "redis").status == "pass"
    assert own(asked, "redis").password == PASSWORD


def test_a_service_is_asked_with_the_password_in_a_file_of_a_mounted_secret(world: Any, asked: Asked) -> None:
    before = "containers: [{name: main, image: 'r.example/team/postgres:1'"
    mounts = (
        ", volumeMounts: [{name: k, mountPath: /run/keys}], env: [{name: POSTGRES_PASSWORD_FILE, value: /run/keys/pw}]"
    )
    volumes = "volumes: [{name: k, secret: {secretName: keys}}], "
    world.stored(
        MANIFEST.replace(before, volumes + before + mounts).replace(
            "secretRef: {name: db}", "configMapRef: {name: who}"
        )
    )
    world.cluster.add(secret("keys", pw=PASSWORD), live("ConfigMap", "who", data={"POSTGRES_USER": "owner"}))
    assert found(world, "postgresql").status == "pass"
    assert own(asked, "postgresql") == Access(port=5432, user="owner", password=PASSWORD)


def test_a_service_whose_password_is_nowhere_is_asked_with_that_of_its_clients(world: Any, asked: Asked) -> None:
    configured(world, REDIS_HOST_URL=f"redis://:{PASSWORD}@cache:6379/0")
    assert found(world, "redis").status == "pass"
    assert own(asked, "redis") == Access(port=6379, password=PASSWORD, database="0", commands=CELERY)
    # Only an upgrade leaves them out: it may mend what clients are given.
    asked.clear()
    assert own_passwords(world).status == "pass"
    assert own(asked, "redis").password == ""


@pytest.mark.parametrize(
    ("command", "empty"),
    [("args: [celery-worker]", False), ("command: [celery, -A, x, worker]", False), ("args: [uvicorn]", True)],
)
def test_a_list_of_workers_may_be_empty_where_the_release_runs_none(
    world: Any, asked: Asked, command: str, empty: bool
) -> None:
    worker = workload("Deployment", "worker", "dataflow", config="api")
    world.stored(MANIFEST.replace(worker, worker.replace("{name: main", f"{{name: main, {command}")))
    found(world, "http")
    assert asked.empty == ({"/api/v1/dataflow/celery/get_celery_server_list"} if empty else set())
    world.stored(
        MANIFEST.replace(
            worker, worker.replace("spec: {", "spec: {replicas: 0, ").replace("{name: main", f"{{name: main, {command}")
        )
    )
    asked.empty.clear()
    found(world, "http")
    assert len(asked.empty) == 1


def test_nothing_is_written_unless_the_parameters_say_so(world: Any, asked: Asked) -> None:
    found(world, "postgresql")
    assert {question[4] for question in asked} == {""}


def test_what_is_written_has_the_runs_name_and_one_for_each_question(world: Any, asked: Asked) -> None:
    world.settings["probes"] = "write"
    found(world, "postgresql")
    names = [question[4] for question in asked if question[0] == "postgresql"]
    assert sorted(names) == ["runbooks_probe_abc_0", "runbooks_probe_abc_1", "runbooks_probe_abc_2"]


def test_a_wrong_password_is_found_from_the_clients_side(world: Any, asked: Asked) -> None:
    asked.refusals["app"] = CheckFailed("PostgreSQL refuses the password of app, or has no such user.")
    finding = found(world, "postgresql")
    assert finding.status == "fail"
    assert finding.observed.splitlines() == [
        "Deployment api at StatefulSet db: PostgreSQL refuses the password of app, or has no such user",
        "Deployment worker at StatefulSet db: PostgreSQL refuses the password of app, or has no such user",
        "StatefulSet db: postgresql 1 answers",
    ]


def test_a_page_that_is_not_as_it_should_be_fails_with_what_it_says(world: Any, asked: Asked) -> None:
    asked.refusals["/openapi.json"] = CheckFailed(
        "/openapi.json says info.title is 'Other', not 'Data Flow API Server'."
    )
    finding = found(world, "http")
    said = "Deployment api: /openapi.json says info.title is 'Other', not 'Data Flow API Server'"
    assert (finding.status, finding.observed) == ("fail", said)


def test_what_could_not_be_reached_is_unknown(world: Any, asked: Asked) -> None:
    asked.broken = OutcomeUnknown("The pod db-0 can't be reached through the cluster: no route.")
    finding = found(world, "redis")
    assert finding.status == "unknown"
    assert (
        finding.observed.splitlines()[0]
        == "StatefulSet cache: The pod db-0 can't be reached through the cluster: no route"
    )


@pytest.mark.parametrize("change", ["no pod", "not ready", "going"])
def test_a_database_without_a_ready_pod_fails_with_one_sentence_of_its_own(
    world: Any, asked: Asked, change: str
) -> None:
    (own,) = (obj for obj in world.cluster.objects if obj["metadata"]["name"] == "db-0")
    if change == "no pod":
        world.cluster.objects.remove(own)
    elif change == "going":
        own["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    else:
        own["status"]["conditions"][0]["status"] = "False"
    finding = found(world, "postgresql")
    assert finding.status == "fail"
    assert finding.observed == "StatefulSet db has no ready pod, so its PostgreSQL can't be asked"
    assert "postgresql" not in {question[0] for question in asked}


def test_the_step_is_the_one_that_fits_what_was_seen(world: Any, asked: Asked) -> None:
    asked.refusals["app"] = CheckFailed("PostgreSQL takes no writes.", next_step="Lead its clients to the primary.")
    finding = found(world, "postgresql")
    assert (finding.remedy, finding.symptom) == ("Lead its clients to the primary.", False)
    configured(world, DATABASE_PORT="many")
    assert found(world, "postgresql").remedy.startswith("Correct the value")
    world.cluster.objects = [obj for obj in world.cluster.objects if obj["kind"] != "ConfigMap"]
    assert found(world, "postgresql").remedy.startswith("Put it back")
    assert (found(world, "http").status, found(world, "http").symptom) == ("fail", False)


def test_a_database_whose_pod_is_not_ready_is_a_symptom_and_its_last_words_are_evidence(
    world: Any, asked: Asked
) -> None:
    (own,) = (obj for obj in world.cluster.objects if obj["metadata"]["name"] == "db-0")
    own["status"] = {"containerStatuses": [{"name": "main", "ready": False, "state": {"running": {}}}]}
    world.cluster.texts["db-0/main", False] = f"FATAL: {PASSWORD} is not for me\n"
    finding = found(world, "postgresql")
    assert (finding.status, finding.symptom) == ("fail", True)
    # Two Secrets hold the same password here, and whichever is read first names it.
    assert re.fullmatch(r"db-0: main said last: FATAL: «redacted:\w+#\w+» is not for me", finding.evidence)


def test_why_a_pod_is_not_ready_is_said_where_it_is_known(world: Any, asked: Asked) -> None:
    (own,) = (obj for obj in world.cluster.objects if obj["metadata"]["name"] == "db-0")
    waiting = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "again"}}}
    own["status"] = {"containerStatuses": [waiting]}
    assert "can't be asked (db-0: main: CrashLoopBackOff again)" in found(world, "postgresql").observed


@pytest.mark.parametrize("protocol", ["postgresql", "redis", "mongodb", "http"])
@pytest.mark.parametrize("right", ["list pods", "create pods/portforward"])
def test_without_the_right_to_ask_it_is_unknown_how_a_service_is_and_the_right_is_named(
    world: Any, asked: Asked, protocol: str, right: str
) -> None:
    step = "Ask the cluster's administrator for it; 01_prerequisites lists all that is needed."
    refused = Unpermitted(f"someone may not {right} in the namespace csghub.", next_step=step)
    if right == "list pods":
        world.cluster.lists["Pod"] = refused
    else:
        asked.broken = refused
    finding = found(world, protocol)
    assert (finding.status, finding.remedy) == ("unknown", step)
    assert f"someone may not {right} in the namespace csghub" in finding.observed


def test_a_host_outside_of_the_release_is_asked_from_here(world: Any, asked: Asked) -> None:
    configured(world, DATABASE_HOSTNAME="db.example.com", DATABASE_PORT="6432")
    finding = found(world, "postgresql")
    assert finding.status == "pass"
    assert "Deployment api at db.example.com:6432, outside of this release: " in finding.observed
    assert ("db.example.com", 6432) in [(host, port) for _, host, port, *_ in asked]


def test_a_store_that_does_not_answer_here_is_unknown_and_how_to_ask_from_a_pod_is_said(
    world: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stored(workload("Deployment", "api", "dataflow", ports=(8000,), config="api"))

    def nobody(*_: Any) -> Any:
        raise NotFromHere("PostgreSQL does not answer.")

    monkeypatch.setitem(services.ASKS, "postgresql", nobody)
    finding = found(world, "postgresql")
    said = "Deployment api at db:5432, outside of this release: PostgreSQL does not answer. (asked from here, not from a node)"
    assert (finding.status, finding.observed) == ("unknown", said)
    assert "nc -zv -w 5 db 5432" in finding.remedy


def test_a_release_without_such_a_service_skips(world: Any, asked: Asked) -> None:
    configured(world, MONG_HOST_URL=None)
    world.stored(workload("Deployment", "api", "dataflow", config="api"))
    finding = found(world, "mongodb")
    assert (finding.status, finding.observed) == ("skip", "the release has no MongoDB")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DATABASE_PORT": "many"}, "Deployment api can't start: DATABASE_PORT holds no address"),
        (
            {"MONG_HOST_URL": "mongodb://root:p@documents:port"},
            "Deployment api can't start: MONG_HOST_URL holds no address",
        ),
        ({"REDIS_HOST_URL": "redis://api:81"}, "Deployment api: Service api has no port 81"),
    ],
)
def test_a_client_that_is_given_nonsense_fails(world: Any, asked: Asked, changes: dict[str, str], said: str) -> None:
    configured(world, **changes)
    (key,) = changes
    protocol = {"DATABASE_PORT": "postgresql", "MONG_HOST_URL": "mongodb", "REDIS_HOST_URL": "redis"}[key]
    finding = found(world, protocol)
    assert (finding.status, finding.observed.splitlines()[0]) == ("fail", said)


def test_a_client_whose_settings_are_gone_fails(world: Any, asked: Asked) -> None:
    world.cluster.objects = [obj for obj in world.cluster.objects if obj["kind"] != "ConfigMap"]
    assert "Deployment api can't start: ConfigMap api is not there" in found(world, "postgresql").observed


def test_a_service_with_an_address_of_its_own_leads_to_the_port_that_it_names(world: Any, asked: Asked) -> None:
    named = service("db", 6000, "p5432", headless=False)
    world.stored(MANIFEST.replace(service("db", 5432), named))
    serve(world, named)
    configured(world, DATABASE_PORT="6000")
    assert found(world, "postgresql").status == "pass"
    assert {question[2] for question in asked if question[0] == "postgresql"} == {5432}


def test_a_service_that_leads_elsewhere_than_the_release_says_is_followed(world: Any, asked: Asked) -> None:
    serve(world, service("db", 5432).replace("app: db", "app: cache"))
    finding = found(world, "postgresql")
    assert "Deployment api at StatefulSet cache" in finding.observed
    serve(world, service("db", 5432, "9999", headless=False))
    asked.clear()
    found(world, "postgresql")
    assert ("postgresql", "db-0", 9999) in [question[:3] for question in asked]


def test_a_service_that_is_gone_fails(world: Any, asked: Asked) -> None:
    serve(world, "")
    finding = found(world, "postgresql")
    assert (finding.status, "Deployment api: Service db is not in the cluster" in finding.observed) == ("fail", True)


def test_a_service_with_nothing_behind_it_fails(world: Any, asked: Asked) -> None:
    world.stored(MANIFEST.replace("kind: StatefulSet\nmetadata: {name: db}", "kind: Job\nmetadata: {name: db}"))
    observed = found(world, "postgresql").observed.splitlines()
    assert "Deployment api: Service db has no workload of this release behind it" in observed


def test_no_line_holds_a_password(world: Any, asked: Asked) -> None:
    asked.refusals["app"] = CheckFailed("refused")
    observed = "".join(found(world, protocol).observed for protocol in services.PRODUCTS)
    assert PASSWORD not in observed
