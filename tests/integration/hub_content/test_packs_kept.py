"""Packs that `ferryhub verify` reads, and that `ferryhub backup` and `restore` copy."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import httpx
import pytest

from ferryhub.blobs.copies import BlobCopier
from ferryhub.catalogue import checks
from tests.integration.hub_content.rig import Person, content, running
from tests.integration.hub_content.test_backup import ferryhub
from tests.integration.hub_content.test_packs import SMALL, Own, Place, ann, place, read, somebody, uploaded
from tests.integration.hub_content.test_verify import verify

__all__ = ["ann", "place"]

pytestmark = pytest.mark.slow


async def test_verify_names_the_file_of_a_pack_that_is_damaged(place: Place, ann: Person) -> None:
    await uploaded(ann, SMALL)
    [key], body = place.keys, bytearray(b"".join(SMALL))
    body[2500] ^= 1
    await asyncio.to_thread(place.spoil, key, bytes(body))
    result, _, code = await verify(place.rig, None)
    assert (code, [each["path"] for each in result["found"]]) == (1, ["f2"])
    await asyncio.to_thread(place.spoil, key, b"".join(SMALL)[:3500])
    result, _, _ = await verify(place.rig, None)
    problems = {(each["path"], each["problem"]) for each in result["found"]}
    short = "is in a pack that has 3500 bytes and should have 4000"
    assert problems == {*((f"f{index}", short) for index in range(4)), ("f3", "other bytes than were stored")}


@pytest.mark.parametrize("words", [(), ("--link",)])
async def test_a_backup_has_packs(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with running(tmp_path / "hub") as rig:
        ann = await somebody(rig)
        made = await uploaded(ann, SMALL)
        code, _, error = await ferryhub("backup", tmp_path / "backup", rig.root, *words)
        assert (code, error) == (0, "")
    code, said, error = await ferryhub("restore", tmp_path / "backup", tmp_path / "restored")
    assert (code, error) == (0, "")
    assert "all as they were" in said
    async with running(tmp_path / "restored") as restored:
        again = Person(restored.url, ann.token)
        again.http.base_url = httpx.URL(again.url)
        assert await read(again, made.asset_id) == {f"f{index}": data for index, data in enumerate(SMALL)}
        assert (await verify(restored, None))[2] == 0
        await again.http.aclose()


async def test_a_backup_names_the_file_of_a_pack_that_is_damaged_and_has_the_others(tmp_path: Path) -> None:
    async with running(tmp_path / "hub") as rig:
        ann, place = await somebody(rig), Own(rig)
        made = await uploaded(ann, SMALL)
        [key], body = place.keys, bytearray(b"".join(SMALL))
        body[2500] ^= 1
        place.spoil(key, bytes(body))
        for _ in range(2):  # it is not forgotten
            code, _, error = await ferryhub("backup", tmp_path / "backup", rig.root)
            assert (code, error.count("not copied"), "'f2'" in error) == (1, 1, True)
    code, _, error = await ferryhub("restore", tmp_path / "backup", tmp_path / "restored")
    assert (code, "'f2'" in error) == (1, True)
    async with running(tmp_path / "restored") as restored:
        again = Person(restored.url, ann.token)
        again.http.base_url = httpx.URL(again.url)
        assert (await read(again, made.asset_id))["f3"] == SMALL[3]
        await again.http.aclose()


async def test_a_backup_has_a_pack_once_it_is_mended(tmp_path: Path) -> None:
    async with running(tmp_path / "hub") as rig:
        ann, place = await somebody(rig), Own(rig)
        await uploaded(ann, SMALL)
        [key], body = place.keys, b"".join(SMALL)
        place.spoil(key, body[:-1] + b"\0")
        assert (await ferryhub("backup", tmp_path / "backup", rig.root))[0] == 1
        place.spoil(key, body)
        assert (await ferryhub("backup", tmp_path / "backup", rig.root))[0] == 0
    assert (await ferryhub("restore", tmp_path / "backup", tmp_path / "restored"))[0] == 0


async def test_what_cannot_be_read_of_a_pack_costs_a_backup_the_files_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datas = [content(200_000, seed=seed) for seed in range(4)]
    async with running(tmp_path / "hub") as rig:
        ann = await somebody(rig)
        await uploaded(ann, datas)
        rows = await rig.database.read(checks.files_after, "", -1, 10)
    pread = os.pread

    def bad(fd: int, count: int, offset: int) -> bytes:
        if offset == 262_144 and count == 65_536:
            raise OSError(errno.EIO, "Input/output error")
        return pread(fd, count, offset)

    copier = BlobCopier(tmp_path / "hub" / "blobs", tmp_path / "copies")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", bad)
        found = [copier.copy(row) for row in rows]
    assert [damage is None for damage in found] == [True, False, True, True]
    assert (copier.files, copier.size_bytes) == (3, 600_000)
    copier.finish()
    again = BlobCopier(tmp_path / "hub" / "blobs", tmp_path / "copies")
    assert [again.copy(row) for row in rows] == [None] * 4, "what can be read now is copied now"
    again.finish()
    assert (again.files, BlobCopier(tmp_path / "hub" / "blobs", tmp_path / "copies").copy(rows[0])) == (4, None)


async def test_a_pack_that_cannot_be_read_at_all_gets_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path / "hub") as rig:
        ann = await somebody(rig)
        await uploaded(ann, SMALL)
        rows = await rig.database.read(checks.files_after, "", -1, 10)

    def bad(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", bad)
        found = [BlobCopier(tmp_path / "hub" / "blobs", tmp_path / "copies").copy(row) for row in rows]
    assert [damage.problem for damage in found if damage] == ["cannot be read: Input/output error"] * 4
    assert not [path for path in (tmp_path / "copies").rglob("*") if path.is_file()]
