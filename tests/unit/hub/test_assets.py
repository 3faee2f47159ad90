"""Assets: drafts are checked before a byte moves, metadata changes field by field (S03, S05)."""

from __future__ import annotations

from typing import Any

import pytest

from ferryhub.catalogue import assets, collections, grants, owners
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.paging import Page
from tests.unit.hub.conftest import QUOTA_BYTES, Catalogue, fails


async def _create(catalogue: Catalogue, actor: Actor, new: NewAsset) -> Any:
    return await catalogue.do(assets.create_draft_asset, actor, new, quota_bytes=QUOTA_BYTES)


async def test_draft_keeps_all_that_was_said(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann, alias="proj")
    where = await catalogue.do(
        collections.create, ann, collections.NewCollection("raw", project.root_collection_id, alias="raw")
    )
    new = NewAsset("T", "project", "proj", "d", "raw-1", ["a", "b", "a"], {"k": 1, "ü": [None, {"x": 0.5}]}, "raw")
    row = await _create(catalogue, ann, new)
    assert (row.title, row.description, row.alias, row.state) == ("T", "d", "raw-1", "draft")
    assert (row.tags, row.metadata) == ('["a", "b"]', '{"k":1,"ü":[null,{"x":0.5}]}')
    assert (row.owner_id, row.project_id, row.collection_id) == (project.id, project.id, where.id)
    assert row.etag
    assert row.latest_content_id == ""


async def test_users_root_and_allocation_are_made_once(catalogue: Catalogue, ann: Actor) -> None:
    rows = [await catalogue.draft(ann, ann), await catalogue.draft(ann, ann)]
    by_mail = await _create(catalogue, ann, NewAsset("T", "user", "ANN@x.org"))
    assert len({row.collection_id for row in [*rows, by_mail]}) == 1
    allocation = await catalogue.do(owners.allocation_of, "user", ann.principal_id)
    assert (allocation.quota_bytes, allocation.used_bytes) == (QUOTA_BYTES, 0)
    assert await catalogue.count(t.collections) == await catalogue.count(t.allocations) == 1


@pytest.mark.parametrize(
    ("said", "reason", "field"),
    [
        ({"owner_type": "org"}, "INVALID_ARGUMENT", "owner_type"),
        ({"owner_id": "prj_00000000000000000000000000"}, "OWNER_NOT_FOUND", None),
        ({"owner_type": "user", "owner_id": "nobody@x.org"}, "OWNER_NOT_FOUND", None),
        ({"owner_type": "user", "owner_id": "bob@x.org"}, "OWNER_NOT_FOUND", None),
        ({"title": ""}, "INVALID_ARGUMENT", "title"),
        ({"title": "x" * 501}, "INVALID_ARGUMENT", "title"),
        ({"description": "x" * 10_001}, "INVALID_ARGUMENT", "description"),
        ({"alias": "-x"}, "INVALID_ARGUMENT", "alias"),
        ({"alias": "a b"}, "INVALID_ARGUMENT", "alias"),
        ({"alias": "x" * 256}, "INVALID_ARGUMENT", "alias"),
        ({"alias": "ast_01JD0000000000000000000000"}, "INVALID_ARGUMENT", "alias"),
        ({"tags": [""]}, "INVALID_ARGUMENT", "tags"),
        ({"tags": ["x" * 101]}, "INVALID_ARGUMENT", "tags"),
        ({"tags": [str(n) for n in range(101)]}, "INVALID_ARGUMENT", "tags"),
        ({"metadata": {"a": [{"b": float("nan")}]}}, "INVALID_ARGUMENT", "metadata.a[0].b"),
        ({"metadata": {"a": float("-inf")}}, "INVALID_ARGUMENT", "metadata.a"),
        ({"metadata": {"a": "x" * (1 << 20)}}, "INVALID_ARGUMENT", "metadata"),
        ({"collection_id": "nowhere"}, "COLLECTION_NOT_FOUND", None),
    ],
)
async def test_bad_drafts_are_refused_and_leave_nothing(
    catalogue: Catalogue, ann: Actor, bob: Actor, said: dict[str, Any], reason: str, field: str | None
) -> None:
    assert bob.email == "bob@x.org"
    project = await catalogue.project(ann)
    good = {"title": "T", "owner_type": "project", "owner_id": project.id, "alias": "free"}
    with fails(reason, **({"field": field} if field else {})):
        await _create(catalogue, ann, NewAsset(**{**good, **said}))
    assert await catalogue.count(t.assets) == await catalogue.count(t.aliases) == 0


