"""Where downloads go: never outside the directory, never over another file, never half."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from ferryd.core.model import IfExists
from ferryd.lanes import destination, durable
from ferryd.lanes import publish as publishing
from ferryd.lanes.files import LocalFiles
from ferrywire.digest import of_bytes
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError
from tests.support.meters import CountingMeter

FILES = LocalFiles(umask=0o022)
TRANSFER = new_id("trf")

BAD_NAMES = [
    "",
    "/abs",
    "../x",
    "a/../../b",
    "a/./b",
    "a//b",
    "a/",
    ".",
    "..",
    "nul\0",
    "x" * 256,
    "é" * 128,
    "a/" + "b" * 300,
    "\ud800",
]
ODD_BUT_GOOD = [".git/hooks/x", "-rf", "new\nline", "a\\b", "con", "\u202egnp.exe", "…", "x" * 255, "a/b/c/d/e", " "]


def prepare(dest_dir: str, path: str, size_bytes: int, transfer_id: str) -> Path:
    return FILES.prepare(dest_dir, path, size_bytes, transfer_id)


def resolve(dest_dir: str, path: str) -> Path:
    return Path(FILES.resolve(dest_dir, path))


def published(part: Path, final: Path, if_exists: IfExists) -> Path:
    names: list[Path] = []
    FILES.publish([(part, final)], if_exists, names.append)
    return names[0]


class SyncedFiles:
    """What is synced while files are made and published, in order; a sync of `failing` fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: Path | None = None) -> None:
        self.inodes: list[int] = []
        self.failing = failing
        for module in (destination, publishing):
            monkeypatch.setattr(module, "sync_file", self._sync)

    def _sync(self, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        if self.failing is not None and inode == self.failing.stat().st_ino:
            raise OSError(errno.EIO, "Input/output error")
        self.inodes.append(inode)
        durable.sync_file(fd)


def reason_of(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(FerryError) as caught:
        call(*args)
    assert set(caught.value.row.metadata) <= set(caught.value.metadata)
    for value in caught.value.metadata.values():
        value.encode()
    return caught.value.reason


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    assert reason_of(prepare, str(tmp_path / "d"), name, 1, TRANSFER) == "UNSAFE_PATH"
    assert reason_of(resolve, str(tmp_path / "d"), name) == "UNSAFE_PATH"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ODD_BUT_GOOD)
def test_odd_names_are_kept_inside(tmp_path: Path, name: str) -> None:
    dest = str(tmp_path / "d")
    part = prepare(dest, name, 3, TRANSFER)
    part.write_bytes(b"abc")
    final = published(part, resolve(dest, name), IfExists.FAIL)
    assert final == tmp_path / "d" / name
    assert final.read_bytes() == b"abc"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [final]


def test_the_part_file_lies_beside_and_keeps_its_bytes(tmp_path: Path) -> None:
    tmp_path = tmp_path / "made" / "on demand"
    part = prepare(str(tmp_path), "a/b.csv", 5, TRANSFER)
    assert part == tmp_path / "a" / f".b.csv.{TRANSFER}.ferry-part"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == stat.S_IMODE(tmp_path.parent.stat().st_mode) == 0o755
    assert part.read_bytes() == bytes(5)
    assert stat.S_IMODE(part.stat().st_mode) == 0o644
    part.write_bytes(b"abcde")
    assert prepare(str(tmp_path), "a/b.csv", 5, TRANSFER).read_bytes() == b"abcde"
    final = published(part, resolve(str(tmp_path), "a/b.csv"), IfExists.FAIL)
    assert stat.S_IMODE(final.stat().st_mode) == 0o644
    assert stat.S_IMODE(final.parent.stat().st_mode) == 0o755


@pytest.mark.parametrize("place", ["dir", "dir/sub", "dir/sub/deeper"])
def test_a_link_below_the_directory_is_never_followed(tmp_path: Path, place: str) -> None:
    dest, outside = tmp_path / "dest", tmp_path / "outside"
    outside.mkdir()
    link = dest / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    assert reason_of(prepare, str(dest), "dir/sub/deeper/file", 1, TRANSFER) == "UNSAFE_PATH"
    assert list(outside.iterdir()) == []


def test_a_part_file_that_is_not_ours_is_not_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    part = prepare(str(tmp_path / "d"), "x", 100, TRANSFER)
    for make in (part.symlink_to, part.hardlink_to):
        part.unlink()
        make(victim)
        assert reason_of(prepare, str(tmp_path / "d"), "x", 100, TRANSFER) == "UNSAFE_PATH"
    assert victim.read_text() == "precious"


def test_a_file_where_a_directory_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    assert reason_of(prepare, str(tmp_path), "a/b", 1, TRANSFER) == "DESTINATION_EXISTS"


def test_a_directory_that_swaps_to_a_link_and_back_never_leads_outside(tmp_path: Path) -> None:
    dest, outside = tmp_path / "dest", tmp_path / "outside"
    (dest / "dir").mkdir(parents=True)
    outside.mkdir()
    stop = threading.Event()

    def swap() -> None:
        for number in range(1_000_000):
            if stop.is_set():
                return
            with contextlib.suppress(OSError):  # the other side makes the directory anew: as often, it was quicker
                (dest / "dir").rename(dest / f"kept{number}")
                (dest / "dir").symlink_to(outside)
                (dest / "dir").unlink()

    thread = threading.Thread(target=swap)
    thread.start()
    refusals = 0
    try:
        for number in range(2000):
            try:
                prepare(str(dest), f"dir/{number % 50}", 1, TRANSFER)
            except FerryError:
                refusals += 1
    finally:
        stop.set()
        thread.join()
    assert list(outside.iterdir()) == []
    assert refusals < 2000


def complete(directory: Path, data: bytes = b"new") -> tuple[Path, Path]:
    part = prepare(str(directory), "data.tar.gz", len(data), TRANSFER)
    part.write_bytes(data)
    return part, resolve(str(directory), "data.tar.gz")


@pytest.fixture(params=["renameat2", "link", "look"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    def cannot(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "cannot")

    if request.param in ("link", "look"):
        monkeypatch.setattr(publishing, "_by_renameat2", cannot)
    if request.param == "look":
        monkeypatch.setattr(publishing, "_by_link", cannot)
    return str(request.param)


@pytest.mark.parametrize("taken_by", ["file", "dangling link", "directory"])
def test_a_name_that_is_taken(way: str, tmp_path: Path, taken_by: str) -> None:
    part, final = complete(tmp_path)
    match taken_by:
        case "file":
            final.write_bytes(b"old")
        case "dangling link":
            final.symlink_to("nowhere")
        case _:
            final.mkdir()
    assert FILES.exists(final)
    assert reason_of(published, part, final, IfExists.FAIL) == "DESTINATION_EXISTS"
    assert part.read_bytes() == b"new"
    renamed = published(part, final, IfExists.RENAME)
    assert renamed.name == "data.tar (1).gz"
    assert renamed.read_bytes() == b"new"
    part, _ = complete(tmp_path, b"newer")
    assert published(part, final, IfExists.RENAME).name == "data.tar (2).gz"
    part, _ = complete(tmp_path)
    assert reason_of(published, part, final, IfExists.SKIP) == "DESTINATION_EXISTS"
    assert not part.exists()
    if taken_by == "file":
        assert final.read_bytes() == b"old"


def test_replace_replaces_the_name_and_not_what_it_links_to(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "data.tar.gz").symlink_to(victim)
    part, final = complete(tmp_path / "d")
    assert published(part, final, IfExists.REPLACE).read_bytes() == b"new"
    assert not final.is_symlink()
    assert victim.read_bytes() == b"precious"


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    part, final = complete(tmp_path)
    final.mkdir()
    assert reason_of(published, part, final, IfExists.REPLACE) == "DESTINATION_EXISTS"


def test_of_many_that_publish_one_name_exactly_one_gets_it(tmp_path: Path) -> None:
    parts = [prepare(str(tmp_path), "x", 1, new_id("trf")) for _ in range(20)]
    final, won, start = tmp_path / "x", [], threading.Barrier(20)

    def race(part: Path) -> None:
        start.wait()
        try:
            won.append(published(part, final, IfExists.FAIL))
        except FerryError as error:
            assert error.reason == "DESTINATION_EXISTS"

    threads = [threading.Thread(target=race, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [final]


def test_a_failed_fsync_leaves_no_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, final = complete(tmp_path)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    assert reason_of(published, part, final, IfExists.REPLACE) == "IO_ERROR"
    assert not final.exists()


def test_a_full_disk_is_noticed_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(FerryError) as caught:
        prepare(str(tmp_path), "huge", 1 << 60, TRANSFER)
    assert caught.value.reason == "DISK_FULL"
    assert int(caught.value.metadata["freeBytes"]) > 0


def test_destinations_are_checked_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FILES.check_destination(str(tmp_path / "not" / "yet" / "there"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert reason_of(FILES.check_destination, str(tmp_path / "file")) == "DESTINATION_UNWRITABLE"
    assert reason_of(FILES.check_destination, str(tmp_path / "file" / "below")) == "DESTINATION_UNWRITABLE"
    (tmp_path / "link").symlink_to("nowhere")
    assert reason_of(FILES.check_destination, str(tmp_path / "link")) == "DESTINATION_UNWRITABLE"
    assert reason_of(FILES.check_destination, "") == "INVALID_ARGUMENT"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert reason_of(FILES.check_destination, str(tmp_path)) == "DESTINATION_UNWRITABLE"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize(("dest_dir", "name"), [("/proc", "x"), ("/proc/no-such", "x"), ("/proc/no/such", "a/x")])
def test_where_nothing_can_be_made_it_is_not_tried_again(dest_dir: str, name: str) -> None:
    assert reason_of(prepare, dest_dir, name, 0, TRANSFER) == "DESTINATION_UNWRITABLE"


def test_a_directory_removed_meanwhile_is_no_lack_of_rights(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    fd = os.open(tmp_path / "d", os.O_RDONLY)
    try:
        (tmp_path / "d").rmdir()
        assert reason_of(destination._make_part, fd, tmp_path / "d" / "x", 0, 0o644) == "IO_ERROR"
    finally:
        os.close(fd)


def test_digest_and_discard(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1_000_000)
    assert FILES.digest(path, CountingMeter()) == of_bytes(path.read_bytes())
    (tmp_path / "link").symlink_to(path)
    assert FILES.digest(tmp_path / "link", CountingMeter()) == b""
    assert FILES.digest(tmp_path, CountingMeter()) == b""


def test_the_part_files_of_a_transfer_are_removed_and_nothing_else(tmp_path: Path) -> None:
    part = prepare(str(tmp_path / "d"), "x", 5, TRANSFER)
    other = prepare(str(tmp_path / "d"), "x", 5, new_id("trf"))
    passing = [part.with_name(name) for name in destination.passing_names(TRANSFER, 2)]
    for path in passing:
        path.touch()
    (tmp_path / "file").touch()
    kept = [tmp_path / "d" / name for name in ("x", f".{TRANSFER}.x", f"{TRANSFER}.ferry-part")]
    for path in kept:
        path.touch()
    stuck = part.with_name(f".1.{TRANSFER}.ferry-part")
    stuck.mkdir()
    places = [str(tmp_path / place) for place in ("file/below", "missing", "d", "x" * 300)]
    assert reason_of(FILES.discard, places, TRANSFER) == "IO_ERROR", "told when everything else is gone"
    assert sorted((tmp_path / "d").iterdir()) == sorted([other, stuck, *kept])


def test_long_names_of_the_same_beginning_have_part_files_of_their_own(tmp_path: Path) -> None:
    names = [f"{'測' * 75} {number}.csv" for number in range(3)] + ["x" * 255, "x" * 254 + "y"]
    parts = [prepare(str(tmp_path), name, 1, TRANSFER) for name in names]
    assert len(set(parts)) == len(names) and all(len(os.fsencode(part.name)) <= 255 for part in parts)
    assert parts == [prepare(str(tmp_path), name, 1, TRANSFER) for name in names], "found again"


def test_names_that_were_found_to_be_right_stay_when_nothing_says_that_they_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    synced = SyncedFiles(monkeypatch, failing=tmp_path)
    assert reason_of(FILES.confirm, [(None, tmp_path / "x")]) == "IO_ERROR"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    synced.failing = None
    FILES.confirm([(None, tmp_path / "x")])
    assert synced.inodes[-2:] == [(tmp_path / "x").stat().st_ino, tmp_path.stat().st_ino]


def test_a_directory_is_synced_once_for_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [
        (prepare(str(tmp_path), f"{top}/{number}", 0, TRANSFER), resolve(str(tmp_path), f"{top}/{number}"))
        for top in "ab"
        for number in range(20)
    ]
    synced = SyncedFiles(monkeypatch)
    names: list[Path] = []
    FILES.publish(pairs, IfExists.FAIL, names.append)
    finals = [final for _, final in pairs]
    assert names == finals
    directories = [tmp_path / "a", tmp_path / "b"]
    assert synced.inodes == [path.stat().st_ino for path in directories], "the files were durable before"
    synced.inodes.clear()
    FILES.confirm(pairs)
    assert sorted(synced.inodes) == sorted(path.stat().st_ino for path in [*finals, *directories])
    assert all(final.exists() for final in finals)


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002, 0o277, 0o777])
def test_the_users_umask_says_what_the_file_may_and_the_daemon_can_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    files, names = LocalFiles(umask), list[Path]()
    for _ in range(2):
        part = files.prepare(str(tmp_path), "x", 5, TRANSFER)
        assert stat.S_IMODE(part.stat().st_mode) & 0o600 == 0o600
    synced = SyncedFiles(monkeypatch)
    inode = part.stat().st_ino
    files.publish([(part, tmp_path / "x")], IfExists.FAIL, names.append)
    assert stat.S_IMODE(names[0].stat().st_mode) == 0o666 & ~umask
    assert synced.inodes == ([inode] if umask & 0o600 else []) + [tmp_path.stat().st_ino]


def test_what_took_the_place_of_a_part_file_is_not_published(tmp_path: Path) -> None:
    part, final = complete(tmp_path)
    (tmp_path / "other").write_bytes(b"precious")
    part.unlink()
    part.symlink_to(tmp_path / "other")
    assert reason_of(published, part, final, IfExists.REPLACE) == "UNSAFE_PATH"
    assert not os.path.lexists(final)


def test_a_part_file_that_goes_while_it_is_opened_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(name: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "as if somebody had it", name)
        return really(name, flags, *rest, dir_fd=dir_fd)

    really, synced = os.open, SyncedFiles(monkeypatch)
    monkeypatch.setattr(os, "open", taken)
    assert prepare(str(tmp_path), "x", 5, TRANSFER).stat().st_size == 5
    assert len(synced.inodes) == 1


def test_part_files_are_synced_when_no_part_will_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = SyncedFiles(monkeypatch)
    for _ in range(2):
        empty = prepare(str(tmp_path), "empty", 0, TRANSFER)
    assert synced.inodes == [empty.stat().st_ino] * 2, "who made it may have died before the sync"
    synced.inodes.clear()
    for _ in range(2):
        part = prepare(str(tmp_path), "x", 5, TRANSFER)
    assert synced.inodes == [], "with its first part"
    part.chmod(0o600)  # as an earlier release made them; all parts may be here
    assert stat.S_IMODE(prepare(str(tmp_path), "x", 5, TRANSFER).stat().st_mode) == 0o644
    os.truncate(part, 3)
    assert prepare(str(tmp_path), "x", 5, TRANSFER).stat().st_size == 5
    assert synced.inodes == [part.stat().st_ino] * 2


def test_names_whose_sync_failed_are_given_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["first", "second"]
    pairs = [(prepare(str(tmp_path), name, 0, TRANSFER), tmp_path / name) for name in names]
    synced = SyncedFiles(monkeypatch, failing=tmp_path)
    done: list[Path] = []
    assert reason_of(FILES.publish, pairs, IfExists.FAIL, done.append) == "IO_ERROR"
    assert done == [] and sorted(tmp_path.iterdir()) == sorted(part for part, _ in pairs)
    for part, final in pairs:
        part.rename(final)  # as the run left them that died before it synced
    assert reason_of(FILES.confirm, pairs) == "IO_ERROR"
    assert sorted(tmp_path.iterdir()) == sorted(part for part, _ in pairs)
    synced.failing = None
    FILES.publish(pairs, IfExists.FAIL, done.append)
    assert done == [final for _, final in pairs]


def test_names_whose_sync_failed_stay_when_they_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, final = complete(tmp_path)
    (tmp_path / "theirs").write_bytes(b"old")

    def replaced(fd: int) -> None:
        (tmp_path / "theirs").rename(final)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(publishing, "sync_file", replaced)
    assert reason_of(published, part, final, IfExists.FAIL) == "IO_ERROR"
    assert list(tmp_path.iterdir()) == [final] and final.read_bytes() == b"old"


def test_files_before_one_that_cannot_be_published_are(tmp_path: Path) -> None:
    names = ["first", "taken", "last"]
    pairs = [(prepare(str(tmp_path), name, 0, TRANSFER), tmp_path / name) for name in names]
    (tmp_path / "taken").mkdir()
    done: list[Path] = []
    assert reason_of(FILES.publish, pairs, IfExists.FAIL, done.append) == "DESTINATION_EXISTS"
    assert done == [tmp_path / "first"]
    assert not (tmp_path / "last").exists()
