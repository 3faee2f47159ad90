"""Small parts over HTTP, several on one connection: what servers make of that, and what is acknowledged."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import Incoming, Interrupted, Location, Outgoing, UrlLocation
from ferryd.lanes import departures
from ferryd.lanes.conversation import _Manners
from ferryd.lanes.http import SMALL_BYTES, several
from ferryd.lanes.pool import ByteLanes
from ferrywire.digest import of_blocks
from ferrywire.reasons import FerryError
from tests.support.byte_server import (
    Behaviour,
    ByteServer,
    Request,
    answer,
    close_after,
    ok,
    reset,
    stall,
    stall_in_reply,
)
from tests.support.meters import CountingMeter
from tests.support.waiting import wait_for
from tests.unit.lanes.samples import blocks, make_source, random_bytes, receive_files, tls_contexts

SIZE = 100
BLOB = random_bytes(SIZE)


def outgoing(server: ByteServer, directory: Path, numbers: Iterable[int]) -> list[Outgoing]:
    """So many small files."""
    found = []
    for number in numbers:
        data = random_bytes(SIZE, seed=number)
        to = UrlLocation(f"{server.url}/{number}", {}, 0)
        found.append(Outgoing(make_source(directory, data, f"{number}"), Span(0, SIZE), to, blocks(data)))
    return found


def incoming(server: ByteServer, directory: Path, count: int) -> list[Incoming]:
    """So many small files, each the whole blob."""
    found = []
    for number in range(count):
        dest = directory / f".{number}.ferry-part"
        dest.write_bytes(bytes(SIZE))
        found.append(
            Incoming(UrlLocation(f"{server.url}/{number}", {}, 0), Span(0, SIZE), dest, of_blocks(blocks(BLOB)))
        )
    return found


async def sent(lanes: ByteLanes, parts: list[Outgoing], meter: CountingMeter | None = None) -> int:
    """How many were acknowledged; all are stored, and as they are."""
    done: list[int] = []
    await lanes.send_all(parts, meter or CountingMeter(), lambda: done.append(1))
    return len(done)


async def received(lanes: ByteLanes, parts: list[Incoming]) -> list[bytes]:
    found: list[bytes] = []
    await receive_files(lanes, parts, CountingMeter(), found.append)
    assert all(part.dest.read_bytes() == BLOB for part in parts)
    return found


def is_whole(server: ByteServer, numbers: Iterable[int]) -> bool:
    return server.stored == {f"/{number}": random_bytes(SIZE, seed=number) for number in numbers}


def overtaken(server: ByteServer) -> list[int]:
    """The places of requests behind which the next one waited already."""
    return [at for at, request in enumerate(server.seen) if len(request.rest) > request.length]


async def test_the_next_are_sent_before_the_first_is_answered(lanes: ByteLanes, tmp_path: Path) -> None:
    meter = CountingMeter()
    with ByteServer() as server:
        assert await sent(lanes, outgoing(server, tmp_path, range(40)), meter) == 40
        assert is_whole(server, range(40)) and server.connections == 1 and len(server.seen) == 40
        assert meter.count == 40 * SIZE
        # Alone is who comes first on a new connection; then many at a time.
        assert 0 not in overtaken(server) and {1, 2, 3}.issubset(overtaken(server))


async def test_the_next_are_asked_for_before_the_first_has_come(lanes: ByteLanes, tmp_path: Path) -> None:
    with ByteServer(blob=BLOB) as server:
        assert await received(lanes, incoming(server, tmp_path, 40)) == [blocks(BLOB)] * 40
        assert server.connections == 1 and len(server.seen) == 40
        assert 0 not in overtaken(server) and {1, 2, 3}.issubset(overtaken(server))


@pytest.mark.parametrize("script", [[ok, close_after], [ok, ok, ok, close_after], [ok, ok, reset], [close_after]])
@pytest.mark.parametrize("up", [True, False])
async def test_a_connection_that_ends_in_the_midst(
    lanes: ByteLanes, tmp_path: Path, script: list[Behaviour], up: bool
) -> None:
    with ByteServer(blob=BLOB, script=list(script)) as server:
        if up:
            assert await sent(lanes, outgoing(server, tmp_path, range(10))) == 10
            assert is_whole(server, range(10))
        else:
            assert len(await received(lanes, incoming(server, tmp_path, 10))) == 10
        assert server.connections == 2


@pytest.mark.parametrize("up", [True, False])
async def test_a_server_that_wants_one_thing_at_a_time(lanes: ByteLanes, tmp_path: Path, up: bool) -> None:
    def shy(request: Request) -> bool:
        return len(request.rest) <= request.length and ok(request)

    with ByteServer(blob=BLOB, script=[shy] * 400) as server:
        for _ in range(2):
            if up:
                assert await sent(lanes, outgoing(server, tmp_path, range(60))) == 60
                assert is_whole(server, range(60))
            else:
                assert len(await received(lanes, incoming(server, tmp_path, 60))) == 60
        assert len(overtaken(server)) == 8, "then it is left in peace"


async def test_a_server_that_closes_after_some_requests_is_asked_for_several_all_the_same(
    lanes: ByteLanes, tmp_path: Path
) -> None:
    """As nginx does after 1,000, and by chance every connection may."""
    with ByteServer(script=([ok] * 29 + [close_after]) * 20) as server:
        assert await sent(lanes, outgoing(server, tmp_path, range(500))) == 500
        assert is_whole(server, range(500))
        assert max(overtaken(server)) > len(server.seen) - 40


@pytest.mark.parametrize("up", [True, False])
async def test_a_server_that_overlooks_what_comes_too_early(lanes: ByteLanes, tmp_path: Path, up: bool) -> None:
    """As proxies do that read one request and forget the rest: it costs one wait, and then no more."""
    with ByteServer(blob=BLOB, pipelines=False) as server:
        for _ in range(2):
            began = time.monotonic()
            if up:
                assert await sent(lanes, outgoing(server, tmp_path, range(6))) == 6
                assert is_whole(server, range(6))
            else:
                assert len(await received(lanes, incoming(server, tmp_path, 6))) == 6
            took_s = time.monotonic() - began
        assert took_s < 1.0, "less than the patience that the first time took"
        assert len(server.seen) == 12


async def test_a_server_that_overlooks_half_of_what_comes_too_early(lanes: ByteLanes, tmp_path: Path) -> None:
    """What it takes for the next request begins in the midst of a body, and so it says that it is a bad one."""
    parts = []
    with ByteServer(pipelines=False) as server:
        for number in range(12):
            data = random_bytes(3000, seed=number)
            to = UrlLocation(f"{server.url}/{number}", {}, 0)
            parts.append(Outgoing(make_source(tmp_path, data, f"{number}"), Span(0, 3000), to, blocks(data)))
        assert await sent(lanes, parts) == 12
        assert server.stored == {f"/{number}": random_bytes(3000, seed=number) for number in range(12)}


async def test_a_server_that_says_nothing_at_all(lanes: ByteLanes, tmp_path: Path) -> None:
    with ByteServer(script=[ok, stall, stall]) as server, pytest.raises(FerryError) as caught:
        await sent(lanes, outgoing(server, tmp_path, range(6)))
    assert caught.value.reason == "HUB_UNREACHABLE"


async def test_bytes_that_stop_in_the_midst_of_a_part(lanes: ByteLanes, tmp_path: Path) -> None:
    """What is slow in company is waited for alone, as long as any part."""
    with ByteServer(blob=BLOB, script=[ok, ok, stall_in_reply]) as server:
        assert len(await received(lanes, incoming(server, tmp_path, 6))) == 6
    with ByteServer(blob=BLOB, script=[ok, ok, *[stall_in_reply] * 2]) as server, pytest.raises(FerryError) as caught:
        await received(lanes, incoming(server, tmp_path, 6))
    assert caught.value.reason == "HUB_UNREACHABLE"
    assert "no byte came for too long" in caught.value.message, "what was read after that says something else"


@pytest.mark.parametrize(("code", "reason"), [("SlowDown", "HUB_OVERLOADED"), ("AccessDenied", "SIGNATURE_INVALID")])
async def test_those_before_one_that_is_refused_are_acknowledged(
    lanes: ByteLanes, tmp_path: Path, code: str, reason: str
) -> None:
    done: list[int] = []
    with ByteServer(script=[ok, ok, ok, answer(403, f"<Error><Code>{code}</Code></Error>".encode())]) as server:
        parts = outgoing(server, tmp_path, range(8))
        with pytest.raises(FerryError) as caught:
            await lanes.send_all(parts, CountingMeter(), lambda: done.append(1))
        assert (caught.value.reason, len(done)) == (reason, 3)
        # Nothing is wrong with the server: it is asked for several again.
        server.seen.clear()
        assert await sent(lanes, parts[3:]) == 5
        assert is_whole(server, range(8)) and overtaken(server)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("up", [True, False])
async def test_one_that_is_refused_without_a_word_is_asked_for_alone(
    lanes: ByteLanes, tmp_path: Path, times: int, up: bool
) -> None:
    """It may be the answer to something that nobody asked."""
    done: list[object] = []
    with ByteServer(blob=BLOB, script=[ok, ok, *[answer(400)] * times]) as server:
        if up:
            task = lanes.send_all(outgoing(server, tmp_path, range(3)), CountingMeter(), lambda: done.append(1))
        else:
            task = receive_files(lanes, incoming(server, tmp_path, 3), CountingMeter(), done.append)
        if times == 1:
            await task
        else:
            with pytest.raises(FerryError):
                await task
    assert len(done) == 4 - times


async def test_a_reset_in_the_midst_of_a_body_costs_one_more_question(lanes: ByteLanes, tmp_path: Path) -> None:
    def cut(request: Request) -> bool:
        request.sock.sendall(b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-99/100\r\nContent-Length: 100\r\n\r\nhalf")
        return reset(request)

    with ByteServer(blob=BLOB, script=[ok, ok, ok, cut]) as server:
        assert len(await received(lanes, incoming(server, tmp_path, 8))) == 8


async def test_a_part_of_a_write_once_store_that_is_there_already(lanes: ByteLanes, tmp_path: Path) -> None:
    with ByteServer(script=[ok, answer(412), ok, answer(412)]) as server:
        parts = outgoing(server, tmp_path, range(4))
        once = [
            Outgoing(part.source, part.span, UrlLocation(part.to.url, {"if-none-match": "*"}, 0), part.block_digests)
            for part in parts
            if isinstance(part.to, UrlLocation)
        ]
        assert await sent(lanes, once) == 4


@pytest.mark.parametrize("refused", [True, False])
async def test_a_source_that_changes_is_told_from_damage(lanes: ByteLanes, tmp_path: Path, refused: bool) -> None:
    done: list[int] = []
    script = [ok, ok, answer(400, b"<Error><Code>BadDigest</Code></Error>")] if refused else []
    with ByteServer(script=script) as server:
        parts = outgoing(server, tmp_path, range(6))
        path = Path(parts[2].source.local_path)
        before = os.stat(path)
        path.write_bytes(random_bytes(SIZE, seed=99) if not refused else path.read_bytes())
        if refused:  # the identity is the same, the bytes are not those of the digest
            parts[2] = Outgoing(parts[2].source, parts[2].span, parts[2].to, blocks(b"x" * SIZE))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(FerryError) as caught:
            await lanes.send_all(parts, CountingMeter(), lambda: done.append(1))
    assert (caught.value.reason, len(done)) == ("SOURCE_CHANGED", 2)


async def test_a_source_that_changes_while_it_waits_is_not_acknowledged(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    read = departures._read

    def and_write(fd: int, span: Span) -> memoryview:
        data = read(fd, span)
        if bytes(data) == random_bytes(SIZE, seed=3):
            (tmp_path / "3").write_bytes(b"another")
        return data

    monkeypatch.setattr(departures, "_read", and_write)
    with ByteServer() as server, pytest.raises(FerryError) as caught:
        await lanes.send_all(outgoing(server, tmp_path, range(6)), CountingMeter(), lambda: done.append(1))
    assert (caught.value.reason, len(done)) == ("SOURCE_CHANGED", 3)


async def test_those_before_one_with_a_bad_url_are_acknowledged(lanes: ByteLanes, tmp_path: Path) -> None:
    done: list[int] = []
    with ByteServer() as server:
        parts = outgoing(server, tmp_path, range(6))
        bad = UrlLocation("ftp://elsewhere/x", {}, 0)
        parts[4] = Outgoing(parts[4].source, parts[4].span, bad, parts[4].block_digests)
        with pytest.raises(FerryError):
            await lanes.send_all(parts, CountingMeter(), lambda: done.append(1))
    assert len(done) == 4


async def test_larger_ones_go_together_when_they_have_been_quick_alone(lanes: ByteLanes, tmp_path: Path) -> None:
    data, size = random_bytes(60_000), 60_000
    source = make_source(tmp_path, data)
    with ByteServer() as server:
        places = [UrlLocation(f"{server.url}/{number}", {}, 0) for number in range(30)]
        assert await sent(lanes, [Outgoing(source, Span(0, size), to, blocks(data)) for to in places]) == 30
        assert list(server.stored.values()) == [data] * 30
        assert server.overtaken >= 20


async def test_over_tls(tmp_path: Path) -> None:
    tls, client = tls_contexts()
    trusting = ByteLanes(threads=1, tls=client, stall_timeout_s=30)
    with ByteServer(blob=BLOB, tls=tls) as server:
        assert await sent(trusting, outgoing(server, tmp_path, range(40))) == 40
        assert is_whole(server, range(40))
        assert len(await received(trusting, incoming(server, tmp_path, 40))) == 40
        assert server.connections == 1
        (idle,) = [one for many in trusting._connections._idle.values() for one in many]
        assert idle.sock.gettimeout() == 30, "as for every other part"
    trusting.close()


async def test_origins_and_large_parts_are_kept_apart(lanes: ByteLanes, tmp_path: Path) -> None:
    large = bytes(SMALL_BYTES + 1)
    with ByteServer() as one, ByteServer() as other:
        parts = [*outgoing(one, tmp_path, range(4)), *outgoing(other, tmp_path, range(4, 8))]
        source = make_source(tmp_path, large, "large")
        to = UrlLocation(f"{one.url}/large", {}, 0)
        parts.insert(2, Outgoing(source, Span(0, len(large)), to, blocks(large)))
        assert await sent(lanes, parts) == 9
        assert one.stored.pop("/large") == large
        assert is_whole(one, range(4)) and is_whole(other, range(4, 8))


async def test_a_stop_ends_the_wait_for_replies(tmp_path: Path) -> None:
    done: list[int] = []
    lanes = ByteLanes(threads=1, stall_timeout_s=60)
    with ByteServer(script=[ok, ok, stall]) as server:
        parts = outgoing(server, tmp_path, range(6))
        task = asyncio.ensure_future(lanes.send_all(parts, CountingMeter(), lambda: done.append(1)))
        await asyncio.to_thread(wait_for, lambda: len(server.seen) == 3)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(done) == 2 and time.monotonic() - began < 4
    lanes.close()


async def test_an_interruption_keeps_what_has_arrived(lanes: ByteLanes, tmp_path: Path) -> None:
    done: list[int] = []
    with ByteServer() as server, pytest.raises(Interrupted):
        parts = outgoing(server, tmp_path, range(9))
        await lanes.send_all(parts, CountingMeter(limit=3 * SIZE), lambda: done.append(1))
    assert len(done) >= 3


def test_what_may_go_together() -> None:
    """Small ones of one origin, one after the other."""

    class Part:
        def __init__(self, length: int, url: str = "http://a/x") -> None:
            self.length = length
            self.to: Location = UrlLocation(url, {}, 0)

    def sizes(parts: list[Part]) -> list[int]:
        return [len(group) for group in several(parts, lambda part: (part.to, part.length))]

    assert sizes([]) == []
    assert sizes([Part(SMALL_BYTES)] * 70) == [70]
    assert sizes([Part(SMALL_BYTES + 1)] * 3) == [1, 1, 1]
    assert sizes([Part(1), Part(1), Part(1, "http://b/x"), Part(1, "ftp://c"), Part(1)]) == [2, 1, 1, 1]


def test_how_much_goes_together_follows_from_how_long_it_took() -> None:
    manners = _Manners()
    assert manners.fitting([4096] * 100) == 8
    assert manners.fitting([4096] * 3) == 3
    assert manners.fitting([60_000] * 9) == 0
    manners.moved(1000, 0.1)
    assert manners.fitting([60_000] * 9) == 0, "little proves nothing"
    for size_bytes in (60_000, 60_000, 120_000):  # the first ones alone
        manners.moved(size_bytes, 0.1)
    assert manners.fitting([60_000] * 9) == 4
    manners.moved(240_000, 2.0)
    assert manners.fitting([60_000] * 9) == 4
    for _ in range(9):
        manners.moved(240_000, 5.0)
    assert manners.fitting([4096] * 9) == 2
    for _ in range(9):
        manners.moved(256 << 10, 0.1)
    assert manners.fitting([16] * 99) == 32 and manners.fitting([64 << 10] * 99) == 8


def test_one_event_is_one_failure_however_many_meet_it() -> None:
    manners, began = _Manners(), time.monotonic()
    for _ in range(20):
        manners.ended_early(began, 0, silent=True)
    assert manners.fitting([1024] * 99) == 16
    for heard in (0, 1, 0, 1, 0, 1, 2, 0, 1, 0, 1, 0, 1, 0):
        manners.ended_early(time.monotonic(), heard, silent=False)
    assert manners.fitting([1024] * 99) == 8
    manners.ended_early(time.monotonic(), 1, silent=False)
    assert manners.fitting([1024] * 99) == 0


def test_silence_after_an_answer_is_enough() -> None:
    manners = _Manners()
    manners.ended_early(time.monotonic(), 1, silent=True)
    assert manners.fitting([1024] * 99) == 0
