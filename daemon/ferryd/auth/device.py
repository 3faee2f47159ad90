"""Waits for the approval of a sign-in by code, as RFC 8628 asks: not too often, and not beyond its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ferryd.auth.oauth import DeviceGrant, OAuth, Refused
from ferryd.auth.tokens import Tokens
from ferryd.core.clock import boottime
from ferryd.core.ports import Clock
from ferrywire.reasons import FerryError

_LEAST_INTERVAL_S: Final = 1.0
_SLOW_DOWN_S: Final = 5.0
_LONGEST_S: Final = 60.0
_LOST: Final = frozenset({"HUB_UNREACHABLE", "HUB_OVERLOADED", "RATE_LIMITED"})


async def await_approval(
    oauth: OAuth, grant: DeviceGrant, clock: Clock, *, elapsed: Callable[[], float] = boottime
) -> Tokens:
    """The tokens once the person has approved. LOGIN_DENIED, LOGIN_EXPIRED.

    A hub that cannot be reached meanwhile is asked again, ever more rarely, until the code has expired.
    """
    ends_at = elapsed() + grant.expires_in_s
    interval_s = max(_LEAST_INTERVAL_S, grant.interval_s)
    while True:
        left_s = ends_at - elapsed()
        if left_s <= 0:
            raise _expired()
        await clock.sleep(min(interval_s, left_s))
        try:
            return await oauth.exchange(grant.device_code)
        except Refused as refusal:
            if refusal.error == "slow_down":
                interval_s += _SLOW_DOWN_S
            elif refusal.error != "authorization_pending":
                raise _failed(refusal) from None
        except FerryError as error:
            if error.reason not in _LOST:
                raise
            interval_s = min(max(interval_s * 2, error.retry_after_s or 0.0), max(_LONGEST_S, interval_s))


def _failed(refusal: Refused) -> FerryError:
    if refusal.error == "access_denied":
        return FerryError("LOGIN_DENIED", "the sign-in was denied on the hub's page")
    if refusal.error == "expired_token":
        return _expired()
    if refusal.error == "invalid_grant":  # a hub that has forgotten the code, or has answered it and we never heard
        return FerryError("LOGIN_EXPIRED", "the hub no longer knows the code; begin again")
    return FerryError("LOGIN_DENIED", f"the hub refused the sign-in ({refusal.error})")


def _expired() -> FerryError:
    return FerryError("LOGIN_EXPIRED", "the code was not approved in time")
