from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_api import Answer, ScriptedApi, page, self_signed, status, thing

from runbooks_lib.cluster import Cluster, Conflict, Forbidden, Invalid, NotFound, Untrusted
from runbooks_lib.errors import OutcomeUnknown, RunbookError, Unreachable
from runbooks_lib.results import Event

PODS = "/api/v1/namespaces/ns/pods"
SECRETS = "/api/v1/namespaces/ns/secrets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/ns/deployments"
Connect = Callable[..., Cluster]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class TestNoAnswer:
    def test_a_refused_connection(self, connect: Connect) -> None:
        url = f"https://127.0.0.1:{_free_port()}"
        with pytest.raises(Unreachable) as caught:
            connect(url).version()
        assert caught.value.summary == f"The cluster at {url} did not answer: connection refused."
        assert "runbooks sandbox status" in caught.value.next_step
        assert caught.value.exit_code == 6

    def test_a_name_that_does_not_resolve(self, connect: Connect) -> None:
        with pytest.raises(Unreachable) as caught:
            connect("https://cluster.invalid:6443").version()
        assert (
            caught.value.summary
            == "The cluster at https://cluster.invalid:6443 did not answer: its name does not resolve."
        )
        assert "cluster.invalid:6443" in caught.value.next_step

    def test_a_server_that_takes_too_long(self, api: ScriptedApi, connect: Connect) -> None:
        api.script("GET", "/version", Answer(hang=True))
        with pytest.raises(Unreachable) as caught:
            connect(api.url, timeout=0.1).version()
        assert caught.value.summary == f"The cluster at {api.url} did not answer: no answer in time."

    def test_a_server_that_closes_without_an_answer_is_asked_again(self, api: ScriptedApi, cluster: Cluster) -> None:
        api.script("GET", "/version", Answer(drop=True), Answer(body={"gitVersion": "v1.33.0"}))
        assert cluster.version() == "v1.33.0"
        api.script("GET", "/version", Answer(drop=True))
        with pytest.raises(Unreachable, match="the connection was closed without an answer"):
            cluster.version()

    @pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b"{}"])
    def test_something_that_is_no_api_server(self, api: ScriptedApi, cluster: Cluster, body: bytes) -> None:
        api.script("GET", "/version", Answer(body=body))
        with pytest.raises(Unreachable) as caught:
            cluster.version()
        assert caught.value.summary == (
            f"What answers at {api.url} is not a Kubernetes API server: its answer to «get /version» can't be read."
        )

    def test_a_redirect_is_not_followed(self, api: ScriptedApi, cluster: Cluster) -> None:
        api.script("GET", "/version", Answer(302, headers={"Location": f"{api.url}/login"}))
        with pytest.raises(RunbookError, match="answered 302"):
            cluster.version()
        assert api.requests("/login") == []


class TestTrust:
    @pytest.mark.parametrize(
        ("made", "expected"),
        [
            ({}, ""),
            ({"name": "127.0.0.2"}, "its certificate is for another host name or address"),
            ({"days": -1}, "its certificate has expired"),
        ],
    )
    def test_certificates(self, tmp_path: Path, connect: Connect, made: dict[str, Any], expected: str) -> None:
        certificate = self_signed(tmp_path / "server.pem", **made)
        api = ScriptedApi(certificate)
        api.script("GET", "/version", Answer(body={"gitVersion": "v1.33.0"}))
        try:
            cluster = connect(api.url, authority=str(certificate))
            if not expected:
                assert cluster.version() == "v1.33.0"
                return
            with pytest.raises(Untrusted) as caught:
                cluster.version()
            assert caught.value.summary == f"The cluster at {api.url} can't be trusted: {expected}."
            assert "certificate-authority-data" in caught.value.next_step
        finally:
            api.close()

    def test_another_authority_than_the_kubeconfigs(self, tmp_path: Path, connect: Connect) -> None:
        api = ScriptedApi(self_signed(tmp_path / "server.pem"))
        try:
            with pytest.raises(Untrusted) as caught:
                connect(api.url, authority=str(self_signed(tmp_path / "other.pem"))).version()
            assert caught.value.summary == f"The cluster at {api.url} can't be trusted: its certificate is not trusted."
        finally:
            api.close()

    def test_a_server_without_tls_behind_an_https_address(self, api: ScriptedApi, connect: Connect) -> None:
        with pytest.raises(Unreachable, match="it does not speak TLS on this port"):
            connect(api.url.replace("http:", "https:")).version()

    def test_the_token_is_sent_and_its_refusal_does_not_show_it(self, api: ScriptedApi, cluster: Cluster) -> None:
        api.script("GET", "/version", status(401, "Unauthorized"))
        with pytest.raises(Untrusted) as caught:
            cluster.version()
        assert api.asked[-1].headers["authorization"] == "Bearer s3cr3t-token"
        assert caught.value.summary == f"The cluster at {api.url} does not accept the credentials (401): Unauthorized."
        assert caught.value.exit_code == 6
        assert "s3cr3t" not in str(caught.value)


