"""Real daemons, a real hub and a real S3 store: the main job, and what must not disturb it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from ferryhub.blobs.service import BlobOptions, open_blobs
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.database import Database, sqlite_url
from ferryman import Client, DaemonError
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home
from tests.support.proxy import Proxy
from tests.support.s3 import S3Server
from tests.support.s3hub import BusyProxy, S3Hub, s3_hub
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PART = 5 * MIB
IN_FLIGHT = 8
WEEK_US = 7 * 24 * 3600 * 1_000_000


@pytest.fixture
def lake(weed_server: S3Server) -> Iterator[S3Hub]:
    with s3_hub(weed_server) as hub:
        yield hub


@pytest.fixture
def use(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`use(hub)`: daemons of this test belong to that hub."""

    def choose(s3: S3Hub, email: str = "me@x.org") -> None:
        monkeypatch.setenv("FERRYMAN_HUB", s3.hub.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", s3.hub.token(email))

    return choose


def failed_attempts(home: Home) -> int:
    """How often a transfer of this home's daemons had to begin again."""
    with closing(sqlite3.connect(home.state_dir / "queue.db")) as db:
        [count] = db.execute("SELECT count(*) FROM transfer_events WHERE event = 'retry'").fetchone()
        return int(count)


def test_the_main_job(home: Home, lake: S3Hub, use: Callable[..., None]) -> None:
    use(lake)
    source = home.data / "run"
    sizes = {"big.bin": 3 * PART + 7, "sub/one.bin": 1, "sub/part.bin": PART, "empty": 0}
    sizes |= {f"many/{number}": 1000 + number for number in range(40)}
    for name, size in sizes.items():
        make_file(source / name, size, seed=size)
    with Client() as client:
        project = client.create_project("P")
        # Parts of 1 MiB are taken as the store's 5 MiB.
        result = client.upload(
            source, title="run", owner_type="project", owner_id=project.project_id, chunk_size_mb=1, tags=["x"]
        )
        handle = client.transfers.get(result.transfer_id)
        info = handle.info()
        assert (info.persisted_bytes, info.resent_bytes) == (sum(sizes.values()), 0)
        assert info.chunk_index == info.chunk_count == 4 + 1 + 1 + 40
        assert [asset.asset_id for asset in client.assets.list(project=project.project_id)] == [result.asset_id]
        assert list(client.get_metadata(result.asset_id).tags) == ["x"]
        client.download(result.asset_id, home.root / "dl")
        again = client.upload(
            source / "big.bin", title="b", owner_type="project", owner_id=project.project_id, chunk_size_mb=64
        )
        assert client.transfers.get(again.transfer_id).info().chunk_count == 1
    got = {
        path.relative_to(home.root / "dl").as_posix(): path for path in (home.root / "dl").rglob("*") if path.is_file()
    }
    assert got.keys() == {f"run/{name}" for name in sizes} or got.keys() == sizes.keys()
    for name, path in got.items():
        assert same_bytes(source / name.removeprefix("run/"), path), name
    kept = sorted(lake.keys.values(), reverse=True)
    assert kept[:3] == [3 * PART + 7, 3 * PART + 7, PART], "large files are objects of their own"
    assert len(kept) <= 3 + 2 and sum(kept[3:]) == 1 + sum(range(1000, 1040)), "small ones are together"
    assert all(key.startswith("kept/") for key in lake.keys)
    assert lake.uploads == []


def test_two_daemons_share_a_project(
    home: Home, lake: S3Hub, use: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(home.data / "f", 2 * PART + 1)
    with ExitStack() as stack:

        def person(name: str) -> Client:
            for kind in ("STATE", "RUNTIME", "CONFIG"):
                directory = home.root / f"{name}-{kind.lower()}"
                directory.mkdir(mode=0o700)
                monkeypatch.setenv(f"FERRYMAN_{kind}_DIR", str(directory))
            use(lake, f"{name}@x.org")
            client = stack.enter_context(Client())
            client.connect()
            stack.callback(client.daemon.shutdown)
            return client

        ann, ben = person("ann"), person("ben")
        project = ann.create_project("Shared").project_id
        ann.grants.set(project, "ben@x.org", "editor")
        first = ann.upload(path, title="a", owner_type="project", owner_id=project, chunk_size_mb=5)
        assert [asset.title for asset in ben.assets.list(project=project)] == ["a"]
        got = ben.download(first.asset_id, home.root / "ben")
        assert same_bytes(path, Path(got.files[0].local_path))
        second = ben.upload(path, title="b", owner_type="project", owner_id=project)
        assert {asset.title for asset in ann.assets.list(project=project)} == {"a", "b"}
        got = ann.download(second.asset_id, home.root / "ann")
        assert same_bytes(path, Path(got.files[0].local_path))


def test_a_flipped_byte_is_refused_and_only_that_part_is_sent_again(
    home: Home, weed_server: S3Server, use: Callable[..., None]
) -> None:
    path = make_file(home.data / "f", 6 * PART)
    with Proxy("127.0.0.1", weed_server.port) as proxy, s3_hub(weed_server, public=proxy.url) as lake:
        use(lake)
        with Client() as client:
            project = client.create_project("P").project_id
            proxy.flip_after("up", 2 * PART + MIB)
            before = proxy.moved["up"]
            result = client.upload(path, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
            info = client.transfers.get(result.transfer_id).info()
            assert (info.resent_bytes, failed_attempts(home)) == (PART, 0)
            assert 7 * PART <= proxy.moved["up"] - before < 7 * PART + MIB
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))


def test_urls_that_expire_in_two_seconds_fail_no_transfer(
    home: Home, rclone_server: S3Server, use: Callable[..., None]
) -> None:
    tree_of_files = home.data / "d"
    for number in range(300):
        make_file(tree_of_files / f"{number:03}", 20_000, seed=number)
    path = make_file(home.data / "f", 4 * PART)
    with s3_hub(rclone_server, url_ttl_s=2) as lake:
        use(lake)
        with Client() as client:
            project = client.create_project("P").project_id
            for source, bps in ((tree_of_files, MIB), (path, 3 * MIB)):
                client.transfers.set_limits(bandwidth_bps=bps)  # slower than the URLs last
                up = client.upload(source, title=source.name, owner_type="project", owner_id=project, chunk_size_mb=5)
                down = client.download(up.asset_id, home.root / source.name)
                for file in down.files:
                    got = Path(file.local_path)
                    assert same_bytes(path if source is path else source / got.name, got)
            assert client.daemon.statistics().retried_parts > 0, "no URL was too old"
    assert failed_attempts(home) == 0


def test_a_store_that_is_busy_for_half_a_minute_only_delays(
    home: Home, weed_server: S3Server, use: Callable[..., None]
) -> None:
    path = make_file(home.data / "f", 8 * PART)
    with BusyProxy("127.0.0.1", weed_server.port) as proxy, s3_hub(weed_server, endpoint=proxy.url) as lake:
        use(lake)
        with Client() as client:
            project = client.create_project("P").project_id
            client.transfers.set_limits(bandwidth_bps=4 * MIB, parts_in_flight=1)  # or all of them come down together
            transfer = client.transfers.upload(path, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
            wait_for(lambda: transfer.info().persisted_bytes >= PART, what="the first part")
            busy_until = time.monotonic() + 30
            proxy.busy = True
            proxy.cut()
            wait_for(
                lambda: transfer.info().waiting_for == "hub", timeout_s=60, what="the transfer to say what it waits for"
            )
            wait_for(lambda: time.monotonic() > busy_until, timeout_s=60, what="half a minute")
            proxy.busy = False
            client.transfers.set_limits(bandwidth_bps=0)
            result = transfer.wait(timeout_s=120)
            assert proxy.refused > 3
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))


