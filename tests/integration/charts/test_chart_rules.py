"""How the rehearsal chart turns values into names, images, addresses and refusals."""

import base64
import itertools

import pytest

MAINLAND = "opencsg-registry.cn-beijing.cr.aliyuncs.com"

EXTERNAL = {
    "global": {
        "postgresql": {
            "enabled": False,
            "external": {
                "host": "pg.company.com",
                "port": 15432,
                "user": "admin",
                "password": "canary-postgresql",
                "sslmode": "require",
            },
        },
        "redis": {
            "enabled": False,
            "external": {"host": "redis.company.com", "port": 16379, "password": "canary-redis"},
        },
        "mongo": {
            "enabled": False,
            "external": {"host": "mongo.company.com", "port": 37017, "user": "keeper", "password": "canary-mongo"},
        },
    }
}


def config(objects, service="dataflow", release="dataflow"):
    return objects["ConfigMap", f"{release}-{service}"]["data"]


def image(objects, kind, name):
    (container,) = objects[kind, name]["spec"]["template"]["spec"]["containers"]
    return container["image"]


def command(objects, kind, name, init_container):
    containers = objects[kind, name]["spec"]["template"]["spec"]["initContainers"]
    (found,) = [container for container in containers if container["name"] == init_container]
    return found["command"][-1]


@pytest.mark.parametrize(
    ("domain", "hostnames"),
    [
        ("example.com", ["dataflow.example.com", "label-studio.example.com"]),
        ("csghub.example.com", ["dataflow.example.com", "label-studio.example.com"]),
        ("csghub.eu.example.com", ["dataflow.eu.example.com", "label-studio.eu.example.com"]),
    ],
)
def test_three_or_more_labels_of_a_domain_lose_the_first(render, domain, hostnames):
    objects = render({"global": {"gateway": {"external": {"domain": domain}}}})
    routes = [objects["HTTPRoute", f"dataflow-{service}"] for service in ("dataflow", "label-studio")]
    assert [hostname for route in routes for hostname in route["spec"]["hostnames"]] == hostnames


@pytest.mark.parametrize(
    ("values", "dataflow", "redis", "envoy"),
    [
        (
            {"global": {"image": {"registry": "registry.company.com"}}},
            "registry.company.com/opencsghq/dataflow:v1.16.0",
            "registry.company.com/redis:7.2.5",
            "docker.io/envoyproxy/gateway:v1.6.3",
        ),
        (
            {"global": {"image": {"registry": MAINLAND}, "imageRegistry": f"{MAINLAND}/opencsghq"}},
            f"{MAINLAND}/opencsghq/dataflow:v1.16.0",
            f"{MAINLAND}/opencsghq/redis:7.2.5",
            f"{MAINLAND}/opencsghq/envoyproxy/gateway:v1.6.3",
        ),
        (
            {"dataflow": {"image": {"registry": "own.company.com"}}},
            "own.company.com/opencsghq/dataflow:v1.16.0",
            "docker.io/redis:7.2.5",
            "docker.io/envoyproxy/gateway:v1.6.3",
        ),
        (
            {
                "global": {"image": {"registry": MAINLAND, "registryPolicy": "force"}},
                "dataflow": {"image": {"registry": "own.company.com"}},
            },
            f"{MAINLAND}/opencsghq/dataflow:v1.16.0",
            f"{MAINLAND}/opencsghq/redis:7.2.5",
            "docker.io/envoyproxy/gateway:v1.6.3",
        ),
    ],
    ids=["global", "mainland", "own", "force"],
)
def test_an_image_comes_from_its_own_registry_unless_the_global_one_is_forced(render, values, dataflow, redis, envoy):
    objects = render(values)
    assert image(objects, "StatefulSet", "dataflow-dataflow") == dataflow
    assert image(objects, "StatefulSet", "dataflow-redis") == redis
    assert image(objects, "Deployment", "envoy-gateway") == envoy


@pytest.mark.parametrize("values", [{"edition": "ce"}, {"image": {"tag": "v9.9.9"}}])
def test_neither_the_edition_nor_the_global_tag_changes_anything(render, installed_by_default, values):
    objects = render({"global": values})
    for key in installed_by_default:
        if key[0] in ("Deployment", "StatefulSet", "Job"):
            pods = [found[key]["spec"]["template"]["spec"]["containers"] for found in (objects, installed_by_default)]
            assert pods[0] == pods[1]


