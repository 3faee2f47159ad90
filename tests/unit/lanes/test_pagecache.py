"""What an upload leaves in the page cache: what was there before, and nothing else."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from ferryd.core.model import SourceFile, Span
from ferryd.core.ports import FileLocation, UrlLocation
from ferryd.lanes import pagecache
from ferryd.lanes.pagecache import Passing
from ferryd.lanes.pool import ByteLanes
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, answer
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, random_bytes, source_of

SPAN = Span(8 * MIB, 8 * MIB)


def forget(path: Path) -> None:
    """Have the kernel forget a file's pages."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)  # a page that is not on the disk cannot be forgotten
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def read(path: Path, span: Span) -> bytes:
    """As somebody else would, and nothing beyond it."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    found = os.pread(fd, span.length, span.offset)
    os.close(fd)
    return found


def is_cached(path: Path, span: Span = SPAN) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return pagecache.is_cached(fd, span)
    finally:
        os.close(fd)


def reads_past_the_cache(path: Path) -> bool:
    """Whether this kernel, and this file system, can."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return bool(os.preadv(fd, [bytearray(1)], 0, 0x80))
    except OSError:
        return False
    finally:
        os.close(fd)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A large file that is not in the page cache."""
    path = tmp_path / "large.bin"
    path.write_bytes(random_bytes(24 * MIB))
    forget(path)
    if is_cached(path):
        pytest.skip("the temporary directory is in memory: nothing can be forgotten there")
    return path


@pytest.fixture
def to(tmp_path: Path) -> FileLocation:
    return FileLocation(str(tmp_path / "staging"), 0)


async def hashed(lanes: ByteLanes, path: Path, span: Span = SPAN) -> tuple[SourceFile, bytes]:
    source = source_of(path)
    return source, (await lanes.hash(source, span, CountingMeter())).block_digests


def test_the_kernel_tells_what_it_holds(file: Path) -> None:
    half = Span(SPAN.offset, SPAN.length // 2)
    read(file, half)
    assert is_cached(file)
    assert is_cached(file, half)
    assert not is_cached(file, Span(half.offset + half.length, half.length))


async def test_what_came_by_us_stays_until_it_is_sent(lanes: ByteLanes, file: Path, to: FileLocation) -> None:
    source, digests = await hashed(lanes, file)
    assert is_cached(file)  # it is not read from the disk twice
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    assert not is_cached(file)


async def test_what_an_earlier_run_hashed_is_dropped_too(lanes: ByteLanes, file: Path) -> None:
    digests = blocks(read(file, SPAN))
    forget(file)
    with ByteServer() as server:
        await lanes.send(source_of(file), SPAN, UrlLocation(f"{server.url}/part", {}, 0.0), digests, CountingMeter())
        assert not is_cached(file)


async def test_over_http_a_refused_part_stays_for_the_next_attempt(lanes: ByteLanes, file: Path) -> None:
    source, digests = await hashed(lanes, file)
    with ByteServer(script=[answer(503)]) as server:
        to = UrlLocation(f"{server.url}/part", {}, 0.0)
        with pytest.raises(FerryError):
            await lanes.send(source, SPAN, to, digests, CountingMeter())
        assert is_cached(file)
        await lanes.send(source, SPAN, to, digests, CountingMeter())
        assert not is_cached(file)
        assert server.stored["/part"] == read(file, SPAN)


@pytest.mark.parametrize("read_before", [SPAN, Span(SPAN.offset + MIB, 2 * MIB)], ids=["all of it", "some of it"])
async def test_what_was_there_before_stays(lanes: ByteLanes, file: Path, to: FileLocation, read_before: Span) -> None:
    read(file, read_before)
    source, digests = await hashed(lanes, file)
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    assert is_cached(file)


async def test_what_is_only_looked_at_does_not_come_in(lanes: ByteLanes, file: Path) -> None:
    wanted = blocks(read(file, SPAN))
    forget(file)
    assert await lanes.hash_received(file, SPAN, CountingMeter()) == wanted
    assert is_cached(file) is not reads_past_the_cache(file)


async def test_a_small_part_stays(lanes: ByteLanes, file: Path, to: FileLocation) -> None:
    small = Span(SPAN.offset, 2 * MIB)
    source, digests = await hashed(lanes, file, small)
    await lanes.send(source, small, to, digests, CountingMeter())
    assert is_cached(file, small)


@pytest.mark.parametrize("lost", ["mincore", "mmap", "fadvise"])
async def test_where_the_kernel_says_nothing_the_part_is_sent_all_the_same(
    lanes: ByteLanes, file: Path, to: FileLocation, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    made = mmap.mmap

    def refuse(fd: int, *words: Any, **more: Any) -> mmap.mmap:
        if fd < 0:  # memory that is no file's
            return made(fd, *words, **more)
        raise OSError(errno.EPERM, "not in this sandbox")

    if lost == "mincore":
        monkeypatch.setattr(pagecache, "libc", lambda name: None)
    elif lost == "mmap":
        monkeypatch.setattr(mmap, "mmap", refuse)
    source, digests = await hashed(lanes, file)
    if lost == "fadvise":
        monkeypatch.setattr(os, "posix_fadvise", refuse)
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    monkeypatch.undo()
    assert is_cached(file)
    assert Path(to.path).read_bytes() == read(file, SPAN)


def test_a_file_that_is_shorter_now_is_left_to_who_reads_it(file: Path) -> None:
    os.truncate(file, SPAN.offset)
    assert is_cached(file)


def test_what_is_never_sent_is_forgotten_in_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = list[int]()
    monkeypatch.setattr(pagecache, "is_cached", lambda fd, span: False)
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, offset, length, advice: dropped.append(offset))
    passing, source = Passing(), source_of(file)
    spans = [Span(at * SPAN.length, SPAN.length) for at in range(257)]
    for span in spans:
        passing.about_to_read(0, source, span)
    for span in spans:
        passing.sent(0, source, span)
        passing.sent(0, source, span)
    assert dropped == [span.offset for span in spans[1:]]
