"""The browser's cookie and the proof that a form came from our page: a signature of the cookie inside the form.

Another site can make the browser send the form, but cannot read the cookie and so cannot sign it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final

#: `__Host-`: browsers take it only over TLS (or from this machine), for this host alone, and no subdomain can set it.
COOKIE: Final = "__Host-ferryhub"
#: Of a browser on its way to the OpenID provider, with the code that its device shows.
VISIT_COOKIE: Final = "__Host-ferryhub-visit"
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Strict"
#: Coming back from there is a link from another site, with which no strict cookie is sent.
_VISIT_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43,64}")


class FormSeal:
    """Signs with a key of its own, derived from one of the hub's secrets."""

    def __init__(self, hub_secret: bytes) -> None:
        self._key = hmac.digest(hub_secret, b"ferryhub sign-in forms", hashlib.sha256)

    def token(self, cookie: str) -> str:
        """What a form of this browser must carry."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    def fits(self, cookie: str, token: str) -> bool:
        """Whether a form came from a page that this browser got from us."""
        return bool(cookie) and hmac.compare_digest(self.token(cookie).encode(), token.encode())


def cookie_of(cookies: Mapping[str, str]) -> str:
    """The secret in the browser's cookie; empty when there is none."""
    value = cookies.get(COOKIE, "")
    return value if _SECRET.fullmatch(value) else ""


def visit_of(cookies: Mapping[str, str]) -> tuple[str, str]:
    """The secret of a browser that comes back from the provider, and its user code; both empty when it was not sent."""
    secret, _, user_code = cookies.get(VISIT_COOKIE, "").partition(".")
    return (secret, user_code) if _SECRET.fullmatch(secret) else ("", "")


def set_visit(secret: str, user_code: str, *, max_age_s: int) -> str:
    """The Set-Cookie header of a browser that is sent to the provider; 0 seconds when it is back."""
    return f"{VISIT_COOKIE}={secret}.{user_code}; {_VISIT_ATTRIBUTES}; Max-Age={max_age_s}"


def new_cookie() -> str:
    """A secret for a browser in which nobody has signed in yet."""
    return secrets.token_urlsafe(32)


def set_cookie(value: str, *, max_age_s: int | None = None) -> str:
    """The Set-Cookie header."""
    age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
    return f"{COOKIE}={value}; {_ATTRIBUTES}{age}"
