"""Log lines of a serving hub: as text, or one JSON object a line; each with the id of the request it was written for.

The id is kept here, so that whatever works for a request, in whichever thread, finds it.
"""

from __future__ import annotations

import json
import logging
import time
from contextvars import ContextVar
from typing import Any, Final

#: The id of the request that is being answered; empty outside of one.
request_id: Final[ContextVar[str]] = ContextVar("ferryhub-request-id", default="")
FORMATS: Final = ("text", "json")


def set_up(kind: str) -> None:
    """Write to standard error from now on, as `text` or `json`."""
    handler = logging.StreamHandler()
    handler.addFilter(_note_request)
    handler.setFormatter(_Json() if kind == "json" else _Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found the store's keys


def _note_request(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record)
        found = getattr(record, "request_id", "")
        return f"{line} request_id={found}" if found else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := getattr(record, "request_id", ""):
            line["request_id"] = found
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
