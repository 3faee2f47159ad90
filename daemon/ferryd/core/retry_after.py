"""How long a server asks us to wait: the HTTP header Retry-After. Upload steps 7 to 10, download D7 and D8. Pure.

Both adapters that speak HTTP, `lanes` and `remote`, read it; they may not import each other.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

#: A server that asks for longer is asked again after this long.
MAX_RETRY_AFTER_S: Final = 3600.0


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds to wait, from whole seconds or an HTTP date; None when there is no header or it makes no sense."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, when.timestamp() - now), MAX_RETRY_AFTER_S)
