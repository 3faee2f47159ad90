"""A real daemon, a real hub and a proxy between them, while things go wrong. Every random choice comes from SEED.

What holds after every fault: what was acknowledged is done, its bytes are right, nothing half-done was ever visible, at
most the parts in flight moved again, one daemon answers.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import Client, DaemonError
from ferryman import Transfer as TransferHandle
from tests.support.files import MIB, make_file, same_bytes, tree
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.proxy import Direction, Proxy
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.serial]

SEED = int(os.environ.get("FERRYMAN_FAULT_SEED", "1"))
ROUNDS = int(os.environ.get("FERRYMAN_FAULT_ROUNDS", "15"))
SIZE = 12 * MIB + 5
#: The daemon's default limit of parts in flight; parts are of 1 MiB here.
IN_FLIGHT_BYTES = 8 * MIB


class LosingProxy(Proxy):
    """Cuts the connection instead of passing on the reply to the next call whose path contains `lose`."""

    lose = b""
    lost = 0
    _armed = False

    def _damage(self, way: Direction, piece: bytes) -> bytes:
        if way == "up" and self.lose and self.lose in piece:
            self.lose, self._armed = b"", True
        elif way == "down" and self._armed:
            self._armed = False
            self.lost += 1
            raise ConnectionResetError("the reply is lost")
        return super()._damage(way, piece)


class Bench:
    """A project on a hub behind a proxy, and a file of thirteen parts in it."""

    def __init__(self, home: Home, hub: HubServer, proxy: LosingProxy) -> None:
        self.home, self.hub, self.proxy = home, hub, proxy
        self.file = make_file(home.data / "f", SIZE, seed=SEED)
        self._names = 0
        with Client() as client:
            self.project_id = client.create_project("P").project_id
            self.asset_id = self.upload(client).wait(timeout_s=60).asset_id

    def upload(self, client: Client, path: Path | None = None) -> TransferHandle:
        self._names += 1
        path = path or self.file
        return client.transfers.upload(
            path, title=f"t{self._names}", owner_type="project", owner_id=self.project_id, chunk_size_mb=1
        )

    def download(self, client: Client) -> tuple[TransferHandle, Path]:
        self._names += 1
        dest = self.home.root / f"dest{self._names}"
        return client.transfers.download(self.asset_id, dest), dest

    def check_upload(self, client: Client, transfer: TransferHandle, path: Path | None = None) -> None:
        path = path or self.file
        result = transfer.wait(timeout_s=60)
        info = transfer.info()
        assert (info.persisted_bytes, info.chunk_index) == (info.size_bytes, info.chunk_count)
        self._names += 1
        got = client.download(result.asset_id, self.home.root / f"dest{self._names}")
        assert same_bytes(path, Path(got.files[0].local_path))
        assert len(list(client.contents.list(result.asset_id))) == 1

    def check_download(self, transfer: TransferHandle, dest: Path) -> None:
        transfer.wait(timeout_s=60)
        assert tree(dest) == {"f": SIZE}
        assert same_bytes(self.file, dest / "f")

    def check_nothing_twice(self, client: Client) -> None:
        titles = [asset.title for asset in client.assets.list(project=self.project_id)]
        assert sorted(titles) == sorted(set(titles))


@pytest.fixture
def bench(home: Home, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with LosingProxy("127.0.0.1", hub_server.port) as proxy:
        monkeypatch.setenv("FERRYMAN_TOKEN", hub_server.token("me@x.org"))
        monkeypatch.setenv("FERRYMAN_HUB", proxy.url)
        yield Bench(home, hub_server, proxy)


def has_moved(transfer: TransferHandle, size_bytes: int) -> None:
    wait_for(lambda: transfer.info().persisted_bytes >= size_bytes, what=f"{size_bytes:,} bytes")


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_kill_9_at_random_moments(bench: Bench) -> None:
    """FERRYMAN_FAULT_ROUNDS and FERRYMAN_FAULT_SEED choose how often and which."""
    chance, home = random.Random(SEED), bench.home
    uploads: list[tuple[str, Path]] = []
    downloads: list[tuple[str, Path]] = []
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=40 * MIB)
    for number in range(ROUNDS):
        size = chance.choice([0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 3, chance.randrange(20 * MIB)])
        path = make_file(home.data / f"u{number}", size, seed=number)
        with Client() as client:
            uploads.append((bench.upload(client, path).id, path))
            if chance.random() < 0.5:
                transfer, dest = bench.download(client)
                downloads.append((transfer.id, dest))
            time.sleep(chance.uniform(0, 0.4))  # the moment is what is random
            assert home.kill_daemons()
        for _, dest in downloads:
            if (dest / "f").exists():
                assert same_bytes(bench.file, dest / "f"), f"half a file is visible after round {number}, seed {SEED}"
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=0)
        known = {info.transfer_id for info in client.transfers.list()}
        assert known >= {one for one, _ in uploads + downloads}
        for one, path in uploads:
            bench.check_upload(client, client.transfers.get(one), path)
            assert client.transfers.get(one).info().resent_bytes <= ROUNDS * IN_FLIGHT_BYTES
        for one, dest in downloads:
            bench.check_download(client.transfers.get(one), dest)
        bench.check_nothing_twice(client)
        assert len(list(client.assets.list(project=bench.project_id))) == 1 + len(uploads)
        assert len(home.daemons()) == 1


@pytest.mark.parametrize("fault", ["flip_after", "cut_after"])
def test_bytes_that_are_damaged_or_cut_on_the_way(bench: Bench, fault: str) -> None:
    chance = random.Random(SEED)
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=60 * MIB)
        for _ in range(3):
            getattr(bench.proxy, fault)("up", chance.randrange(SIZE))
            transfer = bench.upload(client)
            transfer.wait(timeout_s=60)
            assert transfer.info().resent_bytes <= IN_FLIGHT_BYTES
            bench.check_upload(client, transfer)
            getattr(bench.proxy, fault)("down", chance.randrange(SIZE))
            bench.check_download(*bench.download(client))
        bench.check_nothing_twice(client)


def test_a_lost_reply_changes_nothing(bench: Bench) -> None:
    with Client() as client:
        for number, call in enumerate(["CreateUpload", "CommitUpload", "SignParts"], 1):
            bench.proxy.lose = f"/{call}".encode()
            bench.check_upload(client, bench.upload(client))
            assert bench.proxy.lost == number
        bench.check_nothing_twice(client)


def test_a_hub_that_is_killed_and_comes_back(bench: Bench) -> None:
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=MIB, parts_in_flight=2)
        upload, (download, dest) = bench.upload(client), bench.download(client)
        has_moved(upload, 2 * MIB)
        has_moved(download, MIB)
        bench.hub.kill()
        waiting = wait_for(
            lambda: info if (info := upload.info()).waiting_for == "network" else None,
            what="the upload to wait for the hub",
        )
        assert waiting is not None
        assert waiting.state == "queued" and waiting.next_attempt_at is not None and waiting.error is not None
        client.transfers.set_limits(bandwidth_bps=0, parts_in_flight=8)
        bench.hub.start()
        bench.check_upload(client, upload)
        bench.check_download(download, dest)
        bench.check_nothing_twice(client)


def test_a_call_whose_reply_is_lost_is_asked_again_and_done_once(bench: Bench) -> None:
    with Client() as client:
        asset_id = client.upload(bench.file, title="T", owner_type="project", owner_id=bench.project_id).asset_id
        bench.proxy.lose = b"/CreateProject"
        made = client.create_project("Once")
        bench.proxy.lose = b"/UpdateAsset"
        assert client.set_metadata(asset_id, tags=["x"]).tags == ["x"]
        bench.proxy.lose = b"/ListProjects"
        assert [project.project_id for project in client.projects.list() if project.name == "Once"] == [made.project_id]
        assert bench.proxy.lost == 3
        etag = client.get_metadata(asset_id).etag
        bench.proxy.lose = b"/UpdateAsset"
        with pytest.raises(DaemonError, match="it may have been done") as caught:
            client.set_metadata(asset_id, title="new", etag=etag)
        assert (caught.value.reason, caught.value.retryable) == ("HUB_UNREACHABLE", True)
        assert client.get_metadata(asset_id).title == "new"


@pytest.mark.parametrize("harm", ["flip", "truncate"])
def test_a_part_file_that_somebody_touched(bench: Bench, harm: str) -> None:
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=2 * MIB, parts_in_flight=1)
        transfer, dest = bench.download(client)
        has_moved(transfer, 4 * MIB)
        bench.home.kill_daemons()
    [part_file] = dest.glob(".*.ferry-part")
    if harm == "flip":
        with part_file.open("r+b") as file:
            file.seek(100)
            file.write(b"\0\1\2\3")
    else:
        os.truncate(part_file, MIB + 1)
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=0)
        bench.check_download(client.transfers.get(transfer.id), dest)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_under_the_queue(bench: Bench) -> None:
    home = bench.home
    home.stop_daemons()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", home.state_dir], check=True)
    try:
        check_full_state_dir(bench)
    finally:
        home.kill_daemons()
        subprocess.run(["umount", "-l", home.state_dir], check=True)


def check_full_state_dir(bench: Bench) -> None:
    filler = bench.home.state_dir / "filler"
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=MIB, parts_in_flight=1)
        running = bench.upload(client)
        has_moved(running, MIB)
        fill(filler)
        acknowledged = [running.id]
        with pytest.raises(DaemonError) as caught:
            for _ in range(1000):
                acknowledged.append(bench.upload(client).id)
        assert (caught.value.code, caught.value.reason) == ("resource_exhausted", "DISK_FULL")
        wait_for(lambda: running.info().waiting_for == "space", what="the running one to say that it waits")
        assert running.info().next_attempt_at is not None
        bench.home.kill_daemons()
    with Client() as client:  # a daemon that starts on a full disk stays, and goes on when there is room
        assert client.transfers.get(running.id).info().state == "running"
        wait_for(lambda: "queue could not be used" in bench.home.log_text(), what="the daemon to meet the full disk")
        filler.unlink()
        client.transfers.set_limits(bandwidth_bps=0)
        for one in acknowledged[:3]:
            bench.check_upload(client, client.transfers.get(one))
        assert {info.transfer_id for info in client.transfers.list()} >= set(acknowledged)
        assert len(bench.home.daemons()) == 1
    assert "Traceback" not in bench.home.log_text()


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return
