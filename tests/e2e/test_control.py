"""Controlling transfers while they run: pause, resume, cancel, priority, limits, re-attaching, drain, SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ferryman import AsyncClient, Client, DaemonError, Transfer
from tests.support.configurations import Configuration
from tests.support.files import MIB, make_file, same_bytes, tree
from tests.support.home import STOP_TIMEOUT_S, Home
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("configuration")]

SLOW = 16 * MIB
#: Part after part, at first; then what is left of a file lasts until the test has done what it does meanwhile.
BEGIN = {"bandwidth_bps": 4 * MIB, "parts_in_flight": 1}
CRAWL = MIB
#: The daemon's default limit of parts in flight.
IN_FLIGHT = 8


@pytest.fixture
def big(home: Home) -> Path:
    return make_file(home.data / "big", 64 * MIB)


def start(client: Client, path: Path, project_id: str, **fields: object) -> Transfer:
    return client.transfers.upload(
        path,
        title=path.name,
        owner_type="project",
        owner_id=project_id,
        chunk_size_mb=1,
        **fields,  # type: ignore[arg-type]
    )


def start_slowly(client: Client, path: Path, project_id: str, *, parts_in_flight: int = IN_FLIGHT) -> Transfer:
    client.transfers.set_limits(**BEGIN)
    transfer = start(client, path, project_id)
    wait_for(lambda: transfer.info().persisted_bytes > 2 * MIB, what="some parts")
    client.transfers.set_limits(bandwidth_bps=CRAWL, parts_in_flight=parts_in_flight)
    return transfer


def assert_few_were_sent_again(transfer: Transfer) -> None:
    """At most the parts that were in flight. A store may want larger parts than were asked for."""
    info = transfer.info()
    assert info.chunk_count
    assert info.resent_bytes <= IN_FLIGHT * -(-64 * MIB // info.chunk_count // MIB) * MIB


def test_pause_keeps_what_was_sent_and_resume_continues(client: Client, project_id: str, big: Path, home: Home) -> None:
    transfer = start_slowly(client, big, project_id)
    transfer.pause()
    paused = transfer.info()
    assert (paused.state, paused.waiting_for) == ("paused", "user")
    client.transfers.set_limits(bandwidth_bps=0)
    assert transfer.info().state == "paused"
    transfer.resume()
    result = transfer.wait(timeout_s=60)
    assert_few_were_sent_again(transfer)
    got = client.download(result.asset_id, home.root / "dl")
    assert same_bytes(big, Path(got.files[0].local_path))


def test_cancel_leaves_nothing(client: Client, project_id: str, big: Path, configuration: Configuration) -> None:
    before = configuration.unfinished()
    transfer = start_slowly(client, big, project_id)
    assert configuration.unfinished() - before
    transfer.cancel()
    assert transfer.info().state == "cancelled"
    with pytest.raises(DaemonError) as caught:
        transfer.wait(timeout_s=10)
    assert caught.value.code == "cancelled"
    assert list(client.assets.list()) == []
    wait_for(lambda: not configuration.unfinished() - before, what="the sent parts to be removed")
    with pytest.raises(DaemonError) as caught:
        transfer.resume()
    assert caught.value.reason == "ILLEGAL_TRANSITION"


def test_a_cancelled_download_leaves_nothing(client: Client, project_id: str, big: Path, home: Home) -> None:
    asset_id = start(client, big, project_id).wait().asset_id
    client.transfers.set_limits(**BEGIN)
    transfer = client.transfers.download(asset_id, home.root / "dl")
    wait_for(lambda: transfer.info().persisted_bytes > 2 * MIB, what="some parts")
    client.transfers.set_limits(bandwidth_bps=CRAWL)
    transfer.cancel()
    wait_for(lambda: tree(home.root / "dl") == {}, what="the part file to be removed")


def test_a_limit_holds_and_changes_while_running(client: Client, project_id: str, big: Path) -> None:
    # One part at a time, or several of a store's large parts would be done at once.
    transfer = start_slowly(client, big, project_id, parts_in_flight=1)
    client.transfers.set_limits(bandwidth_bps=SLOW)
    began, first = time.monotonic(), transfer.info().persisted_bytes
    wait_for(lambda: transfer.info().persisted_bytes >= first + SLOW, what="a second's worth of bytes")
    assert time.monotonic() - began > 0.5  # the limit's own meaning, not a speed
    assert client.transfers.set_limits(bandwidth_bps=0).bandwidth_bps == 0
    transfer.wait(timeout_s=60)


def test_priority_decides_who_goes_next(client: Client, project_id: str, home: Home, big: Path) -> None:
    client.transfers.set_limits(running_transfers=1)
    running = start_slowly(client, big, project_id)
    small = [make_file(home.data / f"s{i}", 10, seed=i) for i in range(3)]
    queued = [start(client, path, project_id) for path in small]
    assert {transfer.info().waiting_for for transfer in queued} == {"slot"}
    queued[2].set_priority(50)
    client.transfers.set_limits(bandwidth_bps=0)
    for transfer in [running, *queued]:
        transfer.wait(timeout_s=60)
    ended = sorted(queued, key=lambda transfer: transfer.info().ended_at)  # type: ignore[arg-type,return-value]
    assert ended[0].id == queued[2].id


def test_another_process_can_attach(client: Client, project_id: str, big: Path) -> None:
    transfer_id = start_slowly(client, big, project_id).id
    client.close()
    with Client() as other:
        other.transfers.set_limits(bandwidth_bps=0)
        events = list(other.transfers.get(transfer_id).events())
        assert events[-1].percent == 100
        assert other.transfers.get(transfer_id).wait().size_bytes == 64 * MIB


def test_sigterm_checkpoints_and_the_next_daemon_goes_on(
    client: Client, project_id: str, big: Path, home: Home
) -> None:
    transfer = start_slowly(client, big, project_id)
    [daemon] = home.daemons()
    daemon.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs([daemon], timeout=STOP_TIMEOUT_S)
    assert not alive
    with Client() as later:
        later.transfers.set_limits(bandwidth_bps=0)
        handle = later.transfers.get(transfer.id)
        assert handle.wait(timeout_s=60).size_bytes == 64 * MIB
        assert_few_were_sent_again(handle)


def test_drain_refuses_and_says_why(client: Client, project_id: str, big: Path) -> None:
    start_slowly(client, big, project_id)
    assert client.daemon.drain() == 1
    assert client.daemon.info().draining
    with pytest.raises(DaemonError) as caught:
        start(client, big, project_id)
    assert caught.value.reason == "SHUTTING_DOWN"
    client.daemon.shutdown()


async def test_the_async_client_does_the_same(home: Home) -> None:
    path = make_file(home.data / "f", 3 * MIB)
    async with AsyncClient() as client:
        project = await client.create_project("P")
        uploads = [
            await client.transfers.upload(path, title=f"t{i}", owner_type="project", owner_id=project.project_id)
            for i in range(3)
        ]
        results = await asyncio.gather(*uploads)
        assert len({result.asset_id for result in results}) == 3
        got = await client.download(results[0].asset_id, home.root / "dl")
        assert same_bytes(path, Path(got.files[0].local_path))
        assert {asset.title async for asset in client.assets.list()} == {"t0", "t1", "t2"}
        meta = await client.set_metadata(results[1].asset_id, tags=["x"])
        assert meta.tags == ["x"]


def test_many_clients_at_once(client: Client, project_id: str, home: Home) -> None:
    def work(number: int) -> str:
        path = make_file(home.data / f"f{number}", 1000 + number, seed=number)
        with Client() as mine:
            asset_id = mine.upload(path, title=path.name, owner_type="project", owner_id=project_id).asset_id
            mine.set_metadata(asset_id, metadata={"number": number})
            got = mine.download(asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))
        return asset_id

    with ThreadPoolExecutor(24) as pool:
        made = list(pool.map(work, range(24)))
    assert {asset.asset_id for asset in client.assets.list(project=project_id)} == set(made)
    assert sorted(client.get_metadata(asset_id).metadata["number"] for asset_id in made) == list(range(24))
