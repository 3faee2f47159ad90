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
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    digits = (_ALPHABET[(value >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
    return f"{prefix}_{''.join(digits)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether the text has the form of an id of this kind; an alias never has."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == _LENGTH and all(digit in _ALPHABET for digit in tail)
