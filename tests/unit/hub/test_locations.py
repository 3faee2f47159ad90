"""Storage locations and allocations: where bytes go, and that no two uploads take the last of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferryhub.catalogue import assets, contents, locations, owners, sessions
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.locations import PartRules, StorageLocation
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.sessions import NewUpload, Terms
from ferryhub.catalogue.summary import FileSummary, Summary
from ferrywire.ids import new_id
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.unit.hub.conftest import QUOTA_BYTES, Catalogue, fails

TERMS = Terms(ttl_us=10**12, quota_bytes=QUOTA_BYTES)
OPTIONS = {"bucket": "b", "checksum": "crc64nvme", "least_part_bytes": 5 * MIB, "most_file_bytes": 1 << 30}


def lake(name: str = "lake", **options: Any) -> StorageLocation:
    return StorageLocation(name, "s3", OPTIONS | options)


async def open_session(
    catalogue: Catalogue, actor: Actor, owner: Any, size: int, part_bytes: int = MIB, title: str = "T"
) -> Any:
    kind, owner_id = ("user", owner.principal_id) if isinstance(owner, Actor) else ("project", owner.id)
    new = NewUpload(
        target=assets.NewAsset(title, kind, owner_id),
        files=[ManifestFile("f", size, part_bytes)],
        total_size_bytes=size,
        total_file_count=1,
        message="",
        request_id=new_id("req"),
        fingerprint=b"x",
    )
    return await catalogue.do(sessions.open_session, actor, new, TERMS, 0)


async def usage(catalogue: Catalogue, name: str = "lake") -> tuple[int, int]:
    (row,) = [row for row in await catalogue.do(locations.allocations) if row.storage_location == name]
    return row.used_bytes, row.reserved_bytes


async def test_the_hubs_own_files_are_there_and_first(catalogue: Catalogue) -> None:
    assert await catalogue.do(locations.listing) == [locations.OWN]
    await catalogue.do(locations.add, lake())
    assert await catalogue.do(locations.listing) == [locations.OWN, lake()]
    assert (await catalogue.do(locations.find, "lake")).rules == PartRules(5 * MIB, 1 << 30, "crc64nvme")
    assert (await catalogue.do(locations.find, "default")).rules == PartRules(pack_bytes=locations.PACK_BYTES)


async def test_names_are_few_and_taken_once(catalogue: Catalogue) -> None:
    await catalogue.do(locations.add, lake())
    for name in ("lake", "default"):
        with fails("NAME_TAKEN", name=name):
            await catalogue.do(locations.add, lake(name))
    for name in ("", "Lake", "a b", "../x", "-x", "x" * 33):
        with fails("INVALID_ARGUMENT", field="name"):
            await catalogue.do(locations.add, lake(name))
    for call in (locations.find, locations.set_default):
        with fails("RESOURCE_NOT_FOUND", resourceId="sea"):
            await catalogue.do(call, "sea")


async def test_new_owners_get_the_default_location_and_old_ones_stay(catalogue: Catalogue, ann: Actor) -> None:
    old = await catalogue.project(ann)
    await catalogue.do(locations.add, lake())
    await catalogue.do(locations.set_default, "lake")
    new = await catalogue.project(ann)
    assert (old.storage_location, new.storage_location) == ("default", "lake")
    where = [(await open_session(catalogue, ann, owner, 1)).storage_location for owner in (old, new, ann)]
    assert where == ["default", "lake", "lake"]
    await catalogue.do(locations.set_default, "default")
    assert (await catalogue.project(ann)).storage_location == "default"


async def test_an_operator_moves_a_projects_new_versions(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann, alias="run-7")
    await catalogue.do(locations.add, lake())
    assert await catalogue.do(owners.by_name, "RUN-7") == ("project", project.id)
    assert await catalogue.do(owners.by_name, "Ann@x.org") == ("user", ann.principal_id)
    with fails("OWNER_NOT_FOUND", ownerId="nobody"):
        await catalogue.do(owners.by_name, "nobody")
    owner = ("project", project.id)
    await catalogue.do(locations.allocate, owner, "lake", 100, by_default=False)
    assert (await open_session(catalogue, ann, project, 1)).storage_location == "default"
    await catalogue.do(locations.allocate, owner, "lake", 50, by_default=True)
    assert (await open_session(catalogue, ann, project, 1)).storage_location == "lake"
    with fails("QUOTA_EXCEEDED", freeBytes="49", neededBytes="50"):
        await open_session(catalogue, ann, project, 50)
    with fails("INVALID_ARGUMENT", field="owner"):
        await catalogue.do(locations.allocate, ("user", ann.principal_id), "lake", 1, by_default=True)
    with fails("INVALID_ARGUMENT", field="quota_bytes"):
        await catalogue.do(locations.allocate, owner, "lake", -1, by_default=False)


async def test_what_an_operator_gave_a_user_beforehand_counts(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.do(locations.allocate, ("user", ann.principal_id), "default", 10, by_default=False)
    await open_session(catalogue, ann, ann, 10)
    with fails("QUOTA_EXCEEDED", freeBytes="0"):
        await open_session(catalogue, ann, ann, 1)


async def test_part_sizes_below_the_stores_are_taken_as_its(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.do(locations.add, lake())
    await catalogue.do(locations.set_default, "lake")
    project = await catalogue.project(ann)
    session = await open_session(catalogue, ann, project, 12 * MIB, MIB)
    again = [ManifestFile("f", 12 * MIB, MIB)]
    assert (await catalogue.do(sessions.add_files, ann, session.id, 0, again)).file_count == 1
    with fails("INVALID_ARGUMENT", field="files[0].size_bytes"):
        await open_session(catalogue, ann, project, (1 << 30) + 1)


async def test_many_at_once_take_no_more_than_there_is(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.do(locations.add, lake())
    project = await catalogue.project(ann)
    await catalogue.do(locations.allocate, ("project", project.id), "lake", 1000, by_default=True)

    async def attempt(number: int) -> str:
        try:
            return str((await open_session(catalogue, ann, project, 300, title=f"t{number}")).id)
        except FerryError as error:
            assert (error.reason, error.metadata["freeBytes"]) == ("QUOTA_EXCEEDED", "100")
            return ""

    opened = [session for session in await asyncio.gather(*map(attempt, range(8))) if session]
    assert len(opened) == 3
    assert await usage(catalogue) == (0, 900)
    await asyncio.gather(*(catalogue.do(sessions.abort, ann, session) for session in (opened[0], opened[0])))
    assert await usage(catalogue) == (0, 600)
    file = FileSummary(
        file_index=0,
        path="f",
        size_bytes=300,
        part_bytes=MIB,
        media_type="",
        digest=b"d" * 16,
        part_digests=b"d" * 16,
        part_crcs=b"",
        store_upload_id="",
    )
    summary = Summary((file,), 300, b"d" * 16)
    options = {"key_of": lambda index: f"key{index}", "published": True, "now_us": 1}
    await asyncio.gather(
        *(catalogue.do(contents.commit, ann, session, summary, **options) for session in opened[1:] * 2)
    )
    assert await usage(catalogue) == (600, 0)


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
async def test_locations_are_counted_apart(catalogue: Catalogue, ann: Actor, order: list[str]) -> None:
    for name in order:
        await catalogue.do(locations.add, lake(name))
    project = await catalogue.project(ann)
    for name in order:
        await catalogue.do(locations.allocate, ("project", project.id), name, 10, by_default=True)
        await open_session(catalogue, ann, project, 10)
    assert [await usage(catalogue, name) for name in order] == [(0, 10), (0, 10)]
    with fails("QUOTA_EXCEEDED", freeBytes="0"):
        await open_session(catalogue, ann, project, 1)


def test_parts_have_at_least_the_size_that_a_store_takes() -> None:
    rules = PartRules(least_part_bytes=5 * MIB)
    files = [ManifestFile("small parts", 20 * MIB, MIB), ManifestFile("large parts", 20 * MIB, 8 * MIB)]
    assert [each.part_bytes for each in rules.applied(files, 0)] == [5 * MIB, 8 * MIB]
