"""A project is made with everything it needs, or not at all (S02)."""

from __future__ import annotations

import asyncio

import pytest

from ferryhub.catalogue import collections, grants, projects
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.paging import Page
from tests.unit.hub.conftest import QUOTA_BYTES, Catalogue, fails


async def test_create_provisions_everything(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann, "P", description="d", alias="My-P")
    assert (project.name, project.description, project.alias, project.created_by) == (
        "P",
        "d",
        "My-P",
        ann.principal_id,
    )
    assert (project.quota_bytes, project.used_bytes) == (QUOTA_BYTES, 0)
    root = await catalogue.do(collections.get, ann, project.root_collection_id)
    assert (root.parent_id, root.path, root.owner_type, root.owner_id) == (None, "/", "project", project.id)
    given, _ = await catalogue.do(grants.listing, ann, project.id, Page())
    assert [(grant.email, grant.role) for grant in given] == [("ann@x.org", "owner")]


async def test_read_only_token_leaves_nothing_behind(catalogue: Catalogue) -> None:
    reader = await catalogue.person("reader", frozenset({"read"}))
    with fails("SCOPE_DENIED", scope="write"):
        await catalogue.project(reader)
    for table in (t.projects, t.collections, t.grants, t.allocations, t.aliases, t.collection_scopes):
        assert await catalogue.count(table) == 0


async def test_taken_alias_leaves_nothing_behind(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    await catalogue.project(ann, alias="same")
    with fails("ALIAS_TAKEN", alias="SAME"):
        await catalogue.project(bob, alias="SAME")
    assert await catalogue.count(t.projects) == await catalogue.count(t.allocations) == 1


async def test_names_need_not_be_unique(catalogue: Catalogue, ann: Actor) -> None:
    first, second = await catalogue.project(ann, "P"), await catalogue.project(ann, "P")
    assert first.id != second.id


async def test_found_by_id_and_by_alias_in_any_case(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann, alias="Beam-Time")
    for key in (project.id, "Beam-Time", "beam-time"):
        assert (await catalogue.do(projects.get, ann, key)).id == project.id


@pytest.mark.parametrize("key", ["prj_00000000000000000000000000", "no-such", "", "ast_00000000000000000000000000"])
async def test_unknown_is_not_found(catalogue: Catalogue, ann: Actor, key: str) -> None:
    with fails("PROJECT_NOT_FOUND", projectId=key):
        await catalogue.do(projects.get, ann, key)


async def test_invisible_is_not_found(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann, alias="secret")
    for key in (project.id, "secret"):
        with fails("PROJECT_NOT_FOUND"):
            await catalogue.do(projects.get, bob, key)
    assert (await catalogue.do(projects.listing, bob, Page()))[0] == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 256, "a\x00b"])
async def test_bad_names_are_refused(catalogue: Catalogue, ann: Actor, name: str) -> None:
    with fails("INVALID_ARGUMENT", field="name"):
        await catalogue.project(ann, name)


async def test_same_request_id_gives_the_same_project(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    new = projects.NewProject("P", alias="p")

    async def create(actor: Actor, what: projects.NewProject) -> str:
        row = await catalogue.do(projects.create, actor, what, quota_bytes=1, request_id="r-1")
        return str(row.id)

    ids = await asyncio.gather(*(create(ann, new) for _ in range(5)))
    assert len(set(ids)) == 1
    with fails("REQUEST_ID_REUSED", requestId="r-1"):
        await create(ann, projects.NewProject("Q"))
    assert await create(bob, projects.NewProject("Q")) not in ids
    assert await catalogue.count(t.projects) == 2


async def test_failed_request_can_be_repeated_with_its_id(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.project(ann, alias="taken")
    with fails("ALIAS_TAKEN"):
        await catalogue.do(projects.create, ann, projects.NewProject("P", alias="taken"), quota_bytes=1, request_id="r")
    assert await catalogue.count(t.requests) == 0


async def test_listing_pages_newest_first_without_repeats(catalogue: Catalogue, ann: Actor) -> None:
    made = [(await catalogue.project(ann, f"P{n}")).id for n in range(7)]
    seen, after = [], None
    while True:
        rows, after = await catalogue.do(projects.listing, ann, Page(3, after))
        seen += [row.id for row in rows]
        await catalogue.project(ann, "made meanwhile")
        if after is None:
            break
    assert seen == made[::-1]
