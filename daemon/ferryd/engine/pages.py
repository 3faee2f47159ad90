"""Pages of a listing: sizes, and tokens that only this queue can have made for this filter. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from ferrywire.reasons import FerryError

_DEFAULT: Final = 50
_MOST: Final = 1000
_SEAL_BYTES: Final = 8
_CURSOR_BYTES: Final = 8


def page_limit(page_size: int) -> int:
    """How many items a page of the asked size has. INVALID_ARGUMENT below 0; 0 means 50; capped at 1,000."""
    if page_size < 0:
        raise FerryError("INVALID_ARGUMENT", f"page_size is {page_size}: use 0 to {_MOST}", field="page_size")
    return min(page_size or _DEFAULT, _MOST)


def seal(key: bytes, listing: str, cursor: int) -> str:
    """A token for the place `cursor` in a listing; `listing` names it with its filter."""
    raw = cursor.to_bytes(_CURSOR_BYTES, "big")
    return base64.urlsafe_b64encode(raw + _mac(key, listing, raw)).decode().rstrip("=")


def unseal(key: bytes, listing: str, token: str) -> int:
    """The cursor of a token. PAGE_TOKEN_INVALID when it is not one of ours for this listing."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    raw, mac = data[:_CURSOR_BYTES], data[_CURSOR_BYTES:]
    if len(raw) != _CURSOR_BYTES or mac != _mac(key, listing, raw):
        raise FerryError("PAGE_TOKEN_INVALID", "the page token is not from this listing: start at the first page")
    return int.from_bytes(raw, "big")


def _mac(key: bytes, listing: str, raw: bytes) -> bytes:
    return hashlib.blake2b(raw + listing.encode(), key=key, digest_size=_SEAL_BYTES).digest()
