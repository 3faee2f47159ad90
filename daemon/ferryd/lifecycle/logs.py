"""Where log lines go: standard error, which the starter has led to daemon.log. One line an event, never a secret."""

from __future__ import annotations

import logging
import sys

from ferryd.core.following import current
from ferrywire.loglines import formatter


def set_up(level: str, kind: str = "text") -> None:
    """Log to standard error at this level, as `text` or `json`; libraries only from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(kind, current))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for program in ("ferryd", "ferryhub", "ferrywire"):
        logging.getLogger(program).setLevel(level.upper())
