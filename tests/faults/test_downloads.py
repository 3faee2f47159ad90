"""What goes wrong with a download, below the engine: damaged parts, files that others touch, a full disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ferryd.core.model import DownloadSpec, IfExists, Limits
from ferryd.core.states import State
from ferryd.lanes import durable
from ferryd.lanes import publish as publishing
from ferrywire.parts import MIB, part_count
from ferrywire.reasons import FerryError, Wait
from tests.support.engine import Bench, bench, cleaned

#: A short file, which comes in one go, and one of parts.
SIZES = [1, MIB + 1]


async def download(b: Bench, content: object, dest: Path) -> str:
    return (await b.engine.create_download(DownloadSpec(content.asset_id, str(dest)))).id  # type: ignore[attr-defined]


async def test_a_part_that_arrives_damaged_is_fetched_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})
        b.lanes.damaged = frozenset({2})
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED and len(b.lanes.received) == 4
        assert (tmp_path / "dest" / "f").read_bytes() == b"f" * (3 * MIB)


@pytest.mark.parametrize("size", SIZES)
async def test_damage_that_repeats_is_the_hubs(tmp_path: Path, size: int) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * size})
        b.lanes.damaged = frozenset(range(100))
        failed = await b.settled(await download(b, content, tmp_path / "dest"))
        assert failed.error is not None and failed.error.reason == "BLOB_DAMAGED"
        await cleaned(b)
        assert list(tmp_path.glob("dest/*")) == [], "neither a damaged file nor a part file stays"


@pytest.mark.parametrize("size", SIZES)
async def test_a_manifest_whose_parts_are_not_the_file_does_not_agree(tmp_path: Path, size: int) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * size})
        head, title, [(file, data, _)] = b.hub.contents[content.content_id]
        b.hub.contents[content.content_id] = (head, title, [(file, data, b"?" * 16)])
        failed = await b.settled(await download(b, content, tmp_path / "dest"))
        assert failed.error is not None and failed.error.reason == "BLOB_DAMAGED"
        assert "does not agree" in failed.error.message
        await cleaned(b)
        assert not list(tmp_path.glob("dest/*"))


@pytest.mark.parametrize("size", SIZES)
async def test_a_renamed_file_published_just_before_the_crash_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "f.txt").write_bytes(b"mine")
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f.txt": b"t" * size})

        def dying_after(call: Callable[..., None]) -> Callable[..., None]:
            def act(*arguments: object) -> None:
                call(*arguments[:-1], lambda _: None)
                raise FerryError("IO_ERROR", "as if it had died here", path=dest)

            return act

        monkeypatch.setattr(b.files, "publish", dying_after(b.files.publish))
        monkeypatch.setattr(b.files, "write", dying_after(b.files.write))
        spec = DownloadSpec(content.asset_id, str(dest), if_exists=IfExists.RENAME)
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED and done.attempts == 2
        [file] = (await b.engine.list_files(done.id)).items
        assert file.local_path == str(dest / "f (1).txt") and not file.skipped
        assert sorted(one.name for one in dest.iterdir()) == ["f (1).txt", "f.txt"]


def synced_names(monkeypatch: pytest.MonkeyPatch, dest: Path, *, fail: int = 0) -> list[str]:
    """The names, below `dest`, of what is synced while files are published. The first syncs of `dest` fail."""
    sync, names, failures = durable.sync_file, list[str](), iter(range(fail))

    def noted(fd: int) -> None:
        inode = os.fstat(fd).st_ino
        [name] = [path.name for path in (dest, *dest.rglob("*")) if path.stat().st_ino == inode]
        if name == dest.name and next(failures, None) is not None:
            raise OSError(errno.EIO, "Input/output error")
        names.append(name)
        sync(fd)

    monkeypatch.setattr(publishing, "sync_file", noted)
    return names


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", list(IfExists))
async def test_a_file_renamed_by_a_run_that_died_is_synced_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: IfExists, size: int
) -> None:
    dest = tmp_path / "dest"
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * size})
        names = synced_names(monkeypatch, dest)

        def die(files: Sequence[tuple[Path, Path]], *_: object) -> None:
            for part_file, final in files:
                part_file.rename(final)
            raise FerryError("IO_ERROR", "as if it had died here", path=dest)

        def die_early(dest_dir: str, files: Sequence[tuple[str, memoryview]], *_: object) -> None:
            dest.mkdir()
            for path, data in files:
                (dest / path).write_bytes(data)
            raise FerryError("IO_ERROR", "as if it had died here", path=dest)

        monkeypatch.setattr(b.files, "publish", die)
        monkeypatch.setattr(b.files, "write", die_early)
        spec = DownloadSpec(content.asset_id, str(dest), if_exists=policy)
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED, done.error
        assert names == ["f", "dest"]
        [file] = (await b.engine.list_files(done.id)).items
        assert file.digest and not file.skipped


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("failures", [1, 2])
async def test_a_download_whose_names_could_not_be_synced_is_renamed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, size: int
) -> None:
    dest = tmp_path / "dest"
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f" * size})
        names, renamed, rename = synced_names(monkeypatch, dest, fail=failures), list[str](), publishing._rename

        def noted(directory: int, part: str, *rest: object) -> str:
            renamed.append(part)
            return rename(directory, part, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(publishing, "_rename", noted)
        done = await b.settled(await download(b, content, dest))
        assert done.state is State.SUCCEEDED and done.attempts == failures + 1 and done.resent_bytes == 0
        assert len(renamed) == failures + 1, "each time anew"
        assert all(f".{done.id}." in name and name.endswith(".ferry-part") for name in renamed)
        times = failures + 1 if size < MIB else 1  # a short one comes anew
        assert len(b.lanes.received) == times * part_count(size, MIB)
        assert names == ["dest"]
        assert [path.name for path in dest.iterdir()] == ["f"]


async def test_expired_locations_are_renewed_once_for_all(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=2)) as b:
        content = b.hub.add_content({"f": b"f" * (4 * MIB)})
        b.lanes.faults.add("receive", FerryError("SIGNATURE_INVALID", "expired"), times=2)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED and b.hub.faults.calls["get_manifest"] in (2, 3)
        assert done.resent_bytes == 0, "a refused URL moves no byte"


async def test_a_full_disk_is_waited_for_and_what_is_there_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (4 * MIB)})
        full = FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)
        b.lanes.faults.add("receive", lambda: None, times=2)
        b.lanes.faults.add("receive", full, times=3)
        one = await download(b, content, tmp_path / "dest")
        waiting = await b.until(one, lambda it: it.waiting_for is Wait.SPACE)
        assert waiting.state is State.QUEUED and waiting.next_attempt_at is not None
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED and sorted(b.lanes.received) == [0, MIB, 2 * MIB, 3 * MIB]


async def test_a_resumed_download_keeps_to_its_version(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        old = b.hub.add_content({"f": b"1" * (3 * MIB)})

        def newer() -> None:
            b.hub.add_content({"f": b"2" * (3 * MIB)}, asset_id=old.asset_id)
            raise FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)

        b.lanes.faults.add("receive", lambda: None)
        b.lanes.faults.add("receive", newer)
        done = await b.settled(await download(b, old, tmp_path / "dest"))
        assert done.content_id == old.content_id
        assert (tmp_path / "dest" / "f").read_bytes() == b"1" * (3 * MIB)


async def test_part_rows_without_their_part_file_are_not_believed(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})

        def vanish() -> None:
            for part_file in (tmp_path / "dest").iterdir():
                part_file.unlink()
            raise FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)

        b.lanes.faults.add("receive", lambda: None, times=2)
        b.lanes.faults.add("receive", vanish)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED
        assert (tmp_path / "dest" / "f").read_bytes() == b"f" * (3 * MIB)
        assert sorted(b.lanes.received) == [0, 0, MIB, MIB, 2 * MIB]
        assert done.resent_bytes == 2 * MIB


@pytest.mark.parametrize("harm", [lambda part: part.write_bytes(b""), lambda part: os.truncate(part, MIB + 1)])
async def test_part_files_that_were_touched_meanwhile_are_not_believed(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})

        def stop() -> None:
            for part_file in (tmp_path / "dest").iterdir():
                harm(part_file)
            raise FerryError("DISK_FULL", "no space", path=tmp_path, freeBytes=0)

        b.lanes.faults.add("receive", lambda: None, times=2)
        b.lanes.faults.add("receive", stop)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert (tmp_path / "dest" / "f").read_bytes() == b"f" * (3 * MIB)
        assert b.lanes.looked_at == [0, MIB]
        assert done.resent_bytes in (MIB, 2 * MIB)


async def test_parts_that_are_here_already_do_not_count_as_progress(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"f": b"f" * (3 * MIB)})

        def fail() -> None:
            raise FerryError("IO_ERROR", "the disk fails", path=tmp_path)

        b.lanes.faults.add("receive", lambda: None)
        b.lanes.faults.add("receive", fail, times=100)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.FAILED and done.persisted_bytes == MIB


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_run_that_died_has_left_is_removed(tmp_path: Path, size: int) -> None:
    dest = tmp_path / "dest"
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"d/f": b"f" * size, "g": b"g"})

        def die() -> None:
            (dest / "d").mkdir(parents=True, exist_ok=True)
            (dest / "d" / f".{one}.0123-0.ferry-part").write_bytes(b"half")
            raise FerryError("IO_ERROR", "as if it had died here", path=dest)

        b.lanes.faults.add("receive", die)
        one = await download(b, content, dest)
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED and done.attempts == 2
        assert sorted(path.name for path in dest.rglob("*")) == ["d", "f", "g"]


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_run_that_died_has_left_is_removed_by_a_cancel_later(tmp_path: Path, size: int) -> None:
    dest = tmp_path / "dest"
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"d/f": b"f" * size, "e/g": b"g" * (3 * MIB)})

        def leave() -> None:
            (dest / "d").mkdir(parents=True, exist_ok=True)
            (dest / "d" / f".{one}.0123-0.ferry-part").write_bytes(b"half")

        def close_gate() -> None:
            b.lanes.gate = asyncio.Event()

        b.lanes.faults.add("receive", leave, times=part_count(size, MIB))
        b.lanes.faults.add("receive", close_gate)
        one = await download(b, content, dest)
        async with asyncio.timeout(10):
            await b.lanes.at_gate.wait()
        await b.engine.cancel(one)
        await cleaned(b)
        assert [path.name for path in dest.rglob("*") if path.is_file()] == ["f"], "what has its name stays"


async def test_what_cannot_be_looked_for_fails_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"f": b"f"})
        b.lanes.faults.add("receive", FerryError("IO_ERROR", "the disk hiccups", path=tmp_path))

        def refuse(*_: object) -> None:
            raise FerryError("DESTINATION_UNWRITABLE", "may not be listed", path=tmp_path)

        monkeypatch.setattr(b.files, "discard", refuse)
        done = await b.settled(await download(b, content, tmp_path / "dest"))
        assert done.state is State.SUCCEEDED and done.attempts == 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("policy", [IfExists.FAIL, IfExists.SKIP])
async def test_a_file_that_appears_meanwhile(tmp_path: Path, policy: IfExists, same: bool, size: int) -> None:
    """Such as another download's."""
    theirs = b"f" * size if same else b"mine"
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"a": b"a", "f": b"f" * size, "g": b"g"})
        b.lanes.faults.add("receive", lambda: (tmp_path / "f").write_bytes(theirs))
        spec = DownloadSpec(content.asset_id, str(tmp_path), if_exists=policy)
        done = await b.settled((await b.engine.create_download(spec)).id)
        files = {file.path: file for file in (await b.engine.list_files(done.id)).items}
        await cleaned(b)
    assert (tmp_path / "f").read_bytes() == theirs and not list(tmp_path.glob("*.ferry-part"))
    if policy is IfExists.FAIL and not same:
        assert done.error is not None and done.error.reason == "DESTINATION_EXISTS"
        return
    assert done.state is State.SUCCEEDED, done.error
    assert files["f"].skipped is not same and bool(files["f"].digest) is same


