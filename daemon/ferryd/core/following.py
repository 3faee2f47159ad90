"""The id that follows one piece of work from the SDK through the daemon to the hub and its store, in every log.

A call has the one that its caller sent, or a new one; a transfer, which outlives its call, has its own id. It goes with
a task and with whatever thread works for it.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

from ferrywire.ids import new_id

#: The name of the gRPC metadata and of the HTTP header.
HEADER: Final = "x-request-id"
_GOOD: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: Final[ContextVar[str]] = ContextVar("ferryman-request-id", default="")


def current() -> str:
    """The id of what is being done; empty outside of everything."""
    return _current.get()


def follow(given: str) -> str:
    """Do what follows in this task under the id given, or under a new one if that is none; returns it."""
    chosen = given if _GOOD.fullmatch(given) else new_id("req")
    _current.set(chosen)
    return chosen
