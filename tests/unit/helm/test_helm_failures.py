"""Helm's texts, of Helm 3 and of Helm 4, and the sentence and exit code each becomes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib import errors
from runbooks_lib.errors import CheckFailed, OutcomeUnknown, RunbookError, TargetRefused, Unreachable, UsageError
from runbooks_lib.helm import Helm, failures
from runbooks_lib.helm.failures import failure
from runbooks_lib.process import Completed
from runbooks_lib.redaction import Redactor

GET = 'Get "https://127.0.0.1:6443/version": dial tcp 127.0.0.1:6443: connect: connection refused'
INDEX = 'looks like "http://127.0.0.1:1" is not a valid chart repository or cannot be reached'
SCHEMA = "values don't meet the specifications of the schema(s) in the following chart(s):"

#: What Helm says · the error · its exit code · a part of our sentence.
TEXTS: list[tuple[str, type[RunbookError], int, str]] = [
    (
        'INSTALLATION FAILED: create: failed to create: Secret "sh.helm.release.v1.rbdfce3.v1" is invalid: data: Too long: '
        "may not be more than 1048576 bytes",
        CheckFailed,
        3,
        "too large for the one Secret",
    ),
    ("INSTALLATION FAILED: cannot re-use a name that is still in use", TargetRefused, 7, "exists already"),
    ("release name check failed: cannot reuse a name that is still in use", TargetRefused, 7, "exists already"),
    (
        "UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress",
        TargetRefused,
        7,
        "another operation on this release is in progress",
    ),
    ('UPGRADE FAILED: "dataflow" has no deployed releases', UsageError, 2, "no such release"),
    ("uninstall: Release not loaded: dataflow: release: not found", UsageError, 2, "no such release"),
    ("release: not found", UsageError, 2, "no such release"),
    (f"INSTALLATION FAILED: Kubernetes cluster unreachable: {GET}", Unreachable, 6, "could not reach a server"),
    (f"cluster reachability check failed: kubernetes cluster unreachable: {GET}", Unreachable, 6, "not reach"),
    (
        'Kubernetes cluster unreachable: Get "https://api.example.com": dial tcp: lookup api.example.com: no such host',
        Unreachable,
        6,
        "could not reach a server",
    ),
    (
        'Kubernetes cluster unreachable: Get "https://127.0.0.1:6443/version": tls: failed to verify certificate: '
        "x509: certificate signed by unknown authority",
        Unreachable,
        6,
        "certificate that is not trusted",
    ),
    (
        "Kubernetes cluster unreachable: the server has asked for the client to provide credentials",
        Unreachable,
        6,
        "cluster did not accept the credentials",
    ),
    (
        "failed to fetch http://127.0.0.1:1/index.yaml : 401 Unauthorized",
        Unreachable,
        6,
        "repository did not accept the credentials",
    ),
    (
        'query: failed to list: secrets is forbidden: User "u" cannot list resource "secrets" in API group ""',
        CheckFailed,
        3,
        "may not do this",
    ),
    (
        "INSTALLATION FAILED: Unable to continue with install: could not get information about the resource X",
        CheckFailed,
        3,
        "may not do this",
    ),
    (
        "chart \"dataflow\" matching 9.9.9 not found in csghub index. (try 'helm repo update'): no chart version found",
        UsageError,
        2,
        "no such chart version",
    ),
    ('chart "dataflow" version "9.9.9" not found in http://127.0.0.1 repository', UsageError, 2, "no such chart"),
    (f"{INDEX}: failed to fetch http://127.0.0.1:1/index.yaml : 404 Not Found", Unreachable, 6, "repository did not"),
    (f"{INDEX}: Get: dial tcp 127.0.0.1:1: connect: connection refused", Unreachable, 6, "could not reach a server"),
    ("repo csghub not found", UsageError, 2, "not found where the parameters say"),
    ('path "./dataflow" not found', UsageError, 2, "not found where the parameters say"),
    ("no chart name found", UsageError, 2, "not found where the parameters say"),
    ("file 'c.tgz' does not appear to be a gzipped archive; got 'text/plain'", UsageError, 2, "no chart archive"),
    ("Chart.yaml file is missing", UsageError, 2, "not found where the parameters say"),
    (
        'INSTALLATION FAILED: unable to build kubernetes objects from release manifest: resource mapping not found for name: "g" '
        'namespace: "" from "": no matches for kind "GatewayClass" in version "gateway.networking.k8s.io/v1"',
        CheckFailed,
        3,
        "does not know a kind",
    ),
    (f"INSTALLATION FAILED: {SCHEMA}\ndataflow:\n- replicas: Invalid type", UsageError, 2, "refuses these values"),
    (
        "INSTALLATION FAILED: execution error at (dataflow/templates/x.yaml:3:4): domain is required",
        UsageError,
        2,
        "can't be rendered",
    ),
    ("template: dataflow/x.yaml:1:2: nil pointer evaluating interface {}.a", UsageError, 2, "can't be rendered"),
    (
        'Unable to continue with install: Secret "s" in namespace "n" exists and cannot be imported into the current '
        'release: invalid ownership metadata; label validation error: missing key "app.kubernetes.io/managed-by"',
        TargetRefused,
        7,
        "does not belong to this release",
    ),
    (
        'Unable to continue with install: GatewayClass "g" in namespace "" exists and cannot be imported into the current '
        'release: invalid ownership metadata; annotation validation error: key "meta.helm.sh/release-name" must equal "b"',
        TargetRefused,
        7,
        "one for the whole cluster, exists and does not belong to this release",
    ),
    ("UPGRADE FAILED: context canceled", OutcomeUnknown, 6, "stopped before it was done"),
    ("INSTALLATION FAILED: context deadline exceeded", OutcomeUnknown, 6, "time was up"),
    (
        "INSTALLATION FAILED: resource Deployment/csghub/api not ready. status: InProgress, message: Available: 0/1",
        OutcomeUnknown,
        6,
        "time was up",
    ),
    (
        "UPGRADE FAILED: post-upgrade hooks failed: timed out waiting for the condition",
        OutcomeUnknown,
        6,
        "time was up",
    ),
    (
        'INSTALLATION FAILED: create: failed to create: namespaces "csghub" not found',
        CheckFailed,
        3,
        "namespace does not exist",
    ),
    ("something nobody has seen yet", RunbookError, 1, "`helm install` failed"),
]

LOGGED = 'level=WARN msg="reading the kubeconfig" error="connection refused, x509, release: not found"\n'


def ended(stderr: str, **how: Any) -> Completed:
    return Completed(("helm", "install", "x"), how.pop("returncode", 1), "", stderr, 12.4, **how)


def plain(text: str) -> str:
    return text


@pytest.mark.parametrize(("text", "error", "code", "sentence"), TEXTS)
def test_a_text_of_helm_becomes_an_error_with_a_sentence_and_an_exit_code(
    text: str, error: type[RunbookError], code: int, sentence: str
) -> None:
    made = failure(ended(f"Error: {text}\n"), plain)
    assert type(made) is error
    assert made.exit_code == code
    assert sentence in made.summary
    assert f"Helm says: {text.splitlines()[0]}" in made.summary, "Helm's own words are kept"
    assert made.next_step


@pytest.mark.parametrize(("text", "error", "code", "sentence"), TEXTS)
def test_what_helm_4_logs_before_its_error_does_not_decide(
    text: str, error: type[RunbookError], code: int, sentence: str
) -> None:
    made = failure(ended(f"{LOGGED}{LOGGED}Error: {text}\n"), plain)
    assert (type(made), made.exit_code) == (error, code)
    assert sentence in made.summary
    assert "level=WARN" not in made.summary


def test_a_text_without_error_is_shown_whole() -> None:
    made = failure(ended("panic: something\nwent wrong\n"), plain)
    assert "Helm says: panic: something went wrong" in made.summary


def test_a_call_that_took_too_long_is_unknown() -> None:
    made = failure(ended("", timed_out=True, returncode=-15), plain)
    assert type(made) is OutcomeUnknown
    assert made.summary == "`helm install` did not end within 12 s and was stopped (SIGTERM)."
    assert "03_verify" in made.next_step


def test_a_call_that_was_stopped_but_ended_with_0_is_unknown_too() -> None:
    assert type(failure(ended("", timed_out=True, returncode=0), plain)) is OutcomeUnknown


def test_a_killed_helm_is_unknown_and_has_a_sentence_of_ours() -> None:
    made = failure(ended("", returncode=-9), plain)
    assert type(made) is OutcomeUnknown
    assert made.summary.endswith("was killed (signal 9) before it was done.")
    assert "07_recover" in made.next_step


@pytest.mark.parametrize("secret", ["hunter2-hunter2", "two  spaces in it", "first line of it\nsecond line of it"])
def test_a_secret_in_helms_words_is_replaced(program: Any, tmp_path: Any, secret: str) -> None:
    redactor = Redactor()
    redactor.register(secret, "pg#PASSWORD")
    program.answer(returncode=1, stderr=f"Error: INSTALLATION FAILED: bad value {secret} in Secret\n")
    with pytest.raises(RunbookError) as caught:
        Helm("helm", tmp_path, "csghub", redactor=redactor, run=program).status("x")
    shown = str(caught.value)
    assert "«redacted:pg#PASSWORD»" in shown
    assert not any(part in shown for part in ("hunter2", "spaces", "line of it"))


def test_the_error_is_found_however_much_is_logged_before_it(program: Any, tmp_path: Any) -> None:
    program.answer(returncode=1, stderr=LOGGED * 200 + "Error: no chart name found\n")
    with pytest.raises(UsageError, match="Helm says: no chart name found"):
        Helm("helm", tmp_path, "csghub", redactor=Redactor(), run=program).status("x")


@given(st.text())
def test_any_text_becomes_an_error_with_a_next_step(text: str) -> None:
    made = failure(ended(text), plain)
    assert made.summary
    assert made.next_step
    assert len(made.summary.splitlines()) <= 1


def test_every_row_of_the_table_is_whole() -> None:
    for row in failures._KNOWN:
        assert set(row) == {"pattern", "error", "summary", "next_step"}
        assert re.compile(row["pattern"])
        assert issubclass(getattr(errors, row["error"]), errors.RunbookError)
        assert row["summary"].endswith(".")
        assert row["next_step"]
