"""What must be there before an install, each question with the answers it can have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject, version_of
from runbooks_lib.cluster import Forbidden
from runbooks_lib.errors import RunbookError
from runbooks_lib.release.plan import plan_install, propose
from runbooks_lib.results import Finding, Json

OURS = (
    *("kubernetes.version", "helm.version", "target.pin", "release.state", "chart.render", "namespace"),
    *("storage.classes", "gateway.definitions", "csghub.external-url", "permissions"),
)
CHECKS = [check for check in FAMILIES["prerequisites"] if check.id in OURS]
GATEWAY = "gateway.networking.k8s.io/v1"
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def claim(storage_class: str | None = None, mode: str = "ReadWriteMany") -> str:
    name = "" if storage_class is None else f"storageClassName: {storage_class}, "
    return f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: shared}}
spec: {{{name}accessModes: [{mode}]}}
"""


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
ROUTE = f"apiVersion: {GATEWAY}\nkind: HTTPRoute\nmetadata: {{name: r}}\n"
ENVOY = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: e}\n"


def finding(world: Any, ident: str) -> Finding:
    chosen = [check for check in CHECKS if check.id == ident]
    made = report("prerequisites", "P", chosen, Subject(world.boundaries), observe=world.told.append)
    return made.findings[0]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.33.13", (1, 33)),
        ("v1.33.2+k3s1", (1, 33)),
        ("v1.34.0-eks-1", (1, 34)),
        ("v3.19.5", (3, 19)),
        ("3.12", (3, 12)),
        ("v10.2", (10, 2)),
        ("", (0, 0)),
        ("unknown", (0, 0)),
    ],
)
def test_major_and_minor_are_read_off_any_spelling(text: str, version: tuple[int, int]) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("v1.33.0", "pass"),
        ("v1.33.2+k3s1", "pass"),
        ("v1.40.0", "pass"),
        ("v2.0.0", "pass"),
        ("v1.32.9", "fail"),
        ("v1.9.0", "fail"),
        ("", "fail"),
    ],
)
def test_kubernetes_is_1_33_or_newer(world: Any, version: str, status: str) -> None:
    world.cluster.gitversion = version
    answer = finding(world, "kubernetes.version")
    assert (answer.status, answer.observed) == (status, version)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("v3.11.3", "fail"),
        ("v3.12.0", "warn"),
        ("v3.13.0", "pass"),
        ("v3.19.5", "pass"),
        ("v4.0.0", "pass"),
        ("v2.17.0", "fail"),
    ],
)
def test_helm_is_3_12_or_newer_and_3_13_to_make_a_plan(world: Any, version: str, status: str) -> None:
    world.program.answer("version", stdout=version)
    answer = finding(world, "helm.version")
    assert answer.status == status
    if status == "warn":
        assert "can't make a server-side dry run" in answer.observed
        assert "3.13" in answer.remedy


@pytest.mark.parametrize(
    ("pin", "status", "observed", "remedy"),
    [
        ("right", "pass", "has the UID", ""),
        ("", "fail", "no pin in the parameters", 'add under target: cluster_uid: "11111111-'),
        ("other", "fail", "the pin is other", "target.kubeconfig"),
    ],
)
def test_the_pin_is_compared_and_the_line_to_paste_is_given(
    world: Any, pin: str, status: str, observed: str, remedy: str
) -> None:
    if pin != "right":
        world.settings["target"]["cluster_uid"] = pin
    answer = finding(world, "target.pin")
    assert answer.status == status
    assert observed in answer.observed
    assert remedy in answer.remedy


