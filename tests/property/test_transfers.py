"""Random histories of transfers against the real store: whatever is tried, the table of states decides."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from ferryd.core.model import Kind, Transfer, UploadSpec
from ferryd.core.states import SETTLED, TRANSITIONS, Event, State
from ferryd.store.store import SqliteStore
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError, Wait

FIELDS: dict[Event, dict[str, Any]] = {
    Event.PAUSE: {"waiting_for": Wait.USER},
    Event.RESUME: {"waiting_for": Wait.SLOT, "attempts": 0},
    Event.RETRY: {"waiting_for": Wait.NETWORK, "next_attempt_at": 50.0},
    Event.RECOVER: {"waiting_for": Wait.SLOT},
    Event.COMPLETE: {"persisted_bytes": 10},
    Event.GIVE_UP: {"error": FerryError("QUOTA_EXCEEDED", "full", freeBytes=0, neededBytes=1)},
}


class Transfers(RuleBasedStateMachine):
    """The model is a dictionary of states and a list of events per transfer."""

    transfers = Bundle("transfers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "queue.db"
        self.store = self.run(SqliteStore.open(self.path, lambda: 100.0))
        self.states: dict[str, State] = {}
        self.history: dict[str, list[str]] = {}

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    @rule(target=transfers, client=st.sampled_from("abc"), priority=st.integers(-100, 100))
    def create(self, client: str, priority: int) -> str:
        one = Transfer(
            id=new_id("trf"),
            kind=Kind.UPLOAD,
            state=State.QUEUED,
            spec=UploadSpec(paths=("/f",)),
            client=client,
            request_id=new_id("req"),
            title="t",
            local_path="/f",
            created_at=1.0,
            updated_at=1.0,
            priority=priority,
            size_bytes=10,
            chunk_count=1,
            waiting_for=Wait.SLOT,
        )
        self.run(self.store.insert(one, [], "f"))
        self.states[one.id] = State.QUEUED
        self.history[one.id] = ["create"]
        return one.id

    @rule(one=transfers, event=st.sampled_from(list(Event)))
    def change(self, one: str, event: Event) -> None:
        before = self.run(self.store.get(one))
        target = TRANSITIONS[self.states[one]].get(event)
        try:
            after = self.run(self.store.change(one, event, **FIELDS.get(event, {})))
        except FerryError as error:
            assert target is None and error.reason == "ILLEGAL_TRANSITION"
            assert repr(self.run(self.store.get(one))) == repr(before), "an illegal event changes nothing"
            return
        assert after.state is target
        self._note(one, event)

    @rule(one=transfers)
    def claim(self, one: str) -> None:
        claimed = self.run(self.store.claim([one]))
        assert bool(claimed) == (self.states[one] is State.QUEUED)
        if claimed:
            self._note(one, Event.CLAIM)

    @rule()
    def crash_and_recover(self) -> None:
        self.run(self.store.close())
        self.store = self.run(SqliteStore.open(self.path, lambda: 100.0))
        recovered = {one.id for one in self.run(self.store.recover())}
        assert recovered == {one for one, state in self.states.items() if state is State.RUNNING}
        for one in recovered:
            self._note(one, Event.RECOVER)

    @rule(now=st.sampled_from([10.0, 60.0]))
    def time_passes(self, now: float) -> None:
        assert self.run(self.store.release_due(now)) == [], "nobody's pause ends by itself"
        due = self.run(self.store.next_due())
        assert due is None or due > now

    @rule(one=consumes(transfers))
    def forget_about(self, one: str) -> None:
        """So that others get their turn."""

    def _note(self, one: str, event: Event) -> None:
        self.states[one] = TRANSITIONS[self.states[one]][event]
        self.history[one].append(event)

    @invariant()
    def rows_agree_with_the_model(self) -> None:
        rows = {one.id: one for _, one in self.run(self.store.page((), None, 1000))}
        assert {one: row.state for one, row in rows.items()} == self.states
        for row in rows.values():
            assert (row.ended_at is not None) == (row.state in SETTLED)
            assert row.waiting_for is not None or row.state in SETTLED | {State.RUNNING}, "no silent stall"
            assert row.persisted_bytes == row.size_bytes or row.state is not State.SUCCEEDED
        ready = {one.id for one in self.run(self.store.candidates(1000))}
        assert ready == {one.id for one in rows.values() if one.state is State.QUEUED and one.next_attempt_at is None}
        counts = self.run(self.store.counts())
        assert sum(counts.values()) == len(rows)

    @invariant()
    def every_change_has_its_event(self) -> None:
        for one, events in self.history.items():
            assert [event for event, *_ in self.run(self.store.events(one))] == events


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
