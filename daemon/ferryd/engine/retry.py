"""What follows from an error: again, wait, pause or give up. Upload step 7. Pure; the table is ferrywire.reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ferryd.core.states import Event
from ferrywire.reasons import FerryError, Wait

#: Attempts in a row without a persisted part, after which a retryable error is final.
BUDGET: Final = 8
_BASE_S: Final = 1.0
_CAP_S: Final = 300.0
#: What waits for something outside never exhausts its budget, and looks again at least this often.
_CAPS_S: Final = {Wait.NETWORK: 30.0, Wait.HUB: 30.0, Wait.RATE_LIMIT: 300.0, Wait.SPACE: 15.0}
#: A token that the hub refuses may work again; without one only a sign-in helps, which does not wait for this.
_AUTH_PROBE_S: Final = 60.0
_SIGNED_OUT_PROBE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The event that ends an attempt, what the transfer waits for then, and for how long."""

    event: Event
    waiting_for: Wait | None = None
    delay_s: float | None = None


def judge(error: FerryError, attempts: int, *, chance: float) -> Verdict:
    """Decide about attempt number `attempts` (from 1) in a row without progress. `chance` is uniform in [0, 1)."""
    waits_for = error.row.waits_for
    if waits_for is Wait.AUTH:
        probe_s = _SIGNED_OUT_PROBE_S if error.reason == "NOT_SIGNED_IN" else _AUTH_PROBE_S
        return Verdict(Event.PAUSE, Wait.AUTH, probe_s)
    if waits_for is not None:
        delay_s = backoff_s(attempts, chance=chance, cap_s=_CAPS_S[waits_for], at_least_s=error.retry_after_s)
        return Verdict(Event.RETRY, waits_for, delay_s)
    if error.retryable and attempts < BUDGET:
        return Verdict(Event.RETRY, Wait.SLOT, backoff_s(attempts, chance=chance, at_least_s=error.retry_after_s))
    return Verdict(Event.GIVE_UP)


def backoff_s(attempts: int, *, chance: float, cap_s: float = _CAP_S, at_least_s: float | None = None) -> float:
    """Full jitter: anywhere up to 1 s doubled per attempt, capped; on top of what the server asked for."""
    jitter_s = chance * min(cap_s, _BASE_S * 2.0 ** min(attempts, 32))
    return jitter_s + (at_least_s or 0.0)
