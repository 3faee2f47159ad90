"""A decorator of `Transport`: tells how long the hub took, and traces the call.

Upload steps 7, 8 and 10; forwarded calls. Whatever a call does to sign in again is part of it.
"""

from __future__ import annotations

import time

from ferryd.core.following import current
from ferryd.core.observing import Observer
from ferryd.remote.transport import Transport
from ferrywire import tracing
from ferrywire.reasons import FerryError


class ObservedTransport:
    """Implements `Transport` round another one."""

    def __init__(self, transport: Transport, observer: Observer) -> None:
        self._transport = transport
        self._observer = observer

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """See `Transport`."""
        method = method_path.rpartition(".")[2]
        began, outcome = time.perf_counter(), "CANCELLED"
        try:
            with tracing.span(method, kind="client", request_id=current()):
                reply = await self._transport.call(method_path, body, timeout_s)
            outcome = "ok"
        except FerryError as error:
            outcome = error.reason
            raise
        else:
            return reply
        finally:
            self._observer.hub_answered(method, outcome, time.perf_counter() - began)

    async def close(self) -> None:
        await self._transport.close()
