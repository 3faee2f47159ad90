"""The operations that are measured, as the hub's own catalogue code does them: one transaction each, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from ferryhub.blobs.store import blob_key
from ferryhub.catalogue import assets, contents, idempotency, lineage, parts, relationships, sessions
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.paging import Page
from ferryhub.catalogue.sessions import NewUpload, Terms
from ferryhub.catalogue.summary import summarise
from ferryhub.rpc import convert
from ferrywire.digest import of_blocks
from scaling.measure import Cost, Meter
from scaling.rows import digest, recent, session_of
from scaling.world import PROJECTS, World, key, made_at

_MIB: Final = 1 << 20
_TERMS: Final = Terms(7 * 24 * 3600 * 1_000_000, 1 << 50)
#: What a sweep asks about at once.
_BLOBS: Final = 500
_DATA: Final = b"d" * 16
ALL_ROUNDS: Final = 40
FEW_ROUNDS: Final = 12

Read = Callable[[Connection, int], Any]


@dataclass(frozen=True)
class Bench:
    """A filled catalogue and how to measure it."""

    meter: Meter
    world: World
    #: 1 for all rounds; less to be quick.
    share: float = 1

    def everything(self) -> Iterator[tuple[str, Cost]]:
        """Name and cost of every operation."""
        for name, (rounds, read) in self._reads().items():
            yield name, self._read(rounds, read)
        yield from self._writes()

    def _read(self, rounds: int, read: Read) -> Cost:
        transactions = self.meter.transactions
        return self.meter.cost(self._rounds(rounds), lambda at: transactions.read(lambda conn: read(conn, at)))

    def _rounds(self, most: int) -> int:
        return max(2, int(most * self.share))

    def _reads(self) -> dict[str, tuple[int, Read]]:
        world, middle = self.world, self.world.assets // 2
        later = Page(after=(made_at(middle), key("ast", middle)))
        project, large = key("prj", world.mid_project), key("prj", world.large_project)
        folder = key("col", world.large_project * 4 + 1)
        ann, head = world.ann, world.head
        return {
            "nothing (SELECT 1)": (ALL_ROUNDS, lambda c, _: c.execute(text("SELECT 1")).scalar()),
            "get": (ALL_ROUNDS, lambda c, n: assets.get(c, head, self._some(n))),
            "get by alias": (ALL_ROUNDS, lambda c, n: assets.get(c, head, f"run-{abs(n) * 17 % (middle // 5) * 10}")),
            "list a project": (ALL_ROUNDS, lambda c, _: self._listed(c, head, Page(), project_id=large)),
            "list a middling project": (ALL_ROUNDS, lambda c, _: self._listed(c, head, Page(), project_id=project)),
            "list a project, deep": (ALL_ROUNDS, lambda c, _: self._listed(c, head, later, project_id=large)),
            "list a collection": (ALL_ROUNDS, lambda c, _: self._listed(c, head, Page(), collection_id=folder)),
            "list all of 12 projects": (ALL_ROUNDS, lambda c, _: self._listed(c, ann, Page())),
            "list all of 300 projects": (ALL_ROUNDS, lambda c, _: self._listed(c, head, Page())),
            "list all of 300 projects, deep": (ALL_ROUNDS, lambda c, _: self._listed(c, head, later)),
            "links of an asset": (
                ALL_ROUNDS,
                lambda c, n: relationships.listing(c, head, self._some(n), "both", Page()),
            ),
            **{
                f"lineage of {world.study_size} ({name}, {way})": (FEW_ROUNDS, self._lineage(study, way))
                for study, name in ((0, "chains"), (1, "dense"))
                for way in ("origins", "derived", "both")
            },
            "sweep: 500 blobs looked up": (ALL_ROUNDS, self._looked_up),
            "sweep: 1,000 expired sessions found": (
                ALL_ROUNDS,
                lambda c, _: sessions.expired(c, made_at(world.assets), 1000),
            ),
        }

    def _listed(self, conn: Connection, actor: Actor, page: Page, **where: str) -> None:
        rows, _ = assets.listing(conn, actor, page, **where)
        # A small catalogue has projects with nothing in them.
        assert rows or self.world.assets < 20 * PROJECTS

    def _links(self, conn: Connection, at: int) -> Any:
        return relationships.listing(conn, self.world.head, self._some(at), "both", Page())

    def _some(self, at: int) -> str:
        """An asset anywhere."""
        return key("ast", abs(at) * 7919 % self.world.assets)

    def _lineage(self, study: int, way: Any) -> Read:
        """Up to the bytes of the reply. Less is derived from the oldest asset than the newest comes from."""
        world = self.world
        back = {"origins": 0, "derived": world.study_size - 1, "both": world.study_size // 2}
        start = world.of_study(study, back[way])

        def ask(conn: Connection, _: int) -> None:
            found = lineage.walk(conn, world.ann, start, lineage.Walk(way))
            assert way == "derived" or (len(found.assets), found.truncated) == (world.study_size, False)
            convert.lineage(found).SerializeToString()

        return ask

    def _looked_up(self, conn: Connection, at: int) -> None:
        first = abs(at) * 7919 % (self.world.assets - _BLOBS) if self.world.assets > _BLOBS else 0
        keys = [blob_key(session_of(2 * n), 0) for n in range(first, min(first + _BLOBS, self.world.assets))]
        sessions.open_among(conn, [session_of(2 * n) for n in range(first, first + _BLOBS)])
        assert len(contents.referenced(conn, keys)) == len(keys)

    def _writes(self) -> Iterator[tuple[str, Cost]]:
        """Uploads of one small file by one person to one project, step by step, then what a sweep removes."""
        write, rounds = self.meter.transactions.write, self._rounds(ALL_ROUNDS)
        opened: dict[int, Row[Any]] = {}

        def open_one(at: int) -> None:
            opened[at] = write(lambda conn: self._open(conn, at))

        def send(at: int) -> None:
            part = parts.Part(0, 1, of_blocks([_DATA]), _DATA)
            write(lambda conn: parts.record(conn, opened[at].id, [part], 1, 1 << 60))

        yield "create: open a session with a new asset", self.meter.cost(rounds, open_one)
        yield "record a part", self.meter.cost(rounds, send)
        yield "commit", self.meter.cost(rounds, lambda at: self._commit(opened[at]))
        newest = self.world.of_study(0, 0)
        new = [relationships.NewRelationship(newest, self.world.of_study(0, 1 + n), "used") for n in range(2 * rounds)]
        yield (
            "create a link",
            self.meter.cost(rounds, lambda at: write(lambda c: relationships.create(c, self.world.ann, new[at]))),
        )
        old = [session_of(2 * n) for n in recent(self.world)]
        now = made_at(self.world.assets)

        def forget(at: int) -> None:
            write(lambda conn: sessions.abort_expired(conn, old[at], now))
            write(lambda conn: sessions.forget(conn, old[at]))

        yield "sweep: one session ended", self.meter.cost(min(rounds, len(old) // 2), forget)
        yield (
            "sweep: old requests, none due",
            self.meter.cost(rounds, lambda _: write(lambda c: idempotency.forget_old(c, idempotency.REMEMBERED_US))),
        )

    def _open(self, conn: Connection, at: int) -> Row[Any]:
        actor = self.world.ann
        target = NewAsset(f"Run {at}", "project", key("prj", 2), tags=("sem",), metadata={"instrument": "SEM 3"})
        file = ManifestFile("table.csv", _MIB, _MIB, "text/csv")
        new = NewUpload(target, [file], _MIB, 1, "", f"bench-{at}", digest("bench", at))
        return sessions.open_session(conn, actor, new, _TERMS, made_at(self.world.assets))

    def _commit(self, session: Row[Any]) -> None:
        transactions, actor = self.meter.transactions, self.world.ann
        whole = of_blocks([_DATA])
        summary = transactions.read(lambda conn: summarise(conn, session, whole))
        done = transactions.write(lambda conn: _committed(conn, actor, session, summary, made_at(self.world.assets)))
        assert done is not None


def _committed(conn: Connection, actor: Actor, session: Row[Any], summary: Any, now_us: int) -> Any:
    return contents.commit(
        conn,
        actor,
        session.id,
        summary,
        key_of=lambda index: blob_key(session.id, index),
        published=True,
        now_us=now_us,
    )
