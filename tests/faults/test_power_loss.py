"""Power cuts: what was acknowledged survives, what has its final name is whole. On a disk that forgets unsynced writes.

Each test kills the daemon and the disk together, mounts the disk again and lets the next daemon go on.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ferryman import Client
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.loopfs import LoopFS, unavailable
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.serial]


@dataclass
class Disk:
    """The disk that the daemon's state is on."""

    fs: LoopFS

    @property
    def root(self) -> Path:
        return self.fs.root

    @property
    def home(self) -> Home:
        """For finding the daemons whose state is here."""
        return Home(self.fs.root)

    def cut_power(self) -> None:
        """Kill the daemon and lose what it did not sync."""
        assert self.home.kill_daemons()
        self.fs.crash()


@pytest.fixture
def disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that forgets; the daemon's state is on it, the sources are not."""
    if why := unavailable():
        pytest.skip(why)
    with LoopFS() as fs:
        disk = Disk(fs)
        monkeypatch.setenv("FERRYMAN_STATE_DIR", str(disk.home.state_dir))
        disk.home.state_dir.mkdir(mode=0o700)
        yield disk
        disk.home.kill_daemons()


def _small_files(directory: Path) -> list[Path]:
    directory.mkdir()
    return [make_file(directory / f"small{number}", number * 100) for number in range(1, 80)]


def _assert_all_came(paths: list[Path], directory: Path) -> None:
    for path in paths:
        [got] = directory.rglob(path.name)
        assert same_bytes(path, got)


def test_acknowledged_transfers_survive(disk: Disk, home: Home) -> None:
    path = make_file(home.data / "small", 1000)
    with Client() as client:
        project_id = client.create_project("P").project_id
        client.transfers.set_limits(running_transfers=1, bandwidth_bps=1024)
        ids = [
            client.transfers.upload(path, title=f"t{i}", owner_type="project", owner_id=project_id).id
            for i in range(50)
        ]
    disk.cut_power()
    with Client() as client:
        kept = {transfer.transfer_id for transfer in client.transfers.list()}
        assert kept == set(ids)
        client.transfers.set_limits(running_transfers=4, bandwidth_bps=0)
        for transfer_id in ids:
            client.transfers.get(transfer_id).wait(timeout_s=60)
        assert client.projects.get(project_id).name == "P"


def test_a_finished_upload_is_whole(disk: Disk, home: Home) -> None:
    path = make_file(home.data / "big", 40 * MIB)
    with Client() as client:
        project_id = client.create_project("P").project_id
        result = client.upload(path, title="t", owner_type="project", owner_id=project_id, chunk_size_mb=4)
    disk.cut_power()
    with Client() as client:
        got = client.download(result.asset_id, home.root / "dl")
        assert same_bytes(path, Path(got.files[0].local_path))


def test_small_files_of_a_finished_upload_are_whole(disk: Disk, home: Home) -> None:
    """They are copied into the hub's store and made durable together."""
    paths = _small_files(home.data / "files")
    with Client() as client:
        project_id = client.create_project("P").project_id
        result = client.upload(home.data / "files", title="t", owner_type="project", owner_id=project_id)
    disk.cut_power()
    with Client() as client:
        client.download(result.asset_id, home.root / "dl")
    _assert_all_came(paths, home.root / "dl")


def test_a_cut_in_the_middle_of_an_upload_costs_only_parts_in_flight(disk: Disk, home: Home) -> None:
    path = make_file(home.data / "big", 64 * MIB)
    with Client() as client:
        project_id = client.create_project("P").project_id
        client.transfers.set_limits(bandwidth_bps=32 * MIB)
        transfer = client.transfers.upload(path, title="t", owner_type="project", owner_id=project_id, chunk_size_mb=1)
        wait_for(lambda: transfer.info().persisted_bytes > 16 * MIB, what="a quarter of the bytes")
    disk.cut_power()
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=0)
        handle = client.transfers.get(transfer.id)
        result = handle.wait(timeout_s=60)
        assert handle.info().resent_bytes <= 16 * MIB
        got = client.download(result.asset_id, home.root / "dl")
        assert same_bytes(path, Path(got.files[0].local_path))


@pytest.mark.parametrize("round_number", range(3))
def test_a_published_download_is_whole_or_absent(disk: Disk, home: Home, round_number: int) -> None:
    size = (round_number + 1) * 5 * MIB + 1
    path, dest = make_file(home.data / "file", size), disk.root / "dl"
    with Client() as client:
        project_id = client.create_project("P").project_id
        asset_id = client.upload(path, title="t", owner_type="project", owner_id=project_id).asset_id
        client.transfers.set_limits(bandwidth_bps=(round_number + 1) * 4 * MIB)
        transfer = client.transfers.download(asset_id, dest)
        wait_for(lambda: transfer.info().persisted_bytes > 0 or transfer.info().state == "succeeded", what="a start")
    disk.cut_power()
    if (dest / "file").exists():
        assert same_bytes(path, dest / "file")
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=0)
        client.transfers.get(transfer.id).wait(timeout_s=60)
    assert same_bytes(path, dest / "file")


