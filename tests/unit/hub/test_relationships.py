"""Relationships: who may draw a link, what it holds, how it is seen from both ends (S06, S07, D116)."""

from __future__ import annotations

from typing import Any

import pytest

from ferryhub.catalogue import grants, relationships
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.paging import Page
from ferryhub.catalogue.relationships import Direction, NewRelationship
from tests.unit.hub.conftest import Catalogue, fails


async def _link(catalogue: Catalogue, actor: Actor, source: Any, target: Any, **more: Any) -> Any:
    new = NewRelationship(source.id, target.id, **{"type": "analysis_of", **more})
    return await catalogue.do(relationships.create, actor, new)


async def _links(catalogue: Catalogue, actor: Actor, asset: Any, way: Direction = "both") -> list[Any]:
    rows, _ = await catalogue.do(relationships.listing, actor, asset.id, way, Page())
    return list(rows)


async def test_round_trip_and_both_ends(catalogue: Catalogue, ann: Actor) -> None:
    raw, result = await catalogue.asset(ann, ann, "raw"), await catalogue.asset(ann, ann, "result", alias="res")
    said = {
        "analysis_mode": "non_destructive",
        "qualifier_note": "second run",
        "qualifier_time": "2026-03-01T12:30:00+01:00",
        "qualifiers": {"tool": "pycroscopy", "n": 3},
    }
    link = await _link(catalogue, ann, result, raw, **said)
    assert (link.analysis_mode, link.qualifier_note) == ("non_destructive", "second run")
    assert (link.qualifier_time, link.qualifiers) == (said["qualifier_time"], '{"tool":"pycroscopy","n":3}')
    assert (link.other_id, link.other_title, link.other_latest_content_id) == (raw.id, "raw", raw.latest_content_id)
    (from_raw,) = await _links(catalogue, ann, raw, "derived")
    assert (from_raw.id, from_raw.other_id, from_raw.other_alias) == (link.id, result.id, "res")
    assert await _links(catalogue, ann, raw, "origins") == []
    assert [row.other_id for row in await _links(catalogue, ann, result)] == [raw.id]


async def test_assets_by_alias(catalogue: Catalogue, ann: Actor) -> None:
    await catalogue.asset(ann, ann, alias="raw")
    source = await catalogue.asset(ann, ann, alias="result")
    link = await catalogue.do(relationships.create, ann, NewRelationship("RESULT", "raw", "derived_from"))
    assert link.from_asset_id == source.id


async def test_exact_duplicate_is_the_same_link(catalogue: Catalogue, ann: Actor) -> None:
    a, b = await catalogue.asset(ann, ann), await catalogue.asset(ann, ann)
    first = await _link(catalogue, ann, a, b, qualifiers={"x": 1, "y": 2})
    same = await _link(catalogue, ann, a, b, qualifiers={"y": 2, "x": 1})
    assert same.id == first.id
    for other in ({"qualifiers": {"x": 2}}, {"type": "made_with"}, {"qualifier_note": "n"}):
        assert (await _link(catalogue, ann, a, b, **other)).id != first.id
    assert (await _link(catalogue, ann, b, a)).id != first.id


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "x" * 256}, "type"),
        ({"analysis_mode": "bad"}, "analysis_mode"),
        ({"qualifier_time": "yesterday"}, "qualifier_time"),
        ({"qualifier_time": "2026-13-01"}, "qualifier_time"),
        ({"qualifier_note": "x" * 10_001}, "qualifier_note"),
        ({"qualifiers": {"x": float("nan")}}, "qualifiers.x"),
        ({"qualifiers": {"x": [float("inf")]}}, "qualifiers.x[0]"),
    ],
)
async def test_bad_links_are_refused(catalogue: Catalogue, ann: Actor, said: dict[str, Any], field: str) -> None:
    a, b = await catalogue.asset(ann, ann), await catalogue.asset(ann, ann)
    with fails("INVALID_ARGUMENT", field=field):
        await _link(catalogue, ann, a, b, **said)
    assert await catalogue.count(t.relationships) == 0


@pytest.mark.parametrize(
    "time", ["2026-03-01", "2026-03-01T12:30:00Z", "20260301T123000", "2026-03-01T12:30:00.5-08:00"]
)
async def test_iso_times_are_kept_as_given(catalogue: Catalogue, ann: Actor, time: str) -> None:
    a, b = await catalogue.asset(ann, ann), await catalogue.asset(ann, ann)
    assert (await _link(catalogue, ann, a, b, type="x" * 255, qualifier_time=time)).qualifier_time == time


