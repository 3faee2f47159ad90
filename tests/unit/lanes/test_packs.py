"""Packs: whole files as one body, and several files out of one reply."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import time
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from ferryd.core.model import SourceFile, Span
from ferryd.core.ports import FileLocation, Incoming, Interrupted, UrlLocation
from ferryd.lanes import departures, wire
from ferryd.lanes.pool import ByteLanes
from ferrywire.digest import of_blocks
from ferrywire.reasons import FerryError
from tests.support.byte_server import (
    Behaviour,
    ByteServer,
    Request,
    answer,
    close_after,
    early,
    ok,
    reset,
    short,
    slam,
    stall,
)
from tests.support.meters import CountingMeter
from tests.support.waiting import wait_for
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes, receive_files, tls_contexts

SIZES = [1, 100, 70_000, 900_000, 300_000, 4096, MIB - 1]


def pieces(directory: Path, sizes: Sequence[int] = SIZES) -> tuple[list[SourceFile], bytes]:
    datas = [random_bytes(size, seed=number) for number, size in enumerate(sizes)]
    return [make_source(directory, data, f"{number}") for number, data in enumerate(datas)], b"".join(datas)


def at(server: ByteServer, offset: int = 0) -> UrlLocation:
    return UrlLocation(f"{server.url}/pack", {}, 0, offset=offset)


def incoming(server: ByteServer, directory: Path, blob: bytes, sizes: Sequence[int], start: int = 0) -> list[Incoming]:
    """Files that follow each other in the blob."""
    found = []
    for number, size in enumerate(sizes):
        dest = directory / f".{number}.ferry-part"
        dest.write_bytes(bytes(size))
        digest = of_blocks(blocks(blob[start : start + size]))
        found.append(Incoming(at(server, start), Span(0, size), dest, digest))
        start += size
    return found


async def received(lanes: ByteLanes, parts: list[Incoming], meter: CountingMeter | None = None) -> int:
    found: list[bytes] = []
    try:
        await receive_files(lanes, parts, meter or CountingMeter(), found.append)
    finally:
        for part, digests in zip(parts, found, strict=False):
            assert blocks(part.dest.read_bytes()) == digests
    return len(found)


@pytest.mark.parametrize("script", [[], [ok, close_after], [close_after], [ok, reset]])
async def test_whole_files_go_as_one_body(lanes: ByteLanes, tmp_path: Path, script: list[Behaviour]) -> None:
    """Also on connections that the server has closed, or resets."""
    some, body = pieces(tmp_path)
    with ByteServer(script=list(script)) as server:
        for _ in range(3):
            server.stored.clear()
            meter = CountingMeter()
            await lanes.send_pack(some, at(server), meter)
            assert server.stored == {"/pack": body}
            assert meter.count >= len(body)


async def test_over_tls_too(tmp_path: Path) -> None:
    tls, client = tls_contexts()
    trusting = ByteLanes(threads=1, tls=client, stall_timeout_s=30)
    some, body = pieces(tmp_path)
    with ByteServer(tls=tls, blob=body) as server:
        await trusting.send_pack(some, at(server), CountingMeter())
        assert server.stored == {"/pack": body}
        assert await received(trusting, incoming(server, tmp_path, body, SIZES)) == len(SIZES)
    trusting.close()


@pytest.mark.parametrize("refusal", [answer(403), early(403), slam(403)])
async def test_a_refusal_is_told_though_the_body_was_not_read(
    lanes: ByteLanes, tmp_path: Path, refusal: Behaviour
) -> None:
    some, _ = pieces(tmp_path, [MIB - 1] * 8)
    with ByteServer(script=[refusal]) as server, pytest.raises(FerryError) as caught:
        await lanes.send_pack(some, at(server), CountingMeter())
    assert caught.value.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize("number", [0, 3, 6])
@pytest.mark.parametrize("change", ["written to", "cut", "removed", "replaced"])
async def test_a_file_that_changed_is_named(lanes: ByteLanes, tmp_path: Path, number: int, change: str) -> None:
    some, _ = pieces(tmp_path)
    path = Path(some[number].local_path)
    if change == "removed":
        path.unlink()
    elif change == "replaced":
        path.rename(path.with_name("before"))
        path.write_bytes(random_bytes(SIZES[number], seed=number))
    else:
        os.truncate(path, SIZES[number] - 1 if change == "cut" else SIZES[number] + 1)
    with ByteServer() as server:
        with pytest.raises(FerryError) as caught:
            await lanes.send_pack(some, at(server), CountingMeter())
        assert caught.value.reason == ("SOURCE_MISSING" if change == "removed" else "SOURCE_CHANGED")
        assert caught.value.metadata["path"] == str(path)
        assert server.stored == {}


async def test_a_store_that_finds_other_bytes_says_so(lanes: ByteLanes, tmp_path: Path) -> None:
    some, body = pieces(tmp_path)
    with ByteServer(script=[answer(400, b"<Error><Code>BadDigest</Code></Error>")]) as server:
        with pytest.raises(FerryError) as caught:
            await lanes.send_pack(some, at(server), CountingMeter())
        assert caught.value.reason == "CHUNK_CORRUPT"
        await lanes.send_pack(some, at(server), CountingMeter())
        assert server.stored == {"/pack": body}


async def test_into_a_file_of_this_machine(lanes: ByteLanes, tmp_path: Path) -> None:
    some, body = pieces(tmp_path)
    staged, meter = tmp_path / "staged", CountingMeter()
    staged.write_bytes(bytes(len(body) + 5))
    await lanes.send_pack(some, FileLocation(str(staged), 5), meter)
    assert staged.read_bytes() == bytes(5) + body
    assert meter.count == len(body)
    with pytest.raises(FerryError) as caught:
        await lanes.send_pack(some, FileLocation(str(tmp_path / "gone" / "staged"), 0), meter)
    assert caught.value.reason == "SESSION_NOT_FOUND"


async def test_it_is_durable_when_it_is_acknowledged(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, body = pieces(tmp_path)
    seen: list[int] = []
    monkeypatch.setattr(departures, "sync_data", lambda fd: seen.append(os.fstat(fd).st_size))
    await lanes.send_pack(some, FileLocation(str(tmp_path / "staged"), 0), CountingMeter())
    assert seen == [len(body)], "once, when all is written"

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "refused")

    monkeypatch.setattr(departures, "sync_data", refuse)
    with pytest.raises(FerryError) as caught:
        await lanes.send_pack(some, FileLocation(str(tmp_path / "staged"), 0), CountingMeter())
    assert caught.value.reason == "IO_ERROR"


@pytest.mark.parametrize("refusal", [stall, early(403), reset])
async def test_no_source_stays_open_after_a_failure(tmp_path: Path, refusal: Behaviour) -> None:
    """Whether or not the garbage is collected."""
    some, _ = pieces(tmp_path, [MIB - 1] * 12)
    impatient = ByteLanes(threads=1, stall_timeout_s=0.3)

    def still_open() -> list[str]:
        found = [Path(entry.path) for entry in os.scandir("/proc/self/fd")]
        names = [os.readlink(path) for path in found if path.is_symlink()]
        return [name for name in names if name.startswith(str(tmp_path))]

    gc.disable()
    try:
        with ByteServer(script=[refusal] * 2) as server, pytest.raises(FerryError):
            await impatient.send_pack(some, at(server), CountingMeter())
        assert still_open() == []
    finally:
        gc.enable()
        impatient.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_slow_line_is_no_stall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool) -> None:
    """Bytes move all the time; only together do they take longer than a stall may."""

    def tune(sock: socket.socket, stall_timeout_s: float) -> None:
        sock.settimeout(stall_timeout_s)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10)

    def slow(request: Request) -> bool:
        left = request.length - len(request.rest)
        while left and (piece := request.sock.recv(min(left, 16 << 10))):
            left -= len(piece)
            time.sleep(0.03)
        request.reply(200)
        return True

    monkeypatch.setattr(wire, "_tune", tune)
    tls, client = tls_contexts()
    patient = ByteLanes(threads=1, tls=client, stall_timeout_s=1)
    some, _ = pieces(tmp_path, [MIB // 2] * 3)
    with ByteServer(tls=tls if secure else None, script=[slow]) as server:
        began = time.monotonic()
        await patient.send_pack(some, at(server), CountingMeter())
        assert time.monotonic() - began > 2, "or it was not slow"
    patient.close()


async def test_it_stops_in_the_midst_of_a_pack(lanes: ByteLanes, tmp_path: Path) -> None:
    some, _ = pieces(tmp_path, [MIB - 1] * 8)
    meter = CountingMeter()
    with ByteServer(script=[stall]) as server:
        job = asyncio.create_task(lanes.send_pack(some, at(server), meter))
        await asyncio.to_thread(wait_for, lambda: len(server.seen) == 1, what="the request")
        meter.stopped = True
        with pytest.raises(Interrupted):
            await asyncio.wait_for(job, 5)


@pytest.mark.parametrize("sizes", [SIZES, [1], [4096] * 256, [MIB // 2, MIB // 2, 1]])
async def test_a_pack_is_hashed_file_by_file_and_checked_as_a_whole(
    lanes: ByteLanes, tmp_path: Path, sizes: list[int]
) -> None:
    from awscrt.checksums import crc64nvme

    some, body = pieces(tmp_path, sizes)
    found = await lanes.hash_pack(some, CountingMeter(), crc64nvme=True)
    assert found.crc64nvme == crc64nvme(body).to_bytes(8, "big")
    ends = list(accumulate(sizes))
    assert found.block_digests == tuple(blocks(body[end - size : end]) for end, size in zip(ends, sizes, strict=True))
    assert bytes(found.data) == (body if len(body) <= MIB else b""), "what is short need not be read again"
    plain = await lanes.hash_pack(some, CountingMeter())
    assert (plain.crc64nvme, plain.block_digests) == (b"", found.block_digests)


async def test_bytes_at_hand_are_sent_and_nothing_is_read(lanes: ByteLanes, tmp_path: Path) -> None:
    some, body = pieces(tmp_path, [100, 200])
    found = await lanes.hash_pack(some, CountingMeter())
    for source in some:
        Path(source.local_path).unlink()
    with ByteServer(script=[ok, close_after]) as server:
        for _ in range(3):
            server.stored.clear()
            await lanes.send_pack(some, at(server), CountingMeter(), found.data)
            assert server.stored == {"/pack": body}
    await lanes.send_pack(some, FileLocation(str(tmp_path / "staged"), 0), CountingMeter(), found.data)
    assert (tmp_path / "staged").read_bytes() == body


@pytest.mark.parametrize("number", [0, 3, 6])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("change", ["written to", "cut", "removed"])
async def test_a_file_that_changed_is_not_hashed(
    lanes: ByteLanes, tmp_path: Path, number: int, long: bool, change: str
) -> None:
    some, _ = pieces(tmp_path, SIZES if long else [10] * 7)
    path = Path(some[number].local_path)
    if change == "removed":
        path.unlink()
    else:
        os.truncate(path, some[number].identity.size_bytes + (1 if change == "written to" else -1))
    with pytest.raises(FerryError) as caught:
        await lanes.hash_pack(some, CountingMeter(), crc64nvme=True)
    assert caught.value.reason == ("SOURCE_MISSING" if change == "removed" else "SOURCE_CHANGED")


async def test_files_that_follow_each_other_are_one_request_for_as_many_as_there_is_room_for(
    lanes: ByteLanes, tmp_path: Path
) -> None:
    blob = random_bytes(3 * MIB)
    meter = CountingMeter()
    with ByteServer(blob=blob) as server:
        parts = incoming(server, tmp_path, blob, SIZES, start=17)
        assert await received(lanes, parts, meter) == len(SIZES)
        ends = [17, *(17 + sum(SIZES[:count]) for count in (4, 6, 7))]
        ranges = [f"bytes={begin}-{end - 1}" for begin, end in pairwise(ends)]
        assert [request.headers["range"] for request in server.seen] == ranges
        assert meter.count == sum(SIZES)


async def test_what_does_not_follow_is_asked_for_by_itself(lanes: ByteLanes, tmp_path: Path) -> None:
    blob = random_bytes(MIB)
    with ByteServer(blob=blob) as server:
        parts = incoming(server, tmp_path, blob, [100] * 10)
        assert await received(lanes, parts[:3] + parts[5:8] + parts[9:] + parts[4:5]) == 8
        ranges = [request.headers["range"] for request in server.seen]
        assert ranges == ["bytes=0-299", "bytes=500-799", "bytes=900-999", "bytes=400-499"]


@pytest.mark.parametrize("script", [[reset], [ok, close_after, ok], [ok, reset, ok]])
async def test_a_connection_that_ends_before_the_answer(
    lanes: ByteLanes, tmp_path: Path, script: list[Behaviour]
) -> None:
    blob = random_bytes(MIB)
    with ByteServer(blob=blob, script=list(script)) as server:
        for number in range(3):
            parts = incoming(server, tmp_path, blob, [100] * 10, start=number)
            if script == [reset] and number == 0:
                with pytest.raises(FerryError) as caught:
                    await received(lanes, parts)
                assert caught.value.reason == "HUB_UNREACHABLE", "a fresh connection: nothing says that it may be tried"
            else:
                assert await received(lanes, parts) == 10


async def test_what_came_before_it_broke_off_is_acknowledged(lanes: ByteLanes, tmp_path: Path) -> None:
    blob = random_bytes(MIB)
    done: list[bytes] = []
    with ByteServer(blob=blob, script=[short]) as server:
        parts = incoming(server, tmp_path, blob, [1000] * 10)
        with pytest.raises(FerryError) as caught:
            await receive_files(lanes, parts, CountingMeter(), done.append)
        assert caught.value.reason == "HUB_UNREACHABLE"
        assert done == [blocks(blob[number * 1000 : (number + 1) * 1000]) for number in range(5)]


async def test_a_file_that_arrives_damaged_ends_the_run_behind_those_before_it(
    lanes: ByteLanes, tmp_path: Path
) -> None:
    blob = random_bytes(MIB)
    with ByteServer(blob=blob[:2500] + b"\0" + blob[2501:]) as server:
        parts = incoming(server, tmp_path, blob, [1000] * 10)
        done: list[bytes] = []
        with pytest.raises(FerryError) as caught:
            await receive_files(lanes, parts, CountingMeter(), done.append)
        assert (caught.value.reason, len(done)) == ("CHUNK_CORRUPT", 2)
        server.blob = blob
        assert await received(lanes, parts[2:]) == 8, "on another connection: the rest of the reply is not read"


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_a_refused_run_says_why(lanes: ByteLanes, tmp_path: Path, status: int) -> None:
    blob = random_bytes(MIB)
    with ByteServer(blob=blob, script=[answer(status)]) as server, pytest.raises(FerryError) as caught:
        await received(lanes, incoming(server, tmp_path, blob, [100] * 3))
    assert caught.value.reason == {403: "SIGNATURE_INVALID", 404: "CONTENT_NOT_FOUND", 503: "HUB_OVERLOADED"}[status]
