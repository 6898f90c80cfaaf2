"""Which data stores count as outside of the release, how they are asked, and the sentence for each answer."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import pytest

from runbooks_lib.checks import external
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import CheckFailed, OutcomeUnknown
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import Answered, NotFromHere
from runbooks_lib.results import Finding, Json

PASSWORD, OTHER = secrets.token_urlsafe(12), secrets.token_urlsafe(12)

SETTINGS = {
    "DATABASE_HOSTNAME": "pg.example.com",
    "DATABASE_PORT": "6432",
    "DATABASE_USERNAME": "app",
    "DATABASE_PASSWORD": PASSWORD,
    "DATABASE_DB": "flows",
    "REDIS_HOST_URL": "redis://cache.example.com:6379/2",
    "MONG_HOST_URL": f"mongodb://root:{PASSWORD}%21@documents.example.com:27017",
}


def listed(kind: str, name: str, data: Mapping[str, str], key: str = "data") -> str:
    lines = "".join(f"  {entry}: {value!r}\n" for entry, value in data.items())
    return f"---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{key}:\n{lines}"


def client(name: str, source: str = "{configMapRef: {name: settings}}", image: str = "dataflow") -> str:
    container = f"{{name: main, image: 'r.example/team/{image}:1', envFrom: [{source}]}}"
    return (
        f"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n"
        f"spec: {{template: {{spec: {{containers: [{container}]}}}}}}\n"
    )


def service(name: str) -> str:
    return f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: x}}, ports: [{{port: 1}}]}}\n"


def manifest(**changes: str) -> str:
    return client("api") + client("worker") + listed("ConfigMap", "settings", SETTINGS | changes)


class Asked(list[tuple[str, tuple[str, int], Access, str]]):
    """Every question: protocol, address, credentials, what would be written; and what is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: Exception | None = None
        self.more: dict[str, tuple[str, ...]] = {}


