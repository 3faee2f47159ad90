"""A connection to each hub this daemon knows, made when it is first needed. Upload steps 7, 8 and 10; forwarded calls.

The port `Hubs` for the engine, and the way of forwarded calls. One hub that is away costs the others nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ferryd.auth.contexts import CONFIGURED, Contexts
from ferryd.auth.flights import Flights
from ferryd.auth.oauth import OAuth
from ferryd.auth.sign_in import GivenToken, SignIn, TokenSource
from ferryd.auth.tokens import TokenStore
from ferryd.auth.transport import SigningTransport
from ferryd.core.model import EMBEDDED, Context
from ferryd.core.observing import Observer
from ferryd.core.ports import Clock, Hub
from ferryd.remote.address import HubAddress
from ferryd.remote.blips import Blips
from ferryd.remote.client import HubClient
from ferryd.remote.http import HttpTransport
from ferryd.remote.logged import LoggedHub
from ferryd.remote.observed import ObservedTransport
from ferryd.remote.repeat import RepeatingTransport
from ferryd.remote.retry import RetryingHub
from ferryd.remote.transport import Transport
from ferrywire.reasons import FerryError


@dataclass(frozen=True, slots=True)
class Connection:
    """What there is for one hub: `transport` for forwarded calls, `hub` for transfers. `sign_in` and `oauth` are None
    where nobody can sign in: the embedded hub, and one whose token is FERRYMAN_TOKEN."""

    context: Context
    transport: Transport
    hub: Hub
    sign_in: SignIn | None = None
    oauth: OAuth | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What connections are made of. `embedded` makes the transport of the hub inside the daemon, which names files
    of this machine; `token` is FERRYMAN_TOKEN, empty for none; `observer` is told of every call."""

    embedded: Callable[[], Transport]
    token: str
    tokens: TokenStore
    flights: Flights
    clock: Clock
    observer: Observer = field(default_factory=Observer)


class Connections:
    """Implements the port `Hubs`. Close it after the last call."""

    def __init__(self, contexts: Contexts, surroundings: Surroundings) -> None:
        self._contexts = contexts
        self._with = surroundings
        self._open: dict[Context, Connection] = {}
        self._sign_ins: Counter[Context] = Counter()

    def get(self, context: Context) -> Hub:
        """See `Hubs`."""
        if not self._contexts.knows(context):
            raise _unknown(context)
        return self.to(context).hub

    def sign_ins(self, context: Context) -> int:
        """See `Hubs`."""
        return self._sign_ins[context]

    def signed_in(self, context: Context) -> None:
        """Count a sign-in."""
        self._sign_ins[context] += 1

    async def call(self, name: str, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """A forwarded call to the hub of the context of this name; the current one when it is empty."""
        return await self.to(self._contexts.resolve(name)).transport.call(method_path, body, timeout_s)

    def to(self, context: Context) -> Connection:
        """The connection to a hub. INVALID_ARGUMENT for an address that is none."""
        if context not in self._open:
            self._open[context] = self._embedded() if context == EMBEDDED else self._remote(context)
        return self._open[context]

    async def close(self) -> None:
        """Let go of all."""
        for connection in self._open.values():
            await connection.transport.close()

    def _embedded(self) -> Connection:
        transport = self._observed(self._with.embedded())
        return Connection(EMBEDDED, transport, self._hub(transport, None, accept_files=True))

    def _remote(self, context: Context) -> Connection:
        http = HttpTransport(context.hub)
        if context == self._contexts.configured and self._with.token:
            return self._signed(context, http, GivenToken(self._with.token, context))
        oauth = OAuth(http, context.hub)
        sign_in = SignIn(context, oauth, self._with.tokens, self._with.flights, self._with.clock)
        return replace(self._signed(context, http, sign_in), sign_in=sign_in, oauth=oauth)

    def _signed(self, context: Context, http: HttpTransport, tokens: TokenSource) -> Connection:
        signing = self._observed(SigningTransport(http, tokens))
        forwarding = RepeatingTransport(signing, Blips(self._with.clock))
        return Connection(context, forwarding, self._hub(signing, http.address, accept_files=False))

    def _observed(self, transport: Transport) -> Transport:
        return ObservedTransport(transport, self._with.observer)

    def _hub(self, transport: Transport, address: HubAddress | None, *, accept_files: bool) -> Hub:
        # Outermost first: a repeated call is logged each time it is tried.
        client = HubClient(transport, address, accept_files=accept_files)
        return RetryingHub(LoggedHub(client, self._with.clock), Blips(self._with.clock))


def _unknown(context: Context) -> FerryError:
    what = f"this daemon does not know {context.hub} as context {context.name!r}"
    if context.name == CONFIGURED:
        return FerryError("NOT_SIGNED_IN", f"{what}; start it with FERRYMAN_HUB={context.hub} to go on")
    message = f"{what}; sign in with `ferry login {context.hub} --context {context.name}` to go on"
    return FerryError("NOT_SIGNED_IN", message)
