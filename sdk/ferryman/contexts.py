"""Contexts: the hubs that the daemon knows, and which of them calls go to.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ferryapi.daemon.v1 import auth_service_pb2 as pb
from ferryman import arguments
from ferryman.call import Call
from ferryman.errors import invalid
from ferryman.reports import Context

if TYPE_CHECKING:
    import builtins

    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.daemon.v1.AuthService/"


def listing() -> Call[list[Context]]:
    """The call for all contexts."""
    return Call(
        f"{_SERVICE}ListContexts",
        pb.ListContextsRequest(),
        pb.ListContextsResponse,
        lambda reply: [_context(one) for one in reply.contexts],
    )


def _use(context: str | Context) -> Call[Context]:
    name = context.name if isinstance(context, Context) else context
    request = pb.UseContextRequest(context=arguments.text(name, "name"))
    return Call(f"{_SERVICE}UseContext", request, pb.Context, _context)


def require_hub(wanted: str, known: list[Context]) -> None:
    """Raise unless the daemon serves the hub that FERRYMAN_HUB names: as its current one, or because it was started for
    it and somebody has chosen another since."""
    served = list(dict.fromkeys(one.hub for one in known if one.current or one.name == "env"))
    if _plain(wanted) not in map(_plain, served):
        message = (
            f"FERRYMAN_HUB is {_plain(wanted)}, but the daemon that runs was started without it and uses "
            f"{' and '.join(served)}; sign in to that hub and use it (ferry login, ferry hub use), or stop the daemon: "
            "the next call starts one with it"
        )
        raise invalid("FERRYMAN_HUB", message)


def _plain(address: str) -> str:
    """An address as the daemon writes it, without what may be a password."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"


def _context(message: Any) -> Context:
    return Context(message.name, message.hub, message.current, message.signed_in, message.user_email)


class Contexts:
    """`client.contexts`: the hubs the daemon knows. Signing in to a hub makes one; `embedded` is always there.

    Calls go to the current one, or to the one that the environment variable FERRYMAN_CONTEXT names.

    Example:
        for context in client.contexts.list():
            print(context.name, context.hub, "signed in" if context.signed_in else "signed out")
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> list[Context]:
        """List all contexts by name, without asking any hub. Error: `unavailable`.

        Example:
            [context.name for context in client.contexts.list() if context.current]
        """
        return self._connection.run(listing())

    def use(self, name: str | Context) -> Context:
        """Make a context the current one, for every program of this user, until it is changed again.

        Transfers stay with the hub they began with. Error: `not_found`.

        Example:
            client.contexts.use("embedded")
        """
        return self._connection.run(_use(name))


class AsyncContexts:
    """`client.contexts` of `AsyncClient`: as `Contexts`, awaited.

    Example:
        names = [context.name for context in await client.contexts.list()]
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self) -> builtins.list[Context]:
        """List all contexts by name, as `Contexts.list`."""
        return await self._connection.run(listing())

    async def use(self, name: str | Context) -> Context:
        """Make a context the current one, as `Contexts.use`."""
        return await self._connection.run(_use(name))
