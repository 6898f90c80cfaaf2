"""What the rehearsal chart renders, as the documented chart does."""

from collections import Counter

import pytest

WORKLOADS = ("Deployment", "StatefulSet")
STORES = ("postgresql", "redis", "mongo")


def pod(objects, kind, name):
    return objects[kind, name]["spec"]["template"]["spec"]


def images(objects):
    """Every image of every pod, by workload and container."""
    return {
        (name, container["name"]): container["image"]
        for (kind, name), document in objects.items()
        if kind in (*WORKLOADS, "Job")
        for container in _containers(document["spec"]["template"]["spec"])
    }


def _containers(pod_spec):
    return [*pod_spec.get("initContainers", []), *pod_spec["containers"]]


@pytest.mark.parametrize("version", ["1.16.0", "1.16.1"])
def test_a_version_renders_44_objects(render, version):
    assert len(render(version=version)) == 44


def test_the_objects_are_of_these_kinds(installed_by_default):
    assert Counter(kind for kind, _ in installed_by_default) == {
        "StatefulSet": 5,
        "Deployment": 3,
        "Service": 6,
        "ConfigMap": 4,
        "Secret": 2,
        "GatewayClass": 1,
        "Gateway": 1,
        "HTTPRoute": 2,
        "EnvoyProxy": 1,
        "Job": 1,
        "MutatingWebhookConfiguration": 1,
        "ServiceAccount": 3,
        "Role": 4,
        "RoleBinding": 4,
        "ClusterRole": 3,
        "ClusterRoleBinding": 3,
    }


@pytest.mark.parametrize(
    ("kind", "name", "container", "image", "ports"),
    [
        ("StatefulSet", "dataflow-dataflow", "dataflow", "docker.io/opencsghq/dataflow:v1.16.0", [8000]),
        ("Deployment", "dataflow-celery-worker", "celery-worker", "docker.io/opencsghq/dataflow:v1.16.0", []),
        ("StatefulSet", "dataflow-label-studio", "label-studio", "docker.io/opencsghq/label-studio:v1.16.0", [8002]),
        ("StatefulSet", "dataflow-postgresql", "postgresql", "docker.io/opencsghq/postgres:15.10", [5432]),
        ("StatefulSet", "dataflow-redis", "redis", "docker.io/redis:7.2.5", [6379]),
        ("StatefulSet", "dataflow-mongo", "mongo", "docker.io/opencsghq/mongo:8.0.12", [27017]),
        ("Deployment", "dataflow-reloader", "reloader", "docker.io/opencsghq/stakater-reloader:v1.4.2", []),
        ("Deployment", "envoy-gateway", "envoy-gateway", "docker.io/envoyproxy/gateway:v1.6.3", [18000, 9443]),
    ],
)
def test_a_service_is_this_workload(installed_by_default, kind, name, container, image, ports):
    (found,) = pod(installed_by_default, kind, name)["containers"]
    assert (found["name"], found["image"]) == (container, image)
    assert [port["containerPort"] for port in found.get("ports", [])] == ports


def test_1_16_1_differs_from_1_16_0_by_the_image_of_postgresql_alone(render):
    before, after = images(render()), images(render(version="1.16.1"))
    assert {before[place] for place in before if after[place] != before[place]} == {
        "docker.io/opencsghq/postgres:15.10"
    }
    assert {after[place] for place in after if after[place] != before[place]} == {"docker.io/opencsghq/postgres:15.17"}
    assert before.keys() == after.keys()


@pytest.mark.parametrize("version", ["1.16.0", "1.16.1"])
def test_the_labels_tell_the_version_but_those_of_pods_do_not(render, version):
    objects = render(version=version)
    for (kind, _), document in objects.items():
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/version"].startswith("v1.")
        assert labels["app.kubernetes.io/instance"] == "dataflow"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/service"]
        if kind in WORKLOADS:
            template = document["spec"]["template"]["metadata"]["labels"]
            assert template == document["spec"]["selector"]["matchLabels"]
            assert template["app.kubernetes.io/service"] == labels["app.kubernetes.io/service"]
    own = objects["StatefulSet", "dataflow-dataflow"]["metadata"]["labels"]
    assert own["app.kubernetes.io/version"] == f"v{version}"
    assert own["helm.sh/chart"] == f"dataflow-{version}"


@pytest.mark.parametrize(
    ("kind", "name", "waits"),
    [
        ("StatefulSet", "dataflow-dataflow", ["wait-for-postgresql", "wait-for-redis", "wait-for-mongo"]),
        ("Deployment", "dataflow-celery-worker", ["wait-for-postgresql", "wait-for-redis", "wait-for-mongo"]),
        ("StatefulSet", "dataflow-label-studio", ["wait-for-postgresql"]),
        ("StatefulSet", "dataflow-postgresql", ["clear-pgdata-as-needed"]),
        ("StatefulSet", "dataflow-redis", []),
    ],
)
def test_a_pod_begins_with_these_init_containers(installed_by_default, kind, name, waits):
    found = pod(installed_by_default, kind, name).get("initContainers", [])
    assert [container["name"] for container in found] == waits
    for container in found:
        asks_for_ever = container["command"][-1].startswith("until ")
        assert asks_for_ever == container["name"].startswith("wait-for-")


