"""A group's roles count for its members, everywhere and at once; groups are made and changed by the operator."""

from __future__ import annotations

from typing import Any

import pytest

from ferryhub.catalogue import access, assets, collections, grants, groups, principals, projects, tokens
from ferryhub.catalogue.access import Capability
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.paging import Page
from tests.unit.hub.conftest import Catalogue, fails

CAPABILITIES: list[Capability] = ["read", "write", "own"]


@pytest.fixture
async def lab(catalogue: Catalogue, bob: Actor) -> str:
    return await catalogue.do(groups.add_members, "lab", [bob.email])


@pytest.mark.parametrize("place", ["project", "root", "inner", "asset"])
@pytest.mark.parametrize(("role", "allowed"), [("viewer", 1), ("editor", 2), ("owner", 3)])
async def test_role_of_a_group_reaches_its_members(
    catalogue: Catalogue, ann: Actor, bob: Actor, lab: str, place: str, role: str, allowed: int
) -> None:
    project = await catalogue.project(ann)
    inner = await catalogue.do(collections.create, ann, collections.NewCollection("i", project.root_collection_id))
    asset = await catalogue.asset(ann, project, collection_id=inner.id)
    places = {"project": project.id, "root": project.root_collection_id, "inner": inner.id, "asset": asset.id}
    stranger = await catalogue.person("eve")
    for group in ("lab", lab):
        granted = await catalogue.do(grants.set_grant, ann, places[place], group, role)
        assert (granted.principal_id, granted.email) == (lab, "lab")
    for capability in CAPABILITIES[:allowed]:
        assert (await catalogue.do(access.require, bob, asset.id, capability)).rank == allowed
    for capability in CAPABILITIES[allowed:]:
        with fails("PERMISSION_DENIED"):
            await catalogue.do(access.require, bob, asset.id, capability)
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(access.require, stranger, asset.id, "read", noun="asset")


@pytest.mark.parametrize("how", ["leaves", "group disabled", "grant removed"])
async def test_role_ends(catalogue: Catalogue, ann: Actor, bob: Actor, lab: str, how: str) -> None:
    project = await catalogue.project(ann)
    asset = await catalogue.asset(ann, project)
    await catalogue.do(grants.set_grant, ann, project.id, lab, "editor")
    assert (await catalogue.do(access.require, bob, asset.id, "write")).rank == 2
    if how == "leaves":
        await catalogue.do(groups.remove_members, "lab", [bob.email])
    elif how == "group disabled":
        await catalogue.do(principals.set_disabled, "lab", True)
    else:
        await catalogue.do(grants.remove, ann, project.id, "lab")
    with fails("ASSET_NOT_FOUND"):
        await catalogue.do(access.require, bob, asset.id, "read", noun="asset")
    assert (await catalogue.do(projects.listing, bob, Page()))[0] == []


async def test_the_stronger_of_own_and_group_role_counts(
    catalogue: Catalogue, ann: Actor, bob: Actor, lab: str
) -> None:
    project = await catalogue.project(ann)
    await catalogue.do(groups.add_members, "others", [bob.principal_id])
    for principal, role in ((bob.email, "viewer"), (lab, "editor"), ("others", "viewer")):
        await catalogue.do(grants.set_grant, ann, project.id, principal, role)
    assert (await catalogue.do(access.require, bob, project.id, "write")).rank == 2


async def test_listings_show_what_groups_may_see(catalogue: Catalogue, ann: Actor, bob: Actor, lab: str) -> None:
    project, other = await catalogue.project(ann), await catalogue.project(ann)
    shared, alone = await catalogue.asset(ann, project), await catalogue.asset(ann, other)
    await catalogue.asset(ann, other)
    await catalogue.do(grants.set_grant, ann, project.id, lab, "viewer")
    await catalogue.do(grants.set_grant, ann, alone.id, lab, "viewer")
    seen, _ = await catalogue.do(projects.listing, bob, Page())
    assert [row.id for row in seen] == [project.id]
    found, _ = await catalogue.do(assets.listing, bob, Page())
    assert {row.id for row in found} == {shared.id, alone.id}


async def test_a_group_may_be_the_last_owner(catalogue: Catalogue, ann: Actor, bob: Actor, lab: str) -> None:
    project = await catalogue.project(ann)
    await catalogue.do(grants.set_grant, ann, project.id, lab, "owner")
    await catalogue.do(grants.remove, ann, project.id, ann.email)
    with fails("LAST_OWNER"):
        await catalogue.do(grants.remove, bob, project.id, lab)


async def test_members_are_users_and_bots(catalogue: Catalogue, bob: Actor, lab: str) -> None:
    bot = await catalogue.do(principals.add, "bot", "ci-bot")
    for _ in range(2):
        assert await catalogue.do(groups.add_members, "lab", ["ci-bot"]) == lab
    names = [row.email for row in await catalogue.do(groups.members_of, "lab")]
    assert names == [bob.email, "ci-bot"]
    await catalogue.do(groups.remove_members, lab, [bot])
    await catalogue.do(groups.remove_members, lab, [bot])
    assert len(await catalogue.do(groups.members_of, "lab")) == 1
    calls: list[tuple[Any, ...]] = [
        (groups.add_members, "lab", ["lab"]),
        (groups.add_members, bob.email, ["ci-bot"]),
        (groups.members_of, "ci-bot"),
    ]
    for fn, *words in calls:
        with fails("INVALID_ARGUMENT"):
            await catalogue.do(fn, *words)
    with fails("PRINCIPAL_NOT_FOUND"):
        await catalogue.do(groups.add_members, "new-group", ["nobody@x.org"])
    with fails("PRINCIPAL_NOT_FOUND"):  # nor was the group made
        await catalogue.do(groups.members_of, "new-group")


async def test_principals_of_three_kinds(catalogue: Catalogue, ann: Actor) -> None:
    made = [await catalogue.do(principals.add, kind, name) for kind, name in (("bot", "b"), ("group", "g"))]
    assert [each[:4] for each in made] == ["bot_", "grp_"]
    for kind, name in (("user", "ANN@x.org"), ("bot", "g"), ("group", "b")):
        with fails("NAME_TAKEN"):
            await catalogue.do(principals.add, kind, name)
    for kind, name in (("user", "no-address"), ("bot", "a@x.org"), ("group", "Upper"), ("bot", "usr_1"), ("bot", "")):
        with fails("INVALID_ARGUMENT"):
            await catalogue.do(principals.add, kind, name)
    token = await catalogue.do(tokens.create, made[0], ["read"])
    assert (await catalogue.do(tokens.authenticate, tokens.digest(token.secret))).email == "b"
    await catalogue.do(principals.set_disabled, "b", True)
    with fails("TOKEN_INVALID"):
        await catalogue.do(tokens.authenticate, tokens.digest(token.secret))
    await catalogue.do(principals.set_disabled, made[0], False)
    assert await catalogue.do(tokens.authenticate, tokens.digest(token.secret))
