"""The span that work belongs to, as W3C Trace Context writes it: what goes along with a call. Upload step 1 and later.

Apart from `tracing.py`, because the SDK needs no more, and starts in milliseconds. Imports nothing of OpenTelemetry.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

#: The name of the gRPC metadata and of the HTTP header.
HEADER: Final = "traceparent"
_SAMPLED: Final = 1
_muted: Final[ContextVar[bool]] = ContextVar("ferryman-untraced", default=False)


def traceparent() -> str:
    """What to send along, so that a call belongs to the present span; empty when there is none.

    It is the span of whatever traces this process with OpenTelemetry, ourselves or the program that uses the SDK.
    """
    present = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if present is None:
        return ""
    found = present().get_span_context()
    flags = found.trace_flags & ~_SAMPLED if _muted.get() else found.trace_flags
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{flags:02x}" if found.is_valid else ""


def is_muted() -> bool:
    """Whether this is inside of `muted`."""
    return _muted.get()


@contextmanager
def muted() -> Iterator[None]:
    """Trace nothing inside the block, nor where it calls: for what would be too many spans."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)
