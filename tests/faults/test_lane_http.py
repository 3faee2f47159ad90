"""The http lane against servers and networks that misbehave: each fault has its reason, and none becomes data."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import Interrupted, UrlLocation
from ferryd.lanes.pool import ByteLanes
from ferrywire.reasons import FerryError
from tests.support import byte_server as be
from tests.support.byte_server import Behaviour, ByteServer, answer
from tests.support.meters import CountingMeter
from tests.support.ports import dead_port
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes, received

SIZE = 8 * MIB
DATA = random_bytes(SIZE)


@pytest.fixture
def lanes(request: pytest.FixtureRequest) -> Iterator[ByteLanes]:
    """Impatient only with a server that will say nothing: any other may be slow to come to its answer."""
    fault = getattr(request.node, "callspec", None) and request.node.callspec.params.get("fault", "")
    made = ByteLanes(threads=2, connect_timeout_s=60, stall_timeout_s=0.5 if "stall" in (fault or "") else 60)
    yield made
    made.close()


def at(server: ByteServer) -> UrlLocation:
    return UrlLocation(f"{server.url}/blobs/x?sig=SECRET", {}, 0)


def own(reason: str, /, **metadata: str) -> bytes:
    return json.dumps({"reason": reason, "message": "said the hub", "metadata": metadata}).encode()


async def put_fails(lanes: ByteLanes, directory: Path, behaviour: Behaviour) -> FerryError:
    source = make_source(directory, DATA)
    with ByteServer(script=[behaviour, behaviour]) as server, pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, SIZE), at(server), blocks(DATA), CountingMeter())
    assert "SECRET" not in str(caught.value) + str(caught.value.metadata)
    return caught.value


async def get_fails(lanes: ByteLanes, directory: Path, behaviour: Behaviour) -> FerryError:
    dest = directory / "part"
    dest.touch()
    with ByteServer(blob=DATA, script=[behaviour, behaviour]) as server, pytest.raises(FerryError) as caught:
        await received(lanes, at(server), Span(MIB, 2 * MIB), dest, CountingMeter())
    assert "SECRET" not in str(caught.value) + str(caught.value.metadata)
    return caught.value


PUT_FAULTS = {
    "bad signature": (answer(401, own("SIGNATURE_INVALID")), "SIGNATURE_INVALID"),
    "a store's forbidden": (answer(403, b"<Error/>"), "SIGNATURE_INVALID"),
    "corrupt": (answer(400, own("CHUNK_CORRUPT", partNumber="3")), "CHUNK_CORRUPT"),
    "no session": (answer(404, own("SESSION_NOT_FOUND", sessionId="upl_x")), "SESSION_NOT_FOUND"),
    "bare 404": (answer(404), "SESSION_NOT_FOUND"),
    "hub's disk full": (answer(507, own("DISK_FULL")), "DISK_FULL"),
    "bare 500": (answer(500, b"Internal Server Error"), "HUB_OVERLOADED"),
    "bad gateway": (answer(502, b"<html>"), "HUB_OVERLOADED"),
    "teapot": (answer(418), "INTERNAL"),
    "redirect": (answer(307, Location="http://169.254.169.254/"), "HUB_UNREACHABLE"),
    "sign-in page": (answer(200, b"<html>Log in</html>", Content_Type="text/html"), "HUB_UNREACHABLE"),
    "early reply": (be.early(401, own("SIGNATURE_INVALID")), "SIGNATURE_INVALID"),
    "early reply, then reset": (be.slam(404, own("SESSION_NOT_FOUND")), "SESSION_NOT_FOUND"),
    "early success": (be.early(200), "HUB_UNREACHABLE"),
    "reset": (be.reset, "HUB_UNREACHABLE"),
    "stall": (be.stall, "HUB_UNREACHABLE"),
    "unknown reason": (answer(400, own("NO_SUCH_REASON")), "INTERNAL"),
    "hostile metadata": (answer(400, own("CHUNK_CORRUPT", reason="x", message="y")), "CHUNK_CORRUPT"),
}


@pytest.mark.parametrize("fault", PUT_FAULTS)
async def test_put(lanes: ByteLanes, tmp_path: Path, fault: str) -> None:
    behaviour, reason = PUT_FAULTS[fault]
    error = await put_fails(lanes, tmp_path, behaviour)
    assert error.reason == reason
    assert set(error.row.metadata) <= set(error.metadata)


GET_FAULTS = {
    "chunked": (
        answer(206, b"x" * 2 * MIB, Content_Range=f"bytes {MIB}-{3 * MIB - 1}/{SIZE}", Transfer_Encoding="chunked"),
        "HUB_UNREACHABLE",
    ),
    "bad signature": (answer(401, own("SIGNATURE_INVALID")), "SIGNATURE_INVALID"),
    "bare 404": (answer(404), "CONTENT_NOT_FOUND"),
    "beyond the end": (answer(416), "BLOB_DAMAGED"),
    "whole document": (answer(200, b"x" * 2 * MIB), "HUB_UNREACHABLE"),
    "sign-in page": (answer(200, b"<html>Log in</html>", Content_Type="text/html"), "HUB_UNREACHABLE"),
    "another range": (answer(206, b"x" * 2 * MIB, Content_Range=f"bytes 0-{2 * MIB - 1}/{SIZE}"), "HUB_UNREACHABLE"),
    "wrong length": (answer(206, b"x", Content_Range=f"bytes {MIB}-{3 * MIB - 1}/{SIZE}"), "HUB_UNREACHABLE"),
    "short": (be.short, "HUB_UNREACHABLE"),
    "stall": (be.stall, "HUB_UNREACHABLE"),
    "stall in the reply": (be.stall_in_reply, "HUB_UNREACHABLE"),
    "reset": (be.reset, "HUB_UNREACHABLE"),
    "redirect": (answer(302, Location="file:///etc/passwd"), "HUB_UNREACHABLE"),
    "compressed": (
        answer(206, b"x" * 2 * MIB, Content_Range=f"bytes {MIB}-{3 * MIB - 1}/{SIZE}", Content_Encoding="gzip"),
        "HUB_UNREACHABLE",
    ),
}


@pytest.mark.parametrize("fault", GET_FAULTS)
async def test_get(lanes: ByteLanes, tmp_path: Path, fault: str) -> None:
    behaviour, reason = GET_FAULTS[fault]
    error = await get_fails(lanes, tmp_path, behaviour)
    assert error.reason == reason
    assert set(error.row.metadata) <= set(error.metadata)


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "RATE_LIMITED"), (503, "HUB_OVERLOADED"), (504, "HUB_OVERLOADED")]
)
async def test_retry_after_is_kept(lanes: ByteLanes, tmp_path: Path, status: int, reason: str) -> None:
    error = await put_fails(lanes, tmp_path, answer(status, Retry_After="17"))
    assert (error.reason, error.retry_after_s) == (reason, 17)
    error = await put_fails(lanes, tmp_path, answer(status, Retry_After=formatdate(time.time() + 100, usegmt=True)))
    assert error.retry_after_s is not None
    assert 60 < error.retry_after_s <= 100


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "DISK_FULL"),
        (errno.EDQUOT, "DISK_FULL"),
        (errno.EROFS, "READ_ONLY"),
        (errno.EACCES, "DESTINATION_UNWRITABLE"),
        (errno.EIO, "IO_ERROR"),
    ],
)
async def test_a_disk_that_fails_under_a_download(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    dest = tmp_path / "part"
    dest.touch()

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", fail)
    with ByteServer(blob=DATA) as server, pytest.raises(FerryError) as caught:
        await received(lanes, at(server), Span(0, SIZE), dest, CountingMeter())
    assert (caught.value.reason, caught.value.metadata["path"]) == (reason, str(dest))


async def test_nobody_listens(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, b"x")
    with dead_port() as port, pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, 1), UrlLocation(f"http://127.0.0.1:{port}/", {}, 0), b"", CountingMeter())
    assert caught.value.reason == "HUB_UNREACHABLE"
    assert caught.value.metadata["hub"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "http://u:p@x/", "http:///x", "//x/y", "http://x/ y"]
)
async def test_locations_that_no_lane_speaks_are_refused(lanes: ByteLanes, tmp_path: Path, url: str) -> None:
    source = make_source(tmp_path, b"x")
    with pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, 1), UrlLocation(url, {}, 0), b"", CountingMeter())
    assert caught.value.reason == "HUB_UNREACHABLE"


async def test_a_source_truncated_while_it_is_sent(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, DATA)

    class Truncating(CountingMeter):
        def moved(self, count: int) -> None:
            if not self.count:
                os.truncate(source.local_path, MIB)
            super().moved(count)

    with ByteServer() as server, pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, SIZE), at(server), blocks(DATA), Truncating())
    assert caught.value.reason == "SOURCE_CHANGED"


async def test_a_source_written_to_while_it_is_sent(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, DATA)

    def write_and_accept(request: be.Request) -> bool:
        with open(source.local_path, "r+b") as file:
            file.write(b"mixed")
        return be.ok(request)

    with ByteServer(script=[write_and_accept]) as server, pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, SIZE), at(server), blocks(DATA), CountingMeter())
    assert caught.value.reason == "SOURCE_CHANGED"


async def test_bytes_that_are_not_those_hashed_are_a_changed_source(lanes: ByteLanes, tmp_path: Path) -> None:
    """As after a write through a mapping, which need not touch the times at once."""
    source = make_source(tmp_path, DATA)
    with ByteServer(script=[answer(400, own("CHUNK_CORRUPT"))]) as server, pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, SIZE), at(server), blocks(DATA[::-1]), CountingMeter())
    assert caught.value.reason == "SOURCE_CHANGED"


async def test_an_interrupted_send_leaves_no_half_connection_behind(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, DATA)
    with ByteServer() as server:
        with pytest.raises(Interrupted):
            await lanes.send(source, Span(0, SIZE), at(server), blocks(DATA), CountingMeter(limit=2 * MIB))
        await lanes.send(source, Span(0, SIZE), at(server), blocks(DATA), CountingMeter())
        assert server.connections == 2
        assert server.stored["/blobs/x?sig=SECRET"] == DATA


@pytest.mark.parametrize("how", ["meter", "cancel"])
@pytest.mark.parametrize("direction", ["send", "receive"])
async def test_a_stop_ends_a_wait_for_a_silent_server(tmp_path: Path, how: str, direction: str) -> None:
    lanes = ByteLanes(threads=1, stall_timeout_s=600)  # nothing but the stop ends it within the test's time
    meter, dest = CountingMeter(), tmp_path / "part"
    dest.touch()
    source = make_source(tmp_path, DATA)
    reached = threading.Event()

    def silent(request: be.Request) -> bool:
        reached.set()
        return be.stall(request)

    with ByteServer(script=[silent]) as server:
        work = (
            lanes.send(source, Span(0, SIZE), at(server), blocks(DATA), meter)
            if direction == "send"
            else received(lanes, at(server), Span(0, SIZE), dest, meter)
        )
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_swallow(work))
            assert await asyncio.to_thread(reached.wait, 60)
            if how == "cancel":
                task.cancel()
            else:
                meter.stopped = True
            await asyncio.wait({task})
    assert not _busy(lanes)
    lanes.close()


async def _swallow(work: object) -> None:
    try:
        await work  # type: ignore[misc]
    except (asyncio.CancelledError, Interrupted):
        return
    raise AssertionError("it was not stopped")


def _busy(lanes: ByteLanes) -> bool:
    """Whether the only thread is still at work: then a new job would not run at once."""
    done = threading.Event()
    lanes._threads.submit(done.set)
    return not done.wait(60)