@pytest.mark.parametrize(
    ("service", "modes", "size"),
    [
        ("dataflow", ["ReadWriteMany"], "100Gi"),
        ("label-studio", ["ReadWriteOnce"], "10Gi"),
        ("postgresql", ["ReadWriteOnce"], "50Gi"),
        ("redis", ["ReadWriteOnce"], "10Gi"),
        ("mongo", ["ReadWriteOnce"], "10Gi"),
    ],
)
def test_a_stateful_service_claims_one_volume_named_data(installed_by_default, service, modes, size):
    (claim,) = installed_by_default["StatefulSet", f"dataflow-{service}"]["spec"]["volumeClaimTemplates"]
    # A label that followed the chart's version would make the upgrade fail: the field is immutable.
    assert claim["metadata"] == {"name": "data"}
    assert claim["spec"] == {"accessModes": modes, "resources": {"requests": {"storage": size}}}


def test_the_worker_mounts_the_claim_of_the_first_dataflow_pod(installed_by_default):
    (volume,) = pod(installed_by_default, "Deployment", "dataflow-celery-worker")["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == "data-dataflow-dataflow-0"


@pytest.mark.parametrize("service", STORES)
def test_a_data_store_has_a_headless_service(installed_by_default, service):
    assert installed_by_default["Service", f"dataflow-{service}"]["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize(("service", "port"), [("dataflow", 8000), ("label-studio", 8002)])
def test_a_web_service_and_its_route_share_a_port(installed_by_default, service, port):
    (served,) = installed_by_default["Service", f"dataflow-{service}"]["spec"]["ports"]
    (rule,) = installed_by_default["HTTPRoute", f"dataflow-{service}"]["spec"]["rules"]
    assert served["port"] == port
    assert rule["backendRefs"] == [{"name": f"dataflow-{service}", "port": port}]


def test_only_the_data_stores_have_a_readiness_probe_and_nothing_sets_resources(installed_by_default):
    probed = set()
    for (kind, name), document in installed_by_default.items():
        if kind not in WORKLOADS:
            continue
        for container in _containers(document["spec"]["template"]["spec"]):
            assert "resources" not in container
            if "readinessProbe" in container:
                probed.add(name)
    assert probed == {"dataflow-postgresql", "dataflow-redis", "dataflow-mongo"}


@pytest.mark.parametrize(("values", "seconds"), [({}, 30), ({"global": {"minReadySeconds": 0}}, 0)])
def test_every_workload_waits_as_long_as_the_values_say(render, values, seconds):
    workloads = [document for (kind, _), document in render(values).items() if kind in WORKLOADS]
    assert [workload["spec"]["minReadySeconds"] for workload in workloads] == [seconds] * 8


@pytest.mark.parametrize("version", ["1.16.0", "1.16.1"])
def test_the_envoy_proxy_has_the_null_that_an_apply_on_the_server_refuses(render, version):
    proxy = render(version=version)["EnvoyProxy", "dataflow-envoy-proxy-custom"]
    assert proxy["spec"]["provider"] == {"type": "Kubernetes", "kubernetes": None}


def test_the_gateway_class_has_one_name_for_the_whole_cluster(render):
    objects = render(release="other")
    assert ("GatewayClass", "csghub-gateway") in objects
    assert objects["Gateway", "other-gateway"]["spec"]["gatewayClassName"] == "csghub-gateway"


def test_every_other_name_of_the_parent_chart_begins_with_the_release(render):
    strangers = {name for _, name in render(release="other") if not name.startswith("other-")}
    assert strangers == {"csghub-gateway", "envoy-gateway", "envoy-gateway-config"}


def test_the_certificate_job_its_rights_and_the_webhook_are_hooks_before_install_and_upgrade(installed_by_default):
    hooks = {
        key: document["metadata"]["annotations"]["helm.sh/hook"]
        for key, document in installed_by_default.items()
        if "helm.sh/hook" in document["metadata"].get("annotations", {})
    }
    assert hooks.keys() == {
        ("Job", "dataflow-envoy-certgen"),
        ("ServiceAccount", "dataflow-envoy-certgen"),
        ("Role", "dataflow-envoy-certgen"),
        ("RoleBinding", "dataflow-envoy-certgen"),
        ("ClusterRole", "dataflow-envoy-certgen"),
        ("ClusterRoleBinding", "dataflow-envoy-certgen"),
        ("MutatingWebhookConfiguration", "dataflow-envoy-injector"),
    }
    assert set(hooks.values()) == {"pre-install, pre-upgrade"}
    (webhook,) = installed_by_default["MutatingWebhookConfiguration", "dataflow-envoy-injector"]["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"


def test_no_selector_matches_the_pods_of_another_workload(installed_by_default):
    pods = {
        name: document["spec"]["template"]["metadata"]["labels"]
        for (kind, name), document in installed_by_default.items()
        if kind in (*WORKLOADS, "Job")
    }
    for (kind, name), document in installed_by_default.items():
        if kind != "Service":
            continue
        selector = document["spec"]["selector"].items()
        assert [pod_name for pod_name, labels in pods.items() if selector <= labels.items()] == [name]


@pytest.mark.parametrize(("component", "gone"), [("reloader", 6), ("envoy", 19)])
def test_a_subchart_can_be_left_out(render, installed_by_default, component, gone):
    objects = render({component: {"enabled": False}})
    assert len(installed_by_default) - len(objects) == gone