def test_the_global_size_sets_only_the_claim_that_has_none_of_its_own(render):
    objects = render({"global": {"persistence": {"size": "33Gi", "storageClass": "slow"}}})
    claims = {
        name: document["spec"]["volumeClaimTemplates"][0]["spec"]
        for (kind, name), document in objects.items()
        if kind == "StatefulSet"
    }
    sized = {name for name, spec in claims.items() if spec["resources"]["requests"]["storage"] == "33Gi"}
    assert sized == {"dataflow-label-studio"}
    assert {spec["storageClassName"] for spec in claims.values()} == {"slow"}


@pytest.mark.parametrize(
    ("release", "dataflow", "label_studio"),
    [
        ("dataflow", "dataflow_dataflow", "dataflow_label_studio"),
        ("my-flow", "my_flow_dataflow", "my_flow_label_studio"),
    ],
)
def test_a_database_without_a_name_gets_one_that_the_built_in_server_does_not_create(
    render, release, dataflow, label_studio
):
    objects = render(release=release)
    assert config(objects, release=release)["DATABASE_DB"] == dataflow
    assert config(objects, "label-studio", release)["POSTGRE_NAME"] == label_studio
    created = objects["Secret", f"{release}-postgresql"]["data"]["POSTGRES_MULTIPLE_DATABASES"]
    assert base64.b64decode(created).decode() == "csghub_dataflow,csghub_label_studio"


def test_the_flags_of_the_guide_name_the_databases_that_are_created(render):
    objects = render(
        {
            "dataflow": {"postgresql": {"database": "csghub_dataflow"}},
            "labelStudio": {"postgresql": {"database": "csghub_label_studio"}},
        }
    )
    assert config(objects)["DATABASE_DB"] == "csghub_dataflow"
    assert config(objects, "label-studio")["POSTGRE_NAME"] == "csghub_label_studio"
    wait = command(objects, "StatefulSet", "dataflow-dataflow", "wait-for-postgresql")
    assert "@dataflow-postgresql:5432/csghub_dataflow?" in wait


def test_external_data_stores_leave_35_objects(render, installed_by_default):
    objects = render(EXTERNAL)
    assert len(objects) == 35
    assert {name for _, name in installed_by_default.keys() - objects.keys()} == {
        "dataflow-postgresql",
        "dataflow-redis",
        "dataflow-mongo",
    }


def test_the_three_external_passwords_stand_in_configmaps_and_seven_init_containers(render, places):
    objects = render(EXTERNAL)
    found = {secret: places(objects, f"canary-{secret}") for secret in ("postgresql", "redis", "mongo")}
    kinds = {secret: sorted(kind for kind, _, _ in spots) for secret, spots in found.items()}
    assert kinds == {
        "postgresql": ["ConfigMap", "ConfigMap", "Deployment", "StatefulSet", "StatefulSet"],
        "redis": ["ConfigMap", "Deployment", "StatefulSet"],
        "mongo": ["ConfigMap", "Deployment", "StatefulSet"],
    }
    waits = {spot for spot in itertools.chain(*found.values()) if spot[0] != "ConfigMap"}
    assert len(waits) == 7


def test_the_application_is_told_the_external_addresses_and_redis_without_its_password(render):
    told = config(render(EXTERNAL))
    assert (told["DATABASE_HOSTNAME"], told["DATABASE_PORT"], told["DATABASE_USERNAME"]) == (
        "pg.company.com",
        "15432",
        "admin",
    )
    assert told["REDIS_HOST_URL"] == "redis://redis.company.com:16379"
    assert told["MONG_HOST_URL"] == "mongodb://keeper:canary-mongo@mongo.company.com:37017"
    assert config(render(EXTERNAL), "label-studio")["SSLMODE"] == "require"


@pytest.mark.parametrize(
    ("enabled", "own", "host"),
    [
        (False, {"host": "own.company.com"}, "own.company.com"),
        (True, {"host": "own.company.com"}, "own.company.com"),
        (False, {}, "pg.company.com"),
        (True, {}, "dataflow-postgresql"),
    ],
)
def test_a_services_own_setting_wins_over_the_external_over_the_built_in(render, enabled, own, host):
    shared = {"enabled": enabled, "external": {"host": "pg.company.com"}}
    objects = render({"global": {"postgresql": shared}, "dataflow": {"postgresql": own}})
    assert config(objects)["DATABASE_HOSTNAME"] == host
    label_studio = "dataflow-postgresql" if enabled else "pg.company.com"
    assert config(objects, "label-studio")["POSTGRE_HOST"] == label_studio


