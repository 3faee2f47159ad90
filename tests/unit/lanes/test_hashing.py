"""Hashing spans of files against the digest of the same bytes in memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ferryd.core.model import Span
from ferryd.core.ports import Interrupted
from ferryd.lanes.pool import ByteLanes
from ferrywire.digest import of_blocks, of_bytes
from ferrywire.reasons import FerryError
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 17])
async def test_a_file_has_the_digest_of_its_bytes(lanes: ByteLanes, tmp_path: Path, size: int) -> None:
    data = random_bytes(size)
    meter = CountingMeter()
    digests = (await lanes.hash(make_source(tmp_path, data), Span(0, size), meter)).block_digests
    assert of_blocks(digests) == of_bytes(data)
    assert meter.count == 0


async def test_spans_join_to_the_whole(lanes: ByteLanes, tmp_path: Path) -> None:
    data = random_bytes(5 * MIB + 3)
    source = make_source(tmp_path, data)
    spans = [Span(0, 2 * MIB), Span(2 * MIB, 2 * MIB), Span(4 * MIB, MIB + 3)]
    assert b"".join([(await lanes.hash(source, span, CountingMeter())).block_digests for span in spans]) == blocks(data)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _truncate(path: Path) -> None:
    os.truncate(path, 10)


def _rewrite(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"another")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # forged; ctime tells


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.rename(path)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [_append, _truncate, _rewrite, _replace, _fifo])
async def test_a_source_that_changed_is_refused(lanes: ByteLanes, tmp_path: Path, change: object) -> None:
    source = make_source(tmp_path, random_bytes(2 * MIB))
    assert callable(change)
    change(Path(source.local_path))
    with pytest.raises(FerryError) as caught:
        await lanes.hash(source, Span(0, 2 * MIB), CountingMeter())
    assert caught.value.reason == "SOURCE_CHANGED"
    assert caught.value.metadata["path"] == source.local_path


async def test_a_source_that_is_gone_is_missing(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, b"x")
    Path(source.local_path).unlink()
    with pytest.raises(FerryError) as caught:
        await lanes.hash(source, Span(0, 1), CountingMeter())
    assert caught.value.reason == "SOURCE_MISSING"


async def test_hashing_stops_when_told(lanes: ByteLanes, tmp_path: Path) -> None:
    source = make_source(tmp_path, random_bytes(MIB))
    with pytest.raises(Interrupted):
        await lanes.hash(source, Span(0, MIB), CountingMeter(stopped=True))


async def test_a_received_part_is_hashed_as_it_is_now(
    lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    data = random_bytes(2 * MIB + 3)
    part_file = tmp_path / "part"
    part_file.write_bytes(data)
    last = Span(MIB, MIB + 3)
    assert await lanes.hash_received(part_file, last, CountingMeter()) == blocks(data)[16:]
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        assert await lanes.hash_received(part_file, last, CountingMeter()) == b"", "not durable: fetched again"
    _truncate(part_file)
    assert await lanes.hash_received(part_file, last, CountingMeter()) == b""
    part_file.unlink()
    assert await lanes.hash_received(part_file, last, CountingMeter()) == b""
    part_file.symlink_to(tmp_path / "elsewhere")
    assert await lanes.hash_received(part_file, last, CountingMeter()) == b""
