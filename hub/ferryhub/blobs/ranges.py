"""The `Range` header of a download (D8): one range of bytes, or nothing. Pure."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


class Unsatisfiable(Exception):
    """The header names no range that the blob has, or one we do not give: several ranges, other units."""


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """(first byte, byte after the last) of a Range header; None without one. Raises `Unsatisfiable`."""
    if header is None:
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        raise Unsatisfiable
    first, last = match.groups()
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
    if start >= end:
        raise Unsatisfiable
    return start, end
