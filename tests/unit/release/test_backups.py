"""Backups at any time, and of what has no other name: what is copied, what is told to be left out, and what is refused."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml
from databases import with_settings

from runbooks_lib.errors import ChangeFailed, CheckFailed, TargetRefused
from runbooks_lib.parameters.components import Access
from runbooks_lib.probes import redis_server
from runbooks_lib.probes.rows import Contents
from runbooks_lib.release import backup
from runbooks_lib.release.backup import anytime, copies, scratch, whole
from runbooks_lib.release.backup.copies import Backup, Copy
from runbooks_lib.release.backup.places import MANIFEST, Kept
from runbooks_lib.release.manifest import ObjectKey, objects_of
from runbooks_lib.release.stores import Store, stores
from runbooks_lib.results import Json, digest_of_file

CACHE = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cache}
spec:
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec:
      containers:
        - {name: redis, image: any/redis:7.2.5, args: [--requirepass, owner-password-1]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {resources: {requests: {storage: 5Gi}}}
"""
CLIENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: any/dataflow:v1
          env: [{name: REDIS_HOST_URL, value: "redis://cache:6379"}]
      volumes:
        - {name: files, persistentVolumeClaim: {claimName: uploads}}
"""
MANIFEST_TEXT = f"{CACHE}\n---\n{CLIENT}"
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "cache", "namespace": "csghub"},
    "spec": {"selector": {"app": "cache"}, "ports": [{"port": 6379}]},
}
CONTENTS = (Contents(name="list keys of database 0", rows=2, checksum="5"),)


def store(**more: Any) -> Store:
    return Store("redis", Access(host="cache", port=6379, **more), (), None)


@pytest.fixture
def cache(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A release with a Redis of version 7.2.5, which takes what it is told to."""
    world.cluster.add(SERVICE)
    world.stored(MANIFEST_TEXT)
    monkeypatch.setattr(redis_server, "about", lambda *_, **__: ("7.2.5", 1000, ["0"]))
    for module in (whole, copies):
        monkeypatch.setattr(module, "reached", lambda *_: nullcontext(("127.0.0.1", 1)))
    return world


def program(folder: Path, version: str) -> str:
    """A redis-server that tells its version, and does nothing else."""
    folder.mkdir()
    (folder / "redis-server").write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v={version} sha=0"\n')
    (folder / "redis-server").chmod(0o755)
    return str(folder)


# ---- what there is


def test_a_redis_is_a_store_with_its_clients_and_is_read_as_its_own_user(world: Any) -> None:
    world.cluster.add(SERVICE)
    (found,) = stores(world.boundaries, objects_of(MANIFEST_TEXT))
    assert (found.protocol, found.name, found.pods) == ("redis", "redis at cache:6379", {"app": "cache"})
    assert (found.access.user, found.access.password) == ("", "owner-password-1")
    assert found.clients == (ObjectKey("apps", "Deployment", "csghub", "api"),)
    assert "owner-password-1" not in world.boundaries.redactor.redact("it is owner-password-1")
    assert stores(world.boundaries, objects_of(MANIFEST_TEXT), ["postgresql"]) == []


def test_a_redis_elsewhere_of_which_one_database_is_meant_is_named_by_it(world: Any) -> None:
    client = yaml.safe_load(CLIENT.replace("redis://cache:6379", "redis://me:word-of-mine@far.example.com/3"))
    (found,) = stores(world.boundaries, [client])
    assert (found.name, found.pods) == ("3 at far.example.com:6379", None)
    assert (found.access.user, found.access.password) == ("me", "word-of-mine")


def test_claims_that_no_copied_server_has_are_told(world: Any) -> None:
    world.cluster.add(SERVICE)
    objects = objects_of(MANIFEST_TEXT)
    assert anytime.uncovered(objects, stores(world.boundaries, objects)) == ["uploads"]
    assert anytime.uncovered(objects, []) == ["data-cache-0", "uploads"]


# ---- at any time


