"""`ferryhub backup` beside a hub that takes uploads, and `ferryhub restore`: the same bytes, or a refusal."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferryhub.catalogue.locations import StorageLocation, add
from tests.integration.hub_content.rig import PART, Person, Rig, content, file_of, running

BIG, SMALL = content(2 * PART + 5), content(7)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """On SQLite alone."""
    async with running(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def backup_dir(tmp_path: Path) -> Path:
    return tmp_path / "backup"


async def ferryhub(command: str, backup_dir: Path, state_dir: Path, *words: str) -> tuple[int, str, str]:
    env = {name: value for name, value in os.environ.items() if name != "FERRYHUB_DATABASE"}
    line = [sys.executable, "-m", "ferryhub", command, str(backup_dir), "--state-dir", str(state_dir), *words]
    done = await asyncio.to_thread(subprocess.run, line, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


async def test_uploads_go_on_meanwhile(rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path) -> None:
    """What was committed before comes back, byte by byte; what is committed meanwhile does so whole or not at all."""
    before = await alice.upload({"big": BIG, "small": SMALL, "empty": b""})
    made, ended = [before], asyncio.Event()

    async def uploads() -> None:
        while not ended.is_set():
            made.append(await alice.upload({"f": content(PART + 1, seed=len(made))}))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uploads())
        assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
        ended.set()
    assert len(made) > 1
    code, said, error = await ferryhub("restore", backup_dir, restored_dir := tmp_path / "restored")
    assert code == 0, error
    assert "all as they were" in said
    assert (backup_dir.stat().st_mode & 0o777, restored_dir.stat().st_mode & 0o777) == (0o700, 0o700)
    async with running(restored_dir) as restored:
        ada = Person(restored.url, alice.token, alice.project_id)
        assert await ada.download(before.asset_id) == {"big": BIG, "small": SMALL, "empty": b""}
        assert (await ada.manifest(before.asset_id)).content.digest == before.digest
        later = await ada.upload({"f": SMALL}, asset_id=before.asset_id)
        assert later.version == 2
        await ada.http.aclose()


async def test_again_copies_what_is_new(rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path) -> None:
    first = await alice.upload({"big": BIG})
    await ferryhub("backup", backup_dir, rig.root)
    second = await alice.upload({"small": SMALL})
    code, said, _ = await ferryhub("backup", backup_dir, rig.root)
    assert (code, said) == (0, f"2 files, {len(BIG) + 7} bytes; copied now: 1 files, 7 bytes\n")
    assert len(list(backup_dir.glob("cat_*"))) == 1
    assert (await ferryhub("restore", backup_dir, tmp_path / "restored"))[0] == 0
    async with running(tmp_path / "restored") as restored:
        ada = Person(restored.url, alice.token)
        assert [await ada.download(each.asset_id) for each in (first, second)] == [{"big": BIG}, {"small": SMALL}]
        await ada.http.aclose()


async def test_links(rig: Rig, alice: Person, backup_dir: Path) -> None:
    await alice.upload({"big": BIG})
    assert (await ferryhub("backup", backup_dir, rig.root, "--link"))[0] == 0
    [source] = [path for path in rig.files if path.stat().st_size == len(BIG)]
    assert source.stat().st_nlink == 2


async def test_one_that_was_cut_short_is_refused(rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path) -> None:
    """It was killed before its manifest was written; begun again it is finished."""
    await alice.upload({"big": BIG})
    backup_dir.mkdir()
    (backup_dir / "blobs").write_text("a file where a directory must be stops it in the middle")
    (backup_dir / "backup.lock").touch()
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 1
    assert list(backup_dir.glob("cat_*.db")), "the catalogue was there already"
    code, _, error = await ferryhub("restore", backup_dir, tmp_path / "restored")
    assert (code, "holds no whole backup" in error) == (1, True)
    assert not (tmp_path / "restored").exists()
    (backup_dir / "blobs").unlink()
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
    assert (await ferryhub("restore", backup_dir, tmp_path / "restored"))[0] == 0


async def test_a_later_one_that_is_cut_short_leaves_the_one_before(
    rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path
) -> None:
    made = await alice.upload({"big": BIG})
    await ferryhub("backup", backup_dir, rig.root)
    await alice.upload({"small": SMALL})
    (backup_dir / "manifest.json.unfinished").mkdir()
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 1
    assert (await ferryhub("restore", backup_dir, tmp_path / "restored"))[0] == 0
    async with running(tmp_path / "restored") as restored:
        ada = Person(restored.url, alice.token)
        assert await ada.download(made.asset_id) == {"big": BIG}
        await ada.http.aclose()


async def test_damage_is_named_and_the_rest_comes_back(
    rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path
) -> None:
    made = await alice.upload({"big": BIG, "small": SMALL})
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
    [stored] = [path for path in (backup_dir / "blobs").rglob("*") if path.is_file() and path.stat().st_size > 7]
    stored.chmod(0o600)
    stored.write_bytes(BIG[:PART] + b"\0" + BIG[PART + 1 :])
    code, said, error = await ferryhub("restore", backup_dir, tmp_path / "restored")
    named = f"{made.asset_id} version 1: 'big' blocks 2 to 3: other bytes than were stored"
    assert (code, named in error) == (1, True)
    assert "1 files with bytes, 7 bytes, all but 1 as they were" in said
    assert [path.stat().st_size for path in (tmp_path / "restored" / "blobs").rglob("*") if path.is_file()] == [7]


async def test_what_has_not_arrived_is_not_promised(rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path) -> None:
    """The parts of an open upload are not in the backup: the restored hub asks for them again."""
    session = await alice.create([file_of("big", BIG)])
    await alice.send_part(session.session_id, 0, 1, BIG)
    await ferryhub("backup", backup_dir, rig.root)
    assert await alice.stored(session.session_id) == [(0, 1)]
    await ferryhub("restore", backup_dir, tmp_path / "restored")
    async with running(tmp_path / "restored") as restored:
        ada = Person(restored.url, alice.token)
        assert await ada.stored(session.session_id) == []
        await ada.send(session.session_id, {0: BIG})
        made = await ada.commit(session.session_id, [BIG])
        assert await ada.download(made.asset_id) == {"big": BIG}
        await ada.http.aclose()


async def test_directories_that_are_not_empty_are_refused(rig: Rig, alice: Person, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    code, _, error = await ferryhub("backup", other, rig.root)
    assert (code, "is not empty and holds no backup" in error) == (1, True)
    assert (await ferryhub("backup", tmp_path / "backup", rig.root))[0] == 0
    code, _, error = await ferryhub("restore", tmp_path / "backup", other)
    assert (code, "is not empty" in error) == (1, True)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


async def test_a_damaged_catalogue_is_refused(rig: Rig, backup_dir: Path, tmp_path: Path) -> None:
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
    catalogue = backup_dir / json.loads((backup_dir / "manifest.json").read_text())["catalogue"]
    with catalogue.open("ab") as file:
        file.write(b"\0")
    code, _, error = await ferryhub("restore", backup_dir, tmp_path / "restored")
    assert (code, "missing or damaged" in error) == (1, True)
    shutil.rmtree(backup_dir)


async def test_a_bucket_without_contents_is_not_spoken_of(rig: Rig, backup_dir: Path) -> None:
    await rig.database.write(add, StorageLocation("lake", "s3", {"bucket": "b"}))
    code, _, error = await ferryhub("backup", backup_dir, rig.root)
    assert (code, error) == (0, "")
