"""Pages of listings: opaque page tokens that carry the last row's sort key, sealed for one caller and one filter.

A page starts after a key, not at an offset, so rows added or removed meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.validation import invalid
from ferrywire.reasons import FerryError

T = TypeVar("T")
#: A row's sort key.
Key = tuple[Any, ...]

DEFAULT_SIZE: Final = 50
MAX_SIZE: Final = 1000
_MAC_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows a listing wants."""

    size: int = DEFAULT_SIZE
    #: The sort key of the last row of the page before; None for the first page.
    after: Key | None = None


class PageSeal:
    """Seals and opens page tokens with the hub's secret, so that a token works on every replica."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def page(self, size: int, token: str, actor: Actor, *query: str, default: int = DEFAULT_SIZE) -> Page:
        """The page that a request asks for. `query` is the method and its filters: the token works for these only.

        Errors: `INVALID_ARGUMENT` for a negative size, `PAGE_TOKEN_INVALID`. A size above the limit means the limit.
        """
        if size < 0:
            raise invalid("page_size", f"{size} is negative; 0 means {default}")
        return Page(min(size or default, MAX_SIZE), self._open(token, actor, query) if token else None)

    def token(self, after: Key | None, actor: Actor, *query: str) -> str:
        """The token for the page after a row; empty when there is none."""
        if after is None:
            return ""
        cursor = json.dumps(after, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(cursor, actor, query) + cursor).decode().rstrip("=")

    def _open(self, token: str, actor: Actor, query: Sequence[str]) -> Key:
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _invalid_token() from error
        mac, cursor = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(cursor, actor, query)):
            raise _invalid_token()
        return tuple(json.loads(cursor))

    def _mac(self, cursor: bytes, actor: Actor, query: Sequence[str]) -> bytes:
        bound = json.dumps([actor.principal_id, *query]).encode()
        return hmac.digest(self._secret, hashlib.sha256(bound).digest() + cursor, "sha256")[:_MAC_BYTES]


def cut(rows: Sequence[T], page: Page, key: Callable[[T], Key]) -> tuple[Sequence[T], Key | None]:
    """Split what a query for `page.size + 1` rows gave into the page and the key to go on after, if there is more."""
    if len(rows) <= page.size:
        return rows, None
    return rows[: page.size], key(rows[page.size - 1])


def _invalid_token() -> FerryError:
    return FerryError("PAGE_TOKEN_INVALID", "page_token is not one that this listing gave you with these arguments")
