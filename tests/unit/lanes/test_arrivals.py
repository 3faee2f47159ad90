"""A part on its way into its file: when it is acknowledged, and what it is never written to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import FileLocation, Incoming, UrlLocation
from ferryd.lanes import durable
from ferryd.lanes.pool import ByteLanes
from ferrywire.digest import of_bytes
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, answer
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import blocks, random_bytes

SIZE = 100
BLOB = random_bytes(SIZE)


def incoming(server: ByteServer, directory: Path) -> Incoming:
    dest = directory / ".x.ferry-part"
    dest.write_bytes(bytes(SIZE))
    return Incoming(UrlLocation(f"{server.url}/x?sig=secret", {}, 0), Span(0, SIZE), dest, of_bytes(BLOB))


async def test_a_part_is_synced_before_it_is_acknowledged(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    (tmp_path / "blob").write_bytes(BLOB)
    with ByteServer(blob=BLOB) as server:
        part = incoming(server, tmp_path)
        for origin in (part.origin, FileLocation(str(tmp_path / "blob"), 0)):
            log.append(str(await lanes.receive(Incoming(origin, part.span, part.dest, part.digest), CountingMeter())))
    assert log == ["sync", str(blocks(BLOB))] * 2
    assert part.dest.read_bytes() == BLOB


async def test_a_part_that_arrives_wrong_is_not_acknowledged(lanes: ByteLanes, tmp_path: Path, log: list[str]) -> None:
    with ByteServer(script=[answer(200, bytes(SIZE))]) as server, pytest.raises(FerryError) as caught:
        await lanes.receive(incoming(server, tmp_path), CountingMeter())
    assert caught.value.reason == "CHUNK_CORRUPT" and log == []


async def test_a_part_that_cannot_be_synced_is_not_acknowledged(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(durable, "sync_data", broken)
    with ByteServer(blob=BLOB) as server, pytest.raises(FerryError) as caught:
        await lanes.receive(incoming(server, tmp_path), CountingMeter())
    assert caught.value.reason == "IO_ERROR"


async def test_a_link_in_the_place_of_a_part_file_is_not_followed(lanes: ByteLanes, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    with ByteServer(blob=BLOB) as server:
        part = incoming(server, tmp_path)
        part.dest.unlink()
        part.dest.symlink_to(victim)
        with pytest.raises(FerryError) as caught:
            await lanes.receive(part, CountingMeter())
    assert caught.value.reason == "UNSAFE_PATH" and victim.read_bytes() == b"precious"
