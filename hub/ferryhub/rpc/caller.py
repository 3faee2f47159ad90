"""Who makes the current request: set by the edge before a service method runs, read by every service method.

Holds the request's context only. How a caller is found out is in `identity.py`.
"""

from __future__ import annotations

from contextvars import ContextVar

from ferryhub.catalogue.actor import Actor
from ferrywire.reasons import FerryError

_caller: ContextVar[Actor | None] = ContextVar("ferryhub_caller", default=None)


def caller() -> Actor:
    """The caller of the current request. Error: `NOT_SIGNED_IN` outside of one."""
    actor = _caller.get()
    if actor is None:
        raise FerryError("NOT_SIGNED_IN", "this call needs a token: send 'Authorization: Bearer fat_…'")
    return actor


def set_caller(actor: Actor | None) -> None:
    """Say who calls, for the rest of this request."""
    _caller.set(actor)
