"""The file lane: bytes between two files of one machine."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import FileLocation, Interrupted
from ferryd.lanes import through
from ferryd.lanes.pool import ByteLanes
from ferrywire.reasons import FerryError
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes, received, source_of


@pytest.fixture(params=["by the kernel", "by hand", "kernel refuses", "through the buffer"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind = "ext4" if request.param == "through the buffer" else "btrfs"
    monkeypatch.setattr(through, "_file_system", lambda fd: kind)
    if request.param == "by hand":
        monkeypatch.delattr(os, "copy_file_range")
    if request.param == "kernel refuses":

        def refuse(*_: object) -> int:
            raise OSError(errno.EXDEV, "another file system")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    return str(request.param)


@pytest.mark.parametrize("size", [1, MIB, 3 * MIB + 7, 5 * MIB + 7])
@pytest.mark.parametrize("place", [5 * MIB, 5 * MIB + 1])
async def test_a_span_is_sent_to_its_place(way: str, lanes: ByteLanes, tmp_path: Path, size: int, place: int) -> None:
    data, meter = random_bytes(MIB + size), CountingMeter()
    staging = tmp_path / "staging"
    source = make_source(tmp_path, data)
    await lanes.send(source, Span(MIB, size), FileLocation(str(staging), place), blocks(data[MIB:]), meter)
    assert staging.read_bytes() == bytes(place) + data[MIB:]
    assert staging.stat().st_mode & 0o777 == 0o600
    assert meter.count == size


@pytest.mark.parametrize("size", [1, MIB, 3 * MIB + 7, 5 * MIB + 7])
async def test_a_span_is_received_in_its_place(way: str, lanes: ByteLanes, tmp_path: Path, size: int) -> None:
    data, meter = random_bytes(MIB + size), CountingMeter()
    blob, dest = tmp_path / "blob", tmp_path / "part"
    blob.write_bytes(b"header" + data)
    dest.touch()
    got = await received(lanes, FileLocation(str(blob), 6), Span(MIB, size), dest, meter)
    assert got == blocks(data[MIB:])
    assert dest.read_bytes() == bytes(MIB) + data[MIB:]
    assert meter.count == size


async def test_holes_stay_holes(lanes: ByteLanes, tmp_path: Path) -> None:
    path, staging = tmp_path / "sparse", tmp_path / "staging"
    with path.open("wb") as file:
        file.seek(30 * MIB)
        file.write(b"x" * MIB)
        file.truncate(64 * MIB)
    source = source_of(path)
    span = Span(0, 64 * MIB)
    digests = (await lanes.hash(source, span, CountingMeter())).block_digests
    await lanes.send(source, span, FileLocation(str(staging), 0), digests, CountingMeter())
    assert staging.read_bytes() == path.read_bytes()
    assert staging.stat().st_blocks * 512 <= 4 * MIB


async def test_old_bytes_under_a_hole_are_overwritten(lanes: ByteLanes, tmp_path: Path) -> None:
    path, staging = tmp_path / "sparse", tmp_path / "staging"
    path.touch()
    os.truncate(path, 2 * MIB)
    staging.write_bytes(b"old" * MIB)
    await lanes.send(
        source_of(path), Span(0, 2 * MIB), FileLocation(str(staging), 0), blocks(bytes(2 * MIB)), CountingMeter()
    )
    assert staging.read_bytes()[: 2 * MIB] == bytes(2 * MIB)


async def test_a_copy_that_goes_wrong_once_is_repeated_and_twice_is_corrupt(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random_bytes(MIB)
    source, staging = make_source(tmp_path, data), tmp_path / "staging"
    faults = [b"!", b"!", b"!"]

    def flip(fd: int, dest: int, count: int, offset: int, to: int) -> int:
        os.pwrite(dest, data, to)
        if faults:
            os.pwrite(dest, faults.pop(), to + 5)
        return count

    monkeypatch.setattr(os, "copy_file_range", flip)
    with pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, MIB), FileLocation(str(staging), 0), blocks(data), CountingMeter())
    assert caught.value.reason == "CHUNK_CORRUPT"
    await lanes.send(source, Span(0, MIB), FileLocation(str(staging), 0), blocks(data), CountingMeter())
    assert staging.read_bytes() == data


@pytest.mark.parametrize("size", [3, 5 * MIB])
async def test_bytes_that_are_not_those_hashed_are_a_changed_source(
    way: str, lanes: ByteLanes, tmp_path: Path, size: int
) -> None:
    source, to = make_source(tmp_path, b"n" * size), FileLocation(str(tmp_path / "s"), 0)
    with pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, size), to, blocks(b"o" * size), CountingMeter())
    assert caught.value.reason == "SOURCE_CHANGED"


async def test_a_blob_that_is_too_short_is_damaged(way: str, lanes: ByteLanes, tmp_path: Path) -> None:
    blob, dest = tmp_path / "blob", tmp_path / "part"
    blob.write_bytes(random_bytes(5 * MIB))
    dest.touch()
    with pytest.raises(FerryError) as caught:
        await received(lanes, FileLocation(str(blob), 0), Span(0, 6 * MIB), dest, CountingMeter())
    assert caught.value.reason == "BLOB_DAMAGED"


async def test_two_parts_of_a_file_go_through_at_once_past_the_page_cache(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, staging, pwrite, direct = random_bytes(12 * MIB + 5), tmp_path / "staging", os.pwrite, list[bool]()
    source, half = make_source(tmp_path, data), 6 * MIB
    monkeypatch.setattr(through, "_file_system", lambda fd: "ext4")

    def noted(fd: int, view: memoryview, offset: int) -> int:
        direct.append(bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT))
        return pwrite(fd, view, offset)

    monkeypatch.setattr(os, "pwrite", noted)
    spans = [Span(0, half), Span(half, len(data) - half)]
    await asyncio.gather(
        *(
            lanes.send(
                source,
                span,
                FileLocation(str(staging), span.offset),
                blocks(data[span.offset :][: span.length]),
                CountingMeter(),
            )
            for span in spans
        )
    )
    assert staging.read_bytes() == data
    assert direct.count(True) == (12 if _knows_direct_writes(tmp_path / "probe") else 0), "all but the tail"


def _knows_direct_writes(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


async def test_what_goes_through_the_buffer_leaves_the_kernel_alone(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only large spans without holes, on a file system where no blocks can be shared."""
    asked: list[int] = []
    copy = os.copy_file_range

    def counted(source: int, dest: int, count: int, *offsets: int) -> int:
        asked.append(count)
        return copy(source, dest, count, *offsets)

    monkeypatch.setattr(os, "copy_file_range", counted)
    data, full, sparse = random_bytes(8 * MIB), tmp_path / "full", tmp_path / "sparse"
    full.write_bytes(data)
    with sparse.open("wb") as file:
        file.write(data)
        file.truncate(16 * MIB)
    for kind, path, size, by_kernel in [
        ("ext4", full, 8 * MIB, False),
        ("ext4", full, MIB, True),
        ("ext4", sparse, 8 * MIB, True),
        ("xfs", full, 8 * MIB, True),
        ("", full, 8 * MIB, True),
    ]:
        monkeypatch.setattr(through, "_file_system", lambda fd, kind=kind: kind)
        asked.clear()
        to = FileLocation(str(tmp_path / f"s-{kind}-{path.name}-{size}"), 0)
        await lanes.send(source_of(path), Span(0, size), to, blocks(data[:size]), CountingMeter())
        assert bool(asked) is by_kernel, (kind, path, size)


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, 0, errno.EIO])
async def test_a_kernel_that_knows_no_reading_past_the_cache(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    """0 is a Python that was built without preadv2."""
    data, blob, dest, preadv, flagged = random_bytes(5 * MIB), tmp_path / "blob", tmp_path / "part", os.preadv, []

    def old(fd: int, views: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags:
            flagged.append(offset)
            raise OSError(refusal, os.strerror(refusal)) if refusal else NotImplementedError
        return preadv(fd, views, offset)

    blob.write_bytes(data)
    dest.touch()
    monkeypatch.setattr(through, "_file_system", lambda fd: "ext4")
    monkeypatch.setattr(through, "_RWF_DONTCACHE", 0x80)
    monkeypatch.setattr(os, "preadv", old)
    work = received(lanes, FileLocation(str(blob), 0), Span(0, 5 * MIB), dest, CountingMeter())
    if refusal == errno.EIO:
        with pytest.raises(FerryError, match=r"reading the blob .* failed: Input/output error") as caught:
            await work
        assert caught.value.reason == "IO_ERROR"
    else:
        assert await work == blocks(data) and dest.read_bytes() == data
    assert flagged == [0], "asked once"


def test_the_kind_of_a_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mounts = tmp_path / "file", tmp_path / "mountinfo"
    path.touch()
    device = path.stat().st_dev
    here, elsewhere = f"{os.major(device)}:{os.minor(device)}", "0:99999"
    monkeypatch.setattr(through, "_MOUNTS", mounts)
    with path.open() as file:
        assert through._file_system(file.fileno()) == "", "a system that does not say"
        mounts.write_text(f"1 1 {elsewhere} / / rw - xfs /dev/b rw\n2 1 {here} / /m rw shared:1 - ext4 /dev/a rw\n")
        assert through._file_system(file.fileno()) == "ext4"
        mounts.write_text(f"1 1 {elsewhere} / / rw - xfs /dev/b rw\n")
        assert through._file_system(file.fileno()) == ""


async def test_a_failed_sync_is_an_error_and_not_repeated(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    source = make_source(tmp_path, b"x")
    with pytest.raises(FerryError) as caught:
        await lanes.send(source, Span(0, 1), FileLocation(str(tmp_path / "s"), 0), blocks(b"x"), CountingMeter())
    assert caught.value.reason == "IO_ERROR"
    assert len(calls) == 1


async def test_links_and_lost_places_of_the_hub(lanes: ByteLanes, tmp_path: Path) -> None:
    source, dest = make_source(tmp_path, b"x"), tmp_path / "part"
    dest.touch()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(victim)
    lost = FileLocation(str(tmp_path / "gone" / "file"), 0)
    short = FileLocation(str(source.local_path), 0)
    for reason, work in {
        "UNSAFE_PATH": lanes.send(
            source, Span(0, 1), FileLocation(str(tmp_path / "link"), 0), blocks(b"x"), CountingMeter()
        ),
        "SESSION_NOT_FOUND": lanes.send(source, Span(0, 1), lost, blocks(b"x"), CountingMeter()),
        "CONTENT_NOT_FOUND": received(lanes, lost, Span(0, 1), dest, CountingMeter()),
        "BLOB_DAMAGED": received(lanes, short, Span(0, MIB), dest, CountingMeter()),
    }.items():
        with pytest.raises(FerryError) as caught:
            await work
        assert caught.value.reason == reason
    assert victim.read_bytes() == b"precious"


async def test_a_stop_comes_between_two_windows(way: str, lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(4 * MIB)
    meter = CountingMeter(limit=2 * MIB)
    with pytest.raises(Interrupted):
        await lanes.send(
            make_source(tmp_path, data), Span(0, 4 * MIB), FileLocation(str(tmp_path / "s"), 0), blocks(data), meter
        )
    assert meter.count == 2 * MIB
