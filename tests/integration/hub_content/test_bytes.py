"""The byte endpoints over a real socket: signatures, corruption, repeats, broken connections, ranges.

All of it behind our own server, which moves bytes past ASGI, and behind one that knows ASGI alone.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import URL
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.blobs import localfs
from ferryhub.blobs.localreader import LocalBlobReader
from ferryhub.blobs.receive import PartReceiver
from ferryhub.serving.connection import Connection
from ferrywire.parts import MIB
from tests.integration.hub_content.rig import PART, Person, Rig, content, digest_of, file_of, running

DATA = content(PART + MIB // 2)
FIRST = DATA[:PART]


@pytest.fixture(params=["our server", "ASGI alone"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path, database_url: URL) -> AsyncIterator[Rig]:
    http = Connection if request.param == "our server" else HttpToolsProtocol
    async with running(tmp_path, database_url=database_url, http=http) as hub:
        yield hub


def _part(data: bytes, number: int = 1) -> pb.Part:
    return pb.Part(file_index=0, part_number=number, digest=digest_of(data))


def _reason(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["message"]
    assert isinstance(body["metadata"], dict)
    return str(body["reason"])


async def _open(alice: Person) -> str:
    return (await alice.create([file_of("f", DATA)])).session_id


def _changed(url: str, old: str, new: str) -> str:
    assert old in url
    return url.replace(old, new, 1)


async def test_a_changed_url_is_refused(alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    url = location.url.url
    signature = url.rpartition("sig=")[2]
    forged = [
        _changed(url, f"/{session}/0/1", f"/{session}/0/2"),
        _changed(url, f"/{session}/0/1", f"/{session}/1/1"),
        _changed(url, f"size={PART}", f"size={PART - 1}"),
        _changed(url, digest_of(FIRST).hex(), digest_of(DATA).hex()),
        _changed(url, "expires=", "expires=9"),
        _changed(url, signature, signature[::-1]),
        url.partition("&sig=")[0],
        url + "&size=1",
        url + "&more=1",
        urlsplit(url).path,
    ]
    for each in forged:
        answer = await alice.http.put(alice.url + each, content=FIRST)
        assert (answer.status_code, _reason(answer)) == (401, "SIGNATURE_INVALID"), each
    read = await alice.http.get(alice.url + url)
    assert read.status_code == 401, "a URL to write is none to read"
    assert await alice.stored(session) == []
    assert (await alice.put(location, FIRST)).status_code == 200


async def test_urls_expire(rig: Rig, alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    made = await alice.upload({"f": DATA})
    (file,) = (await alice.manifest(made.asset_id)).files
    rig.clock.ahead_s = 3601
    answer = await alice.put(location, FIRST)
    assert (answer.status_code, _reason(answer)) == (401, "SIGNATURE_INVALID")
    assert (await alice.http.get(alice.url + file.location.url.url)).status_code == 401
    (again,) = await alice.sign(session, [_part(FIRST)])
    assert (await alice.put(again, FIRST)).status_code == 200


async def test_a_flipped_byte_is_noticed_and_only_that_part_goes_again(alice: Person) -> None:
    session = await _open(alice)
    locations = await alice.sign(session, [_part(FIRST), _part(DATA[PART:], 2)])
    flipped = bytearray(FIRST)
    flipped[MIB + 17] ^= 1
    answer = await alice.put(locations[0], bytes(flipped))
    assert (answer.status_code, _reason(answer)) == (400, "CHUNK_CORRUPT")
    assert (await alice.put(locations[1], DATA[PART:])).status_code == 200
    assert await alice.stored(session) == [(0, 2)]
    assert (await alice.put(locations[0], FIRST)).status_code == 200
    made = await alice.commit(session, [DATA])
    assert await alice.download(made.asset_id) == {"f": DATA}


async def test_a_full_disk_says_so_and_the_part_goes_again_later(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    answer = await alice.put(location, FIRST)
    assert (answer.status_code, _reason(answer)) == (507, "DISK_FULL")
    assert int(answer.json()["metadata"]["freeBytes"]) >= 0
    monkeypatch.undo()
    assert await alice.stored(session) == []
    assert (await alice.put(location, FIRST)).status_code == 200


async def test_a_failed_sync_is_no_success(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])

    def refuse(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(localfs, "_datasync", refuse)
    answer = await alice.put(location, FIRST)
    assert (answer.status_code, _reason(answer)) == (500, "IO_ERROR")
    monkeypatch.undo()
    assert await alice.stored(session) == []
    assert (await alice.put(location, FIRST)).status_code == 200


async def test_a_mistake_of_the_hub_s_is_found_in_its_log(
    alice: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (location,) = await alice.sign(await _open(alice), [_part(FIRST)])
    monkeypatch.setattr(PartReceiver, "receive", lambda *_: 1 / 0)
    answer = await alice.put(location, FIRST)
    assert (answer.status_code, _reason(answer)) == (500, "INTERNAL")
    assert "ZeroDivisionError" not in answer.text
    assert answer.json()["metadata"]["errorId"] in caplog.messages[-1]


@pytest.mark.parametrize("body", [b"", FIRST[:-1], FIRST + b"x", FIRST + FIRST])
async def test_another_length_is_noticed(alice: Person, body: bytes) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    answer = await alice.put(location, body)
    assert (answer.status_code, _reason(answer)) == (400, "CHUNK_CORRUPT")

    async def unannounced() -> AsyncIterator[bytes]:
        yield body

    chunked = await alice.http.put(alice.url + location.url.url, content=unannounced())
    assert (chunked.status_code, _reason(chunked)) == (400, "CHUNK_CORRUPT")
    assert await alice.stored(session) == []


async def test_a_bad_repeat_cannot_spoil_a_recorded_part(alice: Person) -> None:
    session = await _open(alice)
    locations = await alice.sign(session, [_part(FIRST), _part(DATA[PART:], 2)])
    for location, piece in zip(locations, (FIRST, DATA[PART:]), strict=True):
        assert (await alice.put(location, piece)).status_code == 200
    answer = await alice.put(locations[0], bytes(PART))
    assert (answer.status_code, _reason(answer)) == (400, "CHUNK_CORRUPT")
    assert (await alice.put(locations[0], FIRST)).status_code == 200
    made = await alice.commit(session, [DATA])
    assert await alice.download(made.asset_id) == {"f": DATA}


async def test_other_bytes_replace_a_part(alice: Person) -> None:
    session = await _open(alice)
    other = content(PART, seed=9)
    await alice.send(session, {0: DATA})
    (location,) = await alice.sign(session, [_part(other)])
    writer = await _begin(alice, location, other[: PART - 1])
    writer.transport.abort()
    assert (await alice.put(location, other)).status_code == 200
    changed = other + DATA[PART:]
    made = await alice.commit(session, [changed])
    assert await alice.download(made.asset_id) == {"f": changed}


async def test_the_same_part_from_many_at_once_is_stored_once(alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    answers = await asyncio.gather(*(alice.put(location, FIRST) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(_reason(answer) == "HUB_OVERLOADED" for answer in answers if answer.status_code == 503)
    assert 200 in {answer.status_code for answer in answers}
    await alice.send_part(session, 0, 2, DATA)
    made = await alice.commit(session, [DATA])
    assert await alice.download(made.asset_id) == {"f": DATA}


async def _begin(alice: Person, location: pb.Location, data: bytes) -> asyncio.StreamWriter:
    """Start a PUT by hand and send a first piece of its body."""
    where = urlsplit(alice.url)
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"PUT {location.url.url} HTTP/1.1\r\nhost: hub\r\ncontent-length: {PART}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    return writer


async def test_a_connection_lost_in_mid_part_records_nothing(alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    writer = await _begin(alice, location, FIRST[: PART - 1])
    writer.transport.abort()
    assert (await alice.put(location, FIRST)).status_code == 200
    assert await alice.stored(session) == [(0, 1)]


async def test_a_new_sender_need_not_wait_for_one_that_hangs(alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    writer = await _begin(alice, location, FIRST[:MIB])
    assert (await asyncio.wait_for(alice.put(location, FIRST), 20)).status_code == 200
    assert await alice.stored(session) == [(0, 1)]
    writer.close()


async def test_an_abort_does_not_wait_for_a_sender_that_hangs(rig: Rig, alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    writer = await _begin(alice, location, FIRST[:MIB])
    await asyncio.wait_for(alice.abort(session), 20)
    assert rig.files == []
    answer = await alice.put(location, FIRST)
    assert (answer.status_code, _reason(answer)) == (404, "SESSION_NOT_FOUND")
    writer.close()


async def test_a_part_for_a_settled_session_is_refused(alice: Person) -> None:
    session = await _open(alice)
    (location,) = await alice.sign(session, [_part(FIRST)])
    await alice.send(session, {0: DATA})
    made = await alice.commit(session, [DATA])
    answer = await alice.put(location, FIRST)
    assert (answer.status_code, _reason(answer)) == (404, "SESSION_NOT_FOUND")
    assert await alice.download(made.asset_id) == {"f": DATA}


@pytest.mark.parametrize(
    ("header", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(DATA)),
        ("bytes=-1", len(DATA) - 1, len(DATA)),
        ("bytes=-99999999", 0, len(DATA)),
        (f"bytes={MIB - 1}-{MIB}", MIB - 1, MIB + 1),
        (f"bytes={PART}-99999999999", PART, len(DATA)),
        (f"bytes={len(DATA) - 1}-", len(DATA) - 1, len(DATA)),
    ],
)
async def test_ranges(alice: Person, header: str, first: int, end: int) -> None:
    made = await alice.upload({"f": DATA})
    (file,) = (await alice.manifest(made.asset_id)).files
    answer = await alice.http.get(alice.url + file.location.url.url, headers={"range": header})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(DATA)}"
    assert answer.content == DATA[first:end]


@pytest.mark.parametrize("header", [f"bytes={len(DATA)}-", "bytes=5-4", "bytes=-0", "bytes=0-1,3-4", "items=0-1", "x"])
async def test_ranges_that_are_not_there(alice: Person, header: str) -> None:
    made = await alice.upload({"f": DATA})
    (file,) = (await alice.manifest(made.asset_id)).files
    answer = await alice.http.get(alice.url + file.location.url.url, headers={"range": header})
    assert (answer.status_code, _reason(answer)) == (416, "INVALID_ARGUMENT")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


async def test_head_tells_the_size(alice: Person) -> None:
    made = await alice.upload({"f": DATA})
    (file,) = (await alice.manifest(made.asset_id)).files
    answer = await alice.http.head(alice.url + file.location.url.url)
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(DATA)))


async def test_a_reader_who_leaves_stops_the_reading(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    size_mib = 64
    made = await alice.upload({"f": bytes(size_mib * MIB)})
    (file,) = (await alice.manifest(made.asset_id)).files
    reads, closed = 0, asyncio.Event()
    loop, read, close = asyncio.get_running_loop(), LocalBlobReader.read, LocalBlobReader.close

    def counted(self: LocalBlobReader, offset: int, count: int) -> bytes:
        nonlocal reads
        reads += 1
        return read(self, offset, count)

    def noticed(self: LocalBlobReader) -> None:
        close(self)
        loop.call_soon_threadsafe(closed.set)

    monkeypatch.setattr(LocalBlobReader, "read", counted)
    monkeypatch.setattr(LocalBlobReader, "close", noticed)
    async with alice.http.stream("GET", alice.url + file.location.url.url) as answer:
        async for _ in answer.aiter_raw():
            break
    await asyncio.wait_for(closed.wait(), 20)
    assert reads < size_mib


async def test_a_blob_that_lost_bytes_is_cut_off(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await alice.upload({"f": DATA})
    (file,) = (await alice.manifest(made.asset_id)).files
    monkeypatch.setattr(LocalBlobReader, "size_bytes", len(DATA) + 1)
    with pytest.raises(httpx.RemoteProtocolError):
        await alice.http.get(alice.url + file.location.url.url)


@pytest.mark.parametrize("path", ["/blobs/", "/blobs/../x", "/blobs/x", "/blobs/uploads/x/y", "/blobs/uploads/"])
async def test_paths_nobody_signed(alice: Person, path: str) -> None:
    for method in ("GET", "PUT"):
        answer = await alice.http.request(method, alice.url + path)
        assert answer.status_code in (401, 404, 405)


async def test_other_methods_are_refused(alice: Person) -> None:
    answer = await alice.http.delete(alice.url + "/blobs/x")
    assert (answer.status_code, _reason(answer)) == (405, "UNIMPLEMENTED")
