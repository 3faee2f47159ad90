"""Grants are given, changed and taken by owners; a project never loses its last one."""

from __future__ import annotations

import pytest

from ferryhub.catalogue import grants
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.paging import Page
from tests.unit.hub.conftest import Catalogue, fails


async def _roles(catalogue: Catalogue, actor: Actor, resource: str) -> dict[str, str]:
    rows, _ = await catalogue.do(grants.listing, actor, resource, Page())
    return {row.email: row.role for row in rows}


async def test_set_replaces_and_remove_is_idempotent(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann, alias="p")
    for role in ("viewer", "owner", "editor"):
        grant = await catalogue.do(grants.set_grant, ann, "p", bob.email, role)
        assert (grant.email, grant.role, grant.resource_id) == (bob.email, role, project.id)
    assert await _roles(catalogue, bob, "p") == {"ann@x.org": "owner", "bob@x.org": "editor"}
    for _ in range(2):
        await catalogue.do(grants.remove, ann, project.id, bob.principal_id)
    assert await _roles(catalogue, ann, "p") == {"ann@x.org": "owner"}


async def test_last_owner_stays(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann)
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "editor")
    with fails("LAST_OWNER"):
        await catalogue.do(grants.remove, ann, project.id, ann.email)
    with fails("LAST_OWNER"):
        await catalogue.do(grants.set_grant, ann, project.id, ann.email, "viewer")
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "owner")
    await catalogue.do(grants.remove, ann, project.id, ann.email)
    assert await _roles(catalogue, bob, project.id) == {"bob@x.org": "owner"}


async def test_below_a_project_the_last_direct_owner_may_go(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    asset = await catalogue.asset(ann, await catalogue.project(ann))
    await catalogue.do(grants.set_grant, ann, asset.id, bob.email, "owner")
    await catalogue.do(grants.remove, ann, asset.id, bob.email)
    assert await _roles(catalogue, ann, asset.id) == {}


async def test_only_owners_give_roles(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann)
    with fails("RESOURCE_NOT_FOUND", resourceId=project.id):
        await catalogue.do(grants.set_grant, bob, project.id, bob.email, "owner")
    with fails("RESOURCE_NOT_FOUND"):
        await catalogue.do(grants.listing, bob, project.id, Page())
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "editor")
    with fails("PERMISSION_DENIED"):
        await catalogue.do(grants.set_grant, bob, project.id, bob.email, "owner")
    with fails("PERMISSION_DENIED"):
        await catalogue.do(grants.remove, bob, project.id, ann.email)


async def test_bad_words_are_refused(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann)
    with fails("INVALID_ARGUMENT", field="role"):
        await catalogue.do(grants.set_grant, ann, project.id, ann.email, "boss")
    with fails("PRINCIPAL_NOT_FOUND", principalId="nobody@x.org"):
        await catalogue.do(grants.set_grant, ann, project.id, "nobody@x.org", "viewer")


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_listing_pages(catalogue: Catalogue, ann: Actor, size: int) -> None:
    project = await catalogue.project(ann)
    for name in "cdef":
        person = await catalogue.person(name)
        await catalogue.do(grants.set_grant, ann, project.id, person.email, "viewer")
    seen, page = [], Page(size)
    while True:
        rows, after = await catalogue.do(grants.listing, ann, project.id, page)
        seen += [row.principal_id for row in rows]
        if after is None:
            break
        page = Page(size, after)
    assert len(seen) == len(set(seen)) == 5