def test_an_account_that_may_not_read_the_pin_is_told_whom_to_ask_and_for_what(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> str:
        raise Forbidden(
            "dev may not get namespaces/kube-system.", next_step="01_prerequisites lists all that is needed."
        )

    monkeypatch.setattr(world.cluster, "uid", refuse)
    answer = finding(world, "target.pin")
    assert (answer.status, answer.observed) == (
        "unknown",
        "dev may not get namespaces/kube-system, whose UID is the cluster's",
    )
    assert answer.remedy.startswith(
        "Ask the cluster's administrator for the permission to get the namespace kube-system"
    )


# ---- the chart


def test_a_chart_that_renders_is_named_with_what_it_makes(world: Any) -> None:
    world.renders(f"{SECRET}---\n{DEPLOYMENT}")
    answer = finding(world, "chart.render")
    assert answer.status == "pass"
    assert answer.observed.startswith("dataflow 1.16.0 from ")
    assert answer.observed.endswith(": 2 objects")


def test_a_chart_that_can_not_be_rendered_fails_with_helms_reason(world: Any) -> None:
    world.renders(SECRET)
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: execution error at (x): domain is required\n")
    answer = finding(world, "chart.render")
    assert answer.status == "fail"
    assert "domain is required" in answer.observed
    assert "Correct the value" in answer.remedy


@pytest.mark.parametrize(
    ("ident", "said"),
    [
        ("permissions", "25 kinds, all allowed; which others the chart uses is not known"),
        ("storage.classes", "the chart could not be rendered"),
    ],
)
def test_what_needs_the_rendered_chart_is_unknown_without_it(world: Any, ident: str, said: str) -> None:
    world.renders(SECRET)
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: no chart name found\n")
    answer = finding(world, ident)
    assert answer.status == "unknown"
    assert said in answer.observed


HOOK = """---
# Source: dataflow/templates/job.yaml
apiVersion: batch/v1
kind: Job
metadata:
  name: j
  annotations:
    "helm.sh/hook": pre-install
"""


@pytest.mark.parametrize("cause", ["refused", "stuck"])
def test_where_the_server_side_render_is_refused_the_chart_is_rendered_without_the_cluster(
    world: Any, cause: str
) -> None:
    world.renders(SECRET)
    if cause == "refused":
        world.program.answer("--dry-run=server", returncode=1, stderr='Error: clusterroles "c" is forbidden: no\n')
    else:
        world.stored(SECRET, info={"status": "pending-install"})
    secret = 'stringData: {password: "made-up-each-time"}\n'
    world.program.answer("template", stdout=f"---\n{SECRET}{secret}---\n{claim()}{HOOK}---\n{ROUTE}")
    subject = Subject(world.boundaries)
    made = report("p", "P", CHECKS, subject, observe=world.told.append)
    answers = {one.id: one for one in made.findings}
    assert answers["chart.render"].status == "fail"
    assert ("may not do this" if cause == "refused" else "pending-install") in answers["chart.render"].observed
    assert "of a render without the cluster (`helm template`)" in answers["chart.render"].observed
    assert answers["permissions"].status == "pass"
    assert answers["storage.classes"].status == "fail"
    assert answers["gateway.definitions"].status == "pass"
    assert [obj["kind"] for obj in subject.objects] == ["Secret", "PersistentVolumeClaim", "HTTPRoute", "Job"]
    assert len(subject.proposal.rendered.hooks) == 1
    assert world.redactor.redact("made-up-each-time") != "made-up-each-time"
    (call,) = [call for call in world.program.calls if "template" in call.argv]
    assert call.argv[call.argv.index("--kube-version") + 1] == "v1.33.13"
    # A plan is never made of it.
    with pytest.raises(RunbookError):
        propose(world.boundaries, upgrade=False) if cause == "refused" else plan_install(world.boundaries)


def test_what_compares_renders_is_not_asked_where_there_is_none(world: Any, ask: Any) -> None:
    world.renders(SECRET)
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: no chart name found\n")
    answer = ask("values.effect")
    assert (answer.status, answer.observed.partition(",")[0]) == ("skip", "the chart could not be rendered")


def test_the_chart_is_rendered_once_for_all_questions(world: Any) -> None:
    world.renders(SECRET)
    report("p", "P", CHECKS, Subject(world.boundaries), observe=world.told.append)
    assert sum("--dry-run=server" in call.argv for call in world.program.calls) == 1


# ---- namespace


@pytest.mark.parametrize(
    ("phase", "status", "observed"),
    [
        (None, "pass", "csghub is not there yet; the install makes it"),
        ("Active", "pass", "csghub is there"),
        ("Terminating", "fail", "csghub is being removed"),
    ],
)
def test_the_namespace_is_there_or_still_to_be_made(world: Any, phase: str | None, status: str, observed: str) -> None:
    if phase:
        world.cluster.add({"kind": "Namespace", "metadata": {"name": "csghub"}, "status": {"phase": phase}})
    answer = finding(world, "namespace")
    assert (answer.status, answer.observed) == (status, observed)


# ---- storage


def storage_class(name: str, provisioner: str, *, default: bool = False) -> Json:
    meta = {"name": name} | ({"annotations": DEFAULT} if default else {})
    return {"kind": "StorageClass", "metadata": meta, "provisioner": provisioner}


# ---- gateway


def definition() -> Json:
    prefix = "gateway.networking.k8s.io"
    annotations = {f"{prefix}/bundle-version": "v1.3.0", f"{prefix}/channel": "standard"}
    return {"kind": "CustomResourceDefinition", "metadata": {"name": f"gateways.{prefix}", "annotations": annotations}}


@pytest.mark.parametrize(
    ("manifest", "forgotten", "status", "observed"),
    [
        (SECRET, (), "skip", "the chart uses no Gateway API kind"),
        (ROUTE, (), "pass", "Gateway API bundle v1.3.0, channel standard"),
        (ROUTE, ("HTTPRoute",), "fail", f"not known to this cluster: HTTPRoute ({GATEWAY})"),
        (ENVOY, (), "fail", "not known to this cluster: EnvoyProxy (gateway.envoyproxy.io/v1alpha1)"),
    ],
)
def test_the_kinds_that_the_chart_uses_must_be_known(
    world: Any, manifest: str, forgotten: tuple[str, ...], status: str, observed: str
) -> None:
    world.renders(manifest)
    world.cluster.add(definition()).forget(*forgotten)
    answer = finding(world, "gateway.definitions")
    assert (answer.status, answer.observed) == (status, observed)


def test_without_a_rendered_chart_the_guides_kinds_are_asked_for(world: Any) -> None:
    world.renders(SECRET)
    world.program.answer("--dry-run=server", returncode=1, stderr="Error: no matches for kind\n")
    world.cluster.forget("GatewayClass", "Gateway", "HTTPRoute")
    answer = finding(world, "gateway.definitions")
    assert answer.status == "fail"
    assert all(kind in answer.observed for kind in ("GatewayClass", "Gateway (", "HTTPRoute"))


def test_definitions_without_a_bundle_version_are_of_an_unknown_one(world: Any) -> None:
    world.renders(ROUTE)
    assert finding(world, "gateway.definitions").observed == "Gateway API bundle of an unknown version, channel unknown"


# ---- CSGHub


@pytest.fixture
def csghub() -> Iterator[tuple[str, dict[str, int]]]:
    """An address that answers with the status that the dictionary says."""
    wanted = {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(wanted["status"])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Requests are no news in a test."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", wanted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("code", "status"), [(200, "pass"), (404, "pass"), (401, "pass"), (500, "fail"), (503, "fail")]
)
def test_csghub_answers_unless_it_says_that_it_is_broken(
    world: Any, csghub: tuple[str, dict[str, int]], code: int, status: str
) -> None:
    url, wanted = csghub
    wanted["status"] = code
    world.settings["csghub"]["external_url"] = url
    answer = finding(world, "csghub.external-url")
    assert answer.status == status
    assert answer.observed.startswith(f"{url} answered {code} in ")


def test_csghub_that_does_not_answer_fails_with_the_reason(world: Any) -> None:
    answer = finding(world, "csghub.external-url")
    assert (answer.status, answer.observed) == ("fail", "http://127.0.0.1:1: connection refused")


# ---- the release as it is


@pytest.mark.parametrize(
    ("status", "expected", "observed"),
    [
        ("deployed", "pass", "revision 1 is deployed: done"),
        ("failed", "warn", "revision 1 is failed since 2026-11-22 (done), left by run abc"),
        ("uninstalling", "fail", "revision 1 is uninstalling since 2026-11-22 (done), left by run abc"),
        ("pending-upgrade", "fail", "revision 1 is pending-upgrade since 2026-11-22 (done), left by run abc"),
    ],
)
def test_how_the_release_is_and_which_run_has_left_it_so(world: Any, status: str, expected: str, observed: str) -> None:
    world.stored("", info={"status": status})
    answer = finding(world, "release.state")
    assert (answer.status, answer.observed) == (expected, observed)
    assert "07_recover" in answer.remedy


def test_before_an_install_there_is_no_release(world: Any) -> None:
    answer = finding(world, "release.state")
    assert (answer.status, answer.observed) == ("pass", "no release dataflow in namespace csghub yet")


def test_a_stuck_release_is_never_met_with_helms_bare_error(world: Any) -> None:
    world.stored("", info={"status": "pending-install"})
    world.renders(SECRET)
    answer = finding(world, "chart.render")
    assert answer.status == "fail"
    assert "was begun and has not ended, or was killed: revision 1 is pending-install" in answer.observed
    assert not [call for call in world.program.calls if "--dry-run=server" in call.argv]


# ---- secrets that records are searched for


@pytest.mark.parametrize(
    ("value", "status", "observed"),
    [
        ("long-enough-1", "pass", "1 secrets, each long enough"),
        ("short-1", "warn", "too short, or a plain word: env:DB_WORD"),
        ("abc", "warn", "too short, or a plain word: env:DB_WORD"),
        ("password", "warn", "too short, or a plain word: env:DB_WORD"),
    ],
)
def test_a_secret_for_which_no_record_can_be_searched_is_named(
    world: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, value: str, status: str, observed: str
) -> None:
    monkeypatch.setenv("DB_WORD", value)
    world.settings["values"] = {"redis": {"password": {"from": "env:DB_WORD"}}}
    found = ask("values.searchable")
    assert (found.status, found.observed) == (status, observed)


def test_values_that_refer_to_no_secret_have_none_to_search_for(ask: Any) -> None:
    found = ask("values.searchable")
    assert (found.status, found.observed) == ("skip", "the values refer to no secret")
