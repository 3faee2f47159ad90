"""Many small parts sent in one visit to a thread, between two files of this machine: what is acknowledged, and when."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import FileLocation, Interrupted, Location, Outgoing, UrlLocation
from ferryd.lanes import durable
from ferryd.lanes.pool import ByteLanes
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import blocks, random_bytes, source_of

SIZE = 100


def parts(directory: Path, count: int) -> list[Outgoing]:
    """So many small files, and a place for each beside them."""
    found = []
    for number in range(count):
        path = directory / f"{number}"
        path.write_bytes(random_bytes(SIZE, seed=number))
        to = FileLocation(str(directory / f"{number}.staged"), 0)
        found.append(Outgoing(source_of(path), Span(0, SIZE), to, blocks(path.read_bytes())))
    return found


def staged(part: Outgoing) -> Path:
    assert isinstance(part.to, FileLocation)
    return Path(part.to.path)


async def send(lanes: ByteLanes, outgoing: list[Outgoing], meter: CountingMeter, log: list[str]) -> None:
    await lanes.send_all(outgoing, meter, lambda: log.append("done"))


async def test_copies_go_to_the_disk_together_and_each_is_synced_before_it_is_acknowledged(
    lanes: ByteLanes, tmp_path: Path, log: list[str]
) -> None:
    meter, outgoing = CountingMeter(), parts(tmp_path, 70)
    await send(lanes, outgoing, meter, log)
    assert all(staged(part).read_bytes() == Path(part.source.local_path).read_bytes() for part in outgoing)
    assert meter.count == 70 * SIZE
    groups = [32, 32, 6]
    assert log == [event for size in groups for event in ["start"] * size + ["sync", "done"] * size]


async def test_a_copy_alone_is_just_synced(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    await send(lanes, parts(tmp_path, 1), CountingMeter(), log)
    assert log == ["sync", "done"]


async def test_copies_before_one_that_fails_are_acknowledged(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    outgoing = parts(tmp_path, 5)
    Path(outgoing[2].source.local_path).write_bytes(b"another")
    with pytest.raises(FerryError) as caught:
        await send(lanes, outgoing, CountingMeter(), log)
    assert caught.value.reason == "SOURCE_CHANGED"
    assert log == ["start"] * 2 + ["sync", "done"] * 2
    assert [staged(part).exists() for part in outgoing[3:]] == [False, False], "nothing is sent after it"


async def test_an_interruption_keeps_what_is_there(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    with pytest.raises(Interrupted):
        await send(lanes, parts(tmp_path, 5), CountingMeter(limit=3 * SIZE), log)
    assert log == ["start"] * 2 + ["sync", "done"] * 2


@pytest.fixture
def full(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the second copy is synced."""

    def broken(fd: int) -> None:
        if "done" in log:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        log.append("sync")

    monkeypatch.setattr(durable, "sync_data", broken)


@pytest.mark.usefixtures("full")
async def test_a_copy_that_cannot_be_synced_is_not_acknowledged_nor_are_those_after_it(
    lanes: ByteLanes, tmp_path: Path, log: list[str]
) -> None:
    outgoing = parts(tmp_path, 3)
    with pytest.raises(FerryError) as caught:
        await send(lanes, outgoing, CountingMeter(), log)
    assert (caught.value.reason, caught.value.metadata["path"]) == ("DISK_FULL", str(staged(outgoing[1])))
    assert log == ["start"] * 3 + ["sync", "done"]


@pytest.mark.usefixtures("full")
async def test_a_sync_that_fails_after_a_copy_that_failed_is_the_error(
    lanes: ByteLanes, tmp_path: Path, log: list[str]
) -> None:
    """It is of an earlier part: that one is the first that was not sent."""
    outgoing = parts(tmp_path, 4)
    Path(outgoing[3].source.local_path).unlink()
    with pytest.raises(FerryError) as caught:
        await send(lanes, outgoing, CountingMeter(), log)
    assert caught.value.reason == "DISK_FULL"
    assert log == ["start"] * 3 + ["sync", "done"]


@pytest.mark.usefixtures("full")
async def test_a_file_that_cannot_be_closed_does_not_hide_why(
    lanes: ByteLanes, tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network file system does it, which writes what is left when a file is closed."""
    close = os.close

    def broken(fd: int) -> None:
        name = os.readlink(f"/proc/self/fd/{fd}")
        close(fd)
        if name.endswith(".staged"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "close", broken)
    with pytest.raises(FerryError) as caught:
        await send(lanes, parts(tmp_path, 3), CountingMeter(), log)
    assert caught.value.reason == "DISK_FULL" and log.count("done") == 1


async def test_a_changed_source_explains_more_than_a_lost_place(
    lanes: ByteLanes, tmp_path: Path, log: list[str]
) -> None:
    [part] = parts(tmp_path, 1)
    Path(part.source.local_path).write_bytes(b"another")
    lost = Outgoing(part.source, part.span, FileLocation(str(tmp_path / "gone" / "x"), 0), part.block_digests)
    with pytest.raises(FerryError) as caught:
        await send(lanes, [lost], CountingMeter(), log)
    assert caught.value.reason == "SOURCE_CHANGED" and log == []


async def test_a_copy_that_stays_wrong_ends_the_batch_after_those_before_it(
    lanes: ByteLanes, tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outgoing = parts(tmp_path, 4)
    copy = os.copy_file_range

    def damaged(source: int, dest: int, count: int, *at: int) -> int:
        copied = copy(source, dest, count, *at)
        if os.readlink(f"/proc/self/fd/{dest}") == str(staged(outgoing[2])):
            os.pwrite(dest, b"?", 0)
        return copied

    monkeypatch.setattr(os, "copy_file_range", damaged)
    with pytest.raises(FerryError) as caught:
        await send(lanes, outgoing, CountingMeter(), log)
    assert caught.value.reason == "CHUNK_CORRUPT"
    assert log == ["start"] * 2 + ["sync", "done"] * 2


async def test_parts_for_both_ways_are_acknowledged_in_order(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    outgoing = parts(tmp_path, 4)
    with ByteServer() as server:
        to: Location = UrlLocation(f"{server.url}/parts/1", {}, 0)
        outgoing[1] = Outgoing(outgoing[1].source, Span(0, SIZE), to, outgoing[1].block_digests)
        await send(lanes, outgoing, CountingMeter(), log)
        assert len(server.seen) == 1
    assert log == ["sync", "done", "done", *["start"] * 2, *["sync", "done"] * 2]


async def test_files_are_closed(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    outgoing = parts(tmp_path, 40)
    Path(outgoing[35].source.local_path).unlink()
    with pytest.raises(FerryError):
        await send(lanes, outgoing, CountingMeter(), log)
    assert log.count("done") == 35 and len(os.listdir("/proc/self/fd")) <= before
