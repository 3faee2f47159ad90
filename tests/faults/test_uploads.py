"""What goes wrong with an upload, below the engine: lost replies, damaged parts, a swept session, a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ferryd.core.model import Limits, Part, StoredPart
from ferryd.core.states import State
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError, Wait
from tests.support.engine import Bench, bench, block_digests, upload_spec
from tests.support.files import make_file

UNREACHABLE = FerryError("HUB_UNREACHABLE", "no route", hub="h")


async def upload(b: Bench, path: Path) -> str:
    return (await b.engine.create_upload(upload_spec(path))).id


@pytest.mark.parametrize("call", ["create_upload", "sign_parts", "commit_upload"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_call_or_reply_costs_nothing_but_time(tmp_path: Path, call: str, after: bool) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add(call, UNREACHABLE, after=after)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert len(b.hub.contents) == 1 and len(b.hub.requests) == 1
        assert done.resent_bytes == 0 or call == "sign_parts"
        assert len(b.lanes.sent) == 3, "no part may be sent twice"


async def test_a_new_session_begins_with_no_file_there(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 4096)
    async with bench(tmp_path) as b:
        b.hub.faults.add("sign_parts", UNREACHABLE)
        one = await upload(b, path)
        await b.until(one, lambda it: it.waiting_for is Wait.NETWORK)
        await b.store.update(one, present_file_count=1)  # as after a run that found it there, and could not commit
        b.hub.sessions.clear()
        done = await b.settled(one)
        assert (done.state, done.present_file_count) == (State.SUCCEEDED, 0), done.error


@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_list_of_what_is_stored_costs_nothing_but_time(tmp_path: Path, after: bool) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("sign_parts", UNREACHABLE)  # ends the first attempt, after which the hub is asked
        b.hub.faults.add("list_parts", UNREACHABLE, after=after)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert b.hub.faults.calls["list_parts"] == 2
        assert len(b.lanes.sent) == 3, "no part may be sent twice"


async def test_a_small_file_costs_the_queue_no_row_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(tmp_path / "f", 4096)
    async with bench(tmp_path) as b:
        record, rows = b.store.record, list[StoredPart]()

        async def noting(transfer_id: str, *, parts: Sequence[StoredPart] = (), **fields: Any) -> object:
            rows.extend(parts)
            return await record(transfer_id, parts=parts, **fields)

        monkeypatch.setattr(b.store, "record", noting)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert [row.persisted for row in rows] == [True]
        rows.clear()
        assert (await b.settled(await upload(b, make_file(tmp_path / "g", MIB)))).state is State.SUCCEEDED
        assert [row.persisted for row in rows] == [False, True]


async def test_a_damaged_part_is_sent_again_alone(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 5 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.add("send", FerryError("CHUNK_CORRUPT", "flipped", partNumber=1), times=2)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED
        assert done.resent_bytes == 2 * MIB and done.attempts == 1
        assert (await b.engine.statistics()).retried_parts == 2


async def test_an_expired_url_is_signed_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.add("send", FerryError("SIGNATURE_INVALID", "expired"))
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED and done.attempts == 1
        assert b.hub.faults.calls["sign_parts"] == 3


async def test_parts_the_hub_refuses_to_record_are_sent_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", MIB)
    async with bench(tmp_path, file_lane=True) as b:
        b.hub.faults.add("record_parts", FerryError("CHUNK_CORRUPT", "not what was said", partNumber=1))
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED and done.resent_bytes == MIB


async def test_a_swept_session_starts_over_without_hashing_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 4 * MIB)
    async with bench(tmp_path, limits=Limits(parts_in_flight=1)) as b:

        def sweep() -> None:
            b.hub.sessions.clear()

        b.lanes.faults.add("send", lambda: None)
        b.lanes.faults.add("send", lambda: None)
        b.lanes.faults.add("send", sweep)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert done.session_number == 1 and len(b.hub.requests) == 2
        assert len(b.lanes.hashed) == 4 and done.resent_bytes >= 2 * MIB


async def test_a_source_that_changes_fails_and_commits_nothing(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:

        def touch() -> None:
            with path.open("r+b") as file:
                file.write(b"changed")

        b.lanes.faults.add("send", touch)
        failed = await b.settled(await upload(b, path))
        assert failed.error is not None and failed.error.reason == "SOURCE_CHANGED"
        assert not b.hub.contents


async def test_a_killed_daemon_sends_only_what_was_in_flight_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 8 * MIB)
    async with bench(tmp_path, limits=Limits(parts_in_flight=2)) as b:
        one = await upload(b, path)
        b.lanes.faults.add("send", lambda: None, times=4)
        b.lanes.faults.add("send", lambda: b.lanes.__setattr__("gate", asyncio.Event()))
        await asyncio.wait_for(b.lanes.at_gate.wait(), 10)
        before = len(b.lanes.sent)
        await b.close()
        assert b.lanes.gate is not None
        b.lanes.gate.set()
        await b.open()
        assert (await b.engine.get(one)).state is State.RUNNING, "as a kill leaves it"
        b.start()
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED
        assert len(b.lanes.sent) <= 8 + 2 and before >= 4
        assert len(b.lanes.hashed) <= 8 + 2, "hashing resumes too"
        assert done.resent_bytes <= 2 * MIB
        assert [event for event, *_ in await b.store.events(one)] == ["create", "claim", "recover", "claim", "complete"]


async def test_local_rows_that_claim_too_much_are_corrected_by_the_hub(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 3 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("commit_upload", UNREACHABLE)

        def lose() -> None:
            for session in b.hub.sessions.values():
                session.parts.pop((0, 2))
            raise UNREACHABLE

        b.hub.faults.add("commit_upload", lose)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED, done.error
        assert len(b.lanes.sent) == 4 and done.resent_bytes == MIB


async def test_hub_parts_that_differ_from_what_was_hashed_are_sent_again(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("sign_parts", UNREACHABLE)
        one = await upload(b, path)
        await b.until(one, lambda it: it.waiting_for is Wait.NETWORK)
        [session] = b.hub.sessions.values()
        session.parts[0, 1] = (b"x" * MIB, block_digests(b"x" * MIB))
        hashed = block_digests(path.read_bytes()[:MIB])
        await b.store.record(one, parts=[StoredPart(Part(0, 1, hashed), False)])
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED, done.error
        assert b.hub.bytes_of(done.content_id)["f"] == path.read_bytes()
