"""Every question that a caller or the sweep can ask goes along an index, on both databases, with statistics or without.

On PostgreSQL the rows looked at are counted, too: they follow from the page and the caller's roles, not from the size
of the catalogue.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import pytest
from sqlalchemy import Connection, create_engine

from ferryhub.catalogue import (
    assets,
    collections,
    contents,
    expiry,
    grants,
    idempotency,
    lineage,
    parts,
    projects,
    relationships,
    schema,
    sessions,
    tokens,
)
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.database import Database, sqlite_url
from ferryhub.catalogue.lineage import Walk
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.paging import Page
from ferryhub.catalogue.relationships import Direction
from ferryhub.catalogue.sessions import NewUpload, Terms
from ferryhub.catalogue.summary import summarise
from ferryhub.rpc import convert
from tests.integration.hub_plans.plans import Plan, plans_of, statements_of
from tests.integration.hub_plans.world import ASSETS, World, fill, key
from tests.support.postgres import Postgres

pytestmark = pytest.mark.slow

T = TypeVar("T")
Question = Callable[[Connection, World], Any]
#: A page of 50; lists go on from the middle of the catalogue.
FIRST, LATER = Page(), Page(after=(ASSETS // 2, key("ast", ASSETS // 2)))

#: What is asked, and how many rows may be looked at for it.
READS: dict[str, tuple[Question, int]] = {
    "get by id": (lambda c, w: assets.get(c, w.ann, w.asset), 60),
    "get by alias": (lambda c, w: assets.get(c, w.ann, "a307"), 60),
    "get project": (lambda c, w: projects.get(c, w.ann, w.project), 60),
    "list projects": (lambda c, w: projects.listing(c, w.ann, FIRST), 200),
    "list collections": (lambda c, w: collections.listing(c, w.ann, w.root, FIRST), 50),
    "list all assets": (lambda c, w: assets.listing(c, w.ann, FIRST), 1500),
    "list all assets, later": (lambda c, w: assets.listing(c, w.ann, LATER), 1500),
    "list all assets, of fewer than there are projects": (lambda c, w: assets.listing(c, w.ann, Page(2)), 150),
    "list a project's assets": (lambda c, w: assets.listing(c, w.ann, FIRST, project_id=w.project), 150),
    "list a project's assets, later": (lambda c, w: assets.listing(c, w.ann, LATER, project_id=w.project), 150),
    "list a collection's assets": (lambda c, w: assets.listing(c, w.ann, FIRST, collection_id=w.folder), 150),
    "list contents": (lambda c, w: contents.listing(c, w.ann, w.asset, FIRST), 50),
    "list grants": (lambda c, w: grants.listing(c, w.ann, w.project, FIRST), 100),
    "list links": (lambda c, w: relationships.listing(c, w.ann, w.asset, "both", FIRST), 1500),
    "list thousands of links": (lambda c, w: relationships.listing(c, w.ann, w.summary, "both", FIRST), 1500),
    "download": (lambda c, w: contents.files_page(c, contents.to_download(c, w.ann, w.asset, "")[0].id, 50), 50),
    "origins": (lambda c, w: lineage.walk(c, w.ann, key("ast", 307 + 300 * 37), Walk("origins")), 8000),
    "derived": (lambda c, w: lineage.walk(c, w.ann, w.asset, Walk("derived")), 12_000),
    "both": (lambda c, w: lineage.walk(c, w.ann, w.asset, Walk("both")), 50_000),
    "origins, one level": (lambda c, w: lineage.walk(c, w.ann, key("ast", 307 + 300 * 37), Walk(max_depth=1)), 1000),
    "derived, all visible": (lambda c, w: lineage.walk(c, w.ann, w.summary, Walk("derived")), 100),
    "a token": (lambda c, w: tokens.authenticate(c, (7).to_bytes(32, "big")), 10),
    "a session": (lambda c, w: sessions.find(c, w.ann, w.session), 20),
    "a part's place": (lambda c, w: parts.slot(c, w.session, 0, 1), 20),
    "whether a pack is recorded": (
        lambda c, w: parts.has_pack(c, w.session, "0-9-" + "0" * 32 + "-9"),
        40,
    ),
    "stored parts": (lambda c, w: parts.page(c, w.session, 50, None), 50),
    "what a session holds": (lambda c, w: _summarised(c, w), 50),
    "sweep: expired sessions": (lambda c, w: sessions.expired(c, 1100, 50), 100),
    "sweep: sessions that are open": (lambda c, w: sessions.open_among(c, [w.session, key("upl", 8)]), 20),
    "sweep: blobs in use": (lambda c, w: contents.referenced(c, [f"k{n}" for n in range(50)]), 200),
}
WRITES: dict[str, Question] = {
    "open a session": lambda c, w: sessions.open_session(c, w.ann, _upload(w), Terms(1, 1), 1),
    "record a part": lambda c, w: parts.record(c, w.session, [parts.Part(0, 1, b"d" * 16, b"d" * 16)], 1, 2),
    "forget a pack": lambda c, w: parts.forget_packs(c, w.session, ["0-9-" + "0" * 32 + "-9"]),
    "forget a part": lambda c, w: parts.forget(c, w.session, [parts.Part(0, 1, b"d" * 16)]),
    "abort": lambda c, w: sessions.abort(c, w.ann, w.session),
    "sweep: end a session": lambda c, w: sessions.abort_expired(c, key("upl", 8), 1 << 60),
    "sweep: forget a session": lambda c, w: sessions.forget(c, key("upl", 9)),
    "sweep: forget requests": lambda c, w: idempotency.forget_old(c, idempotency.REMEMBERED_US + 50),
    "sweep: forget what is over": lambda c, w: [step(c, expiry.TOKENS_KEPT_US + 50) for step in expiry.STEPS],
    "change an asset": lambda c, w: assets.update_asset(c, w.ann, w.asset, {"title": "T", "alias": "new"}),
    "create a project": lambda c, w: projects.create(
        c, w.ann, projects.NewProject("P", alias="p"), quota_bytes=1, request_id="new"
    ),
    "create a collection": lambda c, w: collections.create(c, w.ann, collections.NewCollection("new", w.root)),
    "link": lambda c, w: relationships.create(
        c, w.ann, relationships.NewRelationship(w.asset, key("ast", 307), "new"), request_id="new"
    ),
    "give a role": lambda c, w: grants.set_grant(c, w.ann, w.project, "p8@x.org", "editor"),
    "take a role": lambda c, w: grants.remove(c, w.ann, w.project, "p8@x.org"),
}


def _upload(world: World) -> NewUpload:
    target = NewAsset("new", "project", world.project, alias="new")
    return NewUpload(target, [ManifestFile("f", 1, 1 << 20)], 1, 1, "", "new", b"f" * 32)


def _summarised(conn: Connection, world: World) -> None:
    session = sessions.find(conn, world.ann, world.session)
    list(parts.stream(conn, session.id))
    with pytest.raises(Exception, match="another digest"):
        summarise(conn, session, b"x" * 32)


class Filled:
    """A full catalogue of one kind."""

    def __init__(self, database: Database, world: World) -> None:
        self._database = database
        self._world = world

    async def explain(self, question: Question, *, write: bool) -> list[Plan]:
        run = self._database.write if write else self._database.read
        plans: list[Plan] = []

        def ask(conn: Connection) -> None:
            plans[:] = plans_of(conn, lambda conn: question(conn, self._world))
            raise _Enough  # nothing is to be changed

        with pytest.raises(_Enough):
            await run(ask)
        assert plans
        return plans

    async def count(self, question: Question, *, write: bool) -> list[str]:
        """The statements that a question takes; a change is undone."""
        run = self._database.write if write else self._database.read
        sent: list[str] = []

        def ask(conn: Connection) -> None:
            sent[:] = statements_of(conn, lambda conn: question(conn, self._world))
            raise _Enough

        with pytest.raises(_Enough):
            await run(ask)
        return sent

    async def read(self, question: Callable[[Connection, World], T]) -> T:
        return await self._database.read(question, self._world)


class _Enough(Exception):
    pass


@pytest.fixture(scope="module", params=["sqlite", "postgres", "postgres, vacuumed"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path_factory.mktemp("plans") / "c.db")
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.new_database()

    async def prepare() -> World:
        database = Database(url)
        await database.write(schema.bring_up)
        world = await database.write(fill)
        await database.close()
        return world

    world = asyncio.run(prepare())
    if "vacuumed" in request.param:  # as autovacuum does after some thousand rows
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.exec_driver_sql("VACUUM ANALYZE")
        engine.dispose()
    database = Database(url)
    yield Filled(database, world)
    asyncio.run(database.close())


@pytest.mark.parametrize("what", READS)
async def test_reads_follow_indexes(filled: Filled, what: str) -> None:
    question, most = READS[what]
    plans = await filled.explain(question, write=False)
    for plan in plans:
        assert plan.whole_tables == [], f"{plan.statement}\n{plan.text}"
    counted = [plan.rows for plan in plans if plan.rows is not None]
    assert sum(counted) <= most, "\n".join(f"{plan.rows}: {plan.statement}\n{plan.text}" for plan in plans)


@pytest.mark.parametrize("filled", ["sqlite", "postgres, vacuumed"], indirect=True)
async def test_a_walk_both_ways_takes_what_leads_back_from_the_index_alone(filled: Filled) -> None:
    """Of those links it wants no more than where they begin. To read their rows, too, takes a sixth of the whole."""
    question, _ = READS["both"]
    index = "ix_relationships_to_asset_id_created_at_id_from_asset_id"
    walked = [plan for plan in await filled.explain(question, write=False) if index in plan.text]
    assert walked
    for plan in walked:
        scans = re.findall(rf"'Node Type': '([^']*)'[^{{}}]*'Index Name': '{index}'", plan.text)
        assert f"COVERING INDEX {index}" in plan.text or scans == ["Index Only Scan"], plan.text


@pytest.mark.parametrize("what", WRITES)
async def test_writes_follow_indexes(filled: Filled, what: str) -> None:
    for plan in await filled.explain(WRITES[what], write=True):
        assert plan.whole_tables == [], f"{plan.statement}\n{plan.text}"


async def test_short_pages_of_many_places_are_the_long_one(filled: Filled) -> None:
    """A page with room for fewer assets than the caller has projects leaves none out and keeps their order."""

    def in_pages(conn: Connection, world: World) -> list[str]:
        ids: list[str] = []
        page = Page(3)
        while len(ids) < 90:
            rows, after = assets.listing(conn, world.ann, page)
            ids += [row.id for row in rows]
            page = Page(3, after)
        return ids

    whole, _ = await filled.read(lambda conn, world: assets.listing(conn, world.ann, Page(90)))
    assert await filled.read(in_pages) == [row.id for row in whole]


@pytest.mark.parametrize("way", ["origins", "derived", "both"])
async def test_a_lineage_reply_says_what_its_rows_say(filled: Filled, way: Direction) -> None:
    """It is filled by the places of columns; other replies by their names."""
    late = key("ast", 307 + 300 * 37)
    found = await filled.read(
        lambda conn, world: lineage.walk(conn, world.ann, late if way == "origins" else world.asset, Walk(way))
    )
    made = convert.lineage(found)
    assert list(made.relationships) == [convert.link(row) for row in found.links.values()]
    shown = [(convert.asset_summary(row), depth) for row, depth in found.assets.values()]
    assert [(each.asset, each.depth) for each in made.assets] == shown
    assert len(shown) > 1


#: How many statements each takes: more would be a round trip more to PostgreSQL, and some 50 µs on SQLite.
COUNTS: Final = {
    "get by id": 1,
    "get by alias": 1,
    "get project": 2,
    "list projects": 1,
    "list collections": 2,
    "list all assets": 8,
    "list all assets, later": 8,
    "list all assets, of fewer than there are projects": 10,
    "list a project's assets": 2,
    "list a project's assets, later": 2,
    "list a collection's assets": 2,
    "list contents": 2,
    "list grants": 2,
    "list links": 6,
    "list thousands of links": 6,
    "download": 3,
    # A lineage is one statement a level. Where Ann may not see all that it meets, it is walked again.
    "origins": 37,
    "derived": 30,
    "both": 29,
    "origins, one level": 12,
    "derived, all visible": 6,
    "a token": 1,
    "a session": 1,
    "a part's place": 1,
    "stored parts": 1,
    "what a session holds": 4,
    "sweep: expired sessions": 1,
    "sweep: sessions that are open": 1,
    "sweep: blobs in use": 1,
    "open a session": 14,
    "record a part": 3,
    "forget a part": 1,
    "forget a pack": 1,
    "whether a pack is recorded": 1,
    "abort": 5,
    "sweep: end a session": 5,
    "sweep: forget a session": 3,
    "sweep: forget requests": 1,
    "sweep: forget what is over": 6,
    "change an asset": 6,
    "create a project": 11,
    "create a collection": 5,
    "link": 10,
    "give a role": 5,
    "take a role": 3,
}


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_statements_of_each_call(filled: Filled, name: str) -> None:
    question = WRITES[name] if name in WRITES else READS[name][0]
    sent = await filled.count(question, write=name in WRITES)
    assert len(sent) <= COUNTS[name], "\n".join(sent)