def test_all_is_copied_and_what_is_not_in_it_is_told(
    cache: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *_: ("7.2.5", "7.2.5", CONTENTS))
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.9"))
    made, says = backup.of_release(boundaries)
    (copy,) = made.copies
    assert (copy.protocol, copy.database, copy.contents) == ("redis", "", CONTENTS)
    assert copy.says.startswith("redis: 2 keys in 1 kinds, ")
    assert says == (
        f"1 copies are in {made.folder}, and proved. Nothing was stopped, so what is written after {made.made} is not in them. "
        "Not copied: volume claim uploads."
    )
    assert (Path(made.folder) / copy.file).stat().st_mode & 0o777 == 0o600
    place, found = backup.read(made.folder)
    assert (place.place, found) == (made.folder, made)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place that is no folder of this machine, for a project of its own."""
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path / "project"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.makedirs("/copies", exist_ok=True)
    return "memory://copies"


def staged(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "project").rglob("*") if path.is_file()]


def test_copies_go_to_a_url_and_come_back_from_it_and_leave_nothing_here(
    cache: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *given: given[2].write_bytes(b"all") and ("7.2.5", "7.2.5", CONTENTS))
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.9"), folder=bucket + "/")
    made, says = backup.of_release(boundaries)
    assert made.folder.startswith(f"memory://copies/{boundaries.parameters.target.name}/20")
    assert f"1 copies are in {made.folder}, and proved." in says
    assert not staged(tmp_path)

    place, found = backup.read(made.folder + "/")
    assert (place.place, place.name, found) == (made.folder, made.folder.rpartition("/")[2], made)
    (copy,) = found.copies
    with place.fetched(copy.file, copy.digest) as file:
        assert file.read_bytes() == b"all"
        assert file.stat().st_mode & 0o77 == 0 or file.parent.stat().st_mode & 0o77 == 0
    assert not staged(tmp_path)

    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"{made.folder.removeprefix('memory:/')}/{copy.file}", b"other")
    with pytest.raises(CheckFailed, match=r"memory://copies/.*dump is not there, or not what was written"):
        backup.read(made.folder)
    for name in (copy.file, "nothing.dump"):
        with (
            pytest.raises(CheckFailed, match=rf"memory://copies/.*{name} is not there, or not what was written"),
            place.fetched(name, copy.digest),
        ):
            pytest.fail("It was fetched.")
    memory.rm(f"{made.folder.removeprefix('memory:/')}/{MANIFEST}")
    with pytest.raises(CheckFailed, match=r"memory://copies/.* holds no backup that can be read \(FileNotFoundError\)"):
        backup.read(made.folder)


def test_a_place_that_does_not_answer_is_told_before_anything_is_copied(
    cache: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *_: pytest.fail("it was copied"))
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.9"), folder="nowhere://a")
    said = r"^nowhere://a does not answer, where copies should be kept \(ValueError: Protocol not known"
    with pytest.raises(CheckFailed, match=said):
        backup.of_release(boundaries)


def test_a_folder_of_this_machine_that_is_named_by_a_url_is_as_closed_as_any(
    cache: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *_: ("7.2.5", "7.2.5", CONTENTS))
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.9"), folder=f"file://{tmp_path}/copies")
    made, _ = backup.of_release(boundaries)
    assert Path(made.folder).is_relative_to(tmp_path / "copies")
    assert Path(made.folder).stat().st_mode & 0o77 == 0
    assert (Path(made.folder) / made.copies[0].file).stat().st_mode & 0o77 == 0
    assert backup.read(f"file://{made.folder}")[1] == made


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nonsense://x", "nonsense://x does not answer, where copies should be kept"),
        ("memory://copies/nobody", "memory://copies/nobody holds no backup that can be read (FileNotFoundError)"),
    ],
)
def test_a_place_from_which_nothing_can_be_read_is_told_for_what_it_is(bucket: str, place: str, said: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        backup.read(place)
    assert caught.value.summary.startswith(said)


def test_copies_that_can_not_be_sent_stay_where_they_were_made_and_are_told(
    cache: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *_: ("7.2.5", "7.2.5", CONTENTS))

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "put_file", full)
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.9"), folder=bucket)
    with pytest.raises(
        CheckFailed, match=r"could not be sent to memory://copies/\S+ \(OSError: no space left\)"
    ) as caught:
        backup.of_release(boundaries)
    assert sorted(staged(tmp_path)) == ["00-redis.dump", MANIFEST]
    assert str(tmp_path / "project/.runbooks/backups") in caught.value.summary


def test_without_a_release_there_is_nothing_to_copy(world: Any) -> None:
    with pytest.raises(CheckFailed, match="There is no release dataflow in namespace csghub to back up"):
        backup.of_release(world.boundaries)


def test_a_release_that_names_no_store_is_refused_and_so_is_one_of_which_all_is_left_out(cache: Any) -> None:
    with pytest.raises(CheckFailed, match="No database of release dataflow can be told"):
        backup.of_release(with_settings(cache, leave_out=["redis"]))
    cache.stored(CLIENT.replace("REDIS_HOST_URL", "ELSE"))
    with pytest.raises(CheckFailed, match="No database of release dataflow can be told"):
        backup.of_release(cache.boundaries)


def test_another_cluster_and_a_change_that_is_going_on_are_refused(cache: Any) -> None:
    spec = {"holderIdentity": "run x", "leaseDurationSeconds": 60, "renewTime": "2999-01-01T00:00:00.000000Z"}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
    cache.cluster.add(lease | {"metadata": {"name": "runbooks-dataflow", "namespace": "csghub"}})
    with pytest.raises(TargetRefused, match="run x"):
        backup.of_release(cache.boundaries)
    cache.settings["target"]["cluster_uid"] = "another"
    with pytest.raises(TargetRefused, match="another"):
        backup.of_release(cache.boundaries)


def test_what_is_missing_is_told_before_anything_is_copied(
    cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = program(tmp_path / "bin", "7.0.9")
    cache_of = with_settings(cache, programs=folder)
    monkeypatch.setattr(redis_server, "about", lambda *_, **__: ("99.1.2", 1000, ["0"]))
    with pytest.raises(
        CheckFailed, match=f"No redis-server 99.1.2 or newer is on this machine.*7.0.9 in {folder}"
    ) as caught:
        backup.of_release(cache_of)
    assert "backup.leave_out" in caught.value.next_step
    assert not (tmp_path / "backups").exists()


def test_a_server_of_our_own_that_does_not_start_is_told_and_no_copy_is_kept(
    cache: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "_TRIES", 2)
    monkeypatch.setattr(redis_server, "dump", lambda *_, **__: CONTENTS)
    with pytest.raises(CheckFailed, match="to prove them, does not start: it says nothing"):
        backup.of_release(with_settings(cache, programs=program(tmp_path / "bin", "7.2.5")))
    assert [*(tmp_path / "backups").glob("*/*")] == []


def test_keys_that_come_out_otherwise_are_no_copy(cache: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(redis_server, "dump", lambda *_, **__: CONTENTS)
    monkeypatch.setattr(redis_server, "fill", lambda *_, **__: ())
    proof = nullcontext(((str(tmp_path / "socket"), None), Access()))
    monkeypatch.setitem(whole._PROOFS, "redis", lambda *_: proof)
    with pytest.raises(CheckFailed, match="list keys of database 0 had 2 rows, and no came out"):
        backup.of_release(with_settings(cache, programs=program(tmp_path / "bin", "7.2.5")))
    assert [*(tmp_path / "backups").glob("*/*")] == []


@pytest.mark.parametrize(
    ("said", "starts"),
    [
        ("LOG: listening\nFATAL:  the database system is starting up\n", True),
        ("LOG: listening\nFATAL:  could not map anonymous shared memory: Cannot allocate memory\n", False),
    ],
)
def test_a_postgresql_of_our_own_that_is_slow_to_start_is_waited_for_and_one_that_gave_up_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, starts: bool
) -> None:
    (tmp_path / "log").write_text(said)
    answers = iter([CheckFailed("PostgreSQL is still starting, or is ending."), None])

    def ask(*_: object) -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(scratch.postgresql, "ask", ask)
    refusal = pytest.raises(CheckFailed, match=r"does not start: .*could not map")
    with nullcontext() if starts else refusal:
        scratch._await(tmp_path, tmp_path / "log")
    assert len([*answers]) == (0 if starts else 1)


def test_a_mongodb_that_holds_data_needs_a_server_in_which_its_copy_is_proved(
    cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mongo = Store("mongodb", Access(host="mongo", port=27017), (), None)
    monkeypatch.setattr(whole.mongodb, "about", lambda *_, **__: ("8.0.12", 1000, ["jobs.log"]))
    with pytest.raises(CheckFailed, match=r"mongodb at mongo:27017 holds data, and backup\.mongodb names no") as caught:
        backup.seen(cache.boundaries, [mongo])
    assert "docker run" in caught.value.next_step
    (told,) = backup.seen(with_settings(cache, mongodb="beside"), [mongo])
    assert told.endswith("1 collections, MongoDB 8.0.12")


# ---- before it goes


def test_a_server_that_goes_is_copied_unless_it_is_left_out(cache: Any) -> None:
    found = stores(cache.boundaries, objects_of(MANIFEST_TEXT))
    steps = backup.before_removal(cache.boundaries, found, any_data=True).before
    assert [step.kind for step in steps] == ["stop-writers", "back-up"]
    assert steps[1].data["databases"] == ["redis at cache:6379"]
    with pytest.raises(CheckFailed, match="which database that is in can't be told"):
        backup.before_removal(with_settings(cache, leave_out=["redis"]), found, any_data=True)


# ---- put back


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Path, Copy]:
    """A folder with the copy of a Redis of version 7.2.5."""
    (tmp_path / "0.dump").write_bytes(b"")
    about: Json = {"host": "cache", "port": 6379, "file": "0.dump", "size": 0, "server": "7.2.5", "proved": "7.2.5"}
    digest = digest_of_file(tmp_path / "0.dump")
    copy = Copy(protocol="redis", database="", digest=digest, contents=CONTENTS, **about)
    made = Backup(run="a", target="t", made="now", revision=1, chart="c", folder=str(tmp_path), copies=(copy,))
    (tmp_path / MANIFEST).write_text(made.model_dump_json())
    return tmp_path, copy


def test_a_copy_goes_to_the_store_of_its_protocol_and_name(copied: tuple[Path, Copy]) -> None:
    _, found = backup.read(str(copied[0]))
    postgresql = Store("postgresql", Access(host="cache", port=6379), (), None)
    assert backup.pairs([postgresql, store()], found) == [(store(), copied[1])]
    with pytest.raises(CheckFailed, match="holds the database redis, and the release uses none of that name"):
        backup.pairs([postgresql, store(database="1")], found)


def test_an_older_server_is_refused_before_anything_is_done(
    cache: Any, copied: tuple[Path, Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "about", lambda *_, **__: ("6.2.14", 1000, ["0"]))
    with pytest.raises(CheckFailed, match=r"is version 6\.2\.14, and takes no values of 7\.2\.5"):
        backup.restore(cache.boundaries, Kept(str(copied[0])), [(store(), copied[1])])


def test_a_restore_that_fails_is_a_change_that_failed_and_says_where_what_was_there_is(
    cache: Any, copied: tuple[Path, Copy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *_: ("7.2.5", "7.2.5", CONTENTS))
    monkeypatch.setattr(redis_server, "fill", lambda *_, **__: ())
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.5"), folder=str(tmp_path / "kept"))
    with pytest.raises(ChangeFailed, match="redis at cache:6379 was being given its copy when it failed") as caught:
        backup.restore(boundaries, Kept(str(copied[0])), [(store(), copied[1])])
    (kept,) = (tmp_path / "kept").glob("*/*/backup.json")
    assert f"what was there is the backup in {kept.parent}." in caught.value.summary


def test_keys_that_are_put_back_are_told_with_where_the_others_are(
    cache: Any, copied: tuple[Path, Copy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whole, "copied", lambda *_: ("7.2.5", "7.2.5", CONTENTS))
    monkeypatch.setattr(redis_server, "fill", lambda *_, **__: CONTENTS)
    boundaries = with_settings(cache, programs=program(tmp_path / "bin", "7.2.5"), folder=str(tmp_path / "kept"))
    backup.restore(boundaries, Kept(str(copied[0])), [(store(), copied[1])])
    (kept,) = (tmp_path / "kept").glob("*/*/backup.json")
    assert cache.told[-1].kind == "backup.restored"
    assert cache.told[-1].data == {"database": "redis", "aside": str(kept.parent)}