@pytest.mark.parametrize("policy", list(IfExists))
async def test_the_user_s_own_files_are_told_from_those_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: IfExists
) -> None:
    """However the first look ended, and however often the transfer began."""
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    async with bench(tmp_path) as b:
        content = b.hub.add_content({name: name.encode() for name in "abc"})
        exists, looked = b.files.exists, list[str]()

        def hiccup(path: str) -> bool:
            looked.append(path)
            if len(looked) == 2:
                raise FerryError("IO_ERROR", "the disk hiccups", path=tmp_path)
            return exists(path)

        monkeypatch.setattr(b.files, "exists", hiccup)
        b.lanes.faults.add("receive", FerryError("IO_ERROR", "once more", path=tmp_path))
        spec = DownloadSpec(content.asset_id, str(tmp_path), if_exists=policy)
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED and done.attempts == 3
        skipped = [file.path for file in (await b.engine.list_files(done.id)).items if file.skipped]
        assert skipped == ["a", "b"]


async def test_part_files_are_removed_though_some_place_is_no_directory(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "a").write_bytes(b"mine")
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"a/x": b"x", "a/y": b"y" * (MIB + 1), "z": b"z" * (3 * MIB)})
        failed = await b.settled(await download(b, content, dest))
        assert failed.error is not None and failed.error.reason == "DESTINATION_EXISTS"
        await cleaned(b)
        assert [path.name for path in dest.iterdir()] == ["a"]


