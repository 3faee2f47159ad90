"""Lineage walks over chains, diamonds and cycles, within its limits and the caller's sight."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from ferryhub.catalogue import grants, lineage, relationships
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.lineage import Walk
from tests.unit.hub.conftest import Catalogue, fails


class Graph:
    """Assets by letter; `"ab"` is a link from `a` to its origin `b`."""

    def __init__(self, catalogue: Catalogue, actor: Actor) -> None:
        self._catalogue = catalogue
        self.actor = actor
        self.assets: dict[str, Any] = {}

    async def draw(self, *links: str) -> Graph:
        for name in dict.fromkeys("".join(links)):
            self.assets[name] = self.assets.get(name) or await self._catalogue.asset(self.actor, self.actor, name)
        for source, target in map(tuple, links):
            new = relationships.NewRelationship(self.assets[source].id, self.assets[target].id, "of")
            await self._catalogue.do(relationships.create, self.actor, new)
        return self

    async def walk(self, start: str, how: Walk = Walk(), actor: Actor | None = None) -> tuple[str, str, bool]:  # noqa: B008
        """Assets with depth such as `a0b1`, links such as `ab bc`, truncated."""
        found = await self._catalogue.do(lineage.walk, actor or self.actor, self.assets[start].id, how)
        title = {row.id: row.title for row, _ in found.assets.values()}
        links = sorted(title[link.from_asset_id] + title[link.to_asset_id] for link in found.links.values())
        return "".join(f"{row.title}{depth}" for row, depth in found.assets.values()), " ".join(links), found.truncated


@pytest.fixture
def graph(catalogue: Catalogue, ann: Actor) -> Graph:
    return Graph(catalogue, ann)


async def test_alone(graph: Graph) -> None:
    await graph.draw("ab")
    assert await graph.walk("b") == ("b0", "", False)


async def test_chain_both_ways(graph: Graph) -> None:
    await graph.draw("ab", "bc")
    assert await graph.walk("a") == ("a0b1c2", "ab bc", False)
    assert await graph.walk("c", Walk("derived")) == ("c0b1a2", "ab bc", False)
    assert await graph.walk("b", Walk("both")) == ("b0a1c1", "ab bc", False)


async def test_diamond_counts_an_asset_once_and_every_link(graph: Graph) -> None:
    await graph.draw("ab", "ac", "bd", "cd", "ad")
    assert await graph.walk("a") == ("a0b1c1d1", "ab ac ad bd cd", False)


async def test_cycle_ends(graph: Graph) -> None:
    await graph.draw("ab", "bc", "ca")
    for way in ("origins", "derived", "both"):
        assets, links, truncated = await graph.walk("a", Walk(way))
        assert (len(assets), links, truncated) == (6, "ab bc ca", False)


async def test_depth_limit_truncates_only_when_something_is_beyond(graph: Graph) -> None:
    await graph.draw("ab", "bc", "cd")
    assert await graph.walk("a", Walk(max_depth=2)) == ("a0b1c2", "ab bc", True)
    assert await graph.walk("a", Walk(max_depth=3)) == ("a0b1c2d3", "ab bc cd", False)


async def test_links_between_the_outermost_assets_are_shown(graph: Graph) -> None:
    await graph.draw("ab", "ac", "bc")
    assert await graph.walk("a", Walk(max_depth=1)) == ("a0b1c1", "ab ac bc", False)


async def test_asset_limit_truncates(graph: Graph) -> None:
    await graph.draw("ab", "ac", "ad")
    assert await graph.walk("a", Walk(max_assets=3)) == ("a0b1c1", "ab ac", True)


async def test_invisible_assets_are_neither_shown_nor_walked_through(
    graph: Graph, catalogue: Catalogue, ann: Actor, bob: Actor
) -> None:
    await graph.draw("ab", "bc", "ad")
    for name in "acd":
        await catalogue.do(grants.set_grant, ann, graph.assets[name].id, bob.email, "viewer")
    assert await graph.walk("a", actor=bob) == ("a0d1", "ad", False)
    with fails("ASSET_NOT_FOUND"):
        await graph.walk("b", actor=bob)


async def test_what_is_invisible_does_not_use_up_the_limit(graph: Graph, catalogue: Catalogue, bob: Actor) -> None:
    await graph.draw("ax", "ay", "az", "ab", "bc")
    for name in "abc":
        await catalogue.do(grants.set_grant, graph.actor, graph.assets[name].id, bob.email, "viewer")
    assert await graph.walk("a", Walk(max_assets=3), bob) == ("a0b1c2", "ab bc", False)
    assert await graph.walk("a", Walk(max_assets=2), bob) == ("a0b1", "ab", True)


async def test_a_draft_is_shown_to_its_writer_when_asked_for(catalogue: Catalogue, ann: Actor) -> None:
    draft, origin = await catalogue.draft(ann, ann), await catalogue.asset(ann, ann)
    await catalogue.do(relationships.create, ann, relationships.NewRelationship(draft.id, origin.id, "of"))
    assert list((await catalogue.do(lineage.walk, ann, draft.id, Walk())).assets) == [draft.id, origin.id]
    assert list((await catalogue.do(lineage.walk, ann, origin.id, Walk("both"))).assets) == [origin.id]


@pytest.mark.parametrize("seed", range(6))
async def test_any_graph_gives_what_a_plain_search_gives(
    graph: Graph, catalogue: Catalogue, bob: Actor, seed: int
) -> None:
    """Random links, of which bob sees some ends, every way and with every limit."""
    names, rng = "abcdefgh", random.Random(seed)
    links = {"".join(rng.sample(names, 2)) for _ in range(12)} | {"ab"}
    await graph.draw(*sorted(links))
    visible = {"a", *rng.sample(sorted(graph.assets), 5)} if seed % 3 else set(graph.assets)
    for name in visible:
        await catalogue.do(grants.set_grant, graph.actor, graph.assets[name].id, bob.email, "viewer")
    for way, depth, most in product(("origins", "derived", "both"), (1, 2, 3, 4, 100), (1, 2, 4, 100)):
        found, shown, truncated = await graph.walk("a", Walk(way, depth, most), bob)
        expected, more = _searched(links, visible, way, depth, most)
        assert [int(n) for n in found[1::2]] == list(expected.values())[: len(found) // 2]
        assert (len(found[::2]), truncated) == (min(len(expected), most), more)
        assert all(expected[name] == int(at) for name, at in zip(found[::2], found[1::2], strict=True))
        assert set(shown.split()) == {link for link in links if set(link) <= set(found[::2])}


@pytest.mark.parametrize("seed", range(4))
async def test_links_that_may_be_seen_and_are_too_many_are_cut_and_said_to_be(
    graph: Graph, catalogue: Catalogue, bob: Actor, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Links to what bob does not see neither use up the limit nor end the walk, however many they are."""
    names, rng = "abcdefgh", random.Random(seed)
    links = {"".join(rng.sample(names, 2)) for _ in range(14)} | {"ab"}
    await graph.draw(*sorted(links))
    await graph.draw(*(f"{name}a" for name in "stuvw"), *(f"a{name}" for name in "xyz"))
    visible = {"a", "b", *rng.sample(names, 5)}
    for name in visible:
        if name in graph.assets:
            await catalogue.do(grants.set_grant, graph.actor, graph.assets[name].id, bob.email, "viewer")
    for way, most in product(("origins", "derived", "both"), (1, 2, 4, 6, 8, 20)):
        monkeypatch.setattr(lineage, "_MAX_LINKS", most)
        found, shown, truncated = await graph.walk("a", Walk(way), bob)
        expected, _ = _searched(links, visible, way, 100, 100)
        between = {link for link in links if set(link) <= expected.keys()}
        assert truncated == (len(between) > most)
        assert len(shown.split()) <= most and set(shown.split()) <= between
        assert set(found[::2]) <= expected.keys()
        if not truncated:
            assert dict(zip(found[::2], map(int, found[1::2]), strict=True)) == expected
            assert set(shown.split()) == between


