"""Log lines of a serving hub: as text, or one JSON object a line; each with the id of the request it was written for.

The id is kept here, so that whatever works for a request, in whichever thread, finds it; and why it was refused, if so.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from ferrywire.loglines import FORMATS as FORMATS
from ferrywire.loglines import formatter

#: The id of the request that is being answered; empty outside of one.
request_id: Final[ContextVar[str]] = ContextVar("ferryhub-request-id", default="")


@dataclass(slots=True)
class Refusal:
    """Why a request was refused: a reason of the error table, or empty."""

    reason: str = ""


#: Of the request that is being answered; none outside of one, and in an embedded hub.
refusal: Final[ContextVar[Refusal | None]] = ContextVar("ferryhub-refusal", default=None)


def refused(reason: str) -> None:
    """Let the request's own log line say why."""
    if (noted := refusal.get()) is not None:
        noted.reason = reason


def set_up(kind: str) -> None:
    """Write to standard error from now on, as `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(kind, request_id.get))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found the store's keys
