"""Rate limits that every replica and every restart of the hub shares: so many attempts in a window of time.

An attempt is counted before it is made, so that attempts at once cannot slip through, and given back when it was a good
one. Only digests of addresses and accounts are kept.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Insert, Row, bindparam, case, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from ferryhub.auth.options import SECOND_US
from ferryhub.catalogue.account_tables import attempts
from ferryhub.catalogue.clock import now_us

_THIS = attempts.c.subject == bindparam("key")
_DELETE = delete(attempts).where(_THIS)
_GIVE_BACK = update(attempts).where(_THIS, attempts.c.tries > 0).values(tries=attempts.c.tries - 1)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` attempts of one kind by one subject in `window_s` seconds."""

    name: str
    most: int
    window_s: int


#: Sign-ins with a password that failed.
BY_ADDRESS: Final = Limit("sign-in address", 20, 300)
BY_ACCOUNT: Final = Limit("sign-in account", 10, 900)
#: Codes typed that no device waits with.
CODES_BY_ADDRESS: Final = Limit("code address", 20, 900)
CODES_BY_ACCOUNT: Final = Limit("code account", 10, 900)
#: Devices that ask for a code.
DEVICES_BY_ADDRESS: Final = Limit("device address", 100, 600)

#: Browsers that are sent to the OpenID provider.
VISITS_BY_ADDRESS: Final = Limit("provider address", 100, 600)

#: A limit and whom it is held against.
Subject = tuple[Limit, str]


def take(conn: Connection, subjects: Iterable[Subject]) -> float | None:
    """Count one attempt of each subject; or count none and return after how many seconds the next may be made."""
    now, subjects = now_us(), list(subjects)
    counted = [(limit, _count(conn, limit, who, now)) for limit, who in subjects]
    waits: list[int] = [row.ends_at - now for limit, row in counted if row.tries > limit.most]
    if not waits:
        return None
    give_back(conn, subjects)
    return max(waits) / SECOND_US


def give_back(conn: Connection, subjects: Iterable[Subject]) -> None:
    """The attempt was a good one: it does not count."""
    for limit, who in subjects:
        conn.execute(_GIVE_BACK, {"key": _key(limit, who)})


def forget(conn: Connection, subjects: Iterable[Subject]) -> None:
    """Start counting anew."""
    for limit, who in subjects:
        conn.execute(_DELETE, {"key": _key(limit, who)})


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or all of its IPv6 network, whose owner has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _count(conn: Connection, limit: Limit, who: str, now: int) -> Row[Any]:
    """The row with one more attempt in the window that is open, or with the first of a new one."""
    row = {"subject": _key(limit, who), "tries": 1, "began_at": now, "ends_at": now + limit.window_s * SECOND_US}
    return conn.execute(_COUNT[conn.dialect.name], row).one()


def _counting(into: type[sqlite.Insert | postgresql.Insert]) -> Insert:
    # One statement that looks for nothing first: on PostgreSQL, to look where another then inserts is to clash.
    new = into(attempts)
    is_over = attempts.c.ends_at <= new.excluded.began_at
    fresh = {name: case((is_over, new.excluded[name]), else_=attempts.c[name]) for name in ("began_at", "ends_at")}
    tries = case((is_over, 1), else_=attempts.c.tries + 1)
    return new.on_conflict_do_update(index_elements=["subject"], set_={"tries": tries, **fresh}).returning(attempts)


_COUNT: Final = {"sqlite": _counting(sqlite.Insert), "postgresql": _counting(postgresql.Insert)}


def _key(limit: Limit, who: str) -> bytes:
    return hashlib.sha256(f"{limit.name}\0{who}".encode()).digest()
