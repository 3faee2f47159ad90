"""What an upload leaves in the page cache: what was there before, and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ferryd.core.model import SourceFile, Span
from ferryd.core.ports import FileLocation, UrlLocation
from ferryd.lanes import pagecache
from ferryd.lanes.files import LocalFiles
from ferryd.lanes.pagecache import Held, Passing, held
from ferryd.lanes.pool import ByteLanes
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, answer
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, random_bytes, source_of

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="nothing can be forgotten on this system")

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


def share(path: Path, span: Span = SPAN) -> float:
    """How much of a span the page cache holds."""
    fd = os.open(path, os.O_RDONLY)
    try:
        found = held(fd, span)
    finally:
        os.close(fd)
    assert found
    return found.cached_bytes / span.length


def is_cached(path: Path, span: Span = SPAN) -> bool:
    """Or most of it: the kernel cannot drop what a socket still holds on to, nor what shares a large page with that."""
    return share(path, span) > 0.5


def say_nothing(*_: object) -> int:
    return -1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A large file that is not in the page cache."""
    path = tmp_path / "large.bin"
    path.write_bytes(random_bytes(24 * MIB))
    with path.open() as opened:
        if held(opened.fileno(), SPAN) is None:
            pytest.skip("this kernel does not tell what it holds (it is older than 6.5, or a sandbox forbids it)")
    forget(path)
    if share(path) > 0.1:
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
    assert (share(file, half), share(file)) == (1.0, 0.5)


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


def test_what_is_only_looked_at_does_not_stay(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagecache, "_STRETCH_BYTES", 8 * MIB)
    files, all_of_it = LocalFiles(umask=0o022), Span(0, 24 * MIB)
    files.digest(file, CountingMeter())
    assert not is_cached(file, all_of_it)
    read(file, all_of_it)
    files.digest(file, CountingMeter())
    assert is_cached(file, all_of_it)


async def test_a_part_file_of_ours_does_not_stay_whatever_was_read_before(lanes: ByteLanes, file: Path) -> None:
    wanted = blocks(read(file, SPAN))
    assert await lanes.hash_received(file, SPAN, CountingMeter()) == wanted
    assert not is_cached(file)


async def test_a_copy_with_holes_does_not_stay_whatever_the_kernel_read_ahead(
    lanes: ByteLanes, file: Path, tmp_path: Path, to: FileLocation
) -> None:
    holes, staged = tmp_path / "holes", Path(to.path)
    for path in (holes, staged):
        path.touch()
        os.truncate(path, SPAN.length)
    read(staged, Span(0, SPAN.length))
    await lanes.send(source_of(holes), Span(0, SPAN.length), to, blocks(bytes(SPAN.length)), CountingMeter())
    assert not is_cached(staged, Span(0, SPAN.length))


@pytest.mark.parametrize("first_is_there", [False, True])
def test_of_a_part_into_which_the_kernel_reads_on_the_rear_half_tells(
    file: Path, monkeypatch: pytest.MonkeyPatch, *, first_is_there: bool
) -> None:
    there = [Span(SPAN.length, SPAN.length // 2)] + [Span(0, SPAN.length)] * first_is_there
    dropped, passing, source = list[int](), Passing(), source_of(file)

    def known(fd: int, span: Span) -> Held:
        ends = [(max(span.offset, at.offset), min(span.offset + span.length, at.offset + at.length)) for at in there]
        return Held(sum(max(0, end - begin) for begin, end in ends), 0)

    monkeypatch.setattr(pagecache, "held", known)
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, offset, length, advice: dropped.append(offset))
    spans = [Span(0, SPAN.length), Span(SPAN.length, SPAN.length)]
    for span in spans:
        passing.hashing(0, source, span)
    there += spans
    for span in spans:
        passing.sent(0, source, span)
    assert dropped == ([] if first_is_there else [0, SPAN.length])


async def test_a_part_that_somebody_read_meanwhile_is_not_ours_any_more(
    lanes: ByteLanes, file: Path, to: FileLocation
) -> None:
    await hashed(lanes, file)  # and given up
    forget(file)
    read(file, SPAN)
    source, digests = await hashed(lanes, file)
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    assert is_cached(file)


async def test_nor_is_one_that_was_written_anew(lanes: ByteLanes, file: Path, to: FileLocation) -> None:
    await hashed(lanes, file)
    file.write_bytes(random_bytes(24 * MIB, seed=2))
    os.sync()  # what is on its way to the disk could not be dropped anyway
    source, digests = source_of(file), blocks(read(file, SPAN))
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    assert is_cached(file)


def test_what_is_still_to_be_written_is_left_to_who_syncs_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped, passing, source = list[int](), Passing(), source_of(file)
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, offset, length, advice: dropped.append(offset))
    for unwritten_bytes in (4096, 0):
        monkeypatch.setattr(pagecache, "held", lambda fd, span: Held(0, 0))
        passing.hashing(0, source, SPAN)
        found = Held(SPAN.length, unwritten_bytes)
        monkeypatch.setattr(pagecache, "held", lambda fd, span, found=found: found)
        passing.sent(0, source, SPAN)
        assert bool(dropped) is not bool(unwritten_bytes)


async def test_a_small_part_stays_and_nobody_is_asked(
    lanes: ByteLanes, file: Path, to: FileLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are many of them, and each question is a call."""
    asked = list[Span]()
    small = Span(SPAN.offset, 2 * MIB)
    with monkeypatch.context() as patched:
        patched.setattr(pagecache, "held", lambda fd, span: asked.append(span))
        source, digests = await hashed(lanes, file, small)
        await lanes.send(source, small, to, digests, CountingMeter())
    assert is_cached(file, small)
    assert not asked


@pytest.mark.parametrize("lost", ["no such call", "refused", "fadvise"])
async def test_where_the_kernel_says_nothing_the_part_is_sent_all_the_same(
    lanes: ByteLanes, file: Path, to: FileLocation, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "not in this sandbox")

    if lost != "fadvise":
        monkeypatch.setattr(pagecache, "libc", lambda name: say_nothing if lost == "refused" else None)
    source, digests = await hashed(lanes, file)
    if lost == "fadvise":
        monkeypatch.setattr(os, "posix_fadvise", refuse)
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    monkeypatch.undo()
    assert is_cached(file)
    assert Path(to.path).read_bytes() == read(file, SPAN)


async def test_a_file_system_with_a_cache_of_its_own_keeps_it(
    lanes: ByteLanes, file: Path, to: FileLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as ZFS: nothing is ever in the page cache, also what was read just now."""
    dropped = list[int]()
    monkeypatch.setattr(pagecache, "held", lambda fd, span: Held(0, 0))
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, offset, length, advice: dropped.append(offset))
    source, digests = await hashed(lanes, file)
    await lanes.send(source, SPAN, to, digests, CountingMeter())
    assert not dropped


def test_what_is_never_sent_is_forgotten_in_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped, passing, source = list[int](), Passing(), source_of(file)
    spans = [Span(at * SPAN.length, SPAN.length) for at in range(257)]
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, offset, length, advice: dropped.append(offset))
    monkeypatch.setattr(pagecache, "held", lambda fd, span: Held(0, 0))
    for span in spans:
        passing.hashing(0, source, span)
    monkeypatch.setattr(pagecache, "held", lambda fd, span: Held(1, 0))
    for span in spans:
        passing.sent(0, source, span)
        passing.sent(0, source, span)
    assert dropped == [span.offset for span in spans[1:]]
