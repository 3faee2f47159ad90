"""A real S3 store that dies, hangs, forgets or refuses, and a hub that dies between the store and its catalogue."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ferryman import Client
from ferryman.handles import Transfer
from ferryman.progress import UploadResult
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home
from tests.support.proxy import Direction, Proxy
from tests.support.s3 import S3Server, seaweedfs
from tests.support.s3hub import S3Hub, s3_hub
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PART = 5 * MIB
Use = Callable[[S3Hub], str]
#: Parts one after the other, so that some are there long before all are; and then hardly any more.
SLOW = {"bandwidth_bps": 4 * MIB, "parts_in_flight": 1}
CRAWL = {"bandwidth_bps": MIB}
FAST = {"bandwidth_bps": 0, "parts_in_flight": 8}


@pytest.fixture
def use(home: Home, monkeypatch: pytest.MonkeyPatch) -> Use:
    """`use(hub)`: daemons of this test belong to that hub; returns a new project."""

    def choose(s3: S3Hub) -> str:
        monkeypatch.setenv("FERRYMAN_HUB", s3.hub.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", s3.hub.token("me@x.org"))
        with Client() as client:
            return client.create_project("P").project_id

    return choose


@pytest.fixture(scope="module")
def frail_weed() -> Iterator[S3Server]:
    """A store of our own to kill."""
    with seaweedfs() as server:
        yield server


def ready(lake: S3Hub) -> tuple[int, str]:
    answer = httpx.get(f"{lake.hub.url}/readyz", timeout=60)
    return answer.status_code, answer.text


def test_a_hub_says_when_its_store_is_dead_or_hangs(frail_weed: S3Server) -> None:
    with s3_hub(frail_weed) as lake:
        with frail_weed.paused():
            assert ready(lake) == (503, "storage location lake does not answer")
            assert httpx.get(f"{lake.hub.url}/healthz").status_code == 200
        frail_weed.stop()
        wait_for(lambda: ready(lake) == (503, "storage location lake"), timeout_s=60, what="the hub to notice")
        assert httpx.get(f"{lake.hub.url}/healthz").status_code == 200
        frail_weed.start()
        wait_for(lambda: ready(lake) == (200, "ok"), timeout_s=60, what="the hub to be ready again")


def half_sent(client: Client, path: Path, project: str) -> Transfer[UploadResult]:
    """An upload some parts of which have been sent; so slow now that there is time to act."""
    client.transfers.set_limits(**SLOW)
    up = client.transfers.upload(path, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
    wait_for(lambda: up.info().persisted_bytes >= 2 * PART, timeout_s=60, what="some parts")
    client.transfers.set_limits(**CRAWL)
    return up


def test_a_store_is_killed_in_an_upload_and_in_a_download(home: Home, frail_weed: S3Server, use: Use) -> None:
    size = 10 * PART
    path = make_file(home.data / "f", size)
    with s3_hub(frail_weed) as lake:
        project = use(lake)
        with Client() as client:
            up = half_sent(client, path, project)
            frail_weed.stop()
            wait_for(lambda: up.info().waiting_for, timeout_s=60, what="the upload to wait")
            frail_weed.start()
            client.transfers.set_limits(**FAST)
            asset = up.wait(timeout_s=120).asset_id
            client.transfers.set_limits(**SLOW)
            down = client.transfers.download(asset, home.root / "dl")
            wait_for(lambda: down.info().persisted_bytes >= PART, timeout_s=60, what="some parts")
            client.transfers.set_limits(**CRAWL)
            frail_weed.stop()
            wait_for(lambda: down.info().waiting_for, timeout_s=60, what="the download to wait")
            frail_weed.start()
            client.transfers.set_limits(**FAST)
            got = down.wait(timeout_s=120)
            assert same_bytes(path, Path(got.files[0].local_path))
        assert (list(lake.keys.values()), lake.uploads) == ([size], [])


def test_somebody_aborts_the_upload_at_the_store(home: Home, weed_server: S3Server, use: Use) -> None:
    """As a lifecycle rule of the bucket does."""
    path = make_file(home.data / "f", 8 * PART)
    with s3_hub(weed_server) as lake:
        project = use(lake)
        with Client() as client:
            up = half_sent(client, path, project)
            assert lake.uploads
            for key, upload_id in lake.uploads:
                weed_server.client().abort_multipart_upload(Bucket=lake.bucket, Key=key, UploadId=upload_id)
            client.transfers.set_limits(**FAST)
            result = up.wait(timeout_s=120)
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))
        assert (list(lake.keys.values()), lake.uploads) == ([8 * PART], [])


def test_the_hub_is_killed_between_the_stores_completion_and_its_own(
    home: Home, weed_server: S3Server, use: Use
) -> None:
    path = make_file(home.data / "f", 2 * PART + 1)
    with (
        Proxy("127.0.0.1", weed_server.port) as proxy,
        s3_hub(weed_server, endpoint=proxy.url, public=weed_server.endpoint) as lake,
    ):
        project, killed = use(lake), []

        def kill(way: Direction, piece: bytes) -> None:
            if way == "up" and b"CompleteMultipartUpload" in piece:
                killed.append(0)
            elif way == "down" and killed == [0]:  # the store has done it, and the hub does not hear of it
                killed[0] = lake.hub.pid
                os.kill(lake.hub.pid, signal.SIGKILL)

        proxy.tap = kill
        with Client() as client:
            up = client.transfers.upload(path, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
            wait_for(lambda: killed and killed[0], timeout_s=60, what="the hub to be killed")
            wait_for(lambda: up.info().waiting_for, timeout_s=60, what="the upload to wait")
            proxy.tap = None
            assert (list(lake.keys.values()), lake.uploads) == ([2 * PART + 1], [])
            lake.hub.kill()
            lake.hub.start()
            result = up.wait(timeout_s=120)
            assert up.info().resent_bytes == 0
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))
        assert (list(lake.keys.values()), lake.uploads) == ([2 * PART + 1], [])


def test_a_store_that_refuses_the_hub_is_the_operators_to_mend(
    home: Home, weed_server: S3Server, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(home.data / "f", 2 * PART)
    for name, value in {**weed_server.env, "AWS_SECRET_ACCESS_KEY": "an old one"}.items():
        monkeypatch.setenv(name, value)
    with s3_hub(weed_server, "--no-check", keys=False) as lake:
        project = use(lake)
        with Client() as client:
            up = client.transfers.upload(path, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
            wait_for(lambda: up.info().waiting_for == "hub", timeout_s=60, what="the upload to say what it waits for")
            error = up.info().error
            assert error is not None
            assert (error.reason, "SignatureDoesNotMatch" in error.message) == ("HUB_OVERLOADED", True)
            assert "its operator must mend that" in error.message
            lake.hub.stop()
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", weed_server.env["AWS_SECRET_ACCESS_KEY"])
            lake.hub._env |= weed_server.env
            lake.hub.start()
            up.wait(timeout_s=120)
        assert (list(lake.keys.values()), lake.uploads) == ([2 * PART], [])
