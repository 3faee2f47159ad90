"""The http lane against a real server that behaves well."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from ferryd.core.following import follow
from ferryd.core.model import Span
from ferryd.core.ports import Outgoing, UrlLocation
from ferryd.lanes.http import SMALL_BYTES
from ferryd.lanes.pool import ByteLanes
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, Request, answer, close_after, ok
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes, received, source_of


def at(server: ByteServer, path: str = "/blobs/x?sig=secret", **headers: str) -> UrlLocation:
    return UrlLocation(server.url + path, headers, 0)


def part_file(directory: Path, size: int) -> Path:
    path = directory / ".x.ferry-part"
    path.touch()
    os.truncate(path, size)
    return path


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 9 * MIB + 5])
async def test_a_part_arrives_whole(lanes: ByteLanes, tmp_path: Path, size: int) -> None:
    data, meter = random_bytes(size), CountingMeter()
    with ByteServer() as server:
        await lanes.send(make_source(tmp_path, data), Span(0, size), at(server), blocks(data), meter)
        assert server.stored == {"/blobs/x?sig=secret": data}
    assert meter.count == size


async def test_a_span_in_the_middle_arrives(lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(4 * MIB)
    with ByteServer() as server:
        span = Span(MIB, 2 * MIB)
        await lanes.send(make_source(tmp_path, data), span, at(server), blocks(data[MIB : 3 * MIB]), CountingMeter())
        assert list(server.stored.values()) == [data[MIB : 3 * MIB]]


async def test_a_store_can_write_the_request_s_id_into_its_log(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, b"x")
    with ByteServer() as server:
        follow("trf-1")
        await lanes.send(source, Span(0, 1), at(server), blocks(b"x"), CountingMeter())
        headers = server.seen[0].headers
    assert (headers["user-agent"], headers["x-request-id"]) == ("ferryd request-id/trf-1", "trf-1")


async def test_only_the_given_headers_go_and_never_a_credential(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, b"x")
    with ByteServer() as server:
        to = at(server, Authorization="Bearer fat_x", **{"x-amz-checksum": "1"})
        await lanes.send(source, Span(0, 1), to, blocks(b"x"), CountingMeter())
        headers = server.seen[0].headers
    assert "authorization" not in headers
    assert headers["x-amz-checksum"] == "1"
    assert headers["content-length"] == "1"


@pytest.mark.parametrize("size", [1, MIB, 5 * MIB + 9])
async def test_a_span_is_received_where_it_belongs(lanes: ByteLanes, tmp_path: Path, size: int) -> None:
    blob, meter = random_bytes(2 * MIB + size), CountingMeter()
    dest = part_file(tmp_path, len(blob))
    with ByteServer(blob=blob) as server:
        got = await received(lanes, at(server), Span(2 * MIB, size), dest, meter)
    assert got == blocks(blob[2 * MIB :])
    assert dest.read_bytes() == bytes(2 * MIB) + blob[2 * MIB :]
    assert meter.count == size


async def test_a_whole_document_does_for_a_whole_span(lanes: ByteLanes, tmp_path: Path) -> None:
    with ByteServer(script=[answer(200, b"whole")]) as server:
        assert await received(lanes, at(server), Span(0, 5), part_file(tmp_path, 5), CountingMeter()) == blocks(
            b"whole"
        )


async def test_connections_are_kept_and_reused(lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(MIB)
    source = make_source(tmp_path, data)
    with ByteServer(blob=data) as server:
        for _ in range(3):
            await lanes.send(source, Span(0, MIB), at(server), blocks(data), CountingMeter())
            await received(lanes, at(server), Span(0, MIB), part_file(tmp_path, MIB), CountingMeter())
        assert server.connections == 1


async def test_a_connection_that_the_server_closed_is_replaced(lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(3 * MIB)
    source = make_source(tmp_path, data)
    with ByteServer(blob=data, script=[close_after, close_after]) as server:
        await lanes.send(source, Span(0, MIB), at(server), blocks(data[:MIB]), CountingMeter())
        await lanes.send(source, Span(0, 3 * MIB), at(server), blocks(data), CountingMeter())
        assert await received(lanes, at(server), Span(0, MIB), part_file(tmp_path, MIB), CountingMeter())
        assert server.connections == 3


async def test_many_parts_at_once_do_not_mix(lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(8 * MIB)
    source = make_source(tmp_path, data)

    async def send(number: int) -> None:
        piece = data[number * MIB : (number + 1) * MIB]
        await lanes.send(source, Span(number * MIB, MIB), at(server, f"/{number}"), blocks(piece), CountingMeter())

    with ByteServer() as server:
        await asyncio.gather(*(send(number) for number in range(8)))
        assert b"".join(server.stored[f"/{number}"] for number in range(8)) == data


async def test_a_hub_on_a_unix_socket(lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(2 * MIB)
    with ByteServer(blob=data, unix=tmp_path / "hub.sock") as server:
        url = f"http+unix://{quote(str(server.unix), safe='')}/blobs/x?sig=1"
        location = UrlLocation(url, {}, 0)
        await lanes.send(make_source(tmp_path, data), Span(0, len(data)), location, blocks(data), CountingMeter())
        assert server.stored == {"/blobs/x?sig=1": data}
        assert await received(lanes, location, Span(0, MIB), part_file(tmp_path, MIB), CountingMeter()) == blocks(
            data[:MIB]
        )


async def test_tls_is_verified(lanes: ByteLanes, tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    data = random_bytes(3 * MIB + 1)
    trusting = ByteLanes(threads=1, tls=client, stall_timeout_s=5)
    with ByteServer(blob=data, tls=tls) as server:
        source = make_source(tmp_path, data)
        await trusting.send(source, Span(0, len(data)), at(server), blocks(data), CountingMeter())
        assert list(server.stored.values()) == [data]
        got = await received(trusting, at(server), Span(0, len(data)), part_file(tmp_path, len(data)), CountingMeter())
        assert got == blocks(data)
        with pytest.raises(Exception, match="certificate"):
            await lanes.send(source, Span(0, len(data)), at(server), blocks(data), CountingMeter())
    trusting.close()


@pytest.mark.slow
async def test_memory_does_not_follow_the_size_of_a_part(tmp_path: Path) -> None:
    size = 512 * MIB
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, size)
    source = source_of(path)
    process = psutil.Process()

    class Watching(CountingMeter):
        peak = 0

        def moved(self, count: int) -> None:
            self.count += count
            if self.count % (32 * MIB) < count:
                self.peak = max(self.peak, process.memory_info().rss)

    def drain(request: Request) -> bool:
        left, scratch = size - len(request.rest), bytearray(MIB)
        while left:
            left -= request.sock.recv_into(scratch)
        request.reply(200)
        return True

    lanes = ByteLanes(threads=2, stall_timeout_s=20)
    with ByteServer(script=[drain]) as server:
        digests = (await lanes.hash(source, Span(0, 64 * MIB), CountingMeter())).block_digests
        before = process.memory_info().rss
        meter = Watching()
        await lanes.send(source, Span(0, size), at(server), digests, meter)
    assert meter.count == size
    assert 0 < meter.peak < before + 8 * MIB
    lanes.close()


async def test_a_small_part_goes_out_with_its_head(lanes: ByteLanes, tmp_path: Path) -> None:
    with ByteServer() as server:
        await lanes.send(make_source(tmp_path, b"body"), Span(0, 4), at(server), blocks(b"body"), CountingMeter())
        assert server.seen[0].rest == b"body"


async def test_large_parts_after_a_failed_one_are_not_sent(lanes: ByteLanes, tmp_path: Path) -> None:
    data, done = bytes(SMALL_BYTES + 1), []
    source, span = make_source(tmp_path, data), Span(0, SMALL_BYTES + 1)
    with ByteServer(script=[ok, answer(503)]) as server:
        parts = [Outgoing(source, span, at(server, f"/{number}"), blocks(data)) for number in range(3)]
        with pytest.raises(FerryError) as caught:
            await lanes.send_all(parts, CountingMeter(), lambda: done.append(1))
        assert (caught.value.reason, len(done), list(server.stored)) == ("HUB_OVERLOADED", 1, ["/0"])
        assert server.connections == 1
