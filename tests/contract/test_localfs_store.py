"""The blob contract on local files, and what only files can show."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ferryhub.blobs import localfs
from ferryhub.blobs.localfs import LocalBlobStore
from ferryhub.blobs.store import PartBytes, StagedFile
from ferrywire.ids import new_id
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.contract.blob_store_suite import PART, BlobStoreSuite, Rig, content, put, put_all, read


class LocalRig(Rig):
    def __init__(self, root: Path) -> None:
        self.root = root

    def store(self) -> LocalBlobStore:
        return LocalBlobStore(self.root)

    def put(self, file: StagedFile, data: bytes, number: int) -> None:
        put(self.store(), file, data, number)


class TestLocalBlobStore(BlobStoreSuite):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        yield LocalRig(tmp_path / "store")

    def test_a_part_can_still_be_replaced_after_a_publish_that_was_cut_short(self, rig: Rig) -> None:
        file, old, new = rig.new(2 * PART), content(2 * PART), content(2 * PART, seed=2)
        rig.put_all(file, old)
        rig.publish(file)
        rig.put(file, new, 2)
        assert rig.publish(file) == []
        assert rig.read(file) == old[:PART] + new[PART:]


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobStore:
    return LocalBlobStore(tmp_path / "store")


def test_a_closed_writer_writes_no_more(store: LocalBlobStore) -> None:
    writer = store.open_part(StagedFile(new_id("upl"), 0, PART), 0)
    writer.write(memoryview(b"x"))
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write(memoryview(b"y"))


def test_staging_is_sparse_and_private(store: LocalBlobStore) -> None:
    [path] = store.staging_paths([StagedFile(new_id("upl"), 0, 1 << 40)])
    status = path.stat()
    assert status.st_size == 1 << 40
    assert status.st_blocks * 512 < MIB
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_published_blob_cannot_be_written(store: LocalBlobStore) -> None:
    file = StagedFile(new_id("upl"), 0, MIB)
    put_all(store, file, content(MIB))
    store.publish([file])
    assert stat.S_IMODE(store.blob_path(file.key).stat().st_mode) == 0o400


def test_an_old_staged_file_is_young_once_it_is_published(store: LocalBlobStore) -> None:
    file = StagedFile(new_id("upl"), 0, MIB)
    put_all(store, file, content(MIB))
    os.utime(store.stage(file), (0, 0))
    store.publish([file])
    (blob,) = store.blobs()
    assert blob.touched_at > 1_000_000_000


def events(monkeypatch: pytest.MonkeyPatch, *, fail: int | None = None) -> list[tuple[str, int]]:
    """What is made, written, renamed and synced from now on, in order, each with its inode. Syncs of the inode `fail`
    do."""
    seen: list[tuple[str, int]] = []
    real = {"fsync": os.fsync, "fdatasync": os.fdatasync, "pwrite": os.pwrite, "ftruncate": os.ftruncate}
    rename = Path.rename

    def watch(name: str, word: str, fd: int, *rest: object) -> object:
        inode = os.fstat(fd).st_ino
        if word == "synced" and inode == fail:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        seen.append((word, inode))
        return real[name](fd, *rest)  # type: ignore[operator]

    def renamed(self: Path, target: Path) -> Path:
        seen.append(("renamed", self.stat().st_ino))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", partial(watch, "fsync", "synced"))
    monkeypatch.setattr(localfs, "_datasync", partial(watch, "fdatasync", "synced"))
    monkeypatch.setattr(os, "pwrite", partial(watch, "pwrite", "written"))
    monkeypatch.setattr(os, "ftruncate", partial(watch, "ftruncate", "made"))
    monkeypatch.setattr(Path, "rename", renamed)
    return seen


def inode(path: Path) -> int:
    return path.stat().st_ino


def test_a_publish_syncs_the_names_that_it_has_given_and_taken(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StagedFile(new_id("upl"), 0, MIB)
    put_all(store, file, content(MIB))
    staged, seen = store.stage(file), events(monkeypatch)
    store.publish([file])
    blob = store.blob_path(file.key)
    at = seen.index(("renamed", inode(blob)))
    assert {("synced", inode(staged.parent)), ("synced", inode(blob.parent))} <= set(seen[at:])


def test_a_part_is_synced_and_then_its_name(store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StagedFile(new_id("upl"), 0, 2 * PART)
    seen = events(monkeypatch)
    put(store, file, content(2 * PART), 2)
    path = store.stage(file)
    of_file, uploads = inode(path), inode(path.parent.parent)
    order = [("synced", uploads), ("made", of_file), ("written", of_file), ("synced", of_file)]
    assert list(dict.fromkeys(seen)) == [*order, ("synced", inode(path.parent))]


def test_a_directory_that_somebody_made_and_never_synced_is_synced(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StagedFile(new_id("upl"), 0, 3)
    path = store.stage(file)
    seen = events(monkeypatch)
    again = LocalBlobStore(path.parents[2])
    assert again.keep([PartBytes(file, 0, memoryview(b"abc"))]) == [None]
    assert ("synced", inode(path.parents[1])) in seen


def test_parts_kept_together_are_synced_each_and_their_names_once(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = new_id("upl"), new_id("upl")
    files = [StagedFile(one, 0, 3), StagedFile(other, 0, 3), StagedFile(one, 1, 3)]
    seen = events(monkeypatch)
    assert store.keep([PartBytes(file, 0, memoryview(b"abc")) for file in files]) == [None] * 3
    paths = [store.stage(file) for file in files]
    assert [path.read_bytes() for path in paths] == [b"abc"] * 3
    for path in paths:
        at = seen.index(("written", inode(path)))
        assert seen[at:].count(("synced", inode(path))) == 1
        assert seen[seen.index(("synced", inode(path))) :].count(("synced", inode(path.parent))) == 1
        assert seen.count(("synced", inode(path.parent))) == 1


@pytest.mark.parametrize("what", ["file", "directory"])
def test_who_cannot_be_made_durable_is_told_and_nobody_else(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    bad, good = StagedFile(new_id("upl"), 0, 3), StagedFile(new_id("upl"), 0, 3)
    path = store.stage(bad)
    events(monkeypatch, fail=inode(path if what == "file" else path.parent))
    failure, fine = store.keep([PartBytes(file, 0, memoryview(b"abc")) for file in (bad, good)])
    assert fine is None and failure is not None and failure.reason == "IO_ERROR"
    assert failure.__traceback__ is None, "it would keep the bytes of all parts"


def test_names_that_could_not_be_synced_are_not_believed_until_the_session_is_gone(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StagedFile(new_id("upl"), 0, 3)
    with monkeypatch.context() as failing:
        events(failing, fail=inode(store.stage(file).parent))
        assert store.keep([PartBytes(file, 0, memoryview(b"abc"))]) != [None]
    for _ in range(2):
        assert store.keep([PartBytes(file, 0, memoryview(b"abc"))]) != [None], "the kernel has forgotten, we have not"
        with pytest.raises(FerryError):
            put_all(store, file, b"abc")
    store.discard(file.session_id)
    assert store.keep([PartBytes(file, 0, memoryview(b"abc"))]) == [None]


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
@pytest.mark.parametrize("what", ["open", "close", "bug"])
def test_a_part_that_cannot_be_written_spoils_no_other_and_leaves_no_file_open(
    store: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    bad, good = StagedFile(new_id("upl"), 0, 3), StagedFile(new_id("upl"), 0, 3)
    path, close, pwrite = store.stage(bad), os.close, os.pwrite
    if what == "open":
        path.unlink()
        path.symlink_to(tmp_path / "nowhere")

    def refuse(fd: int) -> None:
        failing = os.fstat(fd).st_ino == inode(path)
        close(fd)
        if failing:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    def bug(fd: int, *rest: object) -> int:
        if os.fstat(fd).st_ino != inode(path):
            raise ZeroDivisionError
        return pwrite(fd, *rest)  # type: ignore[arg-type]

    parts = [PartBytes(file, 0, memoryview(b"abc")) for file in (bad, good)]
    fds = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        if what == "close":
            patched.setattr(os, "close", refuse)
        if what == "bug":
            patched.setattr(os, "pwrite", bug)
            with pytest.raises(ZeroDivisionError):
                store.keep(parts)
        else:
            failure, fine = store.keep(parts)
            assert fine is None and (failure is None) == (what == "close"), "what is synced is durable"
            assert store.stage(good).read_bytes() == b"abc"
    assert len(os.listdir("/proc/self/fd")) == fds


def test_staging_files_are_made_and_then_their_names_durable(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, seen = new_id("upl"), events(monkeypatch)
    paths = store.staging_paths([StagedFile(session, index, 5) for index in range(20)])
    assert [path.stat().st_size for path in paths] == [5] * 20
    made = [("made", inode(path)) for path in paths]
    directory = paths[0].parent
    assert seen == [("synced", inode(directory.parent)), *made, ("synced", inode(directory))]


def test_a_crash_after_any_rename_of_a_publish_is_mended_by_a_repeat(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [StagedFile(new_id("upl"), index, MIB) for index in range(3)]
    for file in files:
        put_all(store, file, content(MIB, seed=file.file_index))
    rename, left = Path.rename, [0]

    def crash(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crash)
    for _ in range(2):
        left[0] = 1
        with pytest.raises(KeyboardInterrupt):
            store.publish(files)
    monkeypatch.undo()
    assert store.publish(files) == []
    assert [read(store, file.key) for file in files] == [content(MIB, seed=index) for index in range(3)]


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "DISK_FULL"), (errno.EROFS, "READ_ONLY"), (errno.EIO, "IO_ERROR")]
)
def test_the_systems_refusals_have_reasons(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    writer = store.open_part(StagedFile(new_id("upl"), 0, PART), 0)
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(FerryError) as caught:
        writer.write(memoryview(b"x"))
    writer.close()
    assert caught.value.reason == reason
    assert "freeBytes" in caught.value.metadata or reason != "DISK_FULL"


def test_a_full_disk_says_how_much_is_free(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    if os.system(f"mount -t tmpfs -o size=3m tmpfs {mount} 2>/dev/null"):
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        store, file = LocalBlobStore(mount), StagedFile(new_id("upl"), 0, 8 * MIB)
        writer = store.open_part(file, 0)
        with pytest.raises(FerryError) as caught:
            writer.write(memoryview(content(8 * MIB)))
        writer.close()
        assert caught.value.reason == "DISK_FULL"
        assert int(caught.value.metadata["freeBytes"]) < MIB
        store.discard(file.session_id)
        put_all(store, StagedFile(new_id("upl"), 0, MIB), content(MIB))
    finally:
        os.system(f"umount {mount}")


def test_a_symbolic_link_in_the_place_of_a_staging_file_is_not_followed(store: LocalBlobStore, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    file = StagedFile(new_id("upl"), 0, len(b"precious"))
    path = store.stage(file)
    path.unlink()
    path.symlink_to(victim)
    writer = store.open_part(file, 0)
    with pytest.raises(FerryError):
        writer.write(memoryview(b"spoilt!!"))
    writer.close()
    assert victim.read_bytes() == b"precious"