RBAC = 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "ns"'
ANONYMOUS = RBAC.replace("jane", "system:anonymous")
QUOTA = 'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3'


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "kind", "expected", "exit_code"),
        [
            (status(403, RBAC), Forbidden, "jane may not list pods in the namespace ns.", 3),
            (status(403, QUOTA), Forbidden, f"does not let «list pods in the namespace ns» happen (403): {QUOTA}.", 3),
            (status(403, ANONYMOUS), Forbidden, "was asked without credentials: it may not list pods", 3),
            (status(404, "the server could not find it"), NotFound, "can't «list pods in the namespace ns» (404)", 3),
            (status(400, "bad selector"), Invalid, "invalid (400): bad selector.", 3),
            (Answer(418, b"teapot"), RunbookError, "answered 418 to «list pods in the namespace ns».", 1),
        ],
    )
    def test_of_reads(
        self,
        api: ScriptedApi,
        cluster: Cluster,
        answer: Answer,
        kind: type[RunbookError],
        expected: str,
        exit_code: int,
    ) -> None:
        api.script("GET", PODS, answer)
        with pytest.raises(kind) as caught:
            cluster.list("v1", "Pod", "ns")
        assert expected in caught.value.summary
        assert caught.value.next_step
        assert caught.value.exit_code == exit_code
        assert len(api.requests(PODS)) == 1

    @pytest.mark.parametrize(
        ("code", "kind", "expected"),
        [
            (409, Conflict, "can't «create deployments/web in the namespace ns»: it exists already"),
            (422, Invalid, "finds «create deployments/web in the namespace ns» invalid (422): spec.replicas: wrong."),
            (429, OutcomeUnknown, "was too busy for «create deployments/web in the namespace ns» (429)"),
            (500, OutcomeUnknown, "It is not known whether the cluster"),
            (503, OutcomeUnknown, "It is not known whether the cluster"),
        ],
    )
    def test_a_write_is_sent_once_and_told(
        self, api: ScriptedApi, cluster: Cluster, told: list[Event], code: int, kind: type[RunbookError], expected: str
    ) -> None:
        api.script("POST", DEPLOYMENTS, status(code, "spec.replicas: wrong"))
        with pytest.raises(kind) as caught:
            cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}, "ns")
        assert expected in caught.value.summary
        assert len(api.requests(DEPLOYMENTS)) == 1
        asked = {"verb": "create", "resource": "deployments", "name": "web", "namespace": "ns", "status": code}
        assert told == [Event(kind="request.made", data=asked)]

    @pytest.mark.parametrize("lost", [Answer(drop=True), Answer(hang=True)])
    @pytest.mark.parametrize("write", ["create", "patch", "delete"])
    def test_a_write_whose_answer_is_lost_is_unknown_and_not_sent_again(
        self, api: ScriptedApi, connect: Connect, told: list[Event], lost: Answer, write: str
    ) -> None:
        cluster = connect(api.url, timeout=0.1)
        for method, path in (("POST", PODS), ("PATCH", f"{PODS}/a"), ("DELETE", f"{PODS}/a")):
            api.script(method, path, lost)
        calls: dict[str, Callable[[], object]] = {
            "create": lambda: cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, "ns"),
            "patch": lambda: cluster.patch("v1", "Pod", "a", {"x": 1}, "ns"),
            "delete": lambda: cluster.delete("v1", "Pod", "a", "ns"),
        }
        with pytest.raises(OutcomeUnknown) as caught:
            calls[write]()
        assert not isinstance(caught.value, Unreachable)
        expected = f"It is not known whether the cluster at {api.url} carried out «{write} pods/a in the namespace ns»"
        assert caught.value.summary.startswith(expected)
        assert "before anything is tried again" in caught.value.next_step
        assert len([asked for asked in api.asked if asked.method != "GET"]) == 1
        assert [event.data["status"] for event in told] == [0]

    def test_a_write_that_could_not_be_sent_is_not_unknown_but_unreachable(
        self, api: ScriptedApi, cluster: Cluster
    ) -> None:
        cluster.resources()
        api.close()
        cluster.close()
        with pytest.raises(Unreachable, match="connection refused"):
            cluster.delete("v1", "Pod", "a", "ns")

    def test_a_refused_secret_does_not_show_what_it_held(self, api: ScriptedApi, cluster: Cluster) -> None:
        causes = [{"reason": "FieldValueInvalid", "message": 'Invalid value: "hunter2": no', "field": "data[a b]"}]
        answer = status(422, 'Secret "s" is invalid: data[a b]: Invalid value: "hunter2": no', causes=causes)
        api.script("PATCH", f"{SECRETS}/s", answer)
        with pytest.raises(Invalid) as caught:
            cluster.patch("v1", "Secret", "s", {"stringData": {"a b": "hunter2"}}, "ns")
        assert caught.value.summary.endswith("invalid (422): data[a b] (FieldValueInvalid).")
        assert "hunter2" not in str(caught.value)


