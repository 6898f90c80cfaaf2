"""Does everything answer that the API server asks?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbooks_lib.results import Json

DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "labels": {"own": "yes"}},
    "spec": {"template": {"metadata": {"labels": {"pod": "yes"}}, "spec": {"containers": [{"name": "c"}]}}},
}
RULE = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
PODS = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["*"]}
PLACE = {"service": {"namespace": "policy", "name": "judge"}}


def api(name: str, group: str, available: str) -> Json:
    listed = [{"type": "Available", "status": available, "reason": "ServiceNotFound"}]
    spec = {"group": group, "service": {"namespace": "kube-system", "name": "gone"}}
    return {"kind": "APIService", "metadata": {"name": name}, "spec": spec, "status": {"conditions": listed}}


def webhook(*, kind: str = "Validating", meta: Json | None = None, **webhook: Any) -> Json:
    one = {"name": "judge.example.com", "clientConfig": PLACE, "failurePolicy": "Fail", "rules": [RULE]} | webhook
    named = {"name": "judge"} | (meta or {})
    return {"kind": f"{kind}WebhookConfiguration", "metadata": named, "webhooks": [one]}


def endpoint(ready: bool | None = None, *, name: str = "judge") -> Json:
    conditions = {} if ready is None else {"ready": ready}
    meta = {"name": "e", "namespace": "policy", "labels": {"kubernetes.io/service-name": name}}
    return {"kind": "EndpointSlice", "metadata": meta, "endpoints": [{"conditions": conditions}]}


@pytest.mark.parametrize(
    ("there", "status", "observed"),
    [
        ([], "pass", "all aggregated APIs are available, and each webhook that must answer has an endpoint"),
        ([api("v1beta1.metrics.k8s.io", "metrics.k8s.io", "True")], "pass", "all aggregated APIs are available"),
        (
            [api("v1beta1.metrics.k8s.io", "metrics.k8s.io", "False")],
            "warn",
            "APIService v1beta1.metrics.k8s.io: not available (ServiceNotFound; Service kube-system/gone)",
        ),
        ([api("v9.apps", "apps", "False")], "fail", "APIService v9.apps, whose group the chart uses: not available"),
    ],
)
def test_an_aggregated_api_without_anybody_behind_it_is_told(
    world: Any, ask: Any, there: list[Json], status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(DEPLOYMENT))
    world.cluster.add(*there)
    answer = ask("apis.available")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


MATCHING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "csghub"}}}
ELSEWHERE = {
    "namespaceSelector": {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["csghub"]}]
    }
}
OURS = {"annotations": {"meta.helm.sh/release-name": "dataflow", "meta.helm.sh/release-namespace": "csghub"}}


@pytest.mark.parametrize(
    ("there", "status"),
    [
        ([webhook()], "fail"),
        ([webhook(kind="Mutating")], "fail"),
        ([webhook(failurePolicy="Ignore")], "pass"),
        ([webhook(clientConfig={"url": "https://policy.example.com"})], "pass"),
        ([webhook(), endpoint()], "pass"),
        ([webhook(), endpoint(True)], "pass"),
        ([webhook(), endpoint(False)], "fail"),
        ([webhook(), endpoint(True, name="another")], "fail"),
        ([webhook(rules=[RULE | {"resources": ["jobs"]}])], "pass"),
        ([webhook(rules=[RULE | {"apiGroups": ["batch"]}])], "pass"),
        ([webhook(rules=[RULE | {"apiVersions": ["v1beta1"]}])], "pass"),
        ([webhook(rules=[RULE | {"operations": ["DELETE"]}])], "pass"),
        ([webhook(rules=[RULE | {"operations": ["UPDATE"]}])], "fail"),
        ([webhook(rules=[RULE | {"scope": "Cluster"}])], "pass"),
        ([webhook(rules=[PODS])], "fail"),
        ([webhook(**MATCHING)], "fail"),
        ([webhook(**ELSEWHERE)], "pass"),
        ([webhook(objectSelector={"matchLabels": {"own": "yes"}})], "fail"),
        ([webhook(objectSelector={"matchLabels": {"own": "no"}})], "pass"),
        ([webhook(objectSelector={"matchLabels": {"pod": "yes"}}, rules=[PODS])], "fail"),
        ([webhook(matchConditions=[{"name": "n", "expression": "false"}])], "warn"),
        ([webhook(meta=OURS)], "pass"),
    ],
)
def test_a_webhook_that_must_answer_and_is_not_there_stops_what_it_is_asked_about(
    world: Any, ask: Any, there: list[Json], status: str
) -> None:
    world.renders(yaml.safe_dump(DEPLOYMENT))
    world.cluster.add(*there)
    answer = ask("apis.available")
    assert answer.status == status, answer.observed
    if status == "fail":
        assert "webhook judge.example.com: Service policy/judge has no ready endpoint" in answer.observed
        assert "nobody can create or change" in answer.observed


def test_a_webhook_that_the_chart_itself_brings_is_no_matter(world: Any, ask: Any) -> None:
    own = {"apiVersion": "admissionregistration.k8s.io/v1"} | webhook()
    world.renders(yaml.safe_dump(DEPLOYMENT), hooks=[{"manifest": yaml.safe_dump(own)}])
    world.cluster.add(own)
    assert ask("apis.available").status == "pass"


def test_a_webhook_may_choose_namespaces_by_the_labels_that_ours_has(world: Any, ask: Any) -> None:
    world.renders(yaml.safe_dump(DEPLOYMENT))
    world.cluster.add(webhook(namespaceSelector={"matchLabels": {"team": "data"}}))
    assert ask("apis.available").status == "pass"
    world.cluster.add({"kind": "Namespace", "metadata": {"name": "csghub", "labels": {"team": "data"}}})
    assert ask("apis.available").status == "fail"
