"""The engine's pure rules: who runs next, what follows from an error, what is refused, what is shown."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ferryd.core.model import Candidate, Context, DownloadSpec, Limits, UploadSpec
from ferryd.core.ports import Interrupted
from ferryd.core.states import Event, State, mermaid
from ferryd.engine import validate
from ferryd.engine.limits import Bandwidth, Slots, TransferMeter
from ferryd.engine.progress import Fanout, RateGauge, Tally
from ferryd.engine.retry import BUDGET, judge
from ferryd.engine.scheduler import Gate, Gates, Turns, plan
from ferrywire.parts import MIB
from ferrywire.reasons import REASONS, FerryError, Wait
from tests.support.engine import QuickClock
from tests.unit.daemon.test_store import new

UPLOAD = UploadSpec(paths=("/f",), title="t", owner_type="user", owner_id="me")
DOWNLOAD = DownloadSpec("ast_1", "/dest")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("paths", {"paths": ()}),
        ("paths", {"paths": ("relative",)}),
        ("paths", {"paths": ("/f", "")}),
        ("title", {"title": " "}),
        ("title", {"title": "x" * 501}),
        ("owner_type", {"owner_type": "org"}),
        ("owner_id", {"owner_id": ""}),
        ("chunk_size_mb", {"part_bytes": 0}),
        ("chunk_size_mb", {"part_bytes": -MIB}),
        ("chunk_size_mb", {"part_bytes": MIB + 1}),
        ("chunk_size_mb", {"part_bytes": 5121 * MIB}),
        ("title", {"asset_id": "ast_1"}),
        ("metadata", {"metadata": {"a": [{"b": float("nan")}]}}),
        ("metadata", {"metadata": {"a": float("-inf")}}),
        ("description", {"description": "x" * 10_001}),
        ("message", {"message": "x" * 1_001}),
    ],
)
def test_a_bad_upload_names_the_field(field: str, changes: dict[str, object]) -> None:
    validate.check_upload(UPLOAD)
    with pytest.raises(FerryError) as refused:
        validate.check_upload(replace(UPLOAD, **changes))  # type: ignore[arg-type]
    assert (refused.value.reason, refused.value.metadata["field"]) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("asset_id", {"asset_id": ""}),
        ("dest_dir", {"dest_dir": "here"}),
        ("include", {"include": ("",)}),
        ("include", {"include": ("a[b",)}),
        ("include", {"include": ("/abs",)}),
    ],
)
def test_a_bad_download_names_the_field(field: str, changes: dict[str, object]) -> None:
    validate.check_download(DOWNLOAD)
    with pytest.raises(FerryError) as refused:
        validate.check_download(replace(DOWNLOAD, **changes))  # type: ignore[arg-type]
    assert refused.value.metadata["field"] == field


@pytest.mark.parametrize(
    "limits", [Limits(bandwidth_bps=1023), Limits(-1), Limits(0, 0), Limits(0, 65), Limits(0, 1, 0)]
)
def test_bad_limits_are_refused(limits: Limits) -> None:
    with pytest.raises(FerryError):
        validate.check_limits(limits)


def test_priority_then_turn_then_age() -> None:
    rows = [
        Candidate("a1", "a", 0, 1),
        Candidate("a2", "a", 0, 2),
        Candidate("b1", "b", 0, 3),
        Candidate("c1", "c", 5, 4),
    ]
    assert [one.id for one in plan(rows, running=set(), limit=4, served={})] == ["c1", "a1", "b1", "a2"]
    turns = Turns()
    turns.note([rows[0]])
    assert [one.id for one in plan(rows, running={"c1"}, limit=2, served=turns.served)] == ["b1"]
    assert plan(rows, running={"x", "y"}, limit=2, served={}) == []


def test_the_gate_lets_one_probe_through() -> None:
    gate = Gate()
    assert gate.limit(4, 0.0) == 4
    gate.close(0.0, 10.0)
    assert (gate.limit(4, 9.9), gate.limit(4, 10.0), gate.due()) == (0, 1, 10.0)
    assert gate.open() and not gate.open()
    assert gate.limit(4, 0.0) == 4
    for _ in range(20):
        gate.close(0.0, 0.1)
    assert gate.due() == 15.0


def test_a_hub_that_is_away_holds_up_no_other() -> None:
    gates, away, here = Gates(), Context("a", "http://a"), Context("b", "http://b")
    rows = [Candidate(f"a{at}", "c", at, at, away) for at in range(3)] + [Candidate("b1", "c", 0, 9, here)]
    assert gates.passing(rows, {}, 0.0) == rows
    gates.close(away, 0.0, 10.0)
    assert [one.id for one in gates.passing(rows, {}, 5.0)] == ["b1"] and gates.due(5.0) == 10.0
    assert [one.id for one in gates.passing(rows, {}, 10.0)] == ["b1", "a2"] and gates.due(10.0) is None
    assert [one.id for one in gates.passing(rows, {"a2": away}, 10.0)] == ["b1"]
    assert not gates.open(here) and gates.open(away) and not gates.open(away)
    assert gates.passing(rows, {}, 0.0) == rows
    gates.close(here, 0.0, 10.0)
    gates.open_all()
    assert gates.passing(rows, {}, 0.0) == rows


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_has_a_consequence(reason: str) -> None:
    error, row = FerryError(reason, "m"), REASONS[reason]
    first, last = judge(error, 1, chance=0.5), judge(error, BUDGET, chance=0.5)
    if row.waits_for is Wait.AUTH:
        assert first.event is Event.PAUSE and first.waiting_for is Wait.AUTH and first.delay_s
    elif row.waits_for:
        assert first.event is last.event is Event.RETRY and first.waiting_for is row.waits_for
        assert last.delay_s is not None and last.delay_s <= 150
    else:
        assert first.event is (Event.RETRY if row.retryable else Event.GIVE_UP)
        assert last.event is Event.GIVE_UP


def test_retry_after_is_kept() -> None:
    verdict = judge(FerryError("HUB_OVERLOADED", "m", retry_after_s=77), 1, chance=0.0)
    assert verdict.delay_s == 77


def test_a_bandwidth_change_counts_for_old_debt() -> None:
    now = 0.0
    bucket = Bandwidth(1000, lambda: now)
    bucket.spend(10_000)
    assert bucket.wait_s() == pytest.approx(10)
    bucket.set_rate(10_000)
    assert bucket.wait_s() == pytest.approx(1)
    now = 2.0
    assert bucket.wait_s() == 0
    bucket.spend(50_000)
    bucket.set_rate(0)
    assert bucket.wait_s() == 0
    bucket.set_rate(1000)
    assert bucket.wait_s() == 0


def test_a_meter_stops_a_lane_that_waits_for_bandwidth() -> None:
    meter = TransferMeter(Bandwidth(1, lambda: 0.0), lambda _: None)
    threading.Timer(0.05, meter.stop).start()
    with pytest.raises(Interrupted):
        meter.moved(1 << 30)
    with pytest.raises(Interrupted):
        meter.check()
    assert meter.moved_bytes == 1 << 30


async def test_a_free_slot_goes_to_who_has_fewest() -> None:
    slots, order = Slots(3), []

    async def take(key: str) -> None:
        await slots.acquire(key)
        order.append(key)

    async with asyncio.TaskGroup() as tasks:
        for key in ("a", "a", "a", "a", "b"):
            tasks.create_task(take(key))
        while len(order) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        slots.release("a")
        slots.release("a")
    assert order == ["a", "a", "a", "b", "a"] and slots.held == 3
    slots.set_limit(1)
    waiting = asyncio.ensure_future(slots.acquire("c"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for key in ("a", "a", "b"):
        slots.release(key)
    assert slots.held == 0
    await slots.acquire("d")
    assert slots.held_by("d") == 1


async def test_large_parts_of_one_transfer_get_half_of_the_slots() -> None:
    slots, order = Slots(4), []

    async def take(key: str, *, large: bool) -> None:
        await slots.acquire(key, large=large)
        order.append(key)

    async with asyncio.TaskGroup() as tasks:
        for key, large in (("a", True), ("a", True), ("a", True), ("b", True), ("c", False)):
            tasks.create_task(take(key, large=large))
        while len(order) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert order == ["a", "a", "b", "c"]
        slots.release("b")
        slots.release("a")
    assert order == ["a", "a", "b", "c", "a"]
    slots.set_limit(1)
    for key in ("a", "a", "c"):
        slots.release(key)
    await slots.acquire("a", large=True)  # one is always possible
    assert slots.held_by("a") == 1


def test_everything_is_shown_only_with_success() -> None:
    tally = Tally(new(size_bytes=30, chunk_count=3))
    shown = []
    for _ in range(3):
        tally.confirm(1, 10)
        shown.append((tally.shown_bytes, tally.shown_parts))
    assert shown == [(10, 1), (20, 2), (20, 2)]
    tally.restart()
    tally.confirm(1, 10)
    assert tally.shown_bytes == 20, "never backwards"


def test_the_rate_follows_and_dies_away() -> None:
    gauge = RateGauge(0.0)
    for second in range(1, 30):
        rate = gauge.sample(float(second), second * 1000)
    assert rate == pytest.approx(1000, rel=0.01)
    for second in range(30, 90):
        rate = gauge.sample(float(second), 29_000)
    assert rate == 0


async def test_progress_is_coalesced_and_states_are_not() -> None:
    fanout = Fanout(QuickClock())
    watch = fanout.open(None, 0.02)
    one = new()
    watch.sent(one)
    for at in range(1, 1000):
        fanout.publish(replace(one, persisted_bytes=at % 100, updated_at=1.0 + at))
    running = replace(one, state=State.RUNNING, updated_at=2000.0)
    done = replace(one, state=State.SUCCEEDED, updated_at=2001.0, persisted_bytes=100)
    fanout.publish(running)
    fanout.publish(done)
    received = [await watch.next() for _ in range(3)]
    assert [(it.state, it.updated_at) for it in received] == [
        (State.QUEUED, 1000.0),
        (State.RUNNING, 2000.0),
        (State.SUCCEEDED, 2001.0),
    ]
    for _ in range(100):
        fanout.publish(running)
        fanout.publish(one)
    assert sum(map(len, watch._pending.values())) <= 8
    watch.sent(replace(one, updated_at=3000.0))
    assert not watch._pending
    fanout.end()
    with pytest.raises(FerryError):
        await watch.next()


def test_the_picture_of_the_states_is_the_one_in_the_documents() -> None:
    golden = Path(__file__).parents[2] / "golden" / "states.mermaid"
    assert mermaid() + "\n" == golden.read_text("utf-8")
