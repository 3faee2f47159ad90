"""Turns at parts: one writer each, the newest first, none while a session is settled; and cancellation anywhere."""

from __future__ import annotations

import asyncio

import pytest

from ferryhub.blobs.gate import PartGate, PartKey
from ferrywire.reasons import FerryError

KEY = PartKey("upl_1", 0, 1)
OTHER = PartKey("upl_1", 0, 2)


class Holder:
    """Somebody who takes a turn and then waits for bytes that do not come, until told to go on."""

    def __init__(self, gate: PartGate, key: PartKey = KEY) -> None:
        self.gate, self.key = gate, key
        self.entered, self.finish = asyncio.Event(), asyncio.Event()
        self.timed_out = False

    async def run(self) -> None:
        async with self.gate.part(self.key) as turn:
            try:
                async with turn.receiving():
                    self.entered.set()
                    await self.finish.wait()
            except TimeoutError:
                self.timed_out = True


async def test_a_newcomer_takes_over_from_one_who_waits_for_bytes() -> None:
    gate = PartGate()
    async with asyncio.TaskGroup() as tasks:
        first, second = Holder(gate), Holder(gate)
        tasks.create_task(first.run())
        await first.entered.wait()
        tasks.create_task(second.run())
        await second.entered.wait()
        assert first.timed_out
        second.finish.set()
    assert not second.timed_out


async def test_who_has_received_everything_is_waited_for() -> None:
    gate, written = PartGate(), asyncio.Event()
    order: list[str] = []

    async def first(entered: asyncio.Event) -> None:
        async with gate.part(KEY) as turn:
            async with turn.receiving():
                turn.moved()
            entered.set()
            await written.wait()
            order.append("first")

    async def second() -> None:
        async with gate.part(KEY):
            order.append("second")

    async with asyncio.TaskGroup() as tasks:
        entered = asyncio.Event()
        tasks.create_task(first(entered))
        await entered.wait()
        tasks.create_task(second())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == []
        written.set()
    assert order == ["first", "second"]


async def test_parts_do_not_wait_for_each_other() -> None:
    gate = PartGate()
    async with gate.part(KEY), gate.part(OTHER), gate.part(PartKey("upl_2", 0, 1)):
        pass


async def test_a_session_is_settled_with_nobody_writing_and_nobody_let_in() -> None:
    gate = PartGate()
    async with asyncio.TaskGroup() as tasks:
        holders = [Holder(gate), Holder(gate, OTHER)]
        for holder in holders:
            tasks.create_task(holder.run())
            await holder.entered.wait()
        late = Holder(gate)
        async with gate.whole("upl_1"):
            assert all(holder.timed_out for holder in holders)
            tasks.create_task(late.run())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not late.entered.is_set()
        await late.entered.wait()
        late.finish.set()


async def test_settling_is_one_at_a_time() -> None:
    gate, inside = PartGate(), 0

    async def settle() -> None:
        nonlocal inside
        async with gate.whole("upl_1"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(settle() for _ in range(5)))


async def test_too_many_are_told_to_come_again() -> None:
    gate = PartGate(limit=2)
    async with gate.part(KEY), gate.part(OTHER):
        with pytest.raises(FerryError) as caught:
            async with gate.part(PartKey("upl_2", 0, 1)):
                pass
        assert (caught.value.reason, caught.value.retry_after_s) == ("HUB_OVERLOADED", 1.0)
    async with gate.part(KEY):
        pass


async def test_a_sender_that_hangs_is_dropped() -> None:
    holder = Holder(PartGate(idle_s=0.01))
    await holder.run()
    assert holder.timed_out


@pytest.mark.parametrize("steps", range(6))
async def test_cancelling_at_any_point_leaves_the_gate_open(steps: int) -> None:
    gate = PartGate()
    blocker = Holder(gate)

    async def settle() -> None:
        async with gate.whole("upl_1"):
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(blocker.run())
        await blocker.entered.wait()
        doomed = [tasks.create_task(Holder(gate).run()), tasks.create_task(settle())]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in doomed:
            task.cancel()
        blocker.finish.set()
    async with asyncio.timeout(60), gate.whole("upl_1"):
        pass
    async with asyncio.timeout(60), gate.part(KEY):
        pass