class TestPassingFaults:
    @pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
    def test_a_read_is_asked_again(self, api: ScriptedApi, cluster: Cluster, told: list[Event], code: int) -> None:
        api.script("GET", PODS, status(code, "not now"), status(code, "not now"), page(thing("a")))
        assert [pod["metadata"]["name"] for pod in cluster.list("v1", "Pod", "ns")] == ["a"]
        assert told == []

    def test_a_server_that_stays_broken_is_unknown(self, api: ScriptedApi, cluster: Cluster) -> None:
        api.script("GET", PODS, status(500, "etcdserver: no leader"))
        with pytest.raises(OutcomeUnknown) as caught:
            cluster.list("v1", "Pod", "ns")
        assert caught.value.summary == (
            f"The cluster at {api.url} failed on «list pods in the namespace ns» (500): etcdserver: no leader."
        )
        assert len(api.requests(PODS)) == 4

    def test_a_wait_is_never_longer_than_the_time_out(self, api: ScriptedApi, connect: Connect) -> None:
        busy = status(429, "too many requests")
        busy.headers["Retry-After"] = "3600"
        api.script("GET", PODS, busy, page())
        assert connect(api.url, timeout=0.9).list("v1", "Pod", "ns") == []

    def test_a_dry_run_changes_nothing_so_it_is_asked_again_and_not_told(
        self, api: ScriptedApi, cluster: Cluster, told: list[Event]
    ) -> None:
        api.script("PATCH", f"{PODS}/a", status(503, "not now"), Answer(body=thing("a")))
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
        assert cluster.dry_run("apply", pod, "ns")["metadata"]["name"] == "a"
        assert told == []
        asked = api.requests(f"{PODS}/a")[-1]
        assert asked.query == {"dryRun": "All", "fieldManager": "helm", "force": "true"}
        assert asked.headers["content-type"] == "application/apply-patch+yaml"

    def test_an_object_that_its_schema_cannot_hold_is_invalid(self, api: ScriptedApi, cluster: Cluster) -> None:
        fault = "failed to create typed patch object (ns/a; v1, Kind=Pod): .spec.foo: field not declared in schema"
        api.script("PATCH", f"{PODS}/a", status(500, fault))
        with pytest.raises(Invalid, match="field not declared in schema"):
            cluster.dry_run("apply", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, "ns")


def test_a_kubeconfig_that_skips_the_verification_does_not_warn_at_every_request(tmp_path: Path) -> None:
    import yaml
    from scripted_api import kubeconfig_text

    api = ScriptedApi(self_signed(tmp_path / "server.pem", name="127.0.0.2"))
    api.script("GET", "/version", Answer(body={"gitVersion": "v1.33.0"}))
    config = yaml.safe_load(kubeconfig_text(api.url))
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    try:
        with warnings.catch_warnings(record=True) as seen, Cluster.connect(path, "") as cluster:
            assert cluster.version() == "v1.33.0"
        assert seen == []
    finally:
        api.close()
