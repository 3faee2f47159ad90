"""Pause, resume, cancel, retry, priority, limits, drain, listings and idempotency of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ferryd.core.model import DownloadSpec, Limits
from ferryd.core.states import State
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError, Wait
from tests.support.engine import Bench, bench, cleaned, eventually, upload_spec
from tests.support.files import make_file, tree


async def held_upload(b: Bench, path: Path) -> str:
    """An upload whose parts stand still on their way."""
    b.lanes.gate = asyncio.Event()
    b.lanes.at_gate = asyncio.Event()
    transfer = await b.engine.create_upload(upload_spec(path))
    await b.lanes.at_gate.wait()
    return transfer.id


def release(b: Bench) -> None:
    assert b.lanes.gate is not None
    b.lanes.gate.set()


async def test_pause_stops_and_resume_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        one = await held_upload(b, make_file(tmp_path / "f", 4 * MIB))
        paused = await b.engine.pause(one)
        assert (paused.state, paused.waiting_for, paused.phase) == (State.PAUSED, Wait.USER, None)
        assert await b.engine.pause(one) == paused
        assert not await b.engine.active()
        release(b)
        resumed = await b.engine.resume(one)
        assert (resumed.state, resumed.waiting_for) == (State.QUEUED, Wait.SLOT)
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_pause_and_resume_at_once_never_run_twice_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        one = await held_upload(b, make_file(tmp_path / "f", 4 * MIB))
        for _ in range(5):
            await b.engine.pause(one)
            await b.engine.resume(one)
        release(b)
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED
        assert done.resent_bytes <= 5 * 4 * MIB


async def test_cancel_of_a_running_upload_aborts_the_session(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        one = await held_upload(b, make_file(tmp_path / "f", 4 * MIB))
        cancelled = await b.engine.cancel(one)
        assert cancelled.state is State.CANCELLED and cancelled.ended_at is not None
        await eventually(lambda: bool(b.hub.aborted))
        await cleaned(b)
        assert not b.hub.sessions and not b.hub.contents
        assert (await b.engine.cancel(one)).state is State.CANCELLED
        for command in (b.engine.pause, b.engine.resume, b.engine.retry):
            with pytest.raises(FerryError, match="cancelled") as refused:
                await command(one)
            assert refused.value.reason == "ILLEGAL_TRANSITION"


async def test_a_retry_that_comes_when_it_is_being_tried_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        one = await held_upload(b, make_file(tmp_path / "f", 4 * MIB))
        assert (await b.engine.retry(one)).state is State.RUNNING


async def test_cancel_of_a_download_leaves_no_part_file(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"a": b"a" * (3 * MIB), "b": b"b"})
        b.lanes.gate = asyncio.Event()
        spec = DownloadSpec(content.asset_id, str(tmp_path / "dest"))
        one = (await b.engine.create_download(spec)).id
        await eventually(lambda: any(name.endswith(".ferry-part") for name in tree(tmp_path / "dest")))
        await b.engine.cancel(one)
        await eventually(lambda: not tree(tmp_path / "dest"))


async def test_leftovers_of_a_cancel_are_removed_by_the_next_daemon(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        one = await held_upload(b, make_file(tmp_path / "f", 2 * MIB))
        b.hub.faults.always["abort_upload"] = FerryError("HUB_UNREACHABLE", "gone", hub="h")
        await b.engine.cancel(one)
        await eventually(lambda: bool(b.hub.faults.calls["abort_upload"]))
        del b.hub.faults.always["abort_upload"]
        await b.restart()
        await eventually(lambda: bool(b.hub.aborted))


async def test_drain_puts_running_ones_back_and_refuses_new_ones(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 4 * MIB)
    async with bench(tmp_path) as b:
        one = await held_upload(b, path)
        watch = b.engine.subscribe([one], 0.0)
        await anext(watch)
        assert await b.engine.drain() == 1
        assert b.engine.draining
        drained = await b.engine.get(one)
        assert (drained.state, drained.waiting_for, drained.attempts) == (State.QUEUED, Wait.SLOT, 0)
        with pytest.raises(FerryError) as refused:
            await b.engine.create_upload(upload_spec(path))
        assert refused.value.reason == "SHUTTING_DOWN"
        with pytest.raises(FerryError) as ended:
            async for _ in watch:
                pass
        assert ended.value.reason == "SHUTTING_DOWN"
        assert await b.engine.drain() == 0
        release(b)
        await b.restart()
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_request_repeated_is_the_same_transfer(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        first = await b.engine.create_upload(upload_spec(path), request_id="r1")
        await b.settled(first.id)
        path.unlink()
        assert (await b.engine.create_upload(upload_spec(path), request_id="r1")).id == first.id
        with pytest.raises(FerryError) as reused:
            await b.engine.create_upload(upload_spec(path, title="other"), request_id="r1")
        assert reused.value.reason == "REQUEST_ID_REUSED"


async def test_a_missing_source_queues_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with pytest.raises(FerryError) as missing:
            await b.engine.create_upload(upload_spec(tmp_path / "nothing"))
        assert missing.value.reason == "SOURCE_MISSING"
        assert missing.value.metadata["path"] == str(tmp_path / "nothing")
        assert (await b.engine.list()).total_size == 0


async def test_priority_goes_first(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(running_transfers=1)) as b:
        held = await held_upload(b, make_file(tmp_path / "held", 10))
        low = await b.engine.create_upload(upload_spec(make_file(tmp_path / "low", 10)))
        high = await b.engine.create_upload(upload_spec(make_file(tmp_path / "high", 10)), priority=-5)
        assert (await b.engine.set_priority(high.id, 7)).priority == 7
        release(b)
        for one in (held, low.id, high.id):
            await b.settled(one)
        assert [path for path, _ in b.lanes.sent] == ["held", "high", "low"]
        with pytest.raises(FerryError) as refused:
            await b.engine.set_priority(low.id, 1)
        assert refused.value.reason == "ILLEGAL_TRANSITION"


async def test_limits_are_applied_and_remembered(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(running_transfers=2)) as b:
        assert await b.engine.limits() == Limits(running_transfers=2)
        changed = await b.engine.set_limits(bandwidth_bps=5000, parts_in_flight=3)
        assert changed == Limits(bandwidth_bps=5000, running_transfers=2, parts_in_flight=3)
        with pytest.raises(FerryError) as refused:
            await b.engine.set_limits(running_transfers=0)
        assert refused.value.metadata["field"] == "running_transfers"
        await b.restart()
        await b.engine.set_limits(bandwidth_bps=0)
        assert await b.engine.limits() == Limits(running_transfers=2, parts_in_flight=3)


async def test_pages_go_newest_first_and_tokens_are_bound_to_their_listing(tmp_path: Path) -> None:
    async with bench(tmp_path, limits=Limits(running_transfers=1)) as b:
        await held_upload(b, make_file(tmp_path / "held", 10))
        made = [(await b.engine.create_upload(upload_spec(tmp_path / "held"))).id for _ in range(7)]
        seen, token = [], ""
        while True:
            page = await b.engine.list(page_size=3, page_token=token, states=[State.QUEUED, State.PAUSED])
            assert page.total_size == 7
            seen += [one.id for one in page.items]
            if not (token := page.next_page_token):
                break
            last = token
        assert seen == made[::-1]
        for bad in ({"page_token": last}, {"page_token": "x", "states": [State.QUEUED]}, {"page_token": last[::-1]}):
            with pytest.raises(FerryError) as refused:
                await b.engine.list(**bad)  # type: ignore[arg-type]
            assert refused.value.reason == "PAGE_TOKEN_INVALID"
        with pytest.raises(FerryError) as negative:
            await b.engine.list(page_size=-1)
        assert negative.value.reason == "INVALID_ARGUMENT"


async def test_watching_everything_tells_of_later_transfers_too(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        first = await b.engine.create_upload(upload_spec(path))
        await b.settled(first.id)
        watch = b.engine.subscribe()
        snapshot, initial = await anext(watch)
        assert (snapshot.id, snapshot.state, initial) == (first.id, State.SUCCEEDED, True)
        coming = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        second = await b.engine.create_upload(upload_spec(path))
        event, initial = await coming
        assert (event.id, event.state, initial) == (second.id, State.QUEUED, False)
        states = [event.state]
        while states[-1] is not State.SUCCEEDED:
            states.append((await anext(watch))[0].state)
        assert list(dict.fromkeys(states)) == [State.QUEUED, State.RUNNING, State.SUCCEEDED]
        assert isinstance(watch, AsyncGenerator)
        await watch.aclose()
        assert (await b.engine.statistics()).watchers == 0


async def test_unknown_transfers_are_not_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for call in (b.engine.get, b.engine.pause, b.engine.cancel, b.engine.list_files):
            with pytest.raises(FerryError) as unknown:
                await call("trf_0")
            assert unknown.value.reason == "TRANSFER_NOT_FOUND"
        with pytest.raises(FerryError) as unwatched:
            await anext(b.engine.subscribe(["trf_0"]))
        assert unwatched.value.reason == "TRANSFER_NOT_FOUND"
