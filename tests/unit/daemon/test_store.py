"""The queue on a real SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ferryd.core.model import (
    Context,
    DownloadSpec,
    Identity,
    IfExists,
    Kind,
    Limits,
    Part,
    StoredPart,
    Transfer,
    TransferFile,
    UploadSpec,
)
from ferryd.core.states import Event, State
from ferryd.store.errors import translate
from ferryd.store.rows import from_new_transfer
from ferryd.store.sql import QUERIES, schemas
from ferryd.store.store import SqliteStore
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError, Wait

SPEC = UploadSpec(paths=("/é",), title="t", tags=("a",), metadata={"k": [1, {"x": None}]}, part_bytes=1 << 20)


def new(**fields: object) -> Transfer:
    one = Transfer(
        id=new_id("trf"),
        kind=Kind.UPLOAD,
        state=State.QUEUED,
        spec=SPEC,
        client="c",
        request_id=new_id("req"),
        title="t",
        local_path="/é",
        created_at=1.0,
        updated_at=1.0,
        size_bytes=100,
        chunk_count=2,
        waiting_for=Wait.SLOT,
    )
    return replace(one, **fields)  # type: ignore[arg-type]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    one = await SqliteStore.open(tmp_path / "queue.db", lambda: 1000.0)
    yield one
    await one.close()


async def test_what_was_put_in_comes_out(store: SqliteStore) -> None:
    download = DownloadSpec("ast_1", "/d", if_exists=IfExists.RENAME, include=("*.csv",))
    one, other = new(), new(kind=Kind.DOWNLOAD, spec=download)
    files = [TransferFile(0, "é", "/é", 100, 50, Identity(1, 2, 100, 4, 5)), TransferFile(1, "b", "/b", 0, 50)]
    assert await store.insert(one, files, "f") == one
    await store.insert(other, [], "f")
    assert await store.get(one.id) == one and await store.get(other.id) == other
    assert await store.files(one.id) == files
    parts = [StoredPart(Part(0, 1, b"x" * 16), True), StoredPart(Part(0, 2, b"y" * 32), False)]
    await store.record(one.id, parts=parts, persisted_bytes=50, chunk_index=1)
    assert await store.parts(one.id) == parts
    assert (await store.get(one.id)).persisted_bytes == 50
    error = FerryError("DISK_FULL", "no space", retry_after_s=2.5, path="/d", freeBytes=0)
    failed = await store.update(one.id, error=error)
    kept = (await store.get(one.id)).error
    assert kept is not None and failed.error is error
    assert (kept.reason, kept.message, kept.metadata, kept.retry_after_s) == (
        "DISK_FULL",
        "no space",
        {"path": "/d", "freeBytes": "0"},
        2.5,
    )


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "queue.db")
    assert await store.load_limits() is None
    one = await store.insert(new(), [], "f")
    await store.claim([one.id])
    signed_out = await store.insert(new(), [], "f")
    await store.change(signed_out.id, Event.PAUSE, waiting_for=Wait.AUTH, next_attempt_at=5.0)
    await store.save_limits(Limits(1, 2, 3))
    key = await store.page_key()
    await store.close()
    store = await SqliteStore.open(tmp_path / "queue.db")
    assert await store.load_limits() == Limits(1, 2, 3) and await store.page_key() == key and len(key) == 16
    recovered = await store.recover()
    assert [(it.id, it.state, it.waiting_for) for it in recovered] == [
        (one.id, State.QUEUED, Wait.SLOT),
        (signed_out.id, State.QUEUED, Wait.SLOT),
    ]
    assert [event for event, *_ in await store.events(one.id)] == ["create", "claim", "recover"]
    await store.close()


async def test_the_file_is_private_and_commits_reach_the_disk(tmp_path: Path, store: SqliteStore) -> None:
    for name in ("queue.db", "queue.db-wal"):
        assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) == 0o600
    [synchronous] = await store._db.write(lambda db: db.execute("PRAGMA synchronous").fetchone())
    [journal] = await store._db.write(lambda db: db.execute("PRAGMA journal_mode").fetchone())
    assert (synchronous, journal) == (2, "wal")


async def test_a_write_that_fails_takes_none_of_its_group_with_it(store: SqliteStore) -> None:
    known = await store.insert(new(), [], "f")
    repeat = new(request_id=known.request_id)
    bad = new(priority=101)
    results = await asyncio.gather(
        *(store.insert(one, [], "g") for one in (new(), repeat, new(), bad, new())), return_exceptions=True
    )
    reasons = [result.reason if isinstance(result, FerryError) else "" for result in results]
    assert reasons == ["", "REQUEST_ID_REUSED", "", "IO_ERROR", ""]
    assert await store.count(()) == 4


async def test_a_write_that_fails_alone_leaves_nothing(store: SqliteStore) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO settings (name, value) VALUES ('half', 'done')")
        raise LookupError

    with pytest.raises(LookupError):
        await store._db.write(half)
    queued = await store.insert(new(), [], "f")  # the writer goes on
    assert await store.get(queued.id) == queued
    assert not await store._db.read(lambda db: db.execute("SELECT * FROM settings WHERE name = 'half'").fetchall())


async def test_a_request_repeated_gives_the_first_transfer(store: SqliteStore) -> None:
    first = new()
    await asyncio.gather(*(store.insert(replace(first, id=new_id("trf")), [], "f") for _ in range(20)))
    found = await store.find_request(first.request_id)
    assert found is not None and found[1] == "f" and await store.count(()) == 1
    assert await store.find_request("other") is None


async def test_an_illegal_change_changes_nothing(store: SqliteStore) -> None:
    one = await store.insert(new(), [], "f")
    with pytest.raises(FerryError) as refused:
        await store.change(one.id, Event.COMPLETE, persisted_bytes=100)
    assert refused.value.metadata == {"state": "queued", "event": "complete"}
    assert await store.get(one.id) == one
    assert [event for event, *_ in await store.events(one.id)] == ["create"]


async def test_events_are_append_only(store: SqliteStore) -> None:
    await store.insert(new(), [], "f")
    with pytest.raises(FerryError, match="append-only"):
        await store._db.write(lambda db: db.execute("UPDATE transfer_events SET at = 0").rowcount)


async def test_success_needs_every_byte(store: SqliteStore) -> None:
    one = await store.insert(new(), [], "f")
    await store.claim([one.id])
    with pytest.raises(FerryError):
        await store.change(one.id, Event.COMPLETE, persisted_bytes=99)
    assert (await store.get(one.id)).state is State.RUNNING
    assert (await store.change(one.id, Event.COMPLETE, persisted_bytes=100)).ended_at == 1000.0


async def test_a_lost_session_keeps_the_hashing(store: SqliteStore) -> None:
    one = await store.insert(new(session_id="upl_1"), [TransferFile(0, "f", "/f", 100, 50)], "f")
    await store.record(one.id, parts=[StoredPart(Part(0, 1, b"x" * 16), True)])
    forgotten = await store.forget_session(one.id)
    assert (forgotten.session_id, forgotten.session_number) == ("", 1)
    assert await store.parts(one.id) == [StoredPart(Part(0, 1, b"x" * 16), False)]


async def test_what_is_due_is_released(store: SqliteStore) -> None:
    queued = await store.insert(new(next_attempt_at=10.0, waiting_for=Wait.NETWORK), [], "f")
    later = await store.insert(new(next_attempt_at=30.0, waiting_for=Wait.SPACE), [], "f")
    paused = [await store.insert(new(), [], "f") for _ in range(2)]
    await store.change(paused[0].id, Event.PAUSE, waiting_for=Wait.AUTH, next_attempt_at=10.0)
    await store.change(paused[1].id, Event.PAUSE, waiting_for=Wait.USER)
    assert await store.candidates(4) == [] and await store.next_due() == 10.0
    assert [one.id for one in await store.release_due(20.0)] == [paused[0].id]
    assert {one.id for one in await store.candidates(4)} == {queued.id, paused[0].id}
    assert (await store.get(queued.id)).waiting_for is Wait.SLOT
    assert (await store.get(later.id)).waiting_for is Wait.SPACE
    assert await store.next_due() == 30.0


async def test_only_what_its_user_paused_is_inactive(store: SqliteStore) -> None:
    assert not await store.active()
    one = await store.insert(new(), [], "f")
    assert await store.active()
    await store.change(one.id, Event.PAUSE, waiting_for=Wait.USER)
    assert not await store.active()
    await store.update(one.id, waiting_for=Wait.AUTH)
    assert await store.active()


async def test_candidates_are_few_and_the_best_of_each_client(store: SqliteStore) -> None:
    rows = [new(client=f"c{number % 5}", priority=number % 3) for number in range(300)]
    await asyncio.gather(*(store.insert(one, [], "f") for one in rows))
    found = await store.candidates(4)
    assert len(found) == 20
    for client in {one.client for one in rows}:
        assert [one.priority for one in found if one.client == client] == [2, 2, 2, 2]


async def test_candidates_are_of_every_hub(store: SqliteStore) -> None:
    rows = [new(context=Context("a", "http://a")), new(context=Context("a", "http://b")), new()]
    await asyncio.gather(*(store.insert(one, [], "f") for one in rows for one in [one, replace(one, **_other())]))
    found = await store.candidates(1)
    assert sorted((one.context.name, one.context.hub) for one in found) == [
        ("a", "http://a"),
        ("a", "http://b"),
        ("embedded", "embedded"),
    ]
    assert (await store.get(rows[1].id)).context == rows[1].context


def _other() -> dict[str, str]:
    return {"id": new_id("trf"), "request_id": new_id("req")}


async def test_a_sign_in_releases_what_waits_for_it_at_that_hub_alone(store: SqliteStore) -> None:
    here, there = Context("a", "http://a"), Context("a", "http://b")
    rows = [await store.insert(new(context=one, attempts=3), [], "f") for one in (here, here, there)]
    for row in rows:
        error = FerryError("NOT_SIGNED_IN", "m")
        await store.change(row.id, Event.PAUSE, waiting_for=Wait.AUTH, next_attempt_at=9e9, error=error)
    await store.update(rows[1].id, waiting_for=Wait.USER)
    [released] = await store.release_signed_out(here)
    assert (released.id, released.state, released.waiting_for) == (rows[0].id, State.QUEUED, Wait.SLOT)
    assert released.attempts == 0 and released.error is None and released.next_attempt_at is None
    assert (await store.get(rows[2].id)).waiting_for is Wait.AUTH


async def test_a_queue_of_version_1_is_upgraded_with_its_rows(tmp_path: Path) -> None:
    path, rows = tmp_path / "queue.db", [new(), new(next_attempt_at=5.0)]
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{schemas()[0]}; PRAGMA user_version = 1")
        for one in rows:
            values = rows_of(one)
            db.execute(
                f"INSERT INTO transfers ({','.join(values)}) VALUES ({','.join(':' + n for n in values)})", values
            )
        db.commit()
    home = Context("env", "https://hub.example")
    for configured in (home, Context("embedded", "embedded")):  # what is configured later changes nothing
        store = await SqliteStore.open(path, home=configured)
        assert [await store.get(one.id) for one in rows] == [replace(one, context=home) for one in rows]
        assert [one.context for one in await store.candidates(4)] == [home]
        await store.close()


def rows_of(one: Transfer) -> dict[str, object]:
    """The columns of version 1."""
    values = from_new_transfer(one, "f")
    later = ("context", "hub", "present_file_count", "part_checksum", "pack_bytes", "looked")
    return {name: value for name, value in values.items() if name not in later}


async def test_what_has_not_settled_is_counted_by_what_it_waits_for(store: SqliteStore) -> None:
    for one in (new(), new(), new(waiting_for=Wait.NETWORK, next_attempt_at=5.0), running := new()):
        await store.insert(one, [], one.id)
    await store.claim([running.id])
    done = new()
    await store.insert(done, [], "f")
    await store.change(done.id, Event.CANCEL)
    assert await store.unsettled() == {
        (State.QUEUED, "slot"): 2,
        (State.QUEUED, "network"): 1,
        (State.RUNNING, ""): 1,
    }


_EVERY_TURN = ["candidates", "next_ready_context", "signed_out_of", "release_queued"]


@pytest.mark.parametrize("name", [*_EVERY_TURN, "due_paused", "next_due", "page_states", "debris", "unsettled"])
async def test_statements_of_every_turn_never_scan_the_queue(store: SqliteStore, name: str) -> None:
    values = {"context": "a", "hub": "b", "per_client": 4, "now": 1, "before": 1, "limit": 1} | {
        f"s{at}": "" for at in range(6)
    }
    plan = await store._db.read(lambda db: db.execute(f"EXPLAIN QUERY PLAN {QUERIES[name]}", values).fetchall())
    scans = [row["detail"] for row in plan if row["detail"].startswith("SCAN transfers")]
    assert scans in ([], ["SCAN transfers USING INDEX transfers_debris"])


async def test_what_runs_next_costs_the_same_however_many_are_queued(store: SqliteStore) -> None:
    """In instructions of SQLite's machine, by hundreds."""
    contexts = [Context("a", "http://a"), Context("a", "http://b"), Context("b", "http://b")]
    hundreds = 0

    def count() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    async def cost() -> int:
        nonlocal hundreds
        hundreds = 0
        assert len(await store.candidates(2)) == 2 * 3 * len(contexts)
        return hundreds

    async def insert(each: int) -> None:
        rows = [new(context=one, client=f"c{number % 3}") for one in contexts for number in range(each)]
        await asyncio.gather(*(store.insert(one, [], "f") for one in rows))

    await insert(12)
    store._db._readers.shutdown()
    store._db._readers = ThreadPoolExecutor(1)
    await store._db.read(lambda db: db.set_progress_handler(count, 100))
    few = await cost()
    await insert(600)
    assert await cost() <= 2 * few


