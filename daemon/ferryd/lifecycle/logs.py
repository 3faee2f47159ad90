"""Where log lines go: standard error, which the starter has led to daemon.log. One line an event, never a secret."""

from __future__ import annotations

import logging
import sys


def set_up(level: str) -> None:
    """Log to standard error at this level; libraries only from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for program in ("ferryd", "ferryhub"):
        logging.getLogger(program).setLevel(level.upper())
