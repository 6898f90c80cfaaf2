"""What each kind of key takes, and what it refuses, with the key's own sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbooks_lib import parameters
from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters import documents

Write = Callable[..., str]

GOOD: dict[str, list[Any]] = {
    "target.release": ["a1", "dataflow", "r" * 53],
    "csghub.external_url": [
        *("http://h", "https://csghub.example.com:8443/path?a=b", "https://10.0.0.1", "https://[2001:db8::1]:443"),
        *("https://a_b.example.com", "http://localhost:30080", f"https://{'a' * 63}.example.com", "https://h:65535"),
    ],
    "chart.version": ["1.16.0", "v1.16.0", "1.16.0-rc.1", "1.16.0+build.5"],
    "chart.repository": ["oci://r.example.com/charts", "http://127.0.0.1:8080"],
    "chart.name": ["dataflow", "Data_flow.2"],
    "postgresql.external.host": ["db", "db.example.com.", "_db.example.com", "10.0.0.1", "::1", "2001:db8::1"],
    "images.registry": ["r.example.com:5000/team/sub-path", "localhost:5000", "10.0.0.1:5000", "registry"],
    "dataflow.image.repository": ["opencsghq/dataflow", "a__b/c.d-e"],
    "dataflow.persistence.size": ["100Gi", "1.5Ti", "512Mi"],
    "dataflow.postgresql.database": ["", "csghub_dataflow", "a-b"],
    "gateway.tls.secret_name": ["tls", "tls.example.com"],
    "gateway.node_ports": [{"http": 30080, "https": 30443}, {"http": 30080}],
    "policy.rollout_seconds": [1, 86_400],
    "waivers": [[{"check": "a", "reason": "b", "until": "2026-12-31"}]],
}
BAD: dict[str, list[Any]] = {
    "target.release": ["", "1a", "A", "a-", "r" * 54, "a.b", "a_b", "-a"],
    "csghub.external_url": [
        *("h", "ftp://h", "https://", "https://h:0", "https://h:70000", "https://h:abc", "https://[::1", "https://,"),
        *("https://u:p@h", "https://h h", "https://999.1.1.1", "https://1.2.3.4.5", "https://[::x]", "https://-h"),
        *("https://h/?token=hunter22", f"https://{'a' * 64}.example.com", f"https://{'a.' * 150}com", "https://a..b"),
    ],
    "chart.version": [">=1.0", "1", "1.16", "^1.16.0", "1.x.x", "latest", "1.16.0 || 2.0.0", "01.1.1", "--evil"],
    "chart.repository": ["charts.example.com", "file:///charts", "https://r:70000", "https://999.9.9.9/x"],
    "chart.name": ["--evil", "a/b", "a b", "..", "a\0b"],
    "postgresql.external.host": [
        *("http://db", "db:5432", "a..b", "a b", "a/b", "999.1.1.1", "1.2.3.4.5", "1.2", ":::::", "1:2", "[::1]"),
        *("a" * 64, "a." * 150, "u@h", "-a", "*.example.com"),
    ],
    "images.registry": ["https://r", "r/", "r:0", "r:70000", "a..b", "r//x", "999.1.1.1:5000", "r/UPPER", "u@r"],
    "dataflow.image.repository": ["http://x", "a:tag", "UPPER/x", "a b", "a//b", "/a", "a@sha256:x"],
    "dataflow.persistence.size": ["10", "10Gb", "10G", "-1Gi", "0Gi", "1 Gi", "999999Gi", "1Ki", "1Ei", "1.Gi"],
    "dataflow.postgresql.database": ["a\nb", "x;drop", "a b", "a'b", "1a", "d" * 64, "a,b"],
    "gateway.tls.secret_name": ["a/../b", "A", "a_b"],
    "gateway.node_ports": [{"http": 30080, "https": 30080}, {"http": 0}, {"http": 65536}, {"http": "30080"}],
    "policy.rollout_seconds": [0, -1, 86_401, 10**30, 1.5, True, "60"],
    "policy.take_over": [1, ["a"]],
    "waivers": [
        [{"check": "a", "reason": " ", "until": "2026-12-31"}],
        [{"check": "", "reason": "b", "until": "2026-12-31"}],
        [{"check": "a", "reason": "b"}],
        *(
            [{"check": "a", "reason": "b", "until": day}]
            for day in ("2026W481", "20261231", "2026-13-01", "tomorrow", 1)
        ),
        [{"check": "a", "reason": "b", "until": "2026-12-31"}, {"check": "a", "reason": "c", "until": "2026-12-31"}],
        {"check": "a"},
    ],
    "verify.csghub": [
        {"works": True, "by": "me", "on": "2999-01-01", "seen": "it"},
        {"works": True, "by": " ", "on": "2026-11-01", "seen": "it"},
        {"works": "yes", "by": "me", "on": "2026-11-01", "seen": "it"},
    ],
    "helm.executable": ["", "a\0b", "a\nb"],
    "target.kubeconfig": ["a\x1bb"],
}
#: What must stand beside a key.
BESIDES = {"gateway.tls.secret_name": {"gateway.tls.enabled": True}}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(key, value, id=f"{key}-{value!r:.40}") for key, values in table.items() for value in values]


@pytest.mark.parametrize(("key", "value"), cases(GOOD))
def test_what_fits_is_taken(write: Write, key: str, value: Any) -> None:
    parameters.load(write(), {key: value} | BESIDES.get(key, {}))


@pytest.mark.parametrize(("key", "value"), cases(BAD))
def test_what_does_not_fit_is_refused_with_its_key_and_never_shown(write: Write, key: str, value: Any) -> None:
    with pytest.raises(ParametersError) as refused:
        parameters.load(write(), {key: value} | BESIDES.get(key, {}))
    (line,) = {line for line in refused.value.summary.splitlines() if f": {key}" in line} or {""}
    assert line, refused.value.summary
    assert "hunter22" not in str(refused.value)


SECRET_VALUES: list[Any] = [
    {"password": ["hunter22"]},
    {"password": {"value": "hunter22"}},
    {"passwords": ["hunter22", "hunter23"]},
    *({key: "hunter22"} for key in ("DB_PASS", "pwd", "db_pwd", "passphrase", "credentials", "password_", "apiKey")),
    *({key: "hunter22"} for key in ("accessKey", "secretKeyBase", "access_token", "dockerconfigjson", "rootPassword")),
    {"dsn": "host=h user=u password=hunter22 dbname=d"},
    {"args": ["--password=hunter22"]},
    {"args": ["--api-token = hunter22"]},
    {"headers": {"x": "Bearer hunter22-hunter22"}},
]
PLAIN_VALUES: list[Any] = [
    {"args": ["--password=$(DB_PASSWORD)", "--password-file=/run/x", "--token=${TOKEN}", "password={{ .Values.x }}"]},
    {"existingCredentials": "mine", "bypass": "x", "compass": "x", "passthrough": "x", "tokens": 4096},
    {"note": "the bearer of this", "text": "password = ", "secretName": "tls", "keyPath": "/x"},
]


@pytest.mark.parametrize("values", SECRET_VALUES, ids=str)
def test_a_secret_in_clear_is_refused_wherever_it_stands(write: Write, values: Any) -> None:
    with pytest.raises(ParametersError, match="must not hold a secret in clear") as refused:
        parameters.load(write(), {"values": {"app": values}})
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize("values", PLAIN_VALUES, ids=str)
def test_what_only_speaks_of_secrets_is_taken(write: Write, values: Any) -> None:
    parameters.load(write(), {"values": {"app": values}})


def test_a_values_file_may_write_a_mode_as_helm_does(write: Write, minimal: str, project: Any) -> None:
    (project / "mine-values.yaml").write_text("app: {defaultMode: 0644}\n")
    chosen = parameters.load(write(f"{minimal}values: {{mode: 0400}}\nvalues_files: [mine-values.yaml]\n"))
    assert parameters.chart_values(chosen)["app"] == {"defaultMode": 0o644}
    assert chosen.values == {"mode": 0o400}


def test_a_pipe_is_no_file_to_read(project: Any) -> None:
    import os

    os.mkfifo(project / "pipe.yaml")
    with pytest.raises(ParametersError, match=r"pipe\.yaml is no regular file"):
        parameters.load("pipe.yaml")


def test_an_alias_is_what_it_stands_for(project: Any) -> None:
    (project / "a.yaml").write_text("a: &a {x: 1, y: [1, 2]}\nb: *a\nc: {<<: *a, x: 2}\nd: [*a, *a]\n")
    data, places = documents.read(project / "a.yaml", "a.yaml")
    assert (data["b"], data["c"], len(data["d"])) == (data["a"], {"x": 2, "y": [1, 2]}, 2)
    assert places["d",] == "a.yaml:4"
