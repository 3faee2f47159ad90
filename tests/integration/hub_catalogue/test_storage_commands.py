"""`ferryhub storage` and `ferryhub allocations`, as an operator uses them, on a real store."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ferryhub.blobs.s3owner import MARK
from ferryhub.blobs.store import blob_key
from ferrywire.ids import new_id
from tests.integration.hub_catalogue.test_command import ferryhub
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda *words, **env: ferryhub(*words, "--state-dir", str(tmp_path / "hub"), **env)


def test_a_store_is_tried_out_and_listed(run: Run, weed_server: S3Server) -> None:
    bucket = weed_server.bucket()
    words = ("--s3", "--bucket", bucket, "--endpoint", weed_server.endpoint, "--prefix", "/a/b/")
    done = run("storage", "add", "lake", *words, **weed_server.env)
    said = f"added 'lake', bucket '{bucket}': checksums verified, write-once kept\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert (weed_server.keys(bucket), weed_server.uploads(bucket)) == ({}, [])
    assert run("storage", "default", "lake").stdout.startswith("new projects and users keep their bytes at 'lake'")
    own, lake = run("storage", "list").stdout.splitlines()
    assert own == "  default  files  pack_bytes=8388608"
    assert lake.startswith("* lake  s3  ")
    assert {f"bucket={bucket}", "prefix=a/b", "checksum=crc64nvme", "least_part_bytes=5242880"} <= set(lake.split())
    assert "pack_bytes=8388608" in lake.split()
    assert "secret" not in lake
    again = run("storage", "add", "lake", *words, **weed_server.env)
    assert (again.returncode, "already" in again.stderr) == (1, True)


def test_a_store_that_verifies_nothing_is_said_to(run: Run, rclone_server: S3Server) -> None:
    words = ("--s3", "--bucket", rclone_server.bucket(), "--endpoint", rclone_server.endpoint)
    done = run("storage", "add", "lake", *words, **rclone_server.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("note: this store does not verify CRC-64/NVME")
    assert "\nnote: this store does not know If-None-Match" in done.stdout
    assert done.stdout.endswith(": checksums not verified, write-once not kept\n")
    quiet = run("storage", "add", "other", *words, "--checksum", "none", **rclone_server.env)
    said = "checksums not tried, write-once not tried\n"
    assert (quiet.returncode, quiet.stdout.partition(": ")[2]) == (0, said)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ((), 8 << 20),
        (("--pack", "0"), 0),
        (("--pack", "64M"), 64 << 20),
        (("--checksum", "none"), 0),
        (("--most-file", "5M"), 0),
        (("--pack", "3"), "--pack is 0, or 1M to 64M"),
        (("--pack", "65M"), "--pack is 0, or 1M to 64M"),
        (("--pack", "8M", "--checksum", "none"), "--pack goes with --checksum crc64nvme"),
        (("--pack", "8M", "--most-file", "5M"), "--pack is more than --most-file"),
    ],
)
def test_how_long_packs_may_be(run: Run, words: tuple[str, ...], kept: int | str) -> None:
    done = run("storage", "add", "lake", "--s3", "--bucket", "b", "--no-check", *words)
    if isinstance(kept, str):
        assert (done.returncode, kept in done.stderr) == (1, True), done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert f"pack_bytes={kept}" in run("storage", "list").stdout.splitlines()[1].split()


def test_a_public_endpoint_is_tried(run: Run, weed_server: S3Server) -> None:
    """Users are sent there: one where nobody listens would have uploads try for ever."""
    words = ("--s3", "--bucket", weed_server.bucket(), "--endpoint", weed_server.endpoint, "--public-endpoint")
    other_name = weed_server.endpoint.replace("127.0.0.1", "localhost")
    done = run("storage", "add", "lake", *words, other_name, **weed_server.env)
    assert (done.returncode, done.stdout.endswith(", public endpoint reached\n")) == (0, True), done.stdout
    assert "note:" not in done.stdout
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = run("storage", "add", "away", *words, away, **weed_server.env)
    assert (done.returncode, done.stdout.endswith(", public endpoint not reached\n")) == (0, True), done.stdout
    assert "note: the public endpoint does not answer here as the store does (EndpointConnectionError)" in done.stdout
    assert "X-Amz-Signature" not in done.stdout + done.stderr


def test_a_bucket_that_is_not_there(run: Run, weed_server: S3Server) -> None:
    words = ("--s3", "--bucket", "no-such-lake", "--endpoint", weed_server.endpoint)
    done = run("storage", "add", "lake", *words, **weed_server.env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ferryhub: there is no bucket 'no-such-lake': create it, or check --bucket\n"


def test_two_catalogues_do_not_share_names(run: Run, weed_server: S3Server) -> None:
    bucket = weed_server.bucket()
    words = ("--s3", "--bucket", bucket, "--endpoint", weed_server.endpoint, "--prefix", "a")
    weed_server.client().put_object(Bucket=bucket, Key=f"a/{blob_key(new_id('upl'), 0)}", Body=b"x")
    done = run("storage", "add", "lake", *words, **weed_server.env)
    assert (done.returncode, "choose another --prefix" in done.stderr) == (1, True)
    assert len(weed_server.keys(bucket)) == 1
    assert run("storage", "add", "lake", *words[:-1], "b", **weed_server.env).returncode == 0
    assert run("storage", "add", "mine", *words, "--no-check", **weed_server.env).returncode == 0


def test_two_catalogues_do_not_share_names_that_nobody_uses_yet(tmp_path: Path, weed_server: S3Server) -> None:
    bucket = weed_server.bucket()
    words = ("--s3", "--bucket", bucket, "--endpoint", weed_server.endpoint)

    def add(name: str, hub: str, *more: str) -> tuple[int, str]:
        where = ("--state-dir", str(tmp_path / hub))
        done = ferryhub("storage", "add", name, *words, *more, *where, **weed_server.env)
        return done.returncode, done.stderr

    assert add("lake", "one") == (0, "")
    assert weed_server.everything(bucket) == [MARK]
    status, said = add("lake", "two")
    assert (status, "another hub keeps bytes" in said, "choose another --prefix" in said) == (1, True, True)
    assert add("lake", "two", "--prefix", "two") == (0, "")
    weed_server.client().put_object(Bucket=bucket, Key=blob_key(new_id("upl"), 0), Body=b"x")
    assert add("lake-again", "one") == (0, ""), "it is its own"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"}, "Credentials"),
    ],
)
def test_a_store_that_does_not_work_is_not_added(
    run: Run, weed_server: S3Server, change: dict[str, str], says: str
) -> None:
    words = ("--s3", "--bucket", weed_server.bucket(), "--endpoint", weed_server.endpoint)
    done = run("storage", "add", "lake", *words, **{**weed_server.env, **change})
    assert done.returncode == 1
    assert says in done.stderr
    assert "lake" not in run("storage", "list").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("storage", "default", "nowhere"), "no storage location 'nowhere'"),
        (("storage", "add", "x", "--s3", "--bucket", "b", "--kms-key", "k"), "--sse aws:kms"),
        (("storage", "add", "A B", "--s3", "--bucket", "b", "--no-check"), "small letters"),
        (("allocations", "set", "nobody", "default", "1G"), "no project and no user"),
        (("allocations", "set", "nobody", "default", "-1"), ""),
        (("allocations", "set", "nobody", "default", "much"), "not a size"),
    ],
)
def test_mistakes_are_named(run: Run, words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_allocations_of_a_user(run: Run) -> None:
    run("token", "create", "--email", "a@x.org")
    assert run("allocations", "list").stdout == ""
    assert run("allocations", "set", "A@x.org", "default", "2G").returncode == 0
    said = run("allocations", "list").stdout
    assert said.endswith(" (a@x.org)  default  used 0 bytes  reserved 0 bytes  of 2 GiB\n")
    refused = run("allocations", "set", "a@x.org", "default", "2G", "--default")
    assert (refused.returncode, "project" in refused.stderr) == (1, True)


def test_without_boto3_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from ferryhub.cli import main\n"
        f"sys.exit(main(['storage','add','x','--s3','--bucket','b','--state-dir',{str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "/path/to/ferryman[s3]"' in done.stderr


def test_a_hub_without_a_store_loads_none(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib\n"
        "from ferryhub.app import create_hub\n"
        "from ferryhub.config import HubSettings\n"
        "async def main():\n"
        f"    hub = create_hub(HubSettings(state_dir=pathlib.Path({str(tmp_path)!r}), local_files=True))\n"
        "    await hub.start(); await hub.close()\n"
        "asyncio.run(main())\n"
        "import ferryd.lanes.pool\n"
        "print([name for name in ('boto3', 'botocore', 'awscrt', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
