"""Who runs next. Upload step 6. `plan()` is a function of rows, limits and history; it starts nothing itself.

Highest priority first; then the client that was served longest ago, so that one process with 10,000 files does not
starve another; then the oldest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Set
from typing import Final

from ferryd.core.model import Candidate, Context

_CLIENTS_REMEMBERED: Final = 1024
_PROBE_CAP_S: Final = 15.0


def plan(
    candidates: Iterable[Candidate], *, running: Set[str], limit: int, served: Mapping[str, int]
) -> list[Candidate]:
    """The transfers to claim now, in order. `running` are the ids that hold a slot, `limit` how many may, `served`
    the turn at which a client got its last slot (a client not in it comes first)."""
    turns = dict(served)
    turn = max(turns.values(), default=0)
    waiting = [candidate for candidate in candidates if candidate.id not in running]
    chosen: list[Candidate] = []
    while waiting and len(running) + len(chosen) < limit:
        best = min(waiting, key=lambda one: (-one.priority, turns.get(one.client, -1), one.seq))
        waiting.remove(best)
        chosen.append(best)
        turns[best.client] = turn = turn + 1
    return chosen


class Turns:
    """Which client was served when. Remembers the last 1,024 clients."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, int] = OrderedDict()
        self._turn = 0

    @property
    def served(self) -> Mapping[str, int]:
        return self._turns

    def note(self, claimed: Iterable[Candidate]) -> None:
        """These were claimed, in this order."""
        for candidate in claimed:
            self._turn += 1
            self._turns[candidate.client] = self._turn
            self._turns.move_to_end(candidate.client)
        while len(self._turns) > _CLIENTS_REMEMBERED:
            self._turns.popitem(last=False)


class Gate:
    """Closed while the hub cannot be reached: then one transfer at a time probes, instead of the whole queue."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._failures = 0

    def close(self, now: float, until: float) -> None:
        """The hub did not answer: nobody tries before `until`, nor more often the longer it lasts, down to once in
        15 s. Seconds since the epoch."""
        self._failures += 1
        self._until = max(until, now + min(_PROBE_CAP_S, 2.0 ** min(self._failures, 10) / 4))

    def open(self) -> bool:
        """The hub answered. True when that is news."""
        was_closed = self._until is not None
        self._until, self._failures = None, 0
        return was_closed

    def limit(self, limit: int, now: float) -> int:
        """How many transfers may run now."""
        if self._until is None:
            return limit
        return 1 if now >= self._until else 0

    def due(self) -> float | None:
        """When the limit changes by itself."""
        return self._until


class Gates:
    """A gate for each hub, so that one that cannot be reached holds up nobody else."""

    def __init__(self) -> None:
        self._gates: dict[Context, Gate] = {}

    def close(self, context: Context, now: float, until: float) -> None:
        """This hub did not answer; see `Gate.close`."""
        self._gates.setdefault(context, Gate()).close(now, until)

    def open(self, context: Context) -> bool:
        """This hub answered. True when that is news."""
        return self._gates.pop(context, None) is not None

    def open_all(self) -> None:
        """Somebody knows better."""
        self._gates.clear()

    def passing(self, candidates: Iterable[Candidate], running: Mapping[str, Context], now: float) -> list[Candidate]:
        """The candidates that may run: all of a hub that answers, at most one of another, when its time has come.
        `running` are the transfers that hold a slot."""
        free: list[Candidate] = []
        probes: dict[Context, Candidate] = {}
        for candidate in candidates:
            gate = self._gates.get(candidate.context)
            if gate is None:
                free.append(candidate)
            elif candidate.id not in running and gate.limit(1, now) and candidate.context not in running.values():
                probe = probes.setdefault(candidate.context, candidate)
                probes[candidate.context] = min(probe, candidate, key=lambda one: (-one.priority, one.seq))
        return [*free, *probes.values()]

    def due(self, now: float) -> float | None:
        """When the next of them changes by itself."""
        times = [gate.due() for gate in self._gates.values()]
        return min((at for at in times if at is not None and at > now), default=None)
