"""Which database a change would empty, who uses it, what is done before, and what is said where nobody can tell."""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from databases import CLIENT, with_settings

from runbooks_lib.errors import CheckFailed
from runbooks_lib.helm import Release
from runbooks_lib.parameters.model import Waiver
from runbooks_lib.probes import rows
from runbooks_lib.release import backup, losses
from runbooks_lib.release.losses import Losses, losses_of, tables_of
from runbooks_lib.release.manifest import ObjectKey
from runbooks_lib.release.stores import reached, stores
from runbooks_lib.results import Json

SERVER = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db, more: any}}
    spec:
      containers:
        - name: postgresql
          image: registry.example.com/any/postgres:15
          env:
            - {name: POSTGRES_USER, value: root}
            - {name: POSTGRES_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: POSTGRES_PASSWORD}}}
"""
HOOK = """
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}
spec:
  template:
    spec:
      containers:
        - name: sql
          image: any/tool:1
          command: [psql, -c, "TRUNCATE a, b CASCADE; DELETE FROM c"]
          env:
            - {name: PGHOST, value: db.elsewhere.example.com}
            - {name: PGDATABASE, value: other}
            - {name: PGUSER, value: me}
            - {name: PGPASSWORD, value: hook-password-1}
"""
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "db", "namespace": "csghub"},
    "spec": {"selector": {"app": "db"}, "ports": [{"port": 5432, "targetPort": "sql"}]},
}
SECRET: Json = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "db", "namespace": "csghub"},
    "data": {"POSTGRES_PASSWORD": base64.b64encode(b"owner-password-1").decode()},
}


def parsed(text: str) -> Json:
    return dict(yaml.safe_load(text))


def pod(name: str, labels: dict[str, str], *, ready: bool = True) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "csghub", "labels": labels},
        "spec": {"containers": [{"name": "x", "ports": [{"name": "sql", "containerPort": 6543}]}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def released(*texts: str, hooks: str = "") -> Release:
    how = {"namespace": "csghub", "revision": 1, "status": "deployed"}
    return Release(name="dataflow", manifest="\n---\n".join(texts), hooks=(hooks,) if hooks else (), **how)


# ---- which database


def test_a_database_of_the_release_is_read_as_its_own_user_and_has_its_clients(world: Any) -> None:
    world.cluster.add(SERVICE, SECRET)
    (found,) = stores(world.boundaries, [parsed(SERVER), parsed(CLIENT)])
    assert found.name == "things at db:5432"
    assert (found.access.user, found.access.password) == ("root", "owner-password-1")
    assert found.clients == (ObjectKey("apps", "Deployment", "csghub", "api"),)
    assert found.pods == {"app": "db"}
    assert "owner-password-1" not in world.boundaries.redactor.redact("it is owner-password-1")


def test_one_elsewhere_is_read_as_its_client(world: Any) -> None:
    (found,) = stores(world.boundaries, [parsed(CLIENT)])
    assert (found.access.user, found.access.password, found.pods) == ("app", "app-password-1", None)
    with reached(world.boundaries, found) as address:
        assert address == ("db", 5432)


def test_a_hook_of_any_image_says_by_the_variables_of_libpq_where_it_works(world: Any) -> None:
    (found,) = stores(world.boundaries, [parsed(HOOK)])
    assert found.name == "other at db.elsewhere.example.com:5432"
    assert (found.access.user, found.clients) == ("me", ())


def test_a_client_whose_secret_is_still_to_be_made_is_left_out(world: Any) -> None:
    client = parsed(CLIENT)
    (container,) = client["spec"]["template"]["spec"]["containers"]
    container["env"].append({"name": "MORE", "valueFrom": {"secretKeyRef": {"name": "lost", "key": "x"}}})
    assert stores(world.boundaries, [client]) == []


def test_a_ready_pod_of_the_server_is_forwarded_at_the_port_of_its_service(world: Any) -> None:
    world.cluster.add(SERVICE, SECRET, pod("db-1", {"app": "db"}, ready=False), pod("db-0", {"app": "db"}))
    asked = []

    class Forward:
        def __init__(self, *what: object) -> None:
            asked.append(what)

        def __enter__(self) -> tuple[str, int]:
            return "127.0.0.1", 1

        def __exit__(self, *_: object) -> None:
            pass

    world.cluster.forward = Forward
    (found,) = stores(world.boundaries, [parsed(SERVER), parsed(CLIENT)])
    with reached(world.boundaries, found) as address:
        assert address == ("127.0.0.1", 1)
    assert asked == [("csghub", "db-0", 6543)]


def test_a_server_without_a_ready_pod_is_told(world: Any) -> None:
    world.cluster.add(SERVICE, SECRET, pod("db-0", {"app": "db"}, ready=False))
    (found,) = stores(world.boundaries, [parsed(SERVER), parsed(CLIENT)])
    with pytest.raises(CheckFailed, match="No pod of things at db:5432 is ready"), reached(world.boundaries, found):
        pass


# ---- what is lost


def test_what_a_hook_destroys_names_its_database_and_what_was_there_before_is_nothing_new(world: Any) -> None:
    found = losses_of(world.boundaries, released(CLIENT, hooks=HOOK), "upgrade", released(CLIENT))
    assert [(each.does, each.what) for each in found.found] == [
        ("TRUNCATE … CASCADE", "a"),
        ("TRUNCATE … CASCADE", "b"),
        ("DELETE", "c"),
    ]
    assert [each.name for each in found.stores] == ["things at db:5432", "other at db.elsewhere.example.com:5432"]
    assert losses_of(world.boundaries, released(CLIENT), "upgrade", released(CLIENT)).stores == ()


INIT = CLIENT.replace(
    "      containers:",
    "      initContainers: [{name: clean, image: any/tool:1, command: [psql, -c, DROP TABLE old]}]\n      containers:",
)


@pytest.mark.parametrize(
    ("old", "new", "hooks", "what"),
    [(INIT, INIT, "", []), (CLIENT, INIT, "", ["old"]), (CLIENT, CLIENT, HOOK, ["a", "b", "c"])],
)
def test_a_hook_runs_again_though_it_was_there_before_and_an_init_container_does_nothing_new(
    world: Any, old: str, new: str, hooks: str, what: list[str]
) -> None:
    found = losses_of(world.boundaries, released(new, hooks=hooks), "upgrade", released(old, hooks=hooks))
    assert [each.what for each in found.found] == what


def test_rows_are_told_by_table_and_what_could_not_be_counted_with_its_reason(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = losses_of(world.boundaries, released(CLIENT, hooks=HOOK), "upgrade", released(CLIENT))
    asked = []

    def counts(address: object, access: Any, names: list[str], **how: Any) -> list[rows.Counted]:
        asked.append((address, access.database, names, how["cascade"]))
        if access.database == "other":
            raise CheckFailed("PostgreSQL does not answer.")
        return [
            rows.Counted("public", "a", along=False, rows=7, estimated=False),
            rows.Counted("public", "b", along=False, rows=5000, estimated=True),
            rows.Counted("public", "d", along=True, rows=None, estimated=True),
        ]

    monkeypatch.setattr(losses.rows, "counts", counts)
    told = tables_of(world.boundaries, found)
    assert told.impact == (
        "Lose their rows in things at db:5432: public.a, public.b; taken along, since they refer to these: public.d.",
        "Which tables of other at db.elsewhere.example.com:5432 lose rows is not known: PostgreSQL does not answer.",
    )
    assert told.notes == (
        "Now: table public.a of things has 7 rows.",
        "Now: table public.b of things has about 5000 rows.",
        "Now: table public.d of things has an unknown number of rows.",
    )
    assert asked[0] == (("db", 5432), "things", ["a", "b", "c"], True)


def test_rows_of_a_database_that_nobody_names_are_told_to_be_uncounted(world: Any) -> None:
    bare = HOOK.replace("PGHOST", "ELSE")
    found = losses_of(world.boundaries, released(hooks=bare), "upgrade", released())
    told = tables_of(world.boundaries, found)
    assert told == (("Which tables lose rows is not known: which database is meant can't be told.",), ())


# ---- what is done about it


def accepted(until: str) -> Waiver:
    return Waiver(check="backup.ready", reason="copied by hand", until=until)


@pytest.fixture
def lost(world: Any) -> Losses:
    return losses_of(world.boundaries, released(CLIENT, hooks=HOOK), "upgrade", released(CLIENT))


def test_what_writes_is_stopped_then_copied_and_started_again_after_the_change(world: Any, lost: Losses) -> None:
    steps = backup.around(world.boundaries, lost)
    assert [step.kind for step in steps.before] == ["stop-writers", "back-up"]
    assert [step.kind for step in steps.after] == ["start-writers"]
    assert "scale Deployment api to 0" in steps.before[0].title
    names = ["things at db:5432", "other at db.elsewhere.example.com:5432"]
    assert steps.before[1].data == {"databases": names, "protocols": {"postgresql": names}, "folder": "backups"}


def test_what_writes_runs_on_where_the_parameters_say_so(world: Any, lost: Losses) -> None:
    steps = backup.around(with_settings(world, writers="keep"), lost)
    assert ([step.kind for step in steps.before], steps.after) == (["back-up"], ())


@pytest.mark.parametrize(("until", "kinds"), [("2999-12-31", []), ("2020-01-01", ["stop-writers", "back-up"])])
def test_a_waiver_is_the_only_way_around_a_copy_and_only_until_its_day(
    world: Any, lost: Losses, until: str, kinds: list[str]
) -> None:
    steps = backup.around(with_settings(world, accepted(until)), lost)
    assert [step.kind for step in steps.before] == kinds


def test_what_nobody_can_copy_stops_the_change_unless_that_is_accepted(world: Any) -> None:
    bare = HOOK.replace("PGHOST", "ELSE")
    found = losses_of(world.boundaries, released(hooks=bare), "upgrade", released())
    with pytest.raises(CheckFailed, match="which database that is in can't be told") as caught:
        backup.around(world.boundaries, found)
    assert "backup.ready" in caught.value.next_step
    assert backup.around(with_settings(world, accepted("2999-12-31")), found).before == ()


def test_a_change_that_destroys_nothing_has_no_copy(world: Any) -> None:
    found = losses_of(world.boundaries, released(CLIENT), "upgrade", released(CLIENT))
    assert backup.around(world.boundaries, found) == backup.Around()


# ---- what writes

KEY = ObjectKey("apps", "Deployment", "csghub", "api")


def running(replicas: int) -> Json:
    client = parsed(CLIENT)
    return {
        **client,
        "metadata": {"name": "api", "namespace": "csghub", "resourceVersion": "1"},
        "spec": {**client["spec"], "replicas": replicas},
    }


def replicas_of(world: Any) -> int:
    return int(world.cluster.get("apps/v1", "Deployment", "api", "csghub")["spec"]["replicas"])


def test_what_writes_is_scaled_to_nothing_awaited_and_given_its_replicas_back(world: Any) -> None:
    last = pod("api-1", {"app": "api"})
    world.cluster.add(running(3), last)
    were: dict[ObjectKey, int] = {}
    threading.Timer(0.3, lambda: world.cluster.objects.remove(last)).start()
    begun = time.monotonic()
    backup.stop(world.boundaries, [KEY], seconds=10, were=were)
    assert time.monotonic() - begun > 0.25
    assert (were, replicas_of(world)) == ({KEY: 3}, 0)
    backup.start(world.boundaries, were)
    assert replicas_of(world) == 3


def test_what_does_not_end_is_named_and_known_to_be_stopped(world: Any) -> None:
    world.cluster.add(running(2), pod("api-1", {"app": "api"}))
    were: dict[ObjectKey, int] = {}
    with pytest.raises(CheckFailed, match="still there: api-1"):
        backup.stop(world.boundaries, [KEY], seconds=0, were=were)
    assert were == {KEY: 2}


def test_what_is_not_there_or_has_no_pods_or_was_started_by_the_chart_is_left_alone(world: Any) -> None:
    were: dict[ObjectKey, int] = {}
    backup.stop(world.boundaries, [KEY], seconds=1, were=were)
    world.cluster.add(running(0))
    backup.stop(world.boundaries, [KEY], seconds=1, were=were)
    assert were == {}
    world.cluster.objects.clear()
    backup.start(world.boundaries, {KEY: 2})
    world.cluster.add(running(5))
    backup.start(world.boundaries, {KEY: 2})
    assert replicas_of(world) == 5


# ---- the programs


def folder_of(path: Path, version: str, *, without: str = "") -> str:
    path.mkdir()
    for name in {"pg_dump", "pg_restore", "initdb", "postgres"} - {without}:
        (path / name).write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        (path / name).chmod(0o755)
    return str(path)


def test_the_programs_of_a_folder_serve_up_to_their_own_version(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "bin", "15.10 (Debian 15.10-1)")
    assert backup.programs(folder, 14).major == backup.programs(folder, 15).major == 15
    with pytest.raises(CheckFailed, match=r"has no programs of PostgreSQL 16 or newer .*: 15\.10 in "):
        backup.programs(folder, 16)


def test_a_folder_that_lacks_one_of_them_is_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "bin", "16.1", without="initdb")
    with pytest.raises(CheckFailed, match=": it lacks initdb") as caught:
        backup.programs(folder, 15)
    assert "needed there are pg_dump, pg_restore, initdb, postgres" in caught.value.next_step


def test_a_named_folder_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as caught:
        backup.programs(str(tmp_path / "nope"), 16)
    said = f"The folder {tmp_path / 'nope'}, which backup.programs names, has no programs of PostgreSQL 16 or newer"
    assert caught.value.summary == f"{said} to copy a database with: it does not exist, or is no folder."
    assert caught.value.next_step.startswith("Correct backup.programs")


def test_a_named_folder_whose_programs_do_not_run_is_told_as_such(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "bin", "of no known version")
    with pytest.raises(CheckFailed, match=": its pg_dump does not tell its version"):
        backup.programs(folder, 16)


def test_without_a_named_folder_this_machine_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckFailed, match=r"No programs of PostgreSQL 999 or newer are on this machine"):
        backup.programs("", 999)


def test_of_several_on_path_the_next_newer_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "newest", "99.1")
    monkeypatch.setenv("PATH", str(tmp_path / "newest"))
    assert backup.programs("", 99).folder == tmp_path / "newest"
    # The one of the Python package is nearer.
    assert backup.programs("", 15).major < 99


def test_a_database_that_goes_with_its_volume_is_copied_in_the_same_backup(world: Any, lost: Losses) -> None:
    server = lost.stores[0]
    other = server._replace(access=server.access.model_copy(update={"database": "more"}))
    steps = backup.around(world.boundaries, lost, [server, other])
    (copying,) = (step for step in steps.before if step.kind == "back-up")
    assert copying.data["databases"] == [
        "things at db:5432",
        "other at db.elsewhere.example.com:5432",
        "more at db:5432",
    ]
    alone = backup.around(with_settings(world, writers="keep"), lost._replace(found=()), [other])
    assert [step.kind for step in alone.before] == ["stop-writers", "back-up"], "what goes away is not written to"


CLEARED = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  template:
    spec:
      initContainers: [{name: clear, image: busybox, command: [sh, -c, "rm -rf /data/*"]}]
      containers: [{name: db, image: db}]
"""


def test_an_init_container_destroys_nothing_where_no_volume_is_there_yet(world: Any) -> None:
    new = released(CLEARED)
    assert losses_of(world.boundaries, new, "install").found
    assert not losses_of(world.boundaries, new, "install", fresh=True).found
    assert not losses_of(world.boundaries, new, "rollback", released(CLEARED)).found, "it runs already"
    hook = released(hooks=HOOK)
    assert losses_of(world.boundaries, hook, "upgrade", fresh=True).found, "a hook may reach anywhere"
