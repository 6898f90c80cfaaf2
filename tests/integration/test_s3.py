"""Copies and anchored checkpoints on an S3 server with object lock, which keeps what was written from whoever may write."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sealed import Shelf, new_signer

from runbooks_lib import process, records
from runbooks_lib.errors import CheckFailed, RecordError
from runbooks_lib.release.backup.places import MANIFEST, Kept, making, require_reached
from runbooks_lib.results import digest_of_file

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv" / "s3" / "bin" / "python"
LOCK = """<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>
<Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server that ends with these tests."""
    if not PYTHON.exists():
        pytest.skip("There is no S3 server: `make test` installs one in .venv/s3.")
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("w") as errors:
        started = subprocess.Popen(
            [str(PYTHON), str(HERE / "s3" / "server.py")], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    with started:
        try:
            assert started.stdout is not None
            # Its first line, or its end.
            port = started.stdout.readline().strip()
            assert port, log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            started.terminate()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A bucket of its own, where whatever is written can't be removed for a day."""
    name = f"bucket-{secrets.token_hex(4)}"
    made = httpx.put(f"{server}/{name}", headers={"x-amz-bucket-object-lock-enabled": "true"})
    locked = httpx.put(f"{server}/{name}?object-lock", content=LOCK, headers={"Content-Type": "application/xml"})
    assert (made.status_code, locked.status_code) == (200, 200), locked.text
    told = {"ENDPOINT": server, "ALLOW_HTTP": "true", "REGION": "us-east-1", "CHECKSUM_ALGORITHM": "sha256"}
    told |= {"ACCESS_KEY_ID": "tests", "SECRET_ACCESS_KEY": secrets.token_hex(8)}
    for key, value in told.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    return f"s3://{name}"


def client(code: str) -> str:
    """What a client of S3 says that knows of versions, with the same rights as whoever writes."""
    made = "import json, os, boto3\ns3 = boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT'])\n"
    asked = process.run([str(PYTHON), "-c", made + code], timeout=60, env=dict(os.environ))
    assert asked.ok, asked.stderr
    return asked.stdout


def test_copies_are_sent_read_back_and_fetched_again(bucket: str, tmp_path: Path) -> None:
    require_reached(bucket)
    content = os.urandom(12 * 2**20)  # more than one part
    with making(f"{bucket}/copies", "prod/run") as (folder, kept):
        (folder / "00-things.dump").write_bytes(content)
        (folder / MANIFEST).write_text("{}")
    assert kept == f"{bucket}/copies/prod/run"
    assert not [*(tmp_path / ".runbooks").rglob("*.dump")]

    copy = tmp_path / "copy"
    copy.write_bytes(content)
    digest, place = digest_of_file(copy), Kept(kept)
    assert place.text(100) == "{}"
    with place.fetched("00-things.dump", digest) as file:
        assert file.read_bytes() == content
    with pytest.raises(CheckFailed, match="is not there, or not what was written"):
        place.require("00-things.dump", "sha256:00")


def test_a_bucket_that_is_not_there_is_told_before_anything_is_copied(bucket: str) -> None:
    with pytest.raises(CheckFailed, match=r"^s3://nobodys-bucket does not answer, .*404 Not Found"):
        require_reached("s3://nobodys-bucket")


def test_who_writes_checkpoints_can_not_take_one_back_and_the_log_can_not_be_rewritten_unseen(
    bucket: str, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path / "records")
    shelf.seal = records.Seal(new_signer(), f"{bucket}/audit", required=True)
    shelf.record()
    shelf.record(outcome="failed")
    assert not shelf.wrong()

    versions = json.loads(
        client(f"""
found = s3.list_object_versions(Bucket={bucket[5:]!r}, Prefix="audit/")["Versions"]
print(json.dumps([[each["Key"], each["VersionId"]] for each in found]))
""")
    )
    names = [name for name, _ in versions]
    assert len(names) == len(set(names)) == 4, "each head once, none written over"
    refused = client(f"""
try:
    s3.delete_object(Bucket={bucket[5:]!r}, Key={versions[0][0]!r}, VersionId={versions[0][1]!r})
except s3.exceptions.ClientError as error:
    print(error.response["Error"]["Code"])
""")
    assert refused.strip() == "AccessDenied"

    # Somebody with the key drops the failed run and signs all again.
    kept = tmp_path / "anchored"
    client(f"""
import pathlib
for key, version in {versions!r}:
    path = pathlib.Path({str(kept)!r}, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(s3.get_object(Bucket={bucket[5:]!r}, Key=key, VersionId=version)["Body"].read())
""")
    heads = records.given(None, kept).heads
    assert {head.text for head in records.given(None, f"{bucket}/audit").heads} == {head.text for head in heads}
    assert not shelf.wrong(heads=heads)
    shelf.forget_log()
    for folder in sorted(shelf.folder.glob("2*"))[1:]:
        for file in sorted(folder.rglob("*"), reverse=True):
            file.unlink()
        folder.rmdir()
    shelf.seal = shelf.seal._replace(anchor="")
    records.enter(shelf.seal, *shelf.folder.glob("2*"))
    records.seal_closed(shelf.folder, shelf.seal)
    assert not shelf.wrong()
    assert any(
        "was removed" in said or "rewritten" in said or "rolled back" in said for said in shelf.wrong(heads=heads)
    )


def test_a_change_does_not_begin_where_its_anchor_refuses_the_checkpoint(bucket: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "records")
    shelf.seal = records.Seal(new_signer(), "s3://nobodys-bucket/audit", required=True)
    with pytest.raises(RecordError, match="could not be copied to the anchor"):
        shelf.record()
