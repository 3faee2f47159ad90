"""Many short files in one visit to a thread: what is handed on, and when. Down to their final names."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ferryd.core.model import IfExists
from ferryd.core.ports import FileLocation, Interrupted, Location, ShortFile, UrlLocation
from ferryd.lanes import destination, durable, pool, short_files
from ferryd.lanes import publish as publishing
from ferryd.lanes.files import LocalFiles
from ferryd.lanes.pool import ByteLanes
from ferryd.lanes.short_files import ShortFiles
from ferrywire.digest import of_bytes
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, answer, ok, trickle
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, random_bytes

SIZE = 100
BLOB = random_bytes(SIZE)
REFUSAL = b"<Error><Code>AccessDenied</Code></Error>"
TRANSFER = "trf_1"


class Arrival:
    """Files that are fetched into a directory; `log` has what was synced and acknowledged, in order."""

    def __init__(self, dest: Path, log: list[str], *, umask: int = 0o022, if_exists: IfExists = IfExists.FAIL) -> None:
        self.dest = dest
        self.names: list[str] = []
        self._log = log
        self._files = LocalFiles(umask)
        self._if_exists = if_exists
        self.visits: list[int] = []  #: files that were handed on together

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        some = [(path, memoryview(data)) for path, data in files]
        self._files.write(str(self.dest), some, TRANSFER, self._if_exists, self._done)

    async def fetch(
        self, lanes: ByteLanes, files: Sequence[tuple[str, ShortFile]], meter: CountingMeter | None = None
    ) -> None:
        coming = iter(path for path, _ in files)

        def keep(contents: Sequence[memoryview]) -> None:
            self.visits.append(len(contents))
            self.write([(next(coming), bytes(content)) for content in contents])

        await lanes.receive_short([file for _, file in files], meter or CountingMeter(), keep)

    def _done(self, final: str) -> None:
        self._log.append("done")
        self.names.append(str(Path(final).relative_to(self.dest)))

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.dest)) for path in self.dest.rglob("*") if not path.is_dir())


@pytest.fixture
def arrival(tmp_path: Path, log: list[str]) -> Arrival:
    return Arrival(tmp_path / "dest", log)


def file_at(origin: Location, data: bytes = BLOB) -> ShortFile:
    return ShortFile(origin, len(data), of_bytes(data))


def several(server: ByteServer, count: int) -> list[tuple[str, ShortFile]]:
    """So many files, each the whole blob under a URL of its own."""
    return [
        (f"{number:03d}", file_at(UrlLocation(f"{server.url}/blobs/{number}?sig=secret", {}, 0)))
        for number in range(count)
    ]


async def test_files_go_to_the_disk_together_and_each_is_synced_before_any_has_its_name(
    lanes: ByteLanes, arrival: Arrival, log: list[str]
) -> None:
    meter = CountingMeter()
    with ByteServer(blob=BLOB) as server:
        await arrival.fetch(lanes, several(server, 70), meter)
        assert server.connections == 1 and len(server.seen) == 70
    assert arrival.names == arrival.left() == [f"{number:03d}" for number in range(70)]
    assert all((arrival.dest / name).read_bytes() == BLOB for name in arrival.names)
    assert meter.count == 70 * SIZE
    assert log == [event for size in (32, 32, 6) for event in ["start"] * size + ["sync"] * size] + ["done"] * 70


async def test_files_before_one_that_fails_are_kept(lanes: ByteLanes, arrival: Arrival) -> None:
    with ByteServer(blob=BLOB, script=[ok, ok, answer(403, REFUSAL)]) as server, pytest.raises(FerryError) as caught:
        await arrival.fetch(lanes, several(server, 5))
    assert caught.value.reason == "SIGNATURE_INVALID"
    assert arrival.names == arrival.left() == ["000", "001"]


async def test_a_file_that_arrives_wrong_is_not_kept_nor_is_what_follows(lanes: ByteLanes, arrival: Arrival) -> None:
    with ByteServer(blob=BLOB, script=[ok, answer(200, bytes(SIZE))]) as server, pytest.raises(FerryError) as caught:
        await arrival.fetch(lanes, several(server, 3))
    assert caught.value.reason == "CHUNK_CORRUPT"
    assert arrival.names == arrival.left() == ["000"]


async def test_an_interruption_keeps_what_is_there(lanes: ByteLanes, arrival: Arrival) -> None:
    with ByteServer(blob=BLOB) as server, pytest.raises(Interrupted):
        await arrival.fetch(lanes, several(server, 5), CountingMeter(limit=3 * SIZE))
    assert arrival.names == arrival.left() and len(arrival.names) in (2, 3)


async def test_on_a_slow_line_what_is_there_does_not_wait_for_the_rest(
    lanes: ByteLanes, arrival: Arrival, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_files, "_KEEP_S", 0.05)
    blob = random_bytes(20 * SIZE)
    with ByteServer(blob=blob, script=[trickle]) as server:
        files = [
            (f"{at:02d}", file_at(UrlLocation(f"{server.url}/pack", {}, 0, offset=at * SIZE), blob[at * SIZE :][:SIZE]))
            for at in range(20)
        ]
        await arrival.fetch(lanes, files)
        assert len(server.seen) == 1, "one request all the same"
    assert len(arrival.visits) > 1 and sum(arrival.visits) == 20
    assert b"".join((arrival.dest / name).read_bytes() for name in arrival.left()) == blob


async def test_a_disk_that_fails_is_not_written_to_again(lanes: ByteLanes, arrival: Arrival) -> None:
    calls: list[int] = []

    def keep(contents: Sequence[memoryview]) -> None:
        calls.append(len(contents))
        raise FerryError("DISK_FULL", "no space", path="/", freeBytes=0)

    with ByteServer(blob=BLOB) as server, pytest.raises(FerryError) as caught:
        await lanes.receive_short([file for _, file in several(server, 5)], CountingMeter(), keep)
    assert caught.value.reason == "DISK_FULL" and calls == [5]


@pytest.mark.parametrize("place", ["one blob", "blobs of their own"])
async def test_from_files_of_this_machine(lanes: ByteLanes, arrival: Arrival, tmp_path: Path, place: str) -> None:
    datas = [random_bytes(size, seed=size) for size in (1, 5000, MIB - 1, MIB, 70_000)]
    files, start = [], 7
    (tmp_path / "pack").write_bytes(bytes(7) + b"".join(datas))
    for number, data in enumerate(datas):
        path = tmp_path / ("pack" if place == "one blob" else f"blob{number}")
        if place != "one blob":
            path.write_bytes(data)
        origin = FileLocation(str(path), start if place == "one blob" else 0)
        files.append((f"{number}", file_at(origin, data)))
        start += len(data)
    meter = CountingMeter()
    await arrival.fetch(lanes, files, meter)
    assert [(arrival.dest / name).read_bytes() for name in arrival.names] == datas
    assert meter.count == sum(map(len, datas))


@pytest.mark.parametrize(("harm", "reason"), [("cut", "BLOB_DAMAGED"), ("gone", "CONTENT_NOT_FOUND")])
async def test_a_blob_of_this_machine_that_is_not_whole(
    lanes: ByteLanes, arrival: Arrival, tmp_path: Path, harm: str, reason: str
) -> None:
    blob = tmp_path / "blob"
    if harm == "cut":
        blob.write_bytes(BLOB[:-1])
    with pytest.raises(FerryError) as caught:
        await arrival.fetch(lanes, [("x", file_at(FileLocation(str(blob), 0)))])
    assert caught.value.reason == reason and arrival.names == []


def test_a_file_that_cannot_be_synced_gets_no_name_nor_do_those_with_it(
    arrival: Arrival, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        if log.count("sync") == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        log.append("sync")

    monkeypatch.setattr(durable, "sync_data", broken)
    with pytest.raises(FerryError) as caught:
        arrival.write([(name, BLOB) for name in "abc"])
    assert caught.value.reason == "IO_ERROR"
    assert "done" not in log and arrival.left() == [], "neither a name nor a part file"


def test_names_that_a_part_file_s_would_be_the_same_for(arrival: Arrival) -> None:
    files = [(f"{'測' * 75} {number}.csv", str(number).encode()) for number in range(40)]
    arrival.write([*files, ("a", b"a"), ("A", b"A")])
    assert all((arrival.dest / name).read_bytes() == data for name, data in files)
    assert len(arrival.left()) == 42


def test_nobody_s_part_file_is_written_or_removed(
    arrival: Arrival, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = destination.passing_names(TRANSFER, 3)
    assert not {*names} & {*destination.passing_names(TRANSFER, 3)}, "another thread's, or another run's"
    monkeypatch.setattr(secrets, "token_hex", lambda _: names[0].split(".")[2].partition("-")[0])
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    arrival.dest.mkdir()
    (arrival.dest / names[1]).symlink_to(victim)
    with pytest.raises(FerryError) as caught:
        arrival.write([(name, BLOB) for name in "abc"])
    assert caught.value.reason == "IO_ERROR", "and the next run has other names"
    assert victim.read_bytes() == b"precious" and arrival.names == []


async def test_what_is_being_kept_is_waited_for(lanes: ByteLanes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LET_GO_S", 0.05)
    begun, go_on, kept = threading.Event(), threading.Event(), list[int]()

    def keep(contents: Sequence[memoryview]) -> None:
        begun.set()
        go_on.wait(10)
        kept.append(len(contents))

    with ByteServer(blob=BLOB) as server:
        files = [file for _, file in several(server, 3)]
        work = asyncio.ensure_future(lanes.receive_short(files, CountingMeter(), keep))
        await asyncio.to_thread(begun.wait, 10)
        work.cancel()
        assert not (await asyncio.wait({work}, timeout=0.6))[0], "a disk that hangs"
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert kept == [3]


async def test_who_is_waited_for_no_longer_keeps_nothing(lanes: ByteLanes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_LET_GO_S", 0.05)
    begun, go_on, kept = threading.Event(), threading.Event(), list[int]()
    fetch = ShortFiles._fetch

    def hangs(*arguments: object) -> None:
        fetch(*arguments)  # type: ignore[arg-type]
        begun.set()
        go_on.wait(10)

    monkeypatch.setattr(ShortFiles, "_fetch", hangs)
    with ByteServer(blob=BLOB) as server:
        [(_, file)] = several(server, 1)
        work = asyncio.ensure_future(
            lanes.receive_short([file], CountingMeter(), lambda contents: kept.append(len(contents)))
        )
        await asyncio.to_thread(begun.wait, 10)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        go_on.set()
        await lanes.receive_short([file], CountingMeter(), lambda contents: None)  # when that thread has ended, too
    lanes.close()
    assert kept == []


@pytest.mark.parametrize("error", ["DISK_FULL", "DESTINATION_EXISTS"])
async def test_an_interruption_is_one_whatever_keeping_meets(lanes: ByteLanes, error: str) -> None:
    def keep(contents: Sequence[memoryview]) -> None:
        raise FerryError(error, "as it may be", path="/", freeBytes=0)

    with ByteServer(blob=BLOB) as server, pytest.raises(Interrupted):
        await lanes.receive_short([file for _, file in several(server, 5)], CountingMeter(limit=3 * SIZE), keep)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_where_nothing_can_be_made_it_is_not_tried_again(log: list[str]) -> None:
    with pytest.raises(FerryError) as caught:
        Arrival(Path("/proc"), log).write([("x", BLOB)])
    assert caught.value.reason == "DESTINATION_UNWRITABLE"


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002, 0o277, 0o777])
def test_the_users_umask_says_what_a_file_may(tmp_path: Path, log: list[str], umask: int) -> None:
    arrival = Arrival(tmp_path, log, umask=umask)
    arrival.write([("x", BLOB)])
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~umask


def test_the_way_to_a_directory_is_gone_once_and_each_is_synced_once(
    arrival: Arrival, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = durable.sync_file

    def noted(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(publishing, "sync_file", noted)
    names = [f"{top}/below/{number:02d}" for top in "ab" for number in range(20)]
    arrival.write([(name, name.encode()) for name in names])
    assert arrival.names == names and all((arrival.dest / name).read_text() == name for name in names)
    assert synced == [(arrival.dest / top / "below").stat().st_ino for top in "ab"]


@pytest.mark.parametrize("policy", list(IfExists))
def test_a_name_that_is_taken(tmp_path: Path, log: list[str], policy: IfExists) -> None:
    arrival = Arrival(tmp_path, log, if_exists=policy)
    (tmp_path / "b").write_bytes(b"mine")
    files = [(name, name.encode()) for name in "abc"]
    if policy in (IfExists.FAIL, IfExists.SKIP):
        with pytest.raises(FerryError) as caught:
            arrival.write(files)
        assert caught.value.reason == "DESTINATION_EXISTS"
        assert arrival.names == ["a"] and arrival.left() == ["a", "b"]
        return
    arrival.write(files)
    assert arrival.names == ["a", "b (1)" if policy is IfExists.RENAME else "b", "c"]
    assert arrival.left() == sorted({"b", *arrival.names})
    assert (tmp_path / "b").read_bytes() == (b"b" if policy is IfExists.REPLACE else b"mine")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing(arrival: Arrival, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    written: list[int] = []
    write = os.pwrite

    def full(fd: int, data: memoryview, offset: int) -> int:
        if len(written) == 2:
            raise OSError(number, os.strerror(number))
        written.append(fd)
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FerryError) as caught:
        arrival.write([(name, BLOB) for name in "abc"])
    assert caught.value.reason == "DISK_FULL"
    assert arrival.names == arrival.left() == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", "a\0b"])
def test_names_that_lead_elsewhere_are_refused_before_anything_is_written(arrival: Arrival, name: str) -> None:
    with pytest.raises(FerryError) as caught:
        arrival.write([(name, BLOB), ("good", BLOB)])
    assert caught.value.reason == "UNSAFE_PATH"
    assert not arrival.dest.exists() or arrival.left() == []
