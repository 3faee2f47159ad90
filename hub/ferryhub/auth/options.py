"""What the accounts of one hub can be told. Filled in by `app.py` from the settings; durations in seconds."""

from __future__ import annotations

from dataclasses import dataclass

#: Microseconds in a second: the catalogue counts in these.
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """Lifetimes of everything that is handed out, and who may sign in how."""

    #: An access token.
    access_ttl_s: float = 3600
    #: A refresh token, counted anew with every exchange.
    refresh_ttl_s: float = 30 * 24 * 3600
    #: How long an exchange may be repeated whose reply was lost.
    refresh_grace_s: float = 30
    #: How long a device waits to be approved.
    device_ttl_s: float = 600
    #: How often a waiting device may ask.
    device_interval_s: int = 5
    #: How long a browser stays signed in.
    browser_ttl_s: float = 900
    #: Whether people may sign in with a password.
    passwords: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class ProviderOptions:
    """An OpenID provider at which people may sign in."""

    #: Its address, exactly as it calls itself.
    issuer: str
    client_id: str
    client_secret: str
    #: Where it sends browsers back to.
    redirect_uri: str
    #: What people call it.
    name: str
    #: Who comes with a verified e-mail address in one of these domains and is new is made a user.
    email_domains: frozenset[str] = frozenset()
