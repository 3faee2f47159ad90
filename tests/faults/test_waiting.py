"""What ends an attempt, below the engine: what is waited for, for how long, and what fails for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryd.core.model import EMBEDDED, Limits
from ferryd.core.states import Event, State
from ferryd.engine.retry import BUDGET
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError, Wait
from tests.support.engine import Bench, bench, cleaned, eventually, upload_spec
from tests.support.files import make_file

UNREACHABLE = FerryError("HUB_UNREACHABLE", "no route", hub="h")


async def upload(b: Bench, path: Path) -> str:
    return (await b.engine.create_upload(upload_spec(path))).id


async def test_an_unreachable_hub_is_waited_for_however_long(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.add("create_upload", UNREACHABLE, times=BUDGET + 4)
        one = await upload(b, path)
        waiting = await b.until(one, lambda it: it.waiting_for is Wait.NETWORK)
        assert waiting.state is State.QUEUED and waiting.next_attempt_at is not None
        assert waiting.error is not None and waiting.error.reason == "HUB_UNREACHABLE"
        done = await b.settled(one)
        assert done.state is State.SUCCEEDED and done.error is None


async def test_a_dead_hub_is_probed_by_one_transfer_not_by_all(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path, limits=Limits(running_transfers=4)) as b:
        b.hub.faults.always["create_upload"] = UNREACHABLE
        made = [await upload(b, path) for _ in range(50)]
        await b.until(made[0], lambda it: it.waiting_for is Wait.NETWORK)
        before, at = b.hub.faults.calls["create_upload"], b.clock.now()
        await eventually(lambda: b.hub.faults.calls["create_upload"] >= before + 5)
        assert b.clock.now() > at + 5, "five more calls take several seconds of the daemon's time"
        del b.hub.faults.always["create_upload"]
        for one in made:
            assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_hub_that_asks_to_wait_is_obeyed(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.hub.faults.add("create_upload", FerryError("RATE_LIMITED", "slow down", retry_after_s=100))
        one = await upload(b, path)
        waiting = await b.until(one, lambda it: it.waiting_for is Wait.RATE_LIMIT)
        # Not of `updated_at`: a write that takes a millisecond takes a second of this clock.
        assert waiting.next_attempt_at is not None and waiting.next_attempt_at >= waiting.created_at + 100
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_no_token_pauses_and_goes_on_by_itself(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.hub.faults.add("create_upload", FerryError("TOKEN_EXPIRED", "expired"), times=2)
        one = await upload(b, path)
        waiting = await b.until(one, lambda it: it.state is State.PAUSED)
        assert waiting.waiting_for is Wait.AUTH and await b.engine.active()
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_restart_tries_again_what_waited_for_a_token(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.clock._speed = 1.0  # the probe would take a minute
        b.hub.faults.add("create_upload", FerryError("NOT_SIGNED_IN", "no token"))
        one = await upload(b, path)
        await b.until(one, lambda it: it.state is State.PAUSED)
        await b.restart()
        assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_sign_in_resumes_what_waits_for_it_at_once(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.clock._speed = 1.0  # the probe would take an hour
        b.hub.faults.add("create_upload", FerryError("NOT_SIGNED_IN", "no token"), times=3)
        ids = [await upload(b, path) for _ in range(3)]
        for one in ids:
            await b.until(one, lambda it: it.state is State.PAUSED)
        assert await b.engine.signed_in(EMBEDDED) == 3
        for one in ids:
            assert (await b.settled(one)).state is State.SUCCEEDED


async def test_a_sign_in_just_before_a_transfer_pauses_for_it_is_not_missed(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        b.clock._speed = 1.0

        def sign_in_and_refuse() -> None:
            b.hubs.signed_in += 1
            raise FerryError("NOT_SIGNED_IN", "refused before the sign-in")

        b.hub.faults.add("create_upload", sign_in_and_refuse)
        assert (await b.settled(await upload(b, path))).state is State.SUCCEEDED


async def test_hopeless_errors_fail_at_once_and_abort_the_session(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.hub.faults.always["sign_parts"] = FerryError("QUOTA_EXCEEDED", "full", freeBytes=0, neededBytes=1)
        one = await upload(b, path)
        failed = await b.settled(one)
        assert failed.state is State.FAILED and failed.error is not None
        assert failed.error.reason == "QUOTA_EXCEEDED"
        await eventually(lambda: bool(b.hub.aborted))
        await cleaned(b)
        b.hub.faults.always.clear()
        await b.engine.resume(one)
        assert (await b.settled(one)).state is State.SUCCEEDED
        assert len(b.hub.contents) == 1


async def test_a_retryable_error_exhausts_its_budget_and_keeps_the_session(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 2 * MIB)
    async with bench(tmp_path) as b:
        b.lanes.faults.always["hash"] = FerryError("IO_ERROR", "bad sector", path=path)
        one = await upload(b, path)
        failed = await b.settled(one)
        assert failed.state is State.FAILED and failed.attempts == BUDGET
        assert not b.hub.aborted
        del b.lanes.faults.always["hash"]
        retried = await b.engine.retry(one)
        assert (retried.state, retried.attempts, retried.error) == (State.QUEUED, 0, None)
        assert (await b.settled(one)).state is State.SUCCEEDED
        assert len(b.hub.requests) == 1


async def test_a_bug_fails_one_transfer_and_not_the_daemon(tmp_path: Path) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:

        def bug() -> None:
            raise ZeroDivisionError

        b.lanes.faults.add("send", bug)
        failed = await b.settled(await upload(b, path))
        assert failed.error is not None and failed.error.reason == "INTERNAL" and failed.error.metadata["errorId"]
        assert (await b.settled(await upload(b, path))).state is State.SUCCEEDED


async def test_a_full_disk_under_the_queue_loses_no_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(tmp_path / "f", 10)
    async with bench(tmp_path) as b:
        refusals = [FerryError("DISK_FULL", "no space for the queue", path=tmp_path, freeBytes=0)] * 3
        real = b.store.change

        async def change(transfer_id: str, event: Event, **fields: object) -> object:
            if refusals and event is Event.COMPLETE:
                raise refusals.pop()
            return await real(transfer_id, event, **fields)

        monkeypatch.setattr(b.store, "change", change)
        done = await b.settled(await upload(b, path))
        assert done.state is State.SUCCEEDED and not refusals
