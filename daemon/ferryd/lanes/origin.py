"""Takes a signed URL apart. Upload step 8, download D8. Pure.

Besides http and https there is `http+unix://<socket path, percent-encoded>/path?query`, which `ferryd.remote` makes for
a hub that listens on a Unix socket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, urlsplit

from ferrywire.reasons import FerryError

#: Scheme with host, then path with query; what follows a # is not sent.
_PARTS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[!-\".$-.0->@-~]+)([^#]*)")
_UNSENDABLE: Final = re.compile(r"[^!-~]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a connection goes to. Connections are shared by origin and never across."""

    scheme: str
    host: str  #: the socket's path for http+unix
    port: int

    def __str__(self) -> str:
        """For people: no path, no query, no credentials."""
        if self.scheme == "http+unix":
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def split_url(url: str) -> tuple[Origin, str]:
    """Whom to connect to, and the request target. HUB_UNREACHABLE for anything that a lane does not speak."""
    found = _PARTS.match(url)
    if found is None:
        raise _refused("it is no URL with a host")
    base, target = found[1], found[2]
    if _UNSENDABLE.search(target):
        raise _refused("it has characters that must be percent-encoded")
    return _origin(base), target if target.startswith("/") else f"/{target}"


@lru_cache(maxsize=64)
def _origin(base: str) -> Origin:
    """Of what comes before the path, which thousands of URLs have in common."""
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError:
        raise _refused("it is not a URL") from None
    if parts.username is not None:
        raise _refused("it has credentials in it")
    if parts.scheme == "http+unix":
        return Origin(parts.scheme, unquote(parts.netloc), 0)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(f"its scheme is {parts.scheme[:20]!r}")
    return Origin(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))


def _refused(why: str) -> FerryError:
    return FerryError("HUB_UNREACHABLE", f"the hub gave a location that cannot be used: {why}", hub="")
