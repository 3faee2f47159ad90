"""Leases: what one hub of many does at a time, such as sweeping. Who holds one keeps it by taking it again in time.

A holder that stops loses it when its time is over. Clocks of hubs must agree to within a fraction of a lease's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.database import Database

T = TypeVar("T")
#: How often in its time a lease is taken again.
_KEEPS: Final = 4

_l = t.leases.c
_TAKE = (
    update(t.leases)
    .where(_l.name == bindparam("key"), or_(_l.holder == bindparam("me"), _l.expires_at <= bindparam("now")))
    .values(holder=bindparam("me"), expires_at=bindparam("until"))
)
_EXISTS = select(_l.name).where(_l.name == bindparam("key"))
_INSERT = insert(t.leases)
_GIVE_UP = delete(t.leases).where(_l.name == bindparam("key"), _l.holder == bindparam("me"))


def take(conn: Connection, name: str, holder: str, now_us: int, ttl_us: int) -> bool:
    """Take or keep a lease until `ttl_us` after `now_us`; False while another holds it."""
    until = now_us + ttl_us
    if conn.execute(_TAKE, {"key": name, "me": holder, "now": now_us, "until": until}).rowcount == 1:
        return True
    if conn.execute(_EXISTS, {"key": name}).first() is not None:
        return False
    conn.execute(_INSERT, {"name": name, "holder": holder, "expires_at": until})
    return True


def give_up(conn: Connection, name: str, holder: str) -> None:
    """Let another have it at once, if it is this holder's."""
    conn.execute(_GIVE_UP, {"key": name, "me": holder})


async def while_held(
    database: Database, name: str, holder: str, *, ttl_s: float, work: Callable[[], Awaitable[T]]
) -> T | None:
    """Do something while holding a lease, which is kept meanwhile and given up at the end; None while another has it.

    Error: an `ExceptionGroup` when the lease is lost or cannot be kept; `work` was cancelled then.
    """
    if not await database.write(take, name, holder, now_us(), int(ttl_s * 1e6)):
        return None
    try:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(_keep(database, name, holder, ttl_s), name=f"lease {name}")
            done = await work()
            keeping.cancel()
        return done
    finally:
        await database.write(give_up, name, holder)


async def _keep(database: Database, name: str, holder: str, ttl_s: float) -> None:
    while True:
        await asyncio.sleep(ttl_s / _KEEPS)
        if not await database.write(take, name, holder, now_us(), int(ttl_s * 1e6)):
            raise RuntimeError(f"another hub took the lease '{name}': this one was too slow to keep it")