@pytest.mark.parametrize("password", ["pa ss+w/rd@:?#", "quote'\"$(id)`\\", "päßwörd🙂𠮷"])
def test_a_password_with_odd_characters_stays_one_password_in_a_connection_string(render, password):
    objects = render({"postgresql": {"password": password}, "mongo": {"password": password}})
    assert config(objects)["DATABASE_PASSWORD"] == password
    encoded = config(objects)["MONG_HOST_URL"].removeprefix("mongodb://root:").rpartition("@")[0]
    assert not set(encoded) & set(" +/@:?#'\"$()`\\ä")
    wait = command(objects, "StatefulSet", "dataflow-dataflow", "wait-for-postgresql")
    assert f"csghub:{encoded}@" in wait


@pytest.mark.parametrize(
    ("gateway", "scheme", "listeners"),
    [
        ({}, "http", [("http", 80)]),
        ({"tls": {"enabled": True, "secretName": "csghub-tls"}}, "https", [("http", 80), ("https", 443)]),
    ],
)
def test_tls_adds_a_listener_and_changes_the_addresses(render, gateway, scheme, listeners):
    objects = render({"global": {"gateway": gateway}})
    found = objects["Gateway", "dataflow-gateway"]["spec"]["listeners"]
    assert [(listener["name"], listener["port"]) for listener in found] == listeners
    assert config(objects)["STUDIO_JUMP_URL"] == f"{scheme}://label-studio.example.com"
    secrets = [name for listener in found for name in listener.get("tls", {}).get("certificateRefs", [])]
    assert secrets == ([{"kind": "Secret", "name": "csghub-tls"}] if scheme == "https" else [])


@pytest.mark.parametrize(
    ("tls", "ports"), [({}, {80: 30080}), ({"enabled": True, "secretName": "csghub-tls"}, {80: 30080, 443: 30443})]
)
def test_a_node_port_gateway_asks_for_the_documented_ports(render, tls, ports):
    objects = render({"global": {"gateway": {"service": {"type": "NodePort"}, "tls": tls}}})
    proxy = objects["EnvoyProxy", "dataflow-envoy-proxy-custom"]["spec"]["provider"]
    service = proxy["kubernetes"]["envoyService"]
    assert service["type"] == "NodePort"
    asked = service["patch"]["value"]["spec"]["ports"]
    assert {port["port"]: port["nodePort"] for port in asked} == ports


def test_the_external_url_reaches_both_services(render):
    objects = render({"externalUrl": "https://csghub.company.com"})
    assert config(objects)["CSGHUB_ENDPOINT"] == "https://csghub.company.com"
    assert config(objects, "label-studio")["CSGHUB_ENDPOINT"] == "https://csghub.company.com"


def test_tls_without_a_secret_is_refused(refusal):
    said = refusal({"global": {"gateway": {"tls": {"enabled": True}}}})
    assert "global.gateway.tls.secretName is required" in said


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"global": {"postgresql": {"external": {"database": "x"}}}}, "'database' not allowed"),
        ({"global": {"redis": {"external": {"user": "x"}}}}, "'user' not allowed"),
        ({"global": {"mongo": {"external": {"sslmode": "require"}}}}, "'sslmode' not allowed"),
        ({"global": {"gateway": {"external": {"host": "x"}}}}, "'host' not allowed"),
        ({"global": {"postgresql": {"external": {"port": "5432"}}}}, "got string, want integer"),
        ({"global": {"redis": {"external": {"password": 123456}}}}, "got number, want string"),
        ({"global": {"mongo": {"enabled": "false"}}}, "got string, want boolean"),
        ({"global": {"gateway": {"service": {"type": "ClusterIP"}}}}, "'LoadBalancer', 'NodePort'"),
        ({"externalUrl": None, "dataflow": {"persistence": {"size": "big"}}}, "does not match pattern"),
    ],
)
def test_the_schema_refuses_unknown_keys_and_wrong_types(refusal, values, named):
    said = refusal(values)
    assert "don't meet the specifications of the schema(s)" in said
    assert named in said
