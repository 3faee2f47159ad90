"""One run of one transfer: its meter, its tally, its progress. Upload steps 7 to 10, shared by both directions."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ferryd.core.model import Kind, Part, Phase, Span, StoredPart, Transfer, TransferFile
from ferryd.core.ports import Clock, Files, Hub, Hubs, Interrupted, Lanes
from ferryd.engine.ledger import Ledger
from ferryd.engine.limits import Slots, TransferMeter
from ferryd.engine.progress import RateGauge, Tally
from ferrywire.parts import part_count, part_span
from ferrywire.reasons import FerryError

_TICK_S: Final = 0.5


class Counters:
    """Since the start of the process. Bytes are counted from lane threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent_bytes = 0
        self.received_bytes = 0
        self.retried_parts = 0
        self.resent_bytes = 0
        self.sent_parts = 0
        self.received_parts = 0
        #: By reason.
        self.failed_parts: Counter[str] = Counter()

    def add_sent(self, size_bytes: int) -> None:
        with self._lock:
            self.sent_bytes += size_bytes

    def add_received(self, size_bytes: int) -> None:
        with self._lock:
            self.received_bytes += size_bytes


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with."""

    ledger: Ledger
    hubs: Hubs
    lanes: Lanes
    files: Files
    clock: Clock
    slots: Slots
    counters: Counters


class Run:
    """What is known about a transfer while it runs. `transfer` is as it was when claimed, or last recorded."""

    def __init__(self, transfer: Transfer, tools: Tools, meter: TransferMeter) -> None:
        self.transfer = transfer
        self.meter = meter
        self.tally = Tally(transfer)
        self.phase = Phase.PREPARING
        self.progressed = False
        self.interrupted = False
        self.ended = False  #: only its outcome has to be written yet
        self.answered = asyncio.Event()  #: the hub has answered in this run
        #: Sign-ins to the hub before this run.
        self.sign_ins = tools.hubs.sign_ins(transfer.context)
        self._tools = tools
        self._resent_bytes = transfer.resent_bytes

    @property
    def id(self) -> str:
        return self.transfer.id

    @property
    def hub(self) -> Hub:
        """The hub the transfer belongs to. NOT_SIGNED_IN."""
        return self._tools.hubs.get(self.transfer.context)

    def interrupt(self) -> None:
        """Pause, cancel or drain: every lane ends at its next window."""
        self.interrupted = True
        self.meter.stop()

    def check(self) -> None:
        if self.interrupted:
            raise Interrupted

    def show(self, phase: Phase, file: TransferFile | None = None) -> None:
        self.phase = phase
        self._tools.ledger.show(self.id, phase=phase, file=file)

    def resent(self, part_bytes: int) -> None:
        """A part moves again."""
        self._resent_bytes += part_bytes
        self._tools.counters.resent_bytes += part_bytes

    def part_moved(self) -> None:
        """A part has gone all its way."""
        counters = self._tools.counters
        if self.transfer.kind is Kind.UPLOAD:
            counters.sent_parts += 1
        else:
            counters.received_parts += 1

    def part_failed(self, error: FerryError) -> None:
        """A part has not; whether it is tried again is another matter."""
        self._tools.counters.failed_parts[error.reason] += 1

    def retried(self, parts: int) -> None:
        self._tools.counters.retried_parts += parts

    async def update(self, **fields: Any) -> None:
        """Set fields of the transfer, durably."""
        self.transfer = await self._tools.ledger.update(self.id, **fields)

    async def replan(self, files: Sequence[TransferFile], **fields: Any) -> None:
        """The files with other part sizes than before, and no part yet."""
        count = sum(part_count(file.size_bytes, file.part_bytes) for file in files)
        none = {"persisted_bytes": 0, "chunk_index": 0, "chunk_count": count}
        self.transfer = await self._tools.ledger.replan(self.id, files, **none | fields)
        self.tally.resize(count)

    async def record(
        self, *, parts: Iterable[Part], persisted: bool, files: Sequence[TransferFile] = (), **fields: Any
    ) -> None:
        """Write part and file rows, and with them what may be shown."""
        shown = {
            "persisted_bytes": self.tally.shown_bytes,
            "chunk_index": self.tally.shown_parts,
            "resent_bytes": self._resent_bytes,
        }
        rows = [StoredPart(part, persisted) for part in parts]
        self.transfer = await self._tools.ledger.record(self.id, parts=rows, files=files, **shown | fields)

    async def gauge(self) -> None:
        """Show the rate twice a second, until cancelled."""
        clock = self._tools.clock
        gauge = RateGauge(clock.monotonic())
        while True:
            await clock.sleep(_TICK_S)
            self._tools.ledger.show(self.id, rate_bps=gauge.sample(clock.monotonic(), self.meter.moved_bytes))


def span_of(file: TransferFile, number: int) -> Span:
    """What part `number` of a file covers."""
    if number == 1 and file.size_bytes <= file.part_bytes:  # thousands of files are like this
        return Span(0, file.size_bytes)
    return Span(*part_span(file.size_bytes, file.part_bytes, number))