async def test_self_link_is_refused_and_cycles_are_allowed(catalogue: Catalogue, ann: Actor) -> None:
    a, b = await catalogue.asset(ann, ann), await catalogue.asset(ann, ann)
    with fails("INVALID_ARGUMENT", field="to_asset_id"):
        await _link(catalogue, ann, a, a)
    await _link(catalogue, ann, a, b)
    await _link(catalogue, ann, b, a)
    assert len(await _links(catalogue, ann, a)) == 2


async def test_rights(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    raw, own = await catalogue.asset(ann, ann, "raw"), await catalogue.asset(bob, bob, "own")
    with fails("ASSET_NOT_FOUND", assetId=raw.id):
        await _link(catalogue, bob, own, raw)
    await catalogue.do(grants.set_grant, ann, raw.id, bob.email, "viewer")
    link = await _link(catalogue, bob, own, raw)
    with fails("PERMISSION_DENIED", resourceId=raw.id):
        await _link(catalogue, bob, raw, own)
    (seen_by_ann,) = await _links(catalogue, ann, raw)
    assert seen_by_ann.id == link.id
    assert seen_by_ann.other_id is None
    assert seen_by_ann.other_title is None


async def test_missing_target_is_not_found(catalogue: Catalogue, ann: Actor) -> None:
    a = await catalogue.asset(ann, ann)
    with fails("ASSET_NOT_FOUND", assetId="ast_00000000000000000000000000"):
        await catalogue.do(relationships.create, ann, NewRelationship(a.id, "ast_00000000000000000000000000", "of"))


async def test_remove_needs_write_on_the_source(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    raw, own = await catalogue.asset(ann, ann), await catalogue.asset(bob, bob)
    await catalogue.do(grants.set_grant, ann, raw.id, bob.email, "viewer")
    link = await _link(catalogue, bob, own, raw)
    with fails("RELATIONSHIP_NOT_FOUND", relationshipId=link.id):
        await catalogue.do(relationships.remove, ann, link.id)
    await catalogue.do(grants.set_grant, bob, own.id, ann.email, "viewer")
    with fails("PERMISSION_DENIED"):
        await catalogue.do(relationships.remove, ann, link.id)
    await catalogue.do(relationships.remove, bob, link.id)
    with fails("RELATIONSHIP_NOT_FOUND"):
        await catalogue.do(relationships.remove, bob, link.id)


async def test_pages_merge_both_directions_oldest_first(catalogue: Catalogue, ann: Actor) -> None:
    hub = await catalogue.asset(ann, ann, "hub")
    made = []
    for n in range(7):
        other = await catalogue.asset(ann, ann, f"n{n}")
        ends = (hub, other) if n % 3 else (other, hub)
        made.append((await _link(catalogue, ann, *ends)).id)
    seen, page = [], Page(2)
    while True:
        rows, after = await catalogue.do(relationships.listing, ann, hub.id, "both", page)
        seen += [row.id for row in rows]
        if after is None:
            break
        page = Page(2, after)
    assert seen == made


async def test_request_id_gives_the_same_link(catalogue: Catalogue, ann: Actor) -> None:
    a, b = await catalogue.asset(ann, ann), await catalogue.asset(ann, ann)
    new = NewRelationship(a.id, b.id, "of")
    links = [await catalogue.do(relationships.create, ann, new, request_id="r") for _ in range(2)]
    assert links[0].id == links[1].id
    with fails("REQUEST_ID_REUSED"):
        await catalogue.do(relationships.create, ann, NewRelationship(b.id, a.id, "of"), request_id="r")


async def test_a_repeat_after_the_link_was_deleted_does_not_bring_it_back(catalogue: Catalogue, ann: Actor) -> None:
    project = await catalogue.project(ann)
    a, b = [await catalogue.asset(ann, project) for _ in range(2)]
    new = NewRelationship(a.id, b.id, "of")
    link = await catalogue.do(relationships.create, ann, new, request_id="r")
    await catalogue.do(relationships.remove, ann, link.id)
    with fails("RELATIONSHIP_NOT_FOUND", relationshipId=link.id):
        await catalogue.do(relationships.create, ann, new, request_id="r")
    assert await catalogue.do(relationships.create, ann, new, request_id="other")


async def test_deleted_draft_takes_its_links_along(catalogue: Catalogue, ann: Actor) -> None:
    from ferryhub.catalogue import assets

    raw, draft = await catalogue.asset(ann, ann), await catalogue.draft(ann, ann)
    await _link(catalogue, ann, draft, raw)
    await catalogue.do(assets.delete_draft_asset, draft.id)
    assert await _links(catalogue, ann, raw) == []
