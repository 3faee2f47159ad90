"""Writes past the page cache: the same bytes, whatever the file system says to them."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import UrlLocation
from ferryd.lanes import direct, http
from ferryd.lanes.direct import ALIGN_BYTES, DirectWrites
from ferryd.lanes.pool import ByteLanes
from tests.support.byte_server import ByteServer
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, random_bytes, received

SIZE = 6 * MIB + 5
_pwrite = os.pwrite


@pytest.fixture
def dest(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "part", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, SIZE)
    yield fd
    os.close(fd)


def is_direct(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


def window(size: int) -> memoryview:
    """Memory as the lanes' buffers are."""
    view = memoryview(mmap.mmap(-1, MIB))[:size]
    view[:] = random_bytes(size)
    return view


def write_all(dest: int) -> bytes:
    """A whole span, window by window; returns what should be there."""
    writes, sent = DirectWrites(dest, Span(0, SIZE)), b""
    while len(sent) < SIZE:
        view = window(min(MIB, SIZE - len(sent)))
        writes.write(view, len(sent))
        sent += bytes(view)
    return sent


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """(direct, length) of every write."""
    seen = []

    def pwrite(fd: int, view: memoryview, offset: int) -> int:
        seen.append((is_direct(fd), len(view)))
        return _pwrite(fd, view, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    return seen


def test_whole_windows_go_past_the_cache_and_the_end_does_not(dest: int, asked: list[tuple[bool, int]]) -> None:
    try:
        fcntl.fcntl(dest, fcntl.F_SETFL, fcntl.fcntl(dest, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError:
        pytest.skip("no direct writes on this file system")
    fcntl.fcntl(dest, fcntl.F_SETFL, fcntl.fcntl(dest, fcntl.F_GETFL) & ~os.O_DIRECT)
    sent = write_all(dest)
    assert os.pread(dest, SIZE, 0) == sent
    assert asked == [(True, MIB)] * 6 + [(False, 5)]


def test_a_file_system_that_refuses_the_flag_gets_the_bytes_all_the_same(
    dest: int, asked: list[tuple[bool, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = fcntl.fcntl

    def refuse(fd: int, what: int, flags: int = 0) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return told(fd, what, flags)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    sent = write_all(dest)
    assert os.pread(dest, SIZE, 0) == sent
    assert not any(on for on, _ in asked)


def test_a_file_system_that_refuses_the_write_gets_the_bytes_all_the_same(
    dest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def pwrite(fd: int, view: memoryview, offset: int) -> int:
        nonlocal refused
        if is_direct(fd):
            refused += 1
            raise OSError(errno.EINVAL, "Invalid argument")
        return _pwrite(fd, view, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    sent = write_all(dest)
    assert os.pread(dest, SIZE, 0) == sent
    assert refused <= 1


def test_other_errors_are_errors(dest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(fd: int, view: memoryview, offset: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="Input/output"):
        write_all(dest)


def test_taking_the_place_keeps_what_is_there(dest: int) -> None:
    os.pwrite(dest, b"kept", MIB)
    DirectWrites(dest, Span(0, SIZE))
    assert os.pread(dest, 4, MIB) == b"kept"
    assert os.fstat(dest).st_size == SIZE


def test_small_spans_go_through_the_cache(dest: int, asked: list[tuple[bool, int]]) -> None:
    DirectWrites(dest, Span(0, MIB)).write(window(MIB), 0)
    assert asked == [(False, MIB)]


async def test_pieces_of_odd_lengths_are_put_together(
    lanes: ByteLanes, tmp_path: Path, asked: list[tuple[bool, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_REPORT_S", -1.0)  # every read is written at once, however little came
    monkeypatch.setattr(direct, "_LEAST_BYTES", 1)
    blob = random_bytes(SIZE)
    dest = tmp_path / "part"
    dest.write_bytes(bytes(SIZE))
    with ByteServer(blob=blob) as server:
        got = await received(lanes, UrlLocation(f"{server.url}/x", {}, 0), Span(0, SIZE), dest, CountingMeter())
    assert (got, dest.read_bytes()) == (blocks(blob), blob)
    assert sum(size for _, size in asked) == SIZE
    assert all(size % ALIGN_BYTES == 0 for on, size in asked if on)
