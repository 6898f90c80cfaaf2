"""A parameters file is read as it was meant, or everything that is wrong with it is said at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks_lib import parameters
from runbooks_lib.errors import ParametersError

Write = Callable[..., str]


def refusal(name: str, overrides: Any = ()) -> ParametersError:
    with pytest.raises(ParametersError) as caught:
        parameters.load(name, overrides)
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    return caught.value


def test_what_is_left_out_has_its_default(write: Write) -> None:
    chosen = parameters.load(write())
    assert chosen.target.namespace == "csghub"
    assert chosen.chart.repository == "https://charts.opencsg.com/csghub"
    assert chosen.label_studio.postgresql.database == "csghub_label_studio"
    assert (chosen.policy.approval, chosen.policy.rollout_seconds) == ("operator", 900)
    assert (chosen.verify.expect, chosen.probes, chosen.values_files) == ("present", "read", ())
    assert chosen.source == "parameters/mine.yaml"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("{}", "dataflow.csghub"),
        ("{release: two, namespace: other}", "two.other"),
        ("{name: staging}", "staging"),
        ("", "dataflow.csghub"),
    ],
)
def test_a_target_has_a_name(write: Write, minimal: str, target: str, name: str) -> None:
    assert parameters.load(write(minimal.replace("{}", target))).target.name == name


def test_a_section_with_everything_commented_out_is_its_defaults(write: Write, minimal: str) -> None:
    chosen = parameters.load(write(minimal + "policy:\n  # approval: operator\nvalues:\nvalues_files:\n"))
    assert (chosen.policy.approval, chosen.policy.rollout_seconds) == ("operator", 900)
    assert (chosen.values, chosen.values_files) == ({}, ())


def test_parameters_cannot_be_changed_afterwards(write: Write) -> None:
    chosen = parameters.load(write())
    with pytest.raises(ValidationError):
        chosen.probes = "write"  # type: ignore[misc]


def test_what_is_archived_reads_as_the_same_parameters(write: Write, minimal: str) -> None:
    chosen = parameters.load(write(minimal + 'values:\n  a: {password: {from: "env:PASSWORD"}, b: [1, null]}\n'))
    archived = parameters.dump(chosen)
    assert archived["values"]["a"]["password"] == {"from": "env:PASSWORD"}
    assert parameters.dump(parameters.load(write(), archived)) == archived


def test_a_missing_file_says_where_it_was_looked_for(project: Path) -> None:
    assert refusal("parameters/bultin.yaml").summary == (
        f"parameters/bultin.yaml does not exist (looked for {project}/parameters/bultin.yaml)."
    )


def bomb(shape: str, key: str = "") -> str:
    """Ten times ten times ten …: a few lines that stand for a billion values."""
    lines = ["a0: &a0 x"]
    for number in range(1, 10):
        inner = ", ".join(f"{key.format(each)}*a{number - 1}" for each in range(10))
        lines.append(f"a{number}: &a{number} {shape.format(inner)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "parameters/mine.yaml is empty."),
        ("# nothing\n", "parameters/mine.yaml is empty."),
        ("- target\n", "mine.yaml must be a mapping (key: value) at its top level."),
        ("target\n", "mine.yaml must be a mapping (key: value) at its top level."),
        ("target: {}\nchart: [1\n", "mine.yaml:3:1: not well-formed YAML"),
        ("target:\n\tname: x\n", "mine.yaml:2:1: not well-formed YAML"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        (b"target: \xff\n", "mine.yaml: not text in UTF-8"),
        (b"target: \x07\n", "mine.yaml: character 9 is a control character, which stands in no text"),
        ("target: {}\nchart: {}\ntarget: {}\n", "mine.yaml:3:1: not well-formed YAML: target is there already."),
        ("a:\n  b: 1\n  b: 2\n", "mine.yaml:3:3: not well-formed YAML: b is there already."),
        ("a:\n- {b: 1, b: 2}\n", "mine.yaml:2:10: not well-formed YAML: b is there already."),
        ("1: x\n", "mine.yaml:1:1: not well-formed YAML: 1 is not text: quote it"),
        (
            "a: {{ b }}\n",
            "mine.yaml:1:5: not well-formed YAML: a key in brackets (as in `{{ }}`) is not text: quote it",
        ),
        ("values:\n  on: x\n", "mine.yaml:2:3: not well-formed YAML: on is not text: quote it"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "mine.yaml:1:4: not well-formed YAML: a value with this tag is nothing that Helm takes.",
        ),
        ("a: &x\n  b: *x\n", "mine.yaml:2:6: not well-formed YAML: what stands here contains itself."),
        ("a: &x [1, [*x]]\n", "mine.yaml:1:12: not well-formed YAML: what stands here contains itself."),
        ("[" * 3000, "mine.yaml:1:61: not well-formed YAML: it is nested more than 60 levels deep."),
        (bomb("[{}]"), "mine.yaml:6:5: not well-formed YAML: with its aliases it stands for more than 100,000 values."),
        (bomb("{{{}}}", "k{}: "), "with its aliases it stands for more than 100,000 values."),
        (b"a: 1\n" + b"# filling\n" * 110_000, "mine.yaml is larger than 1 MiB, which is more than a release can hold"),
        (
            "values: {a: !!binary aGVsbG8=}\n",
            "mine.yaml:1:13: not well-formed YAML: !!binary is nothing that Helm takes.",
        ),
        ("values: {a: !!set {x}}\n", "!!set is nothing that Helm takes."),
        ("values:\n  a: .nan\n", "mine.yaml:2:6: not well-formed YAML: it is no number that Helm takes: quote it."),
        (f"values:\n  a: {'9' * 5000}\n", "mine.yaml:2:6: not well-formed YAML: a number of more than 40 digits"),
        ("policy: {rollout_seconds: 012}\n", "mine.yaml:1: policy.rollout_seconds is written 012, which YAML reads in"),
        ("policy: {rollout_seconds: 0x10}\n", "policy.rollout_seconds is written 0x10, which YAML"),
        ("policy: {rollout_seconds: 1_0}\n", "policy.rollout_seconds is written 1_0, which YAML"),
    ],
)
def test_a_file_that_is_no_usable_yaml_is_told_with_its_place(
    write: Write, content: str | bytes, sentence: str
) -> None:
    assert sentence in refusal(write(content)).summary


def test_a_folder_is_no_parameters_file(project: Path) -> None:
    assert "parameters can't be read: Is a directory" in refusal("parameters").summary


@pytest.mark.parametrize("secret", ["*hunter22", "!hunter22", "'hunter22", "[hunter22", "{hunter22"])
def test_a_password_that_is_no_yaml_is_not_repeated(write: Write, minimal: str, secret: str) -> None:
    error = refusal(write(f"{minimal}values:\n  password: {secret}\n"))
    assert "mine.yaml:" in error.summary
    assert "hunter22" not in str(error)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("domain:", "domian:"), "mine.yaml:7: gateway.domian is not a known key; did you mean gateway.domain?"),
        (("gateway:", "gatway:"), "mine.yaml:6: gatway is not a known key; did you mean gateway?"),
        (("csghub:", "externalUrl: x\ncsghub:"), "mine.yaml:4: externalUrl is not a known key; did you mean csghub.external_url?"),
        (("csghub:", "nothing:\ncsghub:"), "mine.yaml:4: nothing is not a known key"),
        (("csghub:", "domain: x\ncsghub:"), "mine.yaml:4: domain is not a known key; did you mean gateway.domain?"),
        (("csghub:", "global: {}\ncsghub:"), "mine.yaml:4: global is not a known key"),
        (("domain:", "zone: x\n  domain:"), "mine.yaml:7: gateway.zone is not a known key; did you mean gateway.domain?"),
        (("domain: example.com", ""), "mine.yaml:6: gateway.domain is missing"),
        (("target: {}\n", ""), "parameters/mine.yaml: target is missing"),
        (('"1.16.0"', "1.16"), "mine.yaml:3: chart.version must be text: quote it"),
        (('"1.16.0"', "yes"), "mine.yaml:3: chart.version must be text: quote it"),
        (('"1.16.0"', "[1]"), "mine.yaml:3: chart.version must be text"),
        (('"1.16.0"', ""), "mine.yaml:2: chart needs a version (\"1.16.0\", in quotes) with a repository"),
        (('version: "1.16.0"', 'repository: ""'), "mine.yaml:2: chart needs one source: repository, name and version, or path alone"),
        (('"1.16.0"', '"1.16.0"\n  path: chart.tgz'), "mine.yaml:2: chart needs a version (\"1.16.0\", in quotes) with a repository, and none with a path"),
        (('"1.16.0"', '"1.16.0"\n  path: x\n  repository: oci://r/x'), "mine.yaml:2: chart needs one source"),
        (('"1.16.0"', '"1.16.0"\n  repository: charts/x'), "mine.yaml:4: chart.repository must be an http(s):// or oci:// address"),
        (('"1.16.0"', '"1.16.0"\n  repository: https://u:p@h/x'), "mine.yaml:4: chart.repository must be an http(s):// or oci:// address without user or password"),
        (("https://csghub", "csghub"), "mine.yaml:5: csghub.external_url must be an http(s):// address"),
        (("https://csghub", "https://u:p@csghub"), "mine.yaml:5: csghub.external_url must be an http(s):// address without user or password"),
        (("domain: example.com", "domain: https://example.com"), "mine.yaml:7: gateway.domain must be a domain"),
        (("domain: example.com", "domain: localhost"), "gateway.domain must be a domain alone, such as example.com"),
        (("domain: example.com", "domain: example.com\n  service_type: Nodeport"), "mine.yaml:8: gateway.service_type must be 'LoadBalancer' or 'NodePort'"),
        (("domain: example.com", "domain: example.com\n  tls: {enabled: true}"), "mine.yaml:8: gateway.tls is enabled without secret_name"),
        (("domain: example.com", "domain: example.com\n  tls: {enabled: 'true'}"), "mine.yaml:8: gateway.tls.enabled must be a valid boolean"),
        (("gateway:\n  domain: example.com", "gateway: example.com"), "mine.yaml:6: gateway must be a mapping of keys"),
        (("target: {}", "target: {namespace: A_b}"), "mine.yaml:1: target.namespace must be lower-case letters, digits and -, at most 63"),
        (("target: {}", f"target: {{release: {'r' * 54}}}"), "mine.yaml:1: target.release must be lower-case letters, digits and -, a letter first, at most 53"),
        (("target: {}", "target: {name: ../x}"), "mine.yaml:1: target.name must be usable as the name of a folder"),
        (("target: {}", "policy: {approval: none}\ntarget: {}"), "mine.yaml:1: policy.approval must be 'operator' or 'two-person'"),
        (("target: {}", "policy: {approvers: {}}\ntarget: {}"), "mine.yaml:1: policy.approvers need one place: configmap, or file and its digest"),
        (("target: {}", "policy: {approvers: {file: a}}\ntarget: {}"), "policy.approvers need one place"),
        (("target: {}", f"policy: {{approvers: {{configmap: a, file: a, digest: 'sha256:{64 * '0'}'}}}}\ntarget: {{}}"), "policy.approvers need one place"),
        (("target: {}", "policy: {approvers: {file: a, digest: sha256:0}}\ntarget: {}"), "policy.approvers.digest must be a digest: sha256: and 64 hexadecimal digits"),
        (("target: {}", "policy: {command_seconds: 0}\ntarget: {}"), "mine.yaml:1: policy.command_seconds must be greater than 0"),
        (("target: {}", "policy: {command_seconds: 1.5}\ntarget: {}"), "mine.yaml:1: policy.command_seconds must be a valid integer"),
        (("target: {}", "values_files: a.yaml\ntarget: {}"), "mine.yaml:1: values_files must be a list"),
        (("target: {}", "values_files: [1]\ntarget: {}"), "mine.yaml:1: values_files[0] must be text"),
        (("target: {}", "values: []\ntarget: {}"), "mine.yaml:1: values must be a mapping of keys"),
        (("target: {}", "dataflow: {databse: x}\ntarget: {}"), "mine.yaml:1: dataflow.databse is not a known key; did you mean dataflow.postgresql.database?"),
        (("target: {}", "mirror: china\ntarget: {}"), "mine.yaml:1: mirror must be '' or 'mainland-china'"),
        (("target: {}", "persistence: {size: 50}\ntarget: {}"), "mine.yaml:1: persistence.size must be text: quote it"),
        (("target: {}", "persistence: {size: '50'}\ntarget: {}"), "mine.yaml:1: persistence.size must be a size with its unit, such as 50Gi"),
        (("target: {}", "persistence: {size: 0Gi}\ntarget: {}"), "persistence.size must be a size with its unit"),
        (("target: {}", "dataflow: {persistence: {access_modes: [RWX]}}\ntarget: {}"), "dataflow.persistence.access_modes[0] must be 'ReadWriteOnce', 'ReadWriteMany', 'ReadOnlyMany' or 'ReadWriteOncePod'"),
        (("target: {}", "images: {registry: 'https://r'}\ntarget: {}"), "images.registry must be a registry alone"),
        (("target: {}", "images: {pull_secrets: [A_b]}\ntarget: {}"), "images.pull_secrets[0] must be the name of an object"),
        (("target: {}", "label_studio: {security_context: {run_as_user: -1}}\ntarget: {}"), "run_as_user must be greater than or equal to 0"),
        (("target: {}", "redis: {external: {host: 'redis:6379'}}\ntarget: {}"), "redis.external.host must be a host or an IP address alone: no scheme, no port"),
        (("target: {}", "redis: {external: {host: 'redis://h'}}\ntarget: {}"), "redis.external.host must be a host or an IP address alone: no scheme, no port"),
        (("target: {}", "redis: {external: {host: h, port: 65536}}\ntarget: {}"), "redis.external.port must be less than or equal to 65535"),
        (("target: {}", "redis: {external: {host: h, port: '6379'}}\ntarget: {}"), "redis.external.port must be a valid integer"),
        (("target: {}", "redis: {external: {port: 6379}}\ntarget: {}"), "mine.yaml:1: redis is external without a host: name it in external.host"),
        (("target: {}", "redis: {external: {host: h}, persistence: {size: 1Gi}}\ntarget: {}"), "mine.yaml:1: redis is external, so that persistence would mean nothing: leave out one of both"),
        (("target: {}", "postgresql: {external: {host: h}, databases: [a]}\ntarget: {}"), "postgresql is external, so that databases would mean nothing"),
        (("target: {}", "postgresql: {external: {host: h, sslmode: on}}\ntarget: {}"), "postgresql.external.sslmode must be '', 'disable', 'allow', 'prefer', 'require', 'verify-ca' or 'verify-full'"),
        (("target: {}", "postgresql: {external: {host: h, database: d}}\ntarget: {}"), "postgresql.external.database is not a known key; did you mean postgresql.databases?"),
        (("target: {}", "redis: {external: {host: h, password: hunter22}}\ntarget: {}"), "redis.external.password must not hold a secret in clear; write {from: \"env:NAME\"}"),
        (("target: {}", "redis: {external: {host: h, password: {frm: 'env:A'}}}\ntarget: {}"), "redis.external.password must have the key from, not frm; write {from: \"env:NAME\"}"),
        (("target: {}", "redis: {external: {host: h, password: {frm: hunter22}}}\ntarget: {}"), "redis.external.password must not hold a secret in clear; write"),
        (("target: {}", "values: {redis: {password: {frm: 'env:A'}}}\ntarget: {}"), "values.redis.password must have the key from, not frm; write {from: \"env:NAME\"}"),
        (("target: {}", "redis: {external: {host: h, password: {from: hunter22}}}\ntarget: {}"), "redis.external.password is not a reference; write"),
        (("target: {}", "waivers: [{check: a, reason: b, until: 2026-13-01}]\ntarget: {}"), "waivers[0].until must be a day, such as 2026-12-31"),
        (("target: {}", "waivers: [{check: a, until: 2026-12-31}]\ntarget: {}"), "waivers[0].reason is missing"),
        (("target: {}", "waivers: [{check: a, raeson: b, until: 2026-12-31}]\ntarget: {}"), "waivers[0].raeson is not a known key; did you mean waivers[0].reason?"),
        (("target: {}", "waivers: [{check: a, reason: b, until: 2026-12-31, utnil: 1}]\ntarget: {}"), "waivers[0].utnil is not a known key; did you mean waivers[0].until?"),
        (("target: {}", "dataflow: {persistence: {siez: 1Gi}}\ntarget: {}"), "dataflow.persistence.siez is not a known key; did you mean dataflow.persistence.size?"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_type_is_told_with_line_key_and_what_was_meant(
    write: Write, minimal: str, change: tuple[str, str], sentence: str
) -> None:
    assert change[0] in minimal
    assert sentence in refusal(write(minimal.replace(*change))).summary


def test_everything_that_is_wrong_is_said_at_once(write: Write, minimal: str) -> None:
    content = minimal.replace("domain", "domian").replace('"1.16.0"', "1.16") + (
        "values:\n  redis: {password: hunter22}\n"
    )
    lines = refusal(write(content), "verify.expcet=absent").summary.splitlines()
    assert lines[0] == "There are 5 problems:"
    for part in (
        "mine.yaml:3: chart.version",
        "mine.yaml:6: gateway.domain is missing",
        "mine.yaml:7: gateway.domian",
        "override: verify.expcet",
        "mine.yaml:9: values.redis.password",
    ):
        assert sum(part in line for line in lines[1:]) == 1, part
    assert "hunter22" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("verify.expcet=absent", "override: verify.expcet is not a known key; did you mean verify.expect?"),
        ("probes=maybe", "override: probes must be 'read' or 'write'"),
        ("gateway=x", "override: gateway must be a mapping of keys"),
        ({"chart.version": 1.3}, "override: chart.version must be text: quote it"),
        ({"chart": {"path": "x"}}, "override: chart needs a version"),
        ("chart.version=", "parameters/mine.yaml:2, with override chart.version: chart needs a version"),
        ("target.release.x=1", "parameters/mine.yaml:1, with override target.release.x: target.release must be text"),
        (
            "gateway.tls.enabled=true",
            "parameters/mine.yaml:6, with override gateway.tls.enabled: gateway.tls is enabled without secret_name: name the TLS Secret",
        ),
    ],
)
def test_an_override_that_is_wrong_says_so_instead_of_a_line(write: Write, overrides: Any, line: str) -> None:
    assert refusal(write(), overrides).summary.startswith(line)


def test_a_chart_at_a_path_needs_nothing_else(write: Write, minimal: str) -> None:
    chart = parameters.load(write(minimal.replace('version: "1.16.0"', "path: charts/dataflow-1.16.0.tgz"))).chart
    assert (chart.path, chart.repository, chart.version) == ("charts/dataflow-1.16.0.tgz", "", "")


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("2026-11-22", "2026-11-22"),
        ("22:30", "22:30"),
        ("12e4567", "12e4567"),
        ("yes", True),
        ("1.5", 1.5),
        ("0o17", "0o17"),
        ("0x1F", 31),
        ("~", None),
        ("=", "="),
    ],
)
def test_chart_values_are_typed_as_helm_types_them(write: Write, minimal: str, typed: str, value: object) -> None:
    found = parameters.load(write(f"{minimal}values: {{key: {typed}}}\n")).values["key"]
    assert (type(found), found) == (type(value), value)


def test_anchors_and_merge_keys_work(write: Write, minimal: str) -> None:
    content = "values:\n  one: &one {a: 1, b: 2}\n  two: {<<: *one, b: 3}\n"
    assert parameters.load(write(minimal + content)).values["two"] == {"a": 1, "b": 3}