async def test_limits_themselves_are_allowed(catalogue: Catalogue, ann: Actor) -> None:
    row = await catalogue.draft(
        ann, ann, "x" * 500, description="y" * 10_000, alias="z" * 255, tags=["t" * 100, *map(str, range(99))]
    )
    assert len(row.title) == 500


async def test_collection_must_belong_to_the_owner(catalogue: Catalogue, ann: Actor) -> None:
    one, other = await catalogue.project(ann), await catalogue.project(ann)
    with fails("INVALID_ARGUMENT", field="collection_id"):
        await catalogue.draft(ann, one, collection_id=other.root_collection_id)


async def test_viewer_cannot_create(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann)
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "viewer")
    with fails("PERMISSION_DENIED"):
        await catalogue.draft(bob, project)
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "editor")
    assert (await catalogue.draft(bob, project)).created_by == bob.principal_id


async def test_other_users_space_opens_with_a_grant(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    home = (await catalogue.draft(ann, ann)).collection_id
    await catalogue.do(grants.set_grant, ann, home, bob.email, "editor")
    row = await catalogue.draft(bob, ann)
    assert (row.owner_id, row.collection_id) == (ann.principal_id, home)


async def test_draft_is_for_its_writers_and_never_listed(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann)
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "viewer")
    draft = await catalogue.draft(ann, project)
    assert (await catalogue.do(assets.get, ann, draft.id)).state == "draft"
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(assets.get, bob, draft.id)
    assert (await catalogue.do(assets.listing, ann, Page()))[0] == []


async def test_deleting_a_draft_frees_its_alias(catalogue: Catalogue, ann: Actor) -> None:
    draft = await catalogue.draft(ann, ann, alias="x")
    await catalogue.do(assets.delete_draft_asset, draft.id)
    await catalogue.do(assets.delete_draft_asset, draft.id)
    again = await catalogue.asset(ann, ann, alias="X")
    await catalogue.do(assets.delete_draft_asset, again.id)
    assert (await catalogue.do(assets.get, ann, "x")).id == again.id


async def test_update_changes_named_fields_only(catalogue: Catalogue, ann: Actor) -> None:
    before = await catalogue.asset(ann, ann, description="d", tags=["x"], metadata={"k": 1}, alias="a")
    after = await catalogue.do(assets.update_asset, ann, before.id, {"title": "v2", "tags": ["csv"]})
    assert (after.title, after.tags, after.description, after.metadata) == ("v2", '["csv"]', "d", '{"k":1}')
    assert (after.alias, after.latest_content_id) == ("a", before.latest_content_id)
    assert after.etag != before.etag
    assert after.updated_at >= before.updated_at


async def test_named_and_empty_clears(catalogue: Catalogue, ann: Actor) -> None:
    row = await catalogue.asset(ann, ann, description="d", tags=["x"], metadata={"k": 1}, alias="a")
    empty = {"description": "", "tags": [], "metadata": {}, "alias": ""}
    row = await catalogue.do(assets.update_asset, ann, row.id, empty)
    assert (row.description, row.tags, row.metadata, row.alias) == ("", "[]", "{}", "")
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(assets.get, ann, "a")
    with fails("INVALID_ARGUMENT", field="title"):
        await catalogue.do(assets.update_asset, ann, row.id, {"title": ""})


