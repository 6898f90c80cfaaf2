"""Where the rehearsal chart puts passwords: the kept Secrets, and the places that a redactor must know."""

import base64

import pytest

DATABASE_CANARY_PLACES = {
    ("ConfigMap", "dataflow-dataflow", "DATABASE_PASSWORD"),
    ("ConfigMap", "dataflow-label-studio", "POSTGRE_PASSWORD"),
    ("StatefulSet", "dataflow-dataflow", "wait-for-postgresql"),
    ("Deployment", "dataflow-celery-worker", "wait-for-postgresql"),
    ("StatefulSet", "dataflow-label-studio", "wait-for-postgresql"),
}


def clear(objects, name, key):
    return base64.b64decode(objects["Secret", name]["data"][key]).decode()


def test_the_secrets_of_the_databases_outlive_the_release(installed_by_default):
    kept = {
        key
        for key, document in installed_by_default.items()
        if document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {("Secret", "dataflow-postgresql"), ("Secret", "dataflow-mongo")}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (
            "dataflow-postgresql",
            {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_MULTIPLE_DATABASES", "POSTGRES_HOST_AUTH_METHOD"},
        ),
        ("dataflow-mongo", {"MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"}),
    ],
)
def test_a_secret_holds_the_documented_keys(installed_by_default, name, keys):
    assert installed_by_default["Secret", name]["data"].keys() == keys


def test_the_password_of_postgresql_stands_in_five_further_places(render, places):
    objects = render({"postgresql": {"password": "canary-1234567890"}})
    found = places(objects, "canary-1234567890")
    assert found == DATABASE_CANARY_PLACES | {("Secret", "dataflow-postgresql", "POSTGRES_PASSWORD")}


def test_a_password_made_from_the_minute_is_one_throughout_a_render(render, places):
    objects = render()
    password = clear(objects, "dataflow-postgresql", "POSTGRES_PASSWORD")
    assert places(objects, password) > DATABASE_CANARY_PLACES
    mongo = clear(objects, "dataflow-mongo", "MONGO_INITDB_ROOT_PASSWORD")
    assert config_of_mongo(objects) == f"mongodb://root:{mongo}@dataflow-mongo:27017"
    assert password != mongo


def config_of_mongo(objects):
    return objects["ConfigMap", "dataflow-dataflow"]["data"]["MONG_HOST_URL"]


def test_the_built_in_redis_has_no_password(installed_by_default):
    assert "REDIS_PASSWORD" not in installed_by_default["ConfigMap", "dataflow-dataflow"]["data"]
