"""Where log lines go: standard error, which the starter has led to daemon.log. One line an event, never a secret."""

from __future__ import annotations

import logging
import sys

from ferryd.core.following import current


def set_up(level: str) -> None:
    """Log to standard error at this level; libraries only from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for program in ("ferryd", "ferryhub"):
        logging.getLogger(program).setLevel(level.upper())


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line, request_id = super().formatMessage(record), current()
        return f"{line} request_id={request_id}" if request_id else line
