"""Whether a gateway can show a certificate for every name, with certificates that are made here."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from authority import Holder, issue

from runbooks_lib.checks import release
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.results import Finding, Json

VERIFY = [check for check in FAMILIES["verify"] if check.id == "tls.secret"]
CHECKS = [check for check in FAMILIES["prerequisites"] if check.id == "tls.secret"]
GATEWAY = "gateway.networking.k8s.io/v1"
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "csghub"}}
HOSTS = ("dataflow.example.com", "label-studio.example.com")
#: As it is pasted where the Secret is there already, which `create` alone would refuse.
REPLACE = (
    "`kubectl create secret tls tls --namespace csghub --cert=FILE --key=FILE --dry-run=client -o yaml "
    "| kubectl apply -f -`"
)


def finding(world: Any) -> Finding:
    (made,) = report("prerequisites", "P", CHECKS, Subject(world.boundaries), observe=world.told.append).findings
    return made


def gateway(*listeners: Json, **metadata: str) -> Json:
    meta = {"name": "gate"} | metadata
    return {"apiVersion": GATEWAY, "kind": "Gateway", "metadata": meta, "spec": {"listeners": list(listeners)}}


def listener(name: str = "https", secret: str = "tls", **more: Any) -> Json:
    refs = [{"name": secret} | more.pop("ref", {})] if secret else []
    return {"name": name, "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": refs}} | more


def route(*hosts: str, **parent: Any) -> Json:
    spec = {"parentRefs": [{"name": "gate"} | parent], "hostnames": list(hosts)}
    return {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": {"name": "r"}, "spec": spec}


def secret(
    *chain: Holder, key: Holder | None = None, kind: str = "kubernetes.io/tls", namespace: str = "csghub"
) -> Json:
    values = {"tls.crt": "".join(one.pem for one in chain), "tls.key": (key or chain[0]).key_pem()}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return {"kind": "Secret", "type": kind, "metadata": {"name": "tls", "namespace": namespace}, "data": data}


@pytest.fixture(scope="module")
def root() -> Holder:
    return issue("root", days=900)


@pytest.fixture(scope="module")
def site(root: Holder) -> Holder:
    return issue("site", *HOSTS, by=root)


@pytest.fixture
def serves(world: Any) -> Any:
    """A target whose chart renders these objects; without any, a gateway with a route for both hosts."""

    def renders(*objects: Json) -> Any:
        world.renders("---\n".join(map(yaml.safe_dump, objects or (gateway(listener()), route(*HOSTS)))))
        return world

    return renders


def test_the_certificate_of_a_release_that_is_there_is_looked_at_too(world: Any, site: Holder, root: Holder) -> None:
    world.stored("---\n".join(map(yaml.safe_dump, (gateway(listener()), route(*HOSTS)))))

    def seen() -> Finding:
        subject = release.Subject(world.boundaries)
        return report("verify", "R", VERIFY, subject, observe=world.told.append).findings[0]

    assert seen().status == "fail"
    world.cluster.add(secret(site, root))
    assert seen().status == "pass"


def test_a_right_certificate_passes_with_its_names_and_days(serves: Any, site: Holder, root: Holder) -> None:
    world = serves()
    world.cluster.add(secret(site, root))
    answer = finding(world)
    said = "Secret tls in namespace csghub is for dataflow.example.com, label-studio.example.com, and valid for 90 days more"
    assert (answer.status, answer.observed) == ("pass", said)
    line = site.key_pem().splitlines()[1]
    assert world.redactor.redact(line) == "«redacted:tls#tls.key»"


@pytest.mark.parametrize(
    ("make", "status", "said"),
    [
        (
            lambda root: issue("x", *HOSTS, by=root, days=-0.5),
            "fail",
            "its certificate, or one of its chain, has expired on 20",
        ),
        (lambda root: issue("x", *HOSTS, by=root, starts=2), "fail", "is not valid before 20"),
        (lambda root: issue("x", *HOSTS, by=root, days=29.5), "warn", "is valid for 29 days more only"),
        (lambda root: issue("x", *HOSTS, by=root, days=30.5), "pass", "valid for 30 days more"),
        (lambda root: issue("x", *HOSTS), "warn", "is self-signed"),
        (lambda root: issue("x", "*.example.com", by=root), "pass", "is for dataflow.example.com, label-studio"),
        (lambda root: issue("x", HOSTS[0], by=root), "fail", f"is for {HOSTS[0]}, not for {HOSTS[1]}"),
        (lambda root: issue(HOSTS[0], by=root), "fail", f"is for no DNS name, not for {HOSTS[0]}, {HOSTS[1]}"),
    ],
)
def test_a_certificate_that_is_not_right_says_why(serves: Any, root: Holder, make: Any, status: str, said: str) -> None:
    world = serves()
    world.cluster.add(secret(make(root)))
    answer = finding(world)
    assert answer.status == status
    assert said in answer.observed
    assert (
        status == "pass"
        or answer.remedy == f"Put a right one in: {REPLACE}; or name another in gateway.tls.secret_name."
    )


def test_a_chain_in_a_wrong_order_is_a_warning(serves: Any, site: Holder) -> None:
    world = serves()
    world.cluster.add(secret(site, issue("somebody")))
    answer = finding(world)
    assert answer.status == "warn"
    assert "in a wrong order: number 2 of the chain has not issued number 1" in answer.observed


def test_several_faults_are_told_the_worst_first(serves: Any) -> None:
    world = serves()
    world.cluster.add(secret(issue("x", HOSTS[0], days=3)))
    answer = finding(world)
    assert answer.status == "fail"
    words = ("not for label-studio", "days more only", "self-signed")
    assert all(word in line for word, line in zip(words, answer.observed.splitlines(), strict=True))


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        (lambda site: [], "Secret tls is not in namespace csghub; Gateway gate (listener https) names it"),
        (lambda site: [secret(site, namespace="other")], "Secret tls is not in namespace csghub"),
        (
            lambda site: [secret(site, kind="Opaque")],
            "Secret tls in namespace csghub is of type Opaque, not kubernetes",
        ),
        (lambda site: [secret(site, key=issue("x"))], "tls.key is not the key of the first certificate in tls.crt"),
        (lambda site: [secret(site) | {"data": {}}], "Secret tls in namespace csghub: tls.crt holds no certificate"),
        (lambda site: [secret(site) | {"data": {"tls.crt": "/w=="}}], "tls.crt holds no certificate in PEM"),
    ],
)
def test_a_secret_that_can_not_be_used_fails(serves: Any, site: Holder, secrets: Any, said: str) -> None:
    world = serves()
    world.cluster.add(NAMESPACE, *secrets(site))
    answer = finding(world)
    assert answer.status == "fail"
    assert said in answer.observed


def test_a_secret_of_another_type_is_removed_first_since_its_type_stays(serves: Any, site: Holder) -> None:
    world = serves()
    world.cluster.add(NAMESPACE, secret(site, kind="Opaque"))
    remove = "`kubectl delete secret tls --namespace csghub`"
    assert finding(world).remedy == f"Remove it and make it anew: {remove}, then {REPLACE}."


def test_before_the_namespace_is_there_both_are_to_be_made(serves: Any) -> None:
    answer = finding(serves())
    assert answer.remedy == (
        "`kubectl create namespace csghub`, then "
        "`kubectl create secret tls tls --cert=FILE --key=FILE --namespace csghub`."
    )


@pytest.mark.parametrize(
    "objects",
    [
        (gateway(listener(secret="")), route(*HOSTS)),
        (gateway({"name": "http", "port": 80, "protocol": "HTTP"}), route(*HOSTS)),
        (gateway(listener(ref={"kind": "ConfigMap"})),),
        ({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {"rules": []}},),
    ],
)
def test_without_a_secret_there_is_nothing_to_ask(serves: Any, objects: tuple[Json, ...]) -> None:
    answer = finding(serves(*objects))
    assert (answer.status, answer.observed) == ("skip", "no listener of the chart names a TLS Secret")


INGRESS = {"rules": [{"host": HOSTS[1]}], "tls": [{"secretName": "tls", "hosts": [HOSTS[1]]}, {"hosts": ["x"]}]}


@pytest.mark.parametrize(
    ("objects", "uncovered"),
    [
        ((gateway(listener()), route(HOSTS[1])), HOSTS[1]),
        ((gateway(listener()), route(HOSTS[1], kind="Gateway", namespace="csghub", sectionName="https")), HOSTS[1]),
        ((gateway(listener()), route(HOSTS[1], sectionName="http")), ""),
        ((gateway(listener()), route(HOSTS[1], port=80)), ""),
        ((gateway(listener()), route(HOSTS[1], name="another")), ""),
        ((gateway(listener()), route(HOSTS[1], namespace="other")), ""),
        ((gateway(listener()), route()), ""),
        ((gateway(listener(hostname=HOSTS[1])), route()), HOSTS[1]),
        ((gateway(listener(hostname=HOSTS[0])), route(*HOSTS)), ""),
        ((gateway(listener(hostname="*.example.com")), route(*HOSTS)), HOSTS[1]),
        ((gateway(listener(hostname="*.example.org")), route(*HOSTS)), "*.example.org"),
        (
            (gateway(listener(ref={"namespace": "csghub"}), namespace="front"), route(HOSTS[1], namespace="front")),
            HOSTS[1],
        ),
        (
            ({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": INGRESS},),
            HOSTS[1],
        ),
    ],
)
def test_the_names_are_those_that_are_served_with_it(
    serves: Any, root: Holder, objects: tuple[Json, ...], uncovered: str
) -> None:
    world = serves(*objects)
    world.cluster.add(secret(issue("x", HOSTS[0], by=root)))
    answer = finding(world)
    assert (answer.status, answer.observed.endswith(f"not for {uncovered}")) == (
        ("fail", True) if uncovered else ("pass", False)
    )
