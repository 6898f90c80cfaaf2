"""Keys of a real Redis and documents of a MongoDB-compatible server: written to a file, put back from it, and compared."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from pymongo import MongoClient
from servers import Address

from runbooks_lib.errors import CheckFailed
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes import mongodb, redis_server
from runbooks_lib.probes.asking import PREFIX

#: One worker runs them all: they share its databases.
pytestmark = pytest.mark.xdist_group("probes")

ODD = b"odd \x00\xff\r\n$5\r\n name"


@pytest.fixture
def keys(redis_without_password: Address) -> Iterator[Any]:
    """A Redis with a key of each type in two databases; which of them is asked for."""
    host, port = redis_without_password
    clients = [redis.Redis(host=host, port=port, db=number) for number in (0, 1)]
    first, second = clients
    first.flushall()
    first.rpush("celery", *[b"task %d \xfe" % number for number in range(300)])
    first.sadd("_kombu.binding.celery", *range(1000))
    first.hset("unacked", mapping={"a": "1", "b": "\r\n"})
    first.zadd("unacked_index", {"a": 1.5, "b": 1e20})
    first.xadd("stream", {"field": "value"})
    first.set(ODD, b"\x00\r\n")
    second.set("celery-task-meta-1", "{}", ex=600)
    yield clients
    for client in clients:
        client.flushall()
        client.close()


def everything(client: Any) -> dict[bytes, Any]:
    """What a database holds, but for streams, and whether it goes by itself."""
    read = {b"string": client.get, b"list": lambda key: client.lrange(key, 0, -1), b"set": client.smembers}
    read |= {b"hash": client.hgetall, b"zset": lambda key: client.zrange(key, 0, -1, withscores=True)}
    read |= {b"stream": client.xrange}
    return {key: (read[client.type(key)](key), client.ttl(key) > 0) for key in client.keys("*")}


WHOLE = Access()


def test_all_keys_of_all_databases_come_back_as_they_were_and_what_came_later_is_gone(
    keys: Any, redis_without_password: Address, tmp_path: Path
) -> None:
    before = [everything(client) for client in keys]
    assert len(before[0]) == 6
    held = redis_server.dump(redis_without_password, WHOLE, tmp_path / "copy", seconds=10)
    assert {each.name: each.rows for each in held}["string keys of database 1"] == 1
    assert sum(each.rows for each in held) == 7
    keys[0].delete("celery", ODD)
    keys[0].set("later", "x")
    keys[1].flushdb()
    assert redis_server.fill(redis_without_password, WHOLE, tmp_path / "copy", seconds=10) == held
    assert [everything(client) for client in keys] == before
    assert 0 < keys[1].ttl("celery-task-meta-1") <= 600


def test_a_database_that_is_named_is_copied_alone(keys: Any, redis_without_password: Address, tmp_path: Path) -> None:
    held = redis_server.dump(redis_without_password, Access(database="1"), tmp_path / "copy", seconds=10)
    assert [each.name for each in held] == ["string keys of database 1"]
    keys[0].set("later", "x")
    redis_server.fill(redis_without_password, Access(database="1"), tmp_path / "copy", seconds=10)
    assert keys[0].get("later") == b"x"


def test_a_value_whose_checksum_is_wrong_is_refused_and_so_is_one_of_a_newer_server(
    keys: Any, redis_without_password: Address, tmp_path: Path
) -> None:
    redis_server.dump(redis_without_password, Access(database="1"), tmp_path / "copy", seconds=10)
    content = (tmp_path / "copy").read_bytes()
    (tmp_path / "copy").write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    with pytest.raises(CheckFailed, match="does not take a value of the copy"):
        redis_server.fill(redis_without_password, WHOLE, tmp_path / "copy", seconds=10)


def test_keys_that_come_and_go_too_fast_are_told(
    keys: Any, redis_without_password: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_iter = redis.Redis.scan_iter

    def busy(self: Any, **how: Any) -> Iterator[bytes]:
        yield from scan_iter(self, **how)
        keys[0].set(secrets.token_hex(4), "new")

    monkeypatch.setattr(redis.Redis, "scan_iter", busy)
    with pytest.raises(CheckFailed, match="keys of Redis come and go faster than all of them can be read"):
        redis_server.dump(redis_without_password, WHOLE, tmp_path / "copy", seconds=10)


def test_an_empty_redis_is_an_empty_copy(redis_without_password: Address, tmp_path: Path) -> None:
    assert redis_server.dump(redis_without_password, WHOLE, tmp_path / "copy", seconds=10) == ()
    assert (tmp_path / "copy").read_bytes() == b""


# ---- MongoDB


@pytest.fixture
def documents(ferretdb: tuple[Address, Access]) -> Iterator[Any]:
    (host, port), access = ferretdb
    client: Any = MongoClient(host, port, username=access.user, password=access.password)
    client.jobs.log.insert_many([{"_id": number, "words": ["ß", {"n": 1.5}]} for number in range(250)])
    client.jobs.log.create_index("words", name="by_word")
    client.jobs.create_collection("empty")
    client.other.things.insert_one({"at": datetime(2026, 11, 30, tzinfo=UTC), "raw": b"\x00\xff", "none": None})
    yield client
    for name in ("jobs", "other"):
        client.drop_database(name)
    client.close()


def test_all_documents_come_back_with_their_collections_and_indexes_and_what_came_later_is_gone(
    documents: Any, ferretdb: tuple[Address, Access], tmp_path: Path
) -> None:
    before = [*documents.jobs.log.find()], [*documents.other.things.find()]
    held = mongodb.dump(*ferretdb, tmp_path / "copy", seconds=10)
    assert {each.name: each.rows for each in held} == {"jobs.log": 250, "other.things": 1}
    documents.jobs.log.delete_many({"_id": {"$gt": 3}})
    documents.jobs.later.insert_one({})
    documents.drop_database("other")
    assert mongodb.fill(*ferretdb, tmp_path / "copy", seconds=10) == held
    assert ([*documents.jobs.log.find()], [*documents.other.things.find()]) == before
    assert sorted(documents.jobs.list_collection_names()) == ["empty", "log"]
    assert "by_word" in documents.jobs.log.index_information()


def test_a_copy_is_proved_in_databases_of_our_own_that_are_gone_afterwards(
    documents: Any, ferretdb: tuple[Address, Access], tmp_path: Path
) -> None:
    held = mongodb.dump(*ferretdb, tmp_path / "copy", seconds=10)
    documents.jobs.log.insert_one({"_id": "later"})
    assert mongodb.fill(*ferretdb, tmp_path / "copy", f"{PREFIX}12ab34cd_0", seconds=10) == held
    assert documents.jobs.log.find_one({"_id": "later"})
    assert not [name for name in documents.list_database_names() if name.startswith(PREFIX)]
