"""One unary call to the hub: bytes in, bytes out. Upload steps 7, 8 and 10; every forwarded catalogue call.

What the two transports, HTTP and in process, have in common. Nothing here knows a message type.
"""

from __future__ import annotations

from typing import Final, Protocol

from ferrywire.reasons import FerryError

#: The largest reply that is taken in; a hostile or broken hub could send without end.
MAX_REPLY_BYTES: Final = 64 << 20
CONTENT_TYPE: Final = "application/proto"


class Transport(Protocol):
    """Carries calls to one hub, signed with one identity."""

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """Call `/ferryapi.hub.v1.XService/Method`. Raises the hub's `FerryError`; HUB_UNREACHABLE when it does not
        answer, DEADLINE_EXCEEDED when `timeout_s` has passed."""

    async def close(self) -> None:
        """Let go of connections. No call may follow."""


def deadline_exceeded(method_path: str, timeout_s: float) -> FerryError:
    """The error for a call that took longer than its caller allowed."""
    method = method_path.rpartition("/")[2]
    return FerryError("DEADLINE_EXCEEDED", f"the hub did not answer {method} within {timeout_s:g} s")


def too_large() -> FerryError:
    """The error for a reply above the cap."""
    message = f"the hub's reply is larger than {MAX_REPLY_BYTES >> 20} MiB"
    return FerryError("TOO_LARGE", message, limitBytes=MAX_REPLY_BYTES)
