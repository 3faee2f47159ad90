"""Many small parts in one visit to a thread: what is acknowledged, and when."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import Incoming, Interrupted, UrlLocation
from ferryd.lanes import durable
from ferryd.lanes.pool import ByteLanes
from ferrywire.digest import of_blocks
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, answer, ok
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import blocks, random_bytes

SIZE = 100
BLOB = random_bytes(SIZE)
REFUSAL = b"<Error><Code>AccessDenied</Code></Error>"


def parts(server: ByteServer, directory: Path, count: int) -> list[Incoming]:
    """So many small files, each the whole blob."""
    found = []
    for number in range(count):
        dest = directory / f".{number}.ferry-part"
        dest.write_bytes(bytes(SIZE))
        location = UrlLocation(f"{server.url}/blobs/{number}?sig=secret", {}, 0)
        found.append(Incoming(location, Span(0, SIZE), dest, of_blocks(blocks(BLOB))))
    return found


async def received(lanes: ByteLanes, incoming: list[Incoming], meter: CountingMeter, log: list[str]) -> list[bytes]:
    """What was acknowledged, whatever ended it."""
    found: list[bytes] = []

    def done(digests: bytes) -> None:
        log.append("done")
        found.append(digests)

    await lanes.receive_all(incoming, meter, done)
    return found


async def test_parts_go_to_the_disk_together_and_each_is_synced_before_it_is_acknowledged(
    lanes: ByteLanes, tmp_path: Path, log: list[str]
) -> None:
    meter = CountingMeter()
    with ByteServer(blob=BLOB) as server:
        incoming = parts(server, tmp_path, 70)
        assert await received(lanes, incoming, meter, log) == [blocks(BLOB)] * 70
        assert server.connections == 1 and len(server.seen) == 70
    assert all(part.dest.read_bytes() == BLOB for part in incoming)
    assert meter.count == 70 * SIZE
    groups = [32, 32, 6]
    assert log == [event for size in groups for event in ["start"] * size + ["sync", "done"] * size]


async def test_a_part_alone_is_just_synced(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    with ByteServer(blob=BLOB) as server:
        await received(lanes, parts(server, tmp_path, 1), CountingMeter(), log)
    assert log == ["sync", "done"]


async def test_parts_before_one_that_fails_are_acknowledged(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    with ByteServer(blob=BLOB, script=[ok, ok, answer(403, REFUSAL)]) as server:
        incoming = parts(server, tmp_path, 5)
        with pytest.raises(FerryError) as caught:
            await received(lanes, incoming, CountingMeter(), log)
    assert caught.value.reason == "SIGNATURE_INVALID"
    assert [part.dest.read_bytes() for part in incoming[2:]] == [bytes(SIZE)] * 3, "nothing is written after it"
    assert log == ["start"] * 2 + ["sync", "done"] * 2


async def test_a_part_that_arrives_wrong_is_not_acknowledged(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    script = [ok, answer(200, bytes(SIZE))]
    with ByteServer(blob=BLOB, script=script) as server, pytest.raises(FerryError) as caught:
        await received(lanes, parts(server, tmp_path, 3), CountingMeter(), log)
    assert caught.value.reason == "CHUNK_CORRUPT"
    assert log == ["sync", "done"]


async def test_an_interruption_keeps_what_is_there(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    with ByteServer(blob=BLOB) as server:
        incoming = parts(server, tmp_path, 5)
        with pytest.raises(Interrupted):
            await received(lanes, incoming, CountingMeter(limit=3 * SIZE), log)
    assert log == ["start"] * 2 + ["sync", "done"] * 2
    assert [part.dest.read_bytes() == BLOB for part in incoming[:2]] == [True, True]


async def test_a_part_that_cannot_be_synced_is_not_acknowledged_nor_are_those_after_it(
    lanes: ByteLanes, tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        if "done" in log:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        log.append("sync")

    monkeypatch.setattr(durable, "sync_data", broken)
    with ByteServer(blob=BLOB) as server, pytest.raises(FerryError) as caught:
        await received(lanes, parts(server, tmp_path, 3), CountingMeter(), log)
    assert caught.value.reason == "IO_ERROR"
    assert log == ["start"] * 3 + ["sync", "done"]


async def test_a_link_in_the_place_of_a_part_file_is_not_followed(
    lanes: ByteLanes, tmp_path: Path, log: list[str]
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    with ByteServer(blob=BLOB) as server:
        incoming = parts(server, tmp_path, 3)
        incoming[1].dest.unlink()
        incoming[1].dest.symlink_to(victim)
        with pytest.raises(FerryError) as caught:
            await received(lanes, incoming, CountingMeter(), log)
    assert caught.value.reason == "UNSAFE_PATH"
    assert victim.read_bytes() == b"precious" and log == ["sync", "done"]