@pytest.mark.parametrize("round_number", range(3))
def test_small_files_of_a_download_are_whole_or_absent(disk: Disk, home: Home, round_number: int) -> None:
    (home.data / "files").mkdir()
    paths, dest = [make_file(home.data / "files" / f"{number}", 50_000) for number in range(300)], disk.root / "dl"
    with Client() as client:
        project_id = client.create_project("P").project_id
        asset_id = client.upload(home.data / "files", title="t", owner_type="project", owner_id=project_id).asset_id
        client.transfers.set_limits(bandwidth_bps=(round_number + 1) * 3 * MIB)
        transfer = client.transfers.download(asset_id, dest)
        wait_for(lambda: transfer.info().persisted_bytes > 0, what="the first files")
        there = {path.name for path in dest.iterdir()}
        told = transfer.info().persisted_bytes
    disk.cut_power()
    came = [path for path in paths if (dest / path.name).exists()]
    assert all(same_bytes(path, dest / path.name) for path in came)
    assert len(came) * 50_000 >= told, "what was shown as confirmed"
    assert len(there) < len(paths)
    with Client() as client:
        client.transfers.set_limits(bandwidth_bps=0)
        client.transfers.get(transfer.id).wait(timeout_s=60)
    _assert_all_came(paths, dest)
    assert len(list(dest.iterdir())) == len(paths), "no part file is left"


def test_a_succeeded_download_survives_the_cut_right_after(disk: Disk, home: Home) -> None:
    """On a disk of its own: the queue's commits would sync the names of one they share."""
    sizes = {"large": 9 * MIB + 1, "middling": 3 * MIB, "empty": 0} | {
        f"small{number}": number for number in range(1, 40)
    }
    (home.data / "files").mkdir()
    paths = [make_file(home.data / "files" / name, size) for name, size in sizes.items()]
    with LoopFS() as other, Client() as client:
        project_id = client.create_project("P").project_id
        asset_id = client.upload(home.data / "files", title="t", owner_type="project", owner_id=project_id).asset_id
        client.download(asset_id, other.root / "dl")
        [modes] = {stat.S_IMODE(path.stat().st_mode) for path in (other.root / "dl").rglob("*") if path.is_file()}
        other.crash()
        for path in paths:
            [got] = (other.root / "dl").rglob(path.name)
            assert same_bytes(path, got) and stat.S_IMODE(got.stat().st_mode) == modes


def test_committed_bytes_survive_on_a_disk_of_their_own(disk: Disk, home: Home) -> None:
    """The blobs apart from the catalogue, whose commits would sync the names of a disk they share."""
    path = make_file(home.data / "file", 3 * MIB)
    with LoopFS(at=disk.home.state_dir / "hub" / "blobs") as blobs:
        for directory in (blobs.root.parent, blobs.root):
            directory.chmod(0o700)
        with Client() as client:
            project_id = client.create_project("P").project_id
            result = client.upload(path, title="t", owner_type="project", owner_id=project_id)
        assert disk.home.kill_daemons()
        blobs.crash()
        with Client() as client:
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))
            client.daemon.shutdown()
        wait_for(lambda: not disk.home.daemons(), what="the daemon to let go of the disk")


def test_small_files_that_a_hub_has_taken_survive_on_a_disk_of_their_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blobs apart from the catalogue, as above. They came by HTTP, and were made durable together."""
    if why := unavailable():
        pytest.skip(why)
    paths = _small_files(home.data / "files")
    hub = HubServer(home.root / "hub")
    with LoopFS(at=hub.state_dir / "blobs") as blobs:
        for directory in (hub.state_dir, blobs.root):
            directory.chmod(0o700)
        hub.start()
        try:
            monkeypatch.setenv("FERRYMAN_HUB", hub.url)
            monkeypatch.setenv("FERRYMAN_TOKEN", hub.token("me@x.org"))
            with Client() as client:
                project_id = client.create_project("P").project_id
                result = client.upload(home.data / "files", title="t", owner_type="project", owner_id=project_id)
                hub.kill()
                blobs.crash()
                hub.start()
                client.download(result.asset_id, home.root / "dl")
            _assert_all_came(paths, home.root / "dl")
        finally:
            hub.kill()