def test_kill_9_sends_only_parts_in_flight_again_and_nothing_is_left_over(
    home: Home, weed_server: S3Server, use: Callable[..., None]
) -> None:
    size = 40 * PART
    path = make_file(home.data / "f", size)
    with Proxy("127.0.0.1", weed_server.port) as proxy, s3_hub(weed_server, public=proxy.url) as lake:
        use(lake)
        with Client() as client:
            project = client.create_project("P").project_id
            client.transfers.set_limits(bandwidth_bps=50 * MIB)
            before = proxy.moved["up"]
            transfer = client.transfers.upload(path, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
            for fraction in (0.3, 0.6):
                wait_for(lambda: transfer.info().persisted_bytes >= fraction * size, timeout_s=60)  # noqa: B023
                assert home.kill_daemons()
                client.connect()
                transfer = client.transfers.get(transfer.id)
            client.transfers.set_limits(bandwidth_bps=0)
            result = transfer.wait(timeout_s=120)
            sent = proxy.moved["up"] - before
            assert size <= sent <= size + 2 * IN_FLIGHT * PART + MIB, f"{(sent - size) / MIB:.1f} MiB were sent twice"
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))
        assert list(lake.keys.values()) == [size]
        assert lake.uploads == []


def test_a_sweep_leaves_no_orphan_of_a_daemon_that_never_came_back(
    home: Home, lake: S3Hub, use: Callable[..., None]
) -> None:
    use(lake)
    source = home.data / "d"
    make_file(source / "big", 20 * PART)
    for number in range(20):
        make_file(source / f"small{number}", 100_000, seed=number)
    with Client() as client:
        project = client.create_project("P").project_id
        kept = client.upload(make_file(home.data / "k", 2 * PART), title="k", owner_type="project", owner_id=project)
        client.transfers.set_limits(bandwidth_bps=10 * MIB, parts_in_flight=1)
        transfer = client.transfers.upload(source, title="t", owner_type="project", owner_id=project, chunk_size_mb=5)
        wait_for(lambda: transfer.info().persisted_bytes >= 4 * PART, timeout_s=60, what="some parts")
        assert home.kill_daemons()
    assert lake.uploads != []
    lake.hub.stop()
    asyncio.run(_sweep(lake.hub.state_dir))
    assert lake.uploads == []
    assert list(lake.keys.values()) == [2 * PART]
    lake.hub.start()
    with Client() as client:
        client.transfers.get(transfer.id).cancel()
        got = client.download(kept.asset_id, home.root / "dl")
        assert same_bytes(home.data / "k", Path(got.files[0].local_path))