@pytest.mark.parametrize("name", ["colour", "asset_id", "state", "metadata.k", "*", "size_bytes"])
async def test_unknown_field_is_refused_with_the_known_ones(catalogue: Catalogue, ann: Actor, name: str) -> None:
    row = await catalogue.asset(ann, ann)
    with fails("UNKNOWN_FIELD", field=name):
        await catalogue.do(assets.update_asset, ann, row.id, {name: "x", "title": "changed"})
    assert (await catalogue.do(assets.get, ann, row.id)).title == "A"
    with fails("INVALID_ARGUMENT", field="update_mask"):
        await catalogue.do(assets.update_asset, ann, row.id, {})


async def test_etag_guards_against_somebody_elses_change(catalogue: Catalogue, ann: Actor) -> None:
    seen = await catalogue.asset(ann, ann)
    await catalogue.do(assets.update_asset, ann, seen.id, {"title": "theirs"}, etag=seen.etag)
    with fails("ETAG_MISMATCH", assetId=seen.id):
        await catalogue.do(assets.update_asset, ann, seen.id, {"title": "mine"}, etag=seen.etag)
    assert (await catalogue.do(assets.get, ann, seen.id)).title == "theirs"


async def test_alias_moves_and_conflicts(catalogue: Catalogue, ann: Actor) -> None:
    one, two = await catalogue.asset(ann, ann, alias="one"), await catalogue.asset(ann, ann, alias="two")
    with fails("ALIAS_TAKEN", alias="TWO"):
        await catalogue.do(assets.update_asset, ann, one.id, {"alias": "TWO", "title": "lost"})
    assert (await catalogue.do(assets.get, ann, "one")).title == "A"
    await catalogue.do(assets.update_asset, ann, one.id, {"alias": "ONE"})
    assert (await catalogue.do(assets.update_asset, ann, "one", {"alias": "three"})).alias == "three"
    assert (await catalogue.do(assets.update_asset, ann, two.id, {"alias": "one"})).alias == "one"


async def test_update_needs_the_editor_role(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    row = await catalogue.asset(ann, ann)
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(assets.update_asset, bob, row.id, {"title": "x"})
    await catalogue.do(grants.set_grant, ann, row.id, bob.email, "viewer")
    with fails("PERMISSION_DENIED", resourceId=row.id):
        await catalogue.do(assets.update_asset, bob, row.id, {"title": "x"})


async def test_listing_by_project_and_collection(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    one, other = await catalogue.project(ann, alias="one"), await catalogue.project(ann)
    sub = await catalogue.do(collections.create, ann, collections.NewCollection("s", one.root_collection_id))
    made = [await catalogue.asset(ann, one, collection_id=sub.id), await catalogue.asset(ann, one)]
    elsewhere = await catalogue.asset(ann, other)
    shared = await catalogue.asset(bob, bob)
    await catalogue.do(grants.set_grant, bob, shared.id, ann.email, "viewer")

    async def ids(actor: Actor, **filters: str) -> list[str]:
        rows, _ = await catalogue.do(assets.listing, actor, Page(), **filters)
        return [row.id for row in rows]

    assert await ids(ann) == [shared.id, elsewhere.id, made[1].id, made[0].id]
    assert await ids(ann, project_id="one") == [made[1].id, made[0].id]
    assert await ids(ann, project_id="one", collection_id=sub.id) == [made[0].id]
    assert await ids(bob) == [shared.id]
    with fails("PROJECT_NOT_FOUND"):
        await ids(bob, project_id="one")


async def test_listing_pages_are_stable_while_assets_come(catalogue: Catalogue, ann: Actor) -> None:
    made = [(await catalogue.asset(ann, ann)).id for _ in range(5)]
    first, after = await catalogue.do(assets.listing, ann, Page(2))
    await catalogue.asset(ann, ann)
    rest, end = await catalogue.do(assets.listing, ann, Page(10, after))
    assert [row.id for row in [*first, *rest]] == made[::-1]
    assert end is None
