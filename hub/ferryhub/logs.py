"""Log lines of a serving hub: as text, or one JSON object a line; each with the id of the request it was written for.

The id is kept here, so that whatever works for a request, in whichever thread, finds it.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

from ferrywire.loglines import FORMATS as FORMATS
from ferrywire.loglines import formatter

#: The id of the request that is being answered; empty outside of one.
request_id: Final[ContextVar[str]] = ContextVar("ferryhub-request-id", default="")


def set_up(kind: str) -> None:
    """Write to standard error from now on, as `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(kind, request_id.get))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found the store's keys