async def _sweep(state_dir: Path) -> None:
    """As the hub does it, eight days later."""
    database = Database(sqlite_url(state_dir / "catalogue.db"))
    async with open_blobs(
        database, BlobOptions(state_dir / "blobs", b"x"), lambda: now_us() + WEEK_US * 8 // 7
    ) as blobs:
        await blobs.sweeper.sweep_once()
    await database.close()


def test_over_quota_is_refused_before_a_byte_moves(home: Home, lake: S3Hub, use: Callable[..., None]) -> None:
    use(lake)
    path = make_file(home.data / "f", 2 * PART)
    with Client() as client:
        project = client.create_project("P").project_id
        lake.hub.command("allocations", "set", project, "lake", str(2 * PART - 1))
        with pytest.raises(DaemonError) as caught:
            client.upload(path, title="t", owner_type="project", owner_id=project)
        assert caught.value.reason == "QUOTA_EXCEEDED"
        assert str(2 * PART - 1) in caught.value.message
        assert (lake.keys, lake.uploads) == ({}, [])
        lake.hub.command("allocations", "set", project, "lake", "10M")
        client.upload(path, title="t", owner_type="project", owner_id=project)
    assert "used 10 MiB  reserved 0 bytes  of 10 MiB" in lake.hub.command("allocations", "list")