async def test_a_damaged_database_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "queue.db"
    store = await SqliteStore.open(path)
    await asyncio.gather(*(store.insert(new(), [], "f") for _ in range(100)))
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    store = await SqliteStore.open(path)
    assert await store.count(()) == 0
    await store.insert(new(), [], "f")
    await store.close()
    [kept] = [one for one in tmp_path.iterdir() if ".damaged-" in one.name and one.name[-1].isdigit()]
    assert kept.stat().st_size == size and kept.name in caplog.text


async def test_a_file_that_is_no_database_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"not a database at all" * 1000)
    store = await SqliteStore.open(path)
    assert await store.count(()) == 0
    await store.close()


async def test_a_newer_schema_is_refused_not_harmed(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    await (await SqliteStore.open(path)).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(schemas()) + 1}")
    with pytest.raises(FerryError, match="newer daemon"):
        await SqliteStore.open(path)


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "queue.db")
    await store.close()
    await store.close()
    with pytest.raises(FerryError) as closed:
        await store.get("trf_1")
    assert closed.value.reason == "SHUTTING_DOWN"


async def test_a_full_disk_is_said_and_nothing_is_lost(store: SqliteStore) -> None:
    one = await store.insert(new(), [], "f")

    def shrink(db: sqlite3.Connection) -> None:
        [pages] = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")

    await store._db.write(shrink)
    files = [TransferFile(number, "f" * 200, "/f", 1, 50) for number in range(2000)]
    with pytest.raises(FerryError) as full:
        await store.insert(new(), files, "f")
    assert full.value.reason == "DISK_FULL" and int(full.value.metadata["freeBytes"]) > 0
    assert await store.get(one.id) == one and await store.count(()) == 1
    await store.update(one.id, priority=1)


async def test_ten_thousand_files_and_transfers_take_few_transactions(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "queue.db")
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    await store._db.write(lambda db: db.set_trace_callback(count))
    many = [TransferFile(number, f"d/{number}", "/d", 1, 50) for number in range(10_000)]
    await store.insert(new(), many, "f")
    assert commits <= 2 and len(await store.files((await store.page((), None, 1))[0][1].id)) == 10_000
    await asyncio.gather(*(store.insert(new(client=f"c{number % 7}"), [], "f") for number in range(3_000)))
    assert commits < 1_000, "writes that wait together share a commit"
    assert len(await store.candidates(4)) == 4 * 7 + 1
    await store._db.write(lambda db: db.set_trace_callback(None))
    await store.close()


def test_no_room_for_the_shared_memory_file_is_a_full_disk(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    assert translate(error, tmp_path / "queue.db").reason == "DISK_FULL"
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    assert translate(error, tmp_path / "queue.db").reason == "IO_ERROR"