async def test_several_links_between_two_assets_are_all_shown(graph: Graph, catalogue: Catalogue) -> None:
    await graph.draw("ab", "bc")
    for kind in ("like", "beside"):
        new = relationships.NewRelationship(graph.assets["a"].id, graph.assets["b"].id, kind)
        await catalogue.do(relationships.create, graph.actor, new)
    for way in ("origins", "both"):
        assert await graph.walk("a", Walk(way)) == ("a0b1c2", "ab ab ab bc", False)


def _searched(links: set[str], visible: set[str], way: str, depth: int, most: int) -> tuple[dict[str, int], bool]:
    """Names by depth, nearest first, as far as `depth`; and whether there is more than may be shown."""
    onward = {link for link in links if way != "derived"} | {link[::-1] for link in links if way != "origins"}
    depths, level = {"a": 0}, ["a"]
    while level:
        beyond = sorted({link[1] for link in onward if link[0] in level and link[1] in visible - depths.keys()})
        depths |= dict.fromkeys(beyond, depths[level[0]] + 1)
        level = beyond
    near = {name: at for name, at in depths.items() if at <= depth}
    return near, len(near) < len(depths) or len(near) > most


@pytest.mark.parametrize(
    ("how", "field"),
    [
        (Walk(max_depth=0), "max_depth"),
        (Walk(max_depth=101), "max_depth"),
        (Walk(max_depth=-1), "max_depth"),
        (Walk(max_assets=10_001), "max_assets"),
    ],
)
async def test_limits_are_checked(graph: Graph, how: Walk, field: str) -> None:
    await graph.draw("ab")
    with fails("INVALID_ARGUMENT", field=field):
        await graph.walk("a", how)


async def test_wide_fan(graph: Graph, catalogue: Catalogue, ann: Actor) -> None:
    """Many assets in one level."""
    start = await catalogue.asset(ann, ann, "start")
    count = 600
    for n in range(count):
        origin = await catalogue.asset(ann, ann, f"o{n}")
        await catalogue.do(relationships.create, ann, relationships.NewRelationship(start.id, origin.id, "of"))
    found = await catalogue.do(lineage.walk, ann, start.id, Walk())
    assert (len(found.assets), len(found.links), found.truncated) == (count + 1, count, False)
