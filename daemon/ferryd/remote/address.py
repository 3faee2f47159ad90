"""Where a hub is: `http://host:port`, `https://host` or `unix:/socket`. Upload steps 7 and 8, download D7. Pure.

Turns the relative URLs of signed locations into absolute ones. For a hub on a Unix socket that is
`http+unix://<socket path, percent-encoded>/path?query`, which `ferryd.lanes` understands.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from ferrywire.reasons import FerryError


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A hub's address. `text` is what people see; it never holds credentials."""

    text: str
    base_url: str  #: for the HTTP client, without a trailing slash
    socket_path: str  #: empty unless it listens on a Unix socket

    def resolve(self, url: str) -> str:
        """The absolute URL of a location. Absolute ones pass when they are http or https."""
        if url.startswith(("http://", "https://")):  # thousands of these come for small files
            return url
        scheme = urlsplit(url).scheme
        if scheme in ("http", "https"):
            return url
        if scheme or url.startswith("//"):
            raise FerryError("HUB_UNREACHABLE", f"the hub gave a location of kind {scheme[:20]!r}", hub=self.text)
        if self.socket_path:
            return f"http+unix://{quote(self.socket_path, safe='')}/{url.lstrip('/')}"
        return urljoin(f"{self.base_url}/", url)


def parse_address(text: str, field: str = "FERRYMAN_HUB") -> HubAddress:
    """Read an address as FERRYMAN_HUB holds it. INVALID_ARGUMENT, without repeating what may be a secret; `field` is
    where it comes from."""
    if text.startswith("unix:/"):
        return HubAddress(text, "http://localhost", text.removeprefix("unix:"))
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _invalid(field, "it is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _invalid(field, "write http://host:port, https://host or unix:/absolute/socket")
    if parts.username is not None:
        raise _invalid(field, "it has credentials in it; sign in instead")
    if parts.query or parts.fragment:
        raise _invalid(field, "it has a query in it")
    try:
        name = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    except UnicodeError:
        raise _invalid(field, "its host is no name") from None

    def at(host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"

    return HubAddress(at(parts.hostname), at(name), "")


def _invalid(field: str, why: str) -> FerryError:
    return FerryError("INVALID_ARGUMENT", f"{field} is not a hub's address: {why}", field=field)