@pytest.fixture
def asked(world: Any, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Probes that only take notes."""
    asked = Asked()

    def prober(protocol: str) -> Any:
        def ask(address: tuple[str, int], access: Access, write: str, ended: object) -> Answered:
            # What is known by now would be taken out of anything that is said.
            assert not access.password or world.redactor.redact(access.password) != access.password
            asked.append((protocol, address, access, write))
            if asked.refusal:
                raise asked.refusal
            return Answered(product=protocol, version="1", user=access.user, database=access.database, **asked.more)

        return ask

    monkeypatch.setattr(external, "ASKS", {name: prober(name) for name in external.ASKS})
    return asked


def found(world: Any, ident: str) -> Finding:
    chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
    made = report("prerequisites", "P", chosen, Subject(world.boundaries), observe=world.told.append)
    return made.findings[0]


def test_clients_with_the_same_access_are_asked_for_once(world: Any, asked: Asked) -> None:
    world.renders(manifest())
    finding = found(world, "external.postgresql")
    access = Access(host="pg.example.com", port=6432, user="app", password=PASSWORD, database="flows")
    assert asked == [("postgresql", ("pg.example.com", 6432), access, "")]
    said = "Deployment api, Deployment worker at pg.example.com:6432: postgresql 1 lets app into flows"
    assert (finding.status, finding.observed) == ("pass", said)


def test_clients_with_another_access_are_asked_for_apart(world: Any, asked: Asked) -> None:
    more = listed("ConfigMap", "more", SETTINGS | {"DATABASE_DB": "labels"})
    world.renders(manifest() + client("other", "{configMapRef: {name: more}}") + more)
    observed = found(world, "external.postgresql").observed.splitlines()
    assert sorted(question[2].database for question in asked) == ["flows", "labels"]
    assert [line.partition(" at ")[0] for line in observed] == ["Deployment api, Deployment worker", "Deployment other"]


@pytest.mark.parametrize("protocol", ["postgresql", "redis", "mongodb"])
@pytest.mark.parametrize("host", ["db", "db.csghub", "db.csghub.svc", "db-0.db", "db.csghub.svc.cluster.local."])
def test_what_a_service_of_the_release_leads_to_is_not_outside(
    world: Any, asked: Asked, protocol: str, host: str
) -> None:
    own = {"DATABASE_HOSTNAME": host, "REDIS_HOST_URL": f"redis://{host}:1", "MONG_HOST_URL": f"mongodb://{host}"}
    world.renders(manifest(**own) + service("db"))
    finding = found(world, f"external.{protocol}")
    assert (finding.status, asked) == ("skip", [])
    assert finding.observed.startswith("the release uses no ")


@pytest.mark.parametrize("host", ["db.example.com", "db.other", "db.other.svc", "example.db.com"])
def test_a_name_that_only_begins_like_a_service_is_outside(world: Any, asked: Asked, host: str) -> None:
    world.renders(manifest(DATABASE_HOSTNAME=host) + service("db"))
    assert found(world, "external.postgresql").status == "pass"
    assert asked[0][1] == (host, 6432)


def test_a_release_without_clients_has_nothing_to_ask(world: Any, asked: Asked) -> None:
    world.renders(client("proxy", image="nginx") + listed("ConfigMap", "settings", SETTINGS))
    finding = found(world, "external.redis")
    assert (finding.status, finding.observed) == ("skip", "the release uses no Redis outside of it")


@pytest.mark.parametrize("key", ["data", "stringData"])
def test_a_rendered_secret_is_read_before_a_live_one(world: Any, asked: Asked, key: str) -> None:
    values = {"DATABASE_HOSTNAME": "pg.example.com", "DATABASE_PASSWORD": PASSWORD}
    coded = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    world.renders(
        client("api", "{secretRef: {name: s}}") + listed("Secret", "s", coded if key == "data" else values, key)
    )
    world.cluster.add(live("Secret", "s", DATABASE_HOSTNAME="old.example.com"))
    assert found(world, "external.postgresql").status == "pass"
    assert asked[0][2] == Access(host="pg.example.com", port=5432, password=PASSWORD)


def live(kind: str, name: str, **data: str) -> Json:
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "csghub"},
        "data": coded if kind == "Secret" else data,
    }


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_what_the_chart_does_not_render_is_read_from_the_cluster(world: Any, asked: Asked, kind: str) -> None:
    world.renders(client("api", f"{{{kind[0].lower()}{kind[1:]}Ref: {{name: s}}}}"))
    world.cluster.add(live(kind, "s", DATABASE_HOSTNAME="pg.example.com", DATABASE_PASSWORD=PASSWORD))
    assert found(world, "external.postgresql").status == "pass"
    assert asked[0][2].password == PASSWORD


def test_settings_that_are_nowhere_leave_it_unknown(world: Any, asked: Asked) -> None:
    world.renders(
        client("api", "{secretRef: {name: later}}") + client("worker") + listed("ConfigMap", "settings", SETTINGS)
    )
    finding = found(world, "external.postgresql")
    assert finding.status == "unknown"
    assert finding.observed.splitlines() == [
        "Deployment api: Secret later is not there, so what it uses can't be told",
        "Deployment worker at pg.example.com:6432: postgresql 1 lets app into flows",
    ]


def test_an_address_that_is_none_fails_without_being_repeated(world: Any, asked: Asked) -> None:
    world.renders(manifest(REDIS_HOST_URL=f"redis://:{PASSWORD}@cache:port"))
    finding = found(world, "external.redis")
    assert finding.status == "fail"
    assert finding.observed.splitlines()[0] == "Deployment api can't start: REDIS_HOST_URL holds no address"


def test_a_chart_that_can_not_be_rendered_leaves_it_unknown(world: Any, asked: Asked) -> None:
    world.renders(manifest())
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: no chart name found\n")
    assert {found(world, f"external.{protocol}").status for protocol in external.ASKS} == {"unknown"}


# ---- what is asked


@pytest.mark.parametrize(
    ("sets", "sslmode"),
    [
        ({}, ""),
        ({"postgresql": {"external": {"host": "h", "sslmode": "require"}}}, "require"),
        ({"dataflow": {"postgresql": {"sslmode": "verify-full"}}}, "verify-full"),
        (
            {
                "dataflow": {"postgresql": {"sslmode": "disable"}},
                "postgresql": {"external": {"host": "h", "sslmode": "require"}},
            },
            "disable",
        ),
        ({"values": {"global": {"postgresql": {"external": {"sslmode": "allow"}}}}}, "allow"),
        ({"label_studio": {"postgresql": {"sslmode": "verify-ca"}}}, ""),
    ],
)
def test_sslmode_is_a_value_of_the_chart(world: Any, asked: Asked, sets: Json, sslmode: str) -> None:
    world.settings |= sets
    world.renders(manifest())
    found(world, "external.postgresql")
    assert asked[0][2].sslmode == sslmode


def test_a_clients_own_sslmode_wins(world: Any, asked: Asked) -> None:
    settings = {"POSTGRE_HOST": "pg.example.com", "SSLMODE": "require"}
    world.settings["label_studio"] = {"postgresql": {"sslmode": "disable"}}
    world.renders(client("labels", image="label-studio") + listed("ConfigMap", "settings", settings))
    found(world, "external.postgresql")
    assert asked[0][2].sslmode == "require"


def test_nothing_is_written_whatever_the_parameters_say(world: Any, asked: Asked) -> None:
    more = listed("ConfigMap", "more", SETTINGS | {"DATABASE_DB": "labels"})
    world.renders(manifest() + client("other", "{configMapRef: {name: more}}") + more)
    found(world, "external.postgresql")
    world.settings["probes"] = "write"
    found(world, "external.postgresql")
    assert [question[3] for question in asked] == [""] * 4


# ---- what is told


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({}, "pass", ""),
        ({"facts": ("3 tables",)}, "pass", "; 3 tables"),
        ({"doubts": ("older than 14",)}, "warn", "; older than 14"),
        ({"lacks": ("no connection is free",)}, "fail", "; no connection is free"),
        (
            {"doubts": ("older than 14",), "lacks": ("no connection is free",)},
            "fail",
            "; older than 14; no connection is free",
        ),
    ],
)
def test_a_doubt_warns_and_a_lack_fails(
    world: Any, asked: Asked, more: dict[str, tuple[str, ...]], status: str, said: str
) -> None:
    world.renders(manifest())
    asked.more = more
    finding = found(world, "external.postgresql")
    assert finding.status == status
    assert finding.observed.endswith(f"postgresql 1 lets app into flows{said}")


@pytest.mark.parametrize("protocol", ["postgresql", "redis", "mongodb"])
def test_a_refusal_fails_with_the_databases_own_sentence(world: Any, asked: Asked, protocol: str) -> None:
    world.renders(manifest())
    asked.refusal = CheckFailed("It refuses the password of app, or has no such user.")
    finding = found(world, f"external.{protocol}")
    assert finding.status == "fail"
    assert finding.observed.endswith(": It refuses the password of app, or has no such user")
    assert "orrect" in finding.remedy


def test_what_does_not_answer_here_is_to_be_asked_from_a_pod(world: Any, asked: Asked) -> None:
    world.renders(manifest())
    asked.refusal = NotFromHere("no answer in time: PostgreSQL hangs.")
    finding = found(world, "external.postgresql")
    assert finding.status == "fail"
    assert finding.observed == (
        "Deployment api, Deployment worker at pg.example.com:6432: no answer in time: PostgreSQL hangs "
        "(asked from here, not from a node)"
    )
    assert "kubectl -n csghub run ask" in finding.remedy
    assert "nc -zv -w 5 pg.example.com 6432" in finding.remedy


def test_what_can_not_be_asked_is_unknown(world: Any, asked: Asked) -> None:
    world.renders(manifest())
    asked.refusal = OutcomeUnknown("No thread is left.")
    assert found(world, "external.mongodb").status == "unknown"


REDIS = {"host": "cache.example.com", "password": {"from": "env:REDIS_OF_A_TEST"}}
NO_PASSWORD = CheckFailed("Redis asks for a password, and none is given.")


@pytest.mark.parametrize(
    ("sets", "place"),
    [
        ({"redis": {"external": REDIS}}, "global.redis.external.password"),
        ({"dataflow": {"redis": REDIS}}, "dataflow.redis.password"),
    ],
)
def test_a_password_that_the_chart_keeps_from_the_application_is_the_fault_that_is_told(
    world: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch, sets: Json, place: str
) -> None:
    monkeypatch.setenv("REDIS_OF_A_TEST", OTHER)
    world.settings |= sets
    world.renders(manifest())
    asked.refusal = NO_PASSWORD
    finding = found(world, "external.redis")
    assert finding.status == "fail"
    assert finding.observed == (
        "Redis at cache.example.com:6379 asks for a password, and REDIS_HOST_URL of Deployment api, Deployment worker "
        f"holds none: {place} gives one, which the chart does not put there"
    )
    assert "a Redis without a password that only the pods can reach" in finding.remedy
    assert "built-in" in finding.remedy
    assert "init containers only" in finding.why


def test_a_password_that_nobody_gave_is_told_without_a_place(world: Any, asked: Asked) -> None:
    world.renders(manifest())
    asked.refusal = NO_PASSWORD
    observed = found(world, "external.redis").observed
    assert observed.endswith("asks for a password, and REDIS_HOST_URL of Deployment api, Deployment worker holds none")


def test_a_password_that_the_server_does_not_want_warns(
    world: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_OF_A_TEST", OTHER)
    world.settings["redis"] = {"external": REDIS}
    world.renders(manifest())
    finding = found(world, "external.redis")
    assert finding.status == "warn"
    said = "global.redis.external.password gives a password, and the server asks for none"
    assert finding.observed.endswith(f"; {said}")


def test_no_line_holds_a_password(world: Any, asked: Asked) -> None:
    world.renders(manifest())
    for refusal in (None, NO_PASSWORD, CheckFailed("refused"), NotFromHere("no answer")):
        asked.refusal = refusal
        told = "".join(
            f"{found(world, check.id)}"
            for check in FAMILIES["prerequisites"]
            if check.id.startswith(("external.", "stores."))
        )
        assert PASSWORD not in told


# ---- values against other keys


@pytest.mark.parametrize(
    ("sets", "status", "observed"),
    [
        ({}, "skip", "the parameters have neither values nor values_files"),
        ({"values": {"global": {"x": 1}}}, "pass", "they say nothing against the other keys"),
        (
            {"values": {"externalUrl": "http://b"}},
            "warn",
            'values.externalUrl is "http://b", though csghub.external_url is "http://127.0.0.1:1": the former wins',
        ),
        (
            {"postgresql": {"external": {"host": "h"}}, "values": {"global": {"postgresql": {"enabled": True}}}},
            "warn",
            "values.global.postgresql.enabled is true, though postgresql.external is given: the former wins",
        ),
    ],
)
def test_values_that_say_otherwise_than_another_key_are_told(
    world: Any, sets: Json, status: str, observed: str
) -> None:
    world.settings |= sets
    finding = found(world, "stores.contradictions")
    assert (finding.status, finding.observed) == (status, observed)


def test_a_values_file_that_is_gone_leaves_it_unknown(world: Any) -> None:
    world.settings["values_files"] = ["gone.yaml"]
    finding = found(world, "stores.contradictions")
    assert finding.status == "unknown"
    assert "gone.yaml does not exist" in finding.observed
