"""How log lines of daemon and hub look: text, or one JSON object a line; each with the id of what it is about.

Where lines go, and which are written, is each program's own business.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from ferrywire.ids import is_id

FORMATS: Final = ("text", "json")
#: What would end a line or command a terminal, by how it is written instead: names of files may hold it.
_UNSEEN: Final = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def formatter(kind: str, request_id: Callable[[], str]) -> logging.Formatter:
    """Formats lines as `text` or `json`. `request_id` gives the id of what is being done; empty when there is none."""
    return _Json(request_id) if kind == "json" else _Text(request_id)


class _Text(logging.Formatter):
    def __init__(self, request_id: Callable[[], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._request_id = request_id

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line, found = super().formatMessage(record).translate(_UNSEEN), self._request_id()
        return f"{line} request_id={found}" if found else line


class _Json(logging.Formatter):
    def __init__(self, request_id: Callable[[], str]) -> None:
        super().__init__()
        self._request_id = request_id

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := self._request_id():
            line["request_id"] = found
            if is_id(found, "trf"):  # a transfer's work goes by its own id
                line["transfer_id"] = found
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
