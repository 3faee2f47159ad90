"""Signed URLs: who holds one may put this part, or get this blob, until it expires, and do nothing else.

Upload step 8 (SignParts makes them, the byte endpoint checks them) and D7/D8. HMAC-SHA256 over method, path, expiry,
size and digest. Pure: the secret and the time are given. Never log a URL made here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from ferryhub.blobs.locations import UrlLocation
from ferrywire.reasons import FerryError

UPLOADS_PATH = "/blobs/uploads"
BLOBS_PATH = "/blobs"
#: Where a part has the index of its file.
PACKS = "packs"


@dataclass(frozen=True, slots=True)
class PartClaim:
    """What a URL for a part allows: these bytes, at this place."""

    session_id: str
    file_index: int
    part_number: int
    size_bytes: int
    digest: bytes

    @property
    def path(self) -> str:
        return f"{UPLOADS_PATH}/{self.session_id}/{self.file_index}/{self.part_number}"


@dataclass(frozen=True, slots=True)
class PackClaim:
    """What a URL for a pack allows: so many bytes, under this name. Whether they are the right ones is looked at when
    the pack is recorded."""

    session_id: str
    name: str
    size_bytes: int

    @property
    def path(self) -> str:
        return f"{UPLOADS_PATH}/{self.session_id}/{PACKS}/{self.name}"


class UrlSigner:
    """Makes and checks signed URLs, relative to the hub's address. `expires_at` is seconds since the epoch."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def put_url(self, claim: PartClaim, expires_at: int) -> str:
        """The URL to PUT a part to."""
        bound = {"expires": str(expires_at), "size": str(claim.size_bytes), "digest": claim.digest.hex()}
        return self._url("PUT", claim.path, bound)

    def pack_url(self, claim: PackClaim, expires_at: int) -> str:
        """The URL to PUT a pack to."""
        return self._url("PUT", claim.path, {"expires": str(expires_at), "size": str(claim.size_bytes)})

    def get_url(self, key: str, expires_at: int) -> str:
        """The URL to GET a blob, or ranges of it, from."""
        return self._url("GET", f"{BLOBS_PATH}/{key}", {"expires": str(expires_at)})

    def check(self, method: str, path: str, query: str, now_s: float) -> dict[str, str]:
        """The signed values of a URL. `SIGNATURE_INVALID` when any was changed, or when it has expired."""
        values = dict(parse_qsl(query, keep_blank_values=True))
        given = values.pop("sig", "")
        if not hmac.compare_digest(given.encode(), self._sign(method, path, values).encode()):
            raise FerryError("SIGNATURE_INVALID", "the URL's signature is wrong: ask for a new one")
        if not values.get("expires", "").isdecimal() or int(values["expires"]) <= now_s:
            raise FerryError("SIGNATURE_INVALID", "the URL has expired: ask for a new one")
        return values

    def _url(self, method: str, path: str, bound: dict[str, str]) -> str:
        return f"{path}?{urlencode(bound)}&sig={self._sign(method, path, bound)}"

    def _sign(self, method: str, path: str, bound: dict[str, str]) -> str:
        """Over every value of the query, sorted, so that none can be added, dropped or changed."""
        text = "\n".join([method, path, urlencode(sorted(bound.items()))])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


class UrlIssuer:
    """Signs URLs that work for `url_ttl_s` from now; `now_us` is the clock of all that concerns sessions."""

    def __init__(self, signer: UrlSigner, url_ttl_s: float, now_us: Callable[[], int]) -> None:
        self._signer = signer
        self._url_ttl_s = url_ttl_s
        self.now_us = now_us

    def put(self, claim: PartClaim) -> UrlLocation:
        """Where to PUT a part."""
        expires_at = self._expires_at()
        return UrlLocation(self._signer.put_url(claim, expires_at), expires_at)

    def pack(self, claim: PackClaim) -> UrlLocation:
        """Where to PUT a pack, of which the hub has to be told."""
        expires_at = self._expires_at()
        return UrlLocation(self._signer.pack_url(claim, expires_at), expires_at, report=True)

    def get(self, key: str) -> UrlLocation:
        """Where to GET a blob."""
        expires_at = self._expires_at()
        return UrlLocation(self._signer.get_url(key, expires_at), expires_at)

    def _expires_at(self) -> int:
        return int(self.now_us() / 1e6 + self._url_ttl_s)
