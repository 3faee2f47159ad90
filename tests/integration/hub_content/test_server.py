"""Bytes that go past ASGI: what is before and behind them on the same connection, and whoever is slow."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import urlsplit

import pytest

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.blobs.gate import Turn
from ferryhub.serving import bodies
from ferryhub.serving.bodies import LargeBody
from ferrywire.parts import MIB
from tests.integration.hub_content.rig import PART, Person, content, digest_of, file_of

DATA = content(2 * PART)
FIRST, SECOND = DATA[:PART], DATA[PART:]
#: Answered with something that only this request gets.
PROBE = b"GET /healthz HTTP/1.1\r\nhost: hub\r\n\r\n"


class Taken:
    """How many bytes came past ASGI, or other things that are counted and waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()

    def add(self, count: int) -> None:
        self.count += count
        self._more.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(30):
            while self.count < count:
                self._more.clear()
                await self._more.wait()


@pytest.fixture
async def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    found, updated = Taken(), LargeBody.buffer_updated

    def counted(self: LargeBody, nbytes: int) -> None:
        updated(self, nbytes)
        found.add(nbytes)

    monkeypatch.setattr(LargeBody, "buffer_updated", counted)
    return found


async def _signed(alice: Person) -> list[str]:
    """Where the two parts of a new file go."""
    session = (await alice.create([file_of("f", DATA)])).session_id
    parts = [pb.Part(file_index=0, part_number=n, digest=digest_of(d)) for n, d in ((1, FIRST), (2, SECOND))]
    return [each.url.url for each in await alice.sign(session, parts)]


async def _connected(alice: Person) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(alice.url)
    return await asyncio.open_connection(where.hostname, where.port)


def _head(url: str, more: str = "", length: int = PART) -> bytes:
    return f"PUT {url} HTTP/1.1\r\nhost: hub\r\ncontent-length: {length}\r\n{more}\r\n".encode()


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the next answer; its body is thrown away."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).lower()
    _, found, length = head.partition(b"content-length: ")
    if found:
        await reader.readexactly(int(length.split(b"\r\n")[0]))
    return int(head.split()[1])


async def test_requests_follow_each_other(alice: Person, taken: Taken) -> None:
    """Sent without waiting for answers: not a byte of the next request goes into a part."""
    urls, (reader, writer) = await _signed(alice), await _connected(alice)
    writer.write(_head(urls[0]) + FIRST + _head(urls[1]) + SECOND + PROBE + PROBE)
    assert [await _status(reader) for _ in range(4)] == [200, 200, 200, 200]
    assert taken.count > PART, "most bytes came past ASGI"
    writer.close()


async def test_who_asks_first_is_told_to_continue(alice: Person, taken: Taken) -> None:
    urls, (reader, writer) = await _signed(alice), await _connected(alice)
    writer.write(_head(urls[0], "expect: 100-continue\r\n"))
    assert await _status(reader) == 100
    writer.write(FIRST)
    assert await _status(reader) == 200
    assert taken.count
    writer.close()


async def test_who_asks_first_is_refused_before_the_body(alice: Person) -> None:
    urls, (reader, writer) = await _signed(alice), await _connected(alice)
    writer.write(_head(urls[0] + "x", "expect: 100-continue\r\n"))
    assert await _status(reader) == 401
    writer.close()


async def test_an_answer_before_the_end_leaves_the_connection_usable(alice: Person, taken: Taken) -> None:
    """A repeat by another sender has the first one stop; what it still sends is read to nowhere."""
    urls, (reader, writer) = await _signed(alice), await _connected(alice)
    writer.write(_head(urls[0]) + FIRST[: MIB + 5])
    await taken.reach(MIB // 2)
    assert (await alice.http.put(alice.url + urls[0], content=FIRST)).status_code == 200
    assert await _status(reader) == 503
    writer.write(FIRST[MIB + 5 :] + PROBE)
    assert await _status(reader) == 200
    writer.close()


@pytest.mark.parametrize("more", ["transfer-encoding: chunked\r\n", "content-length: 5\r\n"])
async def test_a_body_of_two_lengths_is_refused(alice: Person, more: str, taken: Taken) -> None:
    urls, (reader, writer) = await _signed(alice), await _connected(alice)
    writer.write(_head(urls[0], more))
    assert await _status(reader) == 400
    assert not taken.count
    writer.close()


async def test_bytes_that_trickle_are_passed_on(alice: Person, taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a part hears of each piece, though its memory is not full, and lets the sender go on."""
    heard = Taken()
    monkeypatch.setattr(bodies, "_PASS_ON_S", 0.0)
    monkeypatch.setattr(Turn, "moved", lambda _: heard.add(1))
    urls, (reader, writer) = await _signed(alice), await _connected(alice)
    writer.write(_head(urls[0]))
    piece = PART // 16
    for at in range(0, PART, piece):
        before = heard.count
        writer.write(FIRST[at : at + piece])
        await heard.reach(before + 1)
    assert await _status(reader) == 200
    assert taken.count
    writer.close()


async def test_a_reader_who_is_slow_gets_all_of_it(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fits into the sockets' buffers: no thread waits for it meanwhile, and nothing is read here."""
    data = content(PART) * 16
    made = await alice.upload({"f": data})
    (file,) = (await alice.manifest(made.asset_id)).files
    sent: list[int] = []
    sendfile, pread = os.sendfile, os.pread

    def counted(out: int, source: int, offset: int, count: int) -> int:
        sent.append(moved := sendfile(out, source, offset, count))
        return moved

    monkeypatch.setattr(os, "sendfile", counted)
    monkeypatch.setattr(os, "pread", lambda *_: 1 / 0)
    reader, writer = await _connected(alice)
    writer.write(f"GET {file.location.url.url} HTTP/1.1\r\nhost: hub\r\n\r\n".encode() + PROBE)
    await reader.readuntil(b"\r\n\r\n")
    got = bytearray()
    while len(got) < len(data):
        got += await reader.readexactly(MIB)
    monkeypatch.setattr(os, "pread", pread)
    assert got == data
    assert sum(sent) == len(data)
    assert len(sent) > 1
    assert await _status(reader) == 200
    writer.close()
