"""Reads a reply of HTTP/1.1: its head, and the body of an error. Upload step 8, download D8.

`http.client` gives every head to the e-mail package, which takes longer than all else that a small part costs a lane.
What a reply means is `replies.py`'s to say.
"""

from __future__ import annotations

import http.client
import re
from io import BufferedReader
from typing import Final

_LINE_BYTES: Final = 64 << 10
_FIELDS: Final = 100
#: No more digits than anything has bytes: int() refuses thousands of them with an error of its own.
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
#: Replies that never have a body.
_BODILESS: Final = (204, 304)


class Response:
    """The next reply in a `file`, whose head has arrived; what follows it is there. Raises `OSError` and
    `HTTPException`, as everything here does, when there is none."""

    def __init__(self, file: BufferedReader) -> None:
        self.file = file
        self._read_head()

    def _read_head(self) -> None:
        self.status = 0
        while self.status // 100 in (0, 1):  # 100 Continue and the like come before the reply itself
            version, self.status = _first(self._line())
            #: Names in lower case.
            self.headers = self._fields()
        encoding = self.headers.get("transfer-encoding", "").lower()
        self._chunked = encoding == "chunked"
        self._left = 0 if self.status in _BODILESS else _length(self.headers.get("content-length", ""))
        if self._chunked:
            self._left = None
        closes = version != b"HTTP/1.1" or "close" in self.headers.get("connection", "").lower()
        # Two ways to say where it ends, or one that is not known here: what follows may be anything.
        doubtful = bool(encoding) and (not self._chunked or "content-length" in self.headers)
        #: Nothing that comes after this on this connection is to be believed.
        self.will_close = closes or doubtful or (self._left is None and not self._chunked)

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end."""
        return self._left == 0

    def read(self, limit: int) -> bytes:
        """The body, at most about so many bytes of it."""
        if self._chunked:
            return self._read_chunks(limit)
        data = self.file.read(limit if self._left is None else min(limit, self._left))
        if self._left is not None:
            self._left -= len(data)
        return data

    def _read_chunks(self, limit: int) -> bytes:
        data = b""
        while len(data) < limit:
            size = _chunk(self._line())
            if size == 0:
                self._fields()  # trailers
                self._left = 0
                break
            data += self.file.read(min(size, limit))
            if size > limit:
                break
            self._line()
        return data

    def _fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        for _ in range(_FIELDS):
            line = self._line().strip()
            if not line:
                return fields
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "content-length" and fields.get(name, value) != value:
                raise http.client.HTTPException("two lengths")
            fields[name] = value
        raise http.client.HTTPException(f"more than {_FIELDS} fields")

    def _line(self) -> bytes:
        line = self.file.readline(_LINE_BYTES)
        if not line:
            raise http.client.RemoteDisconnected("the server closed it without a reply")
        if not line.endswith(b"\n"):
            raise http.client.LineTooLong("reply")
        return line


def _first(line: bytes) -> tuple[bytes, int]:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit() or code < b"100":
        raise http.client.BadStatusLine(line[:100].decode("latin-1"))
    return version, int(code)


def _length(text: str) -> int | None:
    """What a Content-Length says; None for one that says nothing."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _chunk(line: bytes) -> int:
    size = line.partition(b";")[0].strip()
    if not _CHUNK.fullmatch(size):
        raise http.client.HTTPException("no chunk")
    return int(size, 16)
