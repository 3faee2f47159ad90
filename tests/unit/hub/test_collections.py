"""Collections form a tree with unique names below each parent and aliases unique over the hub."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferryhub.catalogue import collections, grants
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.collections import NewCollection
from ferryhub.catalogue.paging import Page
from tests.unit.hub.conftest import Catalogue, fails


async def _add(catalogue: Catalogue, actor: Actor, name: str, parent: str, **more: Any) -> Any:
    return await catalogue.do(collections.create, actor, NewCollection(name, parent, **more))


async def test_path_owner_and_parent_come_from_above(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann)
    raw = await _add(catalogue, ann, "raw data", project.root_collection_id, alias="raw")
    day = await _add(catalogue, ann, "2026-03-01", "RAW", description="first day")
    assert (day.path, day.parent_id, day.owner_id) == ("/raw data/2026-03-01", raw.id, project.id)
    assert (await catalogue.do(collections.get, ann, day.id)).description == "first day"


async def test_names_are_unique_below_one_parent_only(catalogue: Catalogue, ann: Actor) -> None:
    root = (await catalogue.project(ann)).root_collection_id
    first = await _add(catalogue, ann, "a", root)
    with fails("NAME_TAKEN", name="a"):
        await _add(catalogue, ann, "a", root, alias="kept-free")
    await _add(catalogue, ann, "a", first.id, alias="kept-free")


async def test_alias_is_unique_over_all_nouns(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann, alias="one")
    await catalogue.asset(ann, project, alias="two")
    for taken in ("ONE", "Two"):
        with fails("ALIAS_TAKEN"):
            await _add(catalogue, ann, taken, project.root_collection_id, alias=taken)
    with fails("COLLECTION_NOT_FOUND"):
        await catalogue.do(collections.get, ann, "one")


async def test_of_many_claims_at_once_one_wins(catalogue: Catalogue, ann: Actor) -> None:
    root = (await catalogue.project(ann)).root_collection_id
    claims = (_add(catalogue, ann, f"c{n}", root, alias="Wanted" if n % 2 else "wanted") for n in range(12))
    results = await asyncio.gather(*claims, return_exceptions=True)
    losers = [result for result in results if isinstance(result, Exception)]
    assert len(losers) == 11
    assert {getattr(loser, "reason", loser) for loser in losers} == {"ALIAS_TAKEN"}
    assert await catalogue.count(t.aliases) == 1


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "x" * 256])
async def test_bad_names_are_refused(catalogue: Catalogue, ann: Actor, name: str) -> None:
    root = (await catalogue.project(ann)).root_collection_id
    with fails("INVALID_ARGUMENT", field="name"):
        await _add(catalogue, ann, name, root)


async def test_needs_write_on_the_parent(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann)
    with fails("COLLECTION_NOT_FOUND"):
        await _add(catalogue, bob, "x", project.root_collection_id)
    await catalogue.do(grants.set_grant, ann, project.id, "bob@x.org", "viewer")
    with fails("PERMISSION_DENIED"):
        await _add(catalogue, bob, "x", project.root_collection_id)


async def test_listing_is_by_name_in_pages(catalogue: Catalogue, ann: Actor) -> None:
    root = (await catalogue.project(ann)).root_collection_id
    for name in ("d", "b", "a", "c"):
        await _add(catalogue, ann, name, root)
    first, after = await catalogue.do(collections.listing, ann, root, Page(3))
    rest, end = await catalogue.do(collections.listing, ann, root, Page(3, after))
    assert ["".join(row.name for row in page) for page in (first, rest)] == ["abc", "d"]
    assert end is None


async def test_request_id_gives_the_same_collection(catalogue: Catalogue, ann: Actor) -> None:
    root = (await catalogue.project(ann)).root_collection_id
    twice = [await catalogue.do(collections.create, ann, NewCollection("a", root), request_id="r") for _ in range(2)]
    assert twice[0].id == twice[1].id
    with fails("REQUEST_ID_REUSED"):
        await catalogue.do(collections.create, ann, NewCollection("b", root), request_id="r")


async def test_a_tree_grows_only_so_deep(catalogue: Catalogue, ann: Actor) -> None:
    parent = (await catalogue.project(ann)).root_collection_id
    for _ in range(16):
        parent = (await _add(catalogue, ann, "d" * 255, parent)).id
    with fails("INVALID_ARGUMENT", field="path"):
        await _add(catalogue, ann, "e", parent)