async def test_a_download_that_is_stopped_while_it_compares_keeps_to_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"one")
    async with bench(tmp_path) as b:
        old = b.hub.add_content({"f": b"one"})
        digest, looked = b.files.digest, list[str]()

        def compare(*arguments: object) -> bytes:
            looked.append("f")
            if len(looked) == 1:
                b.hub.add_content({"f": b"two"}, asset_id=old.asset_id)
                raise FerryError("IO_ERROR", "the disk hiccups", path=tmp_path)
            return digest(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(b.files, "digest", compare)
        one = await download(b, old, tmp_path)
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED, done.error
        assert (done.content_id, done.attempts, (tmp_path / "f").read_bytes()) == (old.content_id, 2, b"one")


async def test_a_copy_that_rename_would_make_is_not_taken_for_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"mine")
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:
        content = b.hub.add_content({"a (1).txt": b"same", "a.txt": b"same"})
        b.lanes.faults.add("receive", lambda: None)
        b.lanes.faults.add("receive", FerryError("IO_ERROR", "the disk fails", path=tmp_path))
        spec = DownloadSpec(content.asset_id, str(tmp_path), if_exists=IfExists.RENAME)
        done = await b.settled((await b.engine.create_download(spec)).id)
        assert done.state is State.SUCCEEDED and done.attempts == 2
        names = sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".txt")
        assert names == ["a (1).txt", "a (2).txt", "a.txt"]
