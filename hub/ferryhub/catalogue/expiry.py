"""Forgets what is over: counted attempts, codes, browsers and tokens whose time has passed.

Run by the sweep, by one hub at a time. Never part of a caller's transaction: whoever reads such a row looks at its
time, and calls that delete each other's rows clash on PostgreSQL. No rule about what a row means is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Integer, bindparam, delete, select

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.account_tables import (
    attempts,
    browsers,
    device_codes,
    provider_visits,
    refresh_tokens,
    sign_ins,
)
from ferryhub.catalogue.database import Database
from ferrywire.ids import first_id

HOUR_US: Final = 3600 * 1_000_000
#: Who shows a token or a code that expired is told so for this long; later it is one that nobody knows.
CODES_KEPT_US: Final = HOUR_US
TOKENS_KEPT_US: Final = 24 * HOUR_US
#: Of one transaction, so that nobody waits long for it.
_ROWS_AT_ONCE: Final = 1000

_BEFORE: Final = bindparam("before", type_=BigInteger())
_MOST: Final = bindparam("most", type_=Integer())
Forget = Callable[[Connection, int], int]


async def forget_expired(database: Database, at_us: int) -> int:
    """Forget all of it, a few rows at a time; returns how many there were."""
    total = 0
    for forget in STEPS:
        while forgotten := await database.write(forget, at_us):
            total += forgotten
    return total


def _over(key: Column[Any], ends_at: Column[Any], kept_us: int = 0) -> Forget:
    some = select(key).where(ends_at <= _BEFORE).limit(_MOST)
    statement = delete(key.table).where(key.in_(some.scalar_subquery()))

    def forget(conn: Connection, at_us: int) -> int:
        return conn.execute(statement, {"before": at_us - kept_us, "most": _ROWS_AT_ONCE}).rowcount

    return forget


_t, _r, _s = t.tokens.c, refresh_tokens.c, sign_ins.c
#: Along the ids, which are in the order of time: few tokens that old are not over.
_OLD_TOKENS = (
    select(_t.id)
    .where(_t.id < bindparam("first"), _t.expires_at <= _BEFORE, _t.sign_in_id.is_not(None))
    .order_by(_t.id)
    .limit(_MOST)
)
_TOKENS = delete(t.tokens).where(_t.id.in_(_OLD_TOKENS.scalar_subquery()))
_OLD_REFRESH_TOKENS = select(_r.sha256).where(_r.expires_at <= _BEFORE).limit(_MOST)
_REFRESH_TOKENS = (
    delete(refresh_tokens).where(_r.sha256.in_(_OLD_REFRESH_TOKENS.scalar_subquery())).returning(_r.sign_in_id)
)
_SIGN_INS = delete(sign_ins).where(
    _s.id.in_(bindparam("ids", expanding=True)),
    ~select(_r.sha256).where(_r.sign_in_id == _s.id).exists(),
    ~select(_t.id).where(_t.sign_in_id == _s.id).exists(),
)


def _tokens(conn: Connection, at_us: int) -> int:
    """Access tokens of sign-ins. Those that an operator made are listed for ever."""
    before = at_us - TOKENS_KEPT_US
    given = {"first": first_id("tok", before), "before": before, "most": _ROWS_AT_ONCE}
    return conn.execute(_TOKENS, given).rowcount


def _refresh_tokens(conn: Connection, at_us: int) -> int:
    """Refresh tokens, and sign-ins of which nothing is left."""
    gone = conn.execute(_REFRESH_TOKENS, {"before": at_us - TOKENS_KEPT_US, "most": _ROWS_AT_ONCE}).scalars().all()
    if gone:
        conn.execute(_SIGN_INS, {"ids": sorted(set(gone))})
    return len(gone)


#: Each forgets some rows, in a transaction of its own, and returns how many; 0 when no more are over.
STEPS: Final[tuple[Forget, ...]] = (
    _over(attempts.c.subject, attempts.c.ends_at),
    _over(browsers.c.sha256, browsers.c.expires_at),
    _over(provider_visits.c.sha256, provider_visits.c.expires_at),
    _over(device_codes.c.sha256, device_codes.c.expires_at, CODES_KEPT_US),
    _tokens,
    _refresh_tokens,
)
