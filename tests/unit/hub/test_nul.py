"""A NUL is refused wherever a caller can put text, on both databases alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ferryhub.catalogue import (
    assets,
    collections,
    contents,
    grants,
    groups,
    lineage,
    principals,
    projects,
    relationships,
    sessions,
)
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.collections import NewCollection
from ferryhub.catalogue.paging import Page
from ferryhub.catalogue.projects import NewProject
from ferryhub.catalogue.relationships import NewRelationship
from tests.unit.hub.conftest import Catalogue, fails

NUL = "a\0b"
CALLS: dict[str, Callable[[Any, Actor, Any], Any]] = {
    "project name": lambda conn, ann, _: projects.create(conn, ann, NewProject(NUL), quota_bytes=1),
    "project alias": lambda conn, ann, _: projects.create(conn, ann, NewProject("P", alias=NUL), quota_bytes=1),
    "request id": lambda conn, ann, _: projects.create(conn, ann, NewProject("P"), quota_bytes=1, request_id=NUL),
    "project id": lambda conn, ann, _: projects.get(conn, ann, NUL),
    "collection name": lambda conn, ann, p: collections.create(conn, ann, NewCollection(NUL, p.root_collection_id)),
    "collection id": lambda conn, ann, _: collections.get(conn, ann, NUL),
    "parent id": lambda conn, ann, _: collections.listing(conn, ann, NUL, Page()),
    "asset id": lambda conn, ann, _: assets.get(conn, ann, NUL),
    "asset title": lambda conn, ann, p: assets.create_draft_asset(
        conn, ann, NewAsset(NUL, "project", p.id), quota_bytes=1
    ),
    "asset tag": lambda conn, ann, p: assets.create_draft_asset(
        conn, ann, NewAsset("A", "project", p.id, tags=[NUL]), quota_bytes=1
    ),
    "owner id": lambda conn, ann, _: assets.create_draft_asset(conn, ann, NewAsset("A", "user", NUL), quota_bytes=1),
    "project filter": lambda conn, ann, _: assets.listing(conn, ann, Page(), project_id=NUL),
    "content id": lambda conn, ann, _: contents.get(conn, ann, NUL),
    "session id": lambda conn, ann, _: sessions.find(conn, ann, NUL),
    "aborted session": lambda conn, ann, _: sessions.abort(conn, ann, NUL),
    "link type": lambda conn, ann, p: relationships.create(conn, ann, NewRelationship(p.id, p.id, NUL)),
    "link end": lambda conn, ann, _: relationships.create(conn, ann, NewRelationship(NUL, NUL, "t")),
    "link id": lambda conn, ann, _: relationships.remove(conn, ann, NUL),
    "lineage": lambda conn, ann, _: lineage.walk(conn, ann, NUL, lineage.Walk()),
    "grant on": lambda conn, ann, _: grants.set_grant(conn, ann, NUL, ann.email, "viewer"),
    "grant to": lambda conn, ann, p: grants.set_grant(conn, ann, p.id, NUL, "viewer"),
    "principal": lambda conn, ann, _: principals.find(conn, NUL),
    "member": lambda conn, ann, _: groups.add_members(conn, "lab", [NUL]),
}


@pytest.mark.parametrize("what", CALLS)
async def test_nul_is_refused(catalogue: Catalogue, ann: Actor, what: str) -> None:
    project = await catalogue.project(ann)
    with fails("INVALID_ARGUMENT"):
        await catalogue.do(CALLS[what], ann, project)


async def test_nul_in_metadata_is_kept(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann)
    row = await catalogue.asset(ann, project, metadata={"k": NUL})
    assert row.metadata == '{"k":"a\\u0000b"}'
