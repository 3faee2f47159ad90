"""Calls that meet at several hubs: every one answers as if it had come alone, before or after the others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Connection

from ferryhub.catalogue import assets, collections, grants, leases, projects, relationships
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.projects import NewProject
from tests.integration.hub_replicas.conftest import Replicas

CALLS = 12


def _create_project(actor: Actor, request_id: str, **more: str) -> Any:
    new = NewProject("P", **more)
    return lambda conn: projects.create(conn, actor, new, quota_bytes=1 << 40, request_id=request_id)


async def test_one_request_makes_one_project(replicas: Replicas, ann: Actor) -> None:
    made = await replicas.at_once([_create_project(ann, "r-1", alias="mine")] * CALLS)
    assert len({row.id for row in made}) == 1
    for table in (t.projects, t.collections, t.grants, t.allocations, t.aliases, t.requests):
        assert len(await replicas.rows(table)) == 1, table.name


async def test_one_request_id_for_different_things_is_said(replicas: Replicas, ann: Actor) -> None:
    made = await replicas.at_once([_create_project(ann, "r-1", alias=f"a{at}") for at in range(CALLS)])
    assert Counter(each for each in made if isinstance(each, str)) == {"REQUEST_ID_REUSED": CALLS - 1}
    assert len(await replicas.rows(t.projects)) == 1


async def test_an_alias_goes_to_one(replicas: Replicas, ann: Actor, bob: Actor) -> None:
    people = [ann, bob] * (CALLS // 2)
    made = await replicas.at_once([_create_project(who, f"r-{at}", alias="mine") for at, who in enumerate(people)])
    assert Counter(each for each in made if isinstance(each, str)) == {"ALIAS_TAKEN": CALLS - 1}
    assert len(await replicas.rows(t.projects)) == len(await replicas.rows(t.allocations)) == 1


async def test_different_things_all_come_to_be(replicas: Replicas, ann: Actor) -> None:
    made = await replicas.at_once([_create_project(ann, f"r-{at}", alias=f"a{at}") for at in range(3 * CALLS)])
    assert len({row.id for row in made}) == 3 * CALLS


async def test_a_name_goes_to_one(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    new = collections.NewCollection("raw", project.root_collection_id)
    made = await replicas.at_once([lambda conn: collections.create(conn, ann, new)] * CALLS)
    assert Counter(each for each in made if isinstance(each, str)) == {"NAME_TAKEN": CALLS - 1}
    assert len(await replicas.rows(t.collections)) == 2


async def test_the_same_link_is_made_once(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    new = [NewAsset(name, "project", project.id) for name in "ab"]
    one, two = [await replicas.do(assets.create_draft_asset, ann, each, quota_bytes=1) for each in new]
    await replicas.do(lambda conn: conn.execute(t.assets.update().values(state="ready")) and None)
    link = relationships.NewRelationship(one.id, two.id, "derived from")
    made = await replicas.at_once([lambda conn: relationships.create(conn, ann, link)] * CALLS)
    assert len({row.id for row in made}) == 1
    assert len(await replicas.rows(t.relationships)) == 1


async def test_a_user_is_settled_once(replicas: Replicas, ann: Actor) -> None:
    def draft(at: int) -> Any:
        new = NewAsset(f"A{at}", "user", ann.principal_id)
        return lambda conn: assets.create_draft_asset(conn, ann, new, quota_bytes=100)

    made = await replicas.at_once([draft(at) for at in range(CALLS)])
    assert len({row.id for row in made}) == CALLS
    assert len({row.collection_id for row in made}) == 1
    assert len(await replicas.rows(t.collections)) == len(await replicas.rows(t.allocations)) == 1


@pytest.mark.parametrize("turn", range(4))
async def test_owners_who_remove_each_other_leave_one(replicas: Replicas, ann: Actor, bob: Actor, turn: int) -> None:
    project = await replicas.project(ann)
    await replicas.do(grants.set_grant, ann, project.id, bob.email, "owner")

    def remove(who: Actor, whom: Actor) -> Any:
        return lambda conn: grants.remove(conn, who, project.id, whom.principal_id)

    done = await replicas.at_once([remove(ann, bob), remove(bob, ann)])
    assert sorted(str(each) for each in done) in (["None", "PERMISSION_DENIED"], ["None", "RESOURCE_NOT_FOUND"])
    assert [row.role for row in await replicas.rows(t.grants)] == ["owner"]


async def test_changes_at_once_do_not_hide_each_other(replicas: Replicas, ann: Actor) -> None:
    project = await replicas.project(ann)
    new = NewAsset("A", "project", project.id)
    asset = await replicas.do(assets.create_draft_asset, ann, new, quota_bytes=1)

    def change(at: int) -> Any:
        return lambda conn: assets.update_asset(conn, ann, asset.id, {"title": f"T{at}"}, etag=asset.etag)

    done = await replicas.at_once([change(at) for at in range(CALLS)])
    assert Counter(each for each in done if isinstance(each, str)) == {"ETAG_MISMATCH": CALLS - 1}
    kept = (await replicas.rows(t.assets))[0]
    assert [kept.title] == [each.title for each in done if not isinstance(each, str)]


async def test_a_lease_has_one_holder(replicas: Replicas) -> None:
    def take(holder: str, now_us: int) -> Any:
        return lambda conn: leases.take(conn, "sweep", holder, now_us, 100)

    async def holders(now_us: int) -> list[str]:
        names = [f"hub-{at}" for at in range(CALLS)]
        taken = await replicas.at_once([take(name, now_us) for name in names])
        return [name for name, got in zip(names, taken, strict=True) if got]

    (first,) = await holders(1000)
    assert await holders(1099) == [first]  # kept until 1199
    assert await holders(1198) == [first]
    (second,) = await holders(1298)
    await replicas.do(leases.give_up, "sweep", "somebody else")
    assert await holders(1300) == [second]
    await replicas.do(leases.give_up, "sweep", second)

    def other(conn: Connection) -> bool:
        return leases.take(conn, "sweep", "hub-new", 1301, 100)

    assert await replicas.do(other)
