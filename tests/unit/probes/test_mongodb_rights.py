"""What a MongoDB's own answers mean, in the form that it documents; no server at hand knows roles or replica sets."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.mongodb import members, rights

READ = ["changeStream", "collStats", "dbStats", "find", "killCursors", "listCollections", "listIndexes"]
READ_WRITE = [*READ, "createCollection", "createIndex", "dropCollection", "insert", "remove", "update"]


def privilege(actions: list[str], **resource: Any) -> dict[str, Any]:
    return {"resource": resource, "actions": actions}


@pytest.mark.parametrize(
    ("database", "privileges", "may"),
    [
        ("flows", [privilege(READ_WRITE, db="flows", collection="")], True),
        ("flows", [privilege(READ_WRITE, db="", collection="")], True),
        ("flows", [privilege(READ_WRITE, anyResource=True)], True),
        ("", [privilege(READ_WRITE, db="flows", collection="")], True),
        ("flows", [privilege(READ, db="flows", collection="")], False),
        ("flows", [privilege(READ_WRITE, db="other", collection="")], False),
        ("flows", [privilege(READ_WRITE, db="flows", collection="one")], False),
        ("", [privilege(READ_WRITE, db="flows", collection="one")], False),
        ("flows", [privilege(READ_WRITE, cluster=True)], False),
        ("flows", [privilege(READ_WRITE, system_buckets="x", db="flows")], False),
        ("flows", [privilege(READ, db="flows", collection=""), privilege(READ_WRITE, db="o", collection="")], False),
        ("", [], False),
    ],
)
def test_whoever_may_not_write_lacks_it(database: str, privileges: list[dict[str, Any]], may: bool) -> None:
    status = {"authenticatedUserPrivileges": privileges, "authenticatedUserRoles": [{"role": "r", "db": "d"}]}
    doubts, lacks = rights(status, Access(user="app", database=database))
    where = database or "any database"
    assert doubts == []
    assert lacks == ([] if may else [f"app may not read and write in {where} (roles: r of d)"])


def test_whoever_has_no_role_is_told_so() -> None:
    _, lacks = rights({"authenticatedUserPrivileges": [], "authenticatedUserRoles": []}, Access(user="app"))
    assert lacks == ["app may not read and write in any database (roles: none)"]


def test_a_server_that_tells_no_privileges_is_doubted() -> None:
    assert rights({"authenticatedUserRoles": []}, Access(user="app")) == (["it does not tell what app may do"], [])


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ({"isWritablePrimary": True}, []),
        ({"ismaster": True}, []),
        ({"isWritablePrimary": True, "setName": "rs0", "hosts": ["m.example.com:27017"]}, []),
        (
            {"isWritablePrimary": True, "setName": "rs0", "hosts": ["m.example.com:27017", "a:1", "b:2"]},
            ["in the replica set rs0: the pods must reach a:1, b:2, too"],
        ),
        ({"isWritablePrimary": False}, ["a secondary, which takes no writes: clients are led to its primary"]),
    ],
)
def test_the_other_members_of_a_replica_set_matter_to_clients(hello: dict[str, Any], said: list[str]) -> None:
    assert list(members(hello, ("m.example.com", 27017))) == said
