"""A role counts on its resource and on all below it; invisible is not found, visible but forbidden is denied (S07)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from ferryhub.catalogue import access, assets, collections, grants
from ferryhub.catalogue.access import Capability
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.paging import Page
from tests.unit.hub.conftest import Catalogue, fails


class Tree(NamedTuple):
    project: Any
    outer: Any
    inner: Any
    asset: Any


@pytest.fixture
async def tree(catalogue: Catalogue, ann: Actor) -> Tree:
    project = await catalogue.project(ann)
    outer = await catalogue.do(collections.create, ann, collections.NewCollection("o", project.root_collection_id))
    inner = await catalogue.do(collections.create, ann, collections.NewCollection("i", outer.id))
    return Tree(project, outer, inner, await catalogue.asset(ann, project, collection_id=inner.id))


@pytest.mark.parametrize("place", ["project", "outer", "inner", "asset"])
@pytest.mark.parametrize(("role", "allowed"), [("viewer", 1), ("editor", 2), ("owner", 3)])
async def test_role_reaches_down_to_the_asset(
    catalogue: Catalogue, tree: Tree, ann: Actor, bob: Actor, place: str, role: str, allowed: int
) -> None:
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(access.require, bob, tree.asset.id, "read", noun="asset")
    await catalogue.do(grants.set_grant, ann, getattr(tree, place).id, bob.email, role)
    capabilities: list[Capability] = ["read", "write", "own"]
    for capability in capabilities[:allowed]:
        assert (await catalogue.do(access.require, bob, tree.asset.id, capability)).rank == allowed
    for capability in capabilities[allowed:]:
        with fails("PERMISSION_DENIED", resourceId=tree.asset.id):
            await catalogue.do(access.require, bob, tree.asset.id, capability)


@pytest.mark.parametrize("place", ["project", "outer", "inner", "asset"])
async def test_what_a_role_reaches_is_listed(
    catalogue: Catalogue, tree: Tree, ann: Actor, bob: Actor, place: str
) -> None:
    assert await catalogue.do(assets.listing, bob, Page()) == ([], None)
    await catalogue.do(grants.set_grant, ann, getattr(tree, place).id, bob.email, "viewer")
    rows, _ = await catalogue.do(assets.listing, bob, Page())
    assert [row.id for row in rows] == [tree.asset.id]


async def test_role_does_not_reach_up_or_sideways(catalogue: Catalogue, tree: Tree, ann: Actor, bob: Actor) -> None:
    sibling = await catalogue.asset(ann, tree.project, collection_id=tree.outer.id)
    await catalogue.do(grants.set_grant, ann, tree.inner.id, bob.email, "owner")
    for hidden in (tree.project.id, tree.outer.id, sibling.id, tree.project.root_collection_id):
        with fails("RESOURCE_NOT_FOUND"):
            await catalogue.do(access.require, bob, hidden, "read")


async def test_the_strongest_of_several_roles_counts(catalogue: Catalogue, tree: Tree, ann: Actor, bob: Actor) -> None:
    for place, role in ((tree.project, "editor"), (tree.inner, "viewer"), (tree.asset, "viewer")):
        await catalogue.do(grants.set_grant, ann, place.id, bob.email, role)
    assert (await catalogue.do(access.require, bob, tree.asset.id, "write")).rank == 2


async def test_users_own_what_is_theirs(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    mine = await catalogue.asset(ann, ann)
    assert (await catalogue.do(access.require, ann, mine.id, "own")).id == mine.id
    assert (await catalogue.do(access.require, ann, mine.collection_id, "own")).noun == "collection"
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(access.require, bob, mine.id, "read", noun="asset")


async def test_scope_comes_first_and_admin_includes_all(catalogue: Catalogue, tree: Tree, ann: Actor) -> None:
    reader = Actor(ann.principal_id, ann.email, frozenset({"read"}))
    assert (await catalogue.do(access.require, reader, tree.asset.id, "read")).rank == 3
    with fails("SCOPE_DENIED", scope="write"):
        await catalogue.do(access.require, reader, tree.asset.id, "write")
    with fails("SCOPE_DENIED", scope="read"):
        nothing = Actor(ann.principal_id, ann.email, frozenset())
        await catalogue.do(access.require, nothing, tree.asset.id, "read")
    admin = Actor(ann.principal_id, ann.email, frozenset({"admin"}))
    assert (await catalogue.do(access.require, admin, tree.asset.id, "own")).rank == 3


async def test_another_noun_is_not_found(catalogue: Catalogue, tree: Tree, ann: Actor) -> None:
    with fails("COLLECTION_NOT_FOUND", collectionId=tree.asset.id):
        await catalogue.do(access.require, ann, tree.asset.id, "read", noun="collection")
