"""Ids: a prefix that names the kind, `_`, and a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32).

Ids made later sort later, to the millisecond. They are opaque and never reused.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 26


def new_id(prefix: str) -> str:
    """A new id such as `ast_01JD…`. Prefixes: prj col ast cnt upl rel alc usr bot grp
    tok sgn trf."""
    return _id(prefix, time.time_ns() // 1_000_000, secrets.randbits(80))


def first_id(prefix: str, at_us: int) -> str:
    """The id before which all are that were made before a time, in microseconds since the epoch."""
    return _id(prefix, max(at_us, 0) // 1000, 0)


def is_id(text: str, prefix: str) -> bool:
    """Whether the text has the form of an id of this kind; an alias never has."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == _LENGTH and all(digit in _ALPHABET for digit in tail)


def _id(prefix: str, at_ms: int, rest: int) -> str:
    value = at_ms << 80 | rest
    digits = (_ALPHABET[(value >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
    return f"{prefix}_{''.join(digits)}"
